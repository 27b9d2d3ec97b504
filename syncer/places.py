"""Where the keys of a TOML file stand; tomllib tells no positions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_HEADER = re.compile(r"\s*\[(?P<array>\[)?\s*(?P<name>[^\]]+?)\s*\]")
_KEY = re.compile(r"""\s*(?P<key>[A-Za-z0-9_-]+|"[^"]*"|'[^']*')\s*=""")


class Places(Mapping[str, str]):
    """Something about each key of a file, by where it stands.

    Found when somebody asks: a file of 10,000 repositories is read by every command,
    and few ask.
    """

    def __init__(
        self, text: str, said: Callable[[int], str], others: Mapping[str, str]
    ) -> None:
        """`said` gets the line of a key; what `others` say of one counts instead."""
        self._text = text
        self._said = said
        self._others = others

    @cached_property
    def _found(self) -> dict[str, str]:
        found = {key: self._said(n) for key, n in line_numbers(self._text).items()}
        return {**found, **self._others}

    def __getitem__(self, key: str) -> str:
        return self._found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def dotted(location: Sequence[str | int]) -> str:
    """Return a key with all that is above it: `repo.0.tier`."""
    return ".".join(str(part) for part in location)


def where_of(
    path: Path | None, places: Mapping[str, str], location: Sequence[str | int]
) -> str:
    """Return `file:line` of a key, or of the nearest thing above it."""
    for end in range(len(location), 0, -1):
        place = places.get(dotted(location[:end]))
        if place is not None:
            return place
    return str(path or "environment")


def line_numbers(text: str) -> dict[str, int]:
    """Map dotted keys (`repo.0.tier`) to lines."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header is not None:
            parts = re.findall(r'"[^"]*"|\'[^\']*\'|[^.\s]+', header["name"])
            prefix = ".".join(part.strip("\"'") for part in parts)
            if header["array"]:
                counts[prefix] = counts.get(prefix, -1) + 1
                prefix = f"{prefix}.{counts[prefix]}"
            lines[prefix] = number
            continue
        key = _KEY.match(line)
        if key is not None:
            name = key["key"].strip("\"'")
            lines[f"{prefix}.{name}" if prefix else name] = number
    return lines
