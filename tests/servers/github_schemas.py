"""Holds every answer of the server against the JSON Schemas in `tests/schemas`.

A document that was right once is not checked again: of a page of a hundred
releases that is asked for twice, nothing is.
"""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

PLACE = Path(__file__).parent.parent / "schemas"
_seen: set[tuple[str, bytes]] = set()


@cache
def validator(name: str) -> Draft202012Validator:
    """Return what checks documents of one schema."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to import

    made = Draft202012Validator(
        _read(name),
        registry=_registry(),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    Draft202012Validator.check_schema(made.schema)
    return made


@cache
def _registry() -> Any:  # noqa: ANN401 - of a library that is imported late
    from referencing import Registry, Resource  # noqa: PLC0415 - slow to import

    named = [(path.name, _read(path.stem)) for path in PLACE.glob("*.json")]
    return Registry().with_resources(
        [(name, Resource.from_contents(read)) for name, read in named]
    )


def _read(name: str) -> Any:  # noqa: ANN401 - any value of JSON
    return json.loads((PLACE / f"{name}.json").read_text(encoding="utf-8"))


def check(name: str, document: Any) -> None:  # noqa: ANN401 - any value of JSON
    """Hold a document against a schema.

    Raises:
        jsonschema.ValidationError: it is not as the public description says.
    """
    key = (name, sha256(json.dumps(document).encode()).digest())
    if key not in _seen:
        validator(name).validate(document)
        _seen.add(key)
