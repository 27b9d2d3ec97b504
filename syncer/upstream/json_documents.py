"""JSON documents of an API, read with distrust: every field by its type and size.

A document is chosen by others.  What is not as it must be is refused, and the error
says where it stands.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from syncer.errors import InvalidName, ProtocolError
from syncer.model.names import check_ref, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The largest number; the catalog's columns hold no more.
MOST = (1 << 63) - 1
_PLAIN = re.compile(r"[!-~]+")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def parse(body: bytes, what: str) -> object:
    """Return the document of an answer.

    Raises:
        ProtocolError: it is no JSON (RFC 8259), or nested beyond all measure.
    """
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        msg = f"upstream answers for {what} with something that is no JSON"
        raise ProtocolError(msg) from None


def parse_object(body: bytes) -> dict[str, object] | None:
    """Return the object that an answer is, None where it is none."""
    try:
        document = parse(body, "")
    except ProtocolError:
        return None
    return document if isinstance(document, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are Python's, not JSON's.


def rows(value: object, what: str, most: int) -> list[object]:
    """Return a list of at most `most` values."""
    if not isinstance(value, list):
        reject(what, "is no list")
    if len(value) > most:
        reject(what, f"has more than {most} entries")
    return value


def reject(what: str, why: str) -> NoReturn:
    """Refuse a document for what is wrong with one thing in it."""
    msg = f"upstream's answer is not its API's: {what} {why}"
    raise ProtocolError(msg)


class Fields:
    """An object of a document; `what` names it in errors.

    A field that is missing is as if it were null.
    """

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            reject(what, "is no object")
        self._fields: dict[str, object] = value
        #: As which it is named; may become more exact once its name is known.
        self.what = what

    def number(self, key: str, *, most: int = MOST, usual: int | None = None) -> int:
        """Return a number that is not negative; `usual` where there is none."""
        value = self._fields.get(key)
        if value is None and usual is not None:
            return usual
        # A `bool` is an `int` to Python, and to nobody else.
        if type(value) is not int or not 0 <= value <= most:
            self._reject(key)
        return value

    def flag(self, key: str) -> bool:
        """Return whether something is so; what is missing is not."""
        value = self._fields.get(key)
        if value is not None and not isinstance(value, bool):
            self._reject(key)
        return bool(value)

    def word(self, key: str, most: int = 255) -> str:
        """Return text of visible ASCII characters, at least one."""
        value = self.prose(key, most)
        if value is None or _PLAIN.fullmatch(value) is None:
            self._reject(key)
        return value

    def name(self, key: str, most: int = 255) -> str:
        """Return text of at least one character, none of which is NUL."""
        value = self._fields.get(key)
        if not isinstance(value, str) or not 0 < len(value) <= most:
            self._reject(key)
        if "\0" in value or _whole(value) != value:
            self._reject(key)
        return value

    def prose(self, key: str, most: int) -> str | None:
        """Return text for people, None where there is none.

        What no database stores is replaced in it: NUL, and halves of characters.
        """
        value = self._fields.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > most:
            self._reject(key)
        return _whole(value).replace("\0", "\N{REPLACEMENT CHARACTER}")

    def ref(self, key: str, kind: str) -> str | None:
        """Return the name of a branch or tag, None if git would not take it."""
        value = self._fields.get(key)
        if not isinstance(value, str):
            return None
        try:
            value.encode()  # no halves of characters
            return check_ref(f"refs/{kind}/{value}").removeprefix(f"refs/{kind}/")
        except (InvalidName, UnicodeEncodeError):
            return None

    def instant(self, key: str) -> datetime | None:
        """Return an instant (ISO 8601 with an offset, as in RFC 3339), in UTC."""
        value = self._fields.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or _INSTANT.fullmatch(value) is None:
            self._reject(key)
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self._reject(key)

    def part(self, key: str) -> Fields | None:
        """Return an object within, None where there is none."""
        value = self._fields.get(key)
        return None if value is None else Fields(value, f"{key} of {self.what}")

    def each(self, key: str, most: int) -> Iterator[object]:
        """Yield the values of a list; what is missing is empty."""
        value = self._fields.get(key)
        if value is not None:
            yield from rows(value, f"{key} of {self.what}", most)

    def shown(self, key: str) -> str:
        """Return what a field says, for an error."""
        return shown(str(self._fields.get(key)))

    def _reject(self, key: str) -> NoReturn:
        reject(f"{key} of {self.what}", "is nothing that it may be")


def _whole(text: str) -> str:
    """Return text without halves of characters, which JSON can hold (RFC 8259 8.2)."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
