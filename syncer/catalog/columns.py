"""Column types that mean the same on SQLite and on Postgres."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Integer,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

_MICROSECOND = timedelta(microseconds=1)
_INSTANT_TEXT = 32  # 2026-01-31T23:59:59.999999+00:00

#: A key that never runs out; SQLite numbers only a column called INTEGER.
Key = BigInteger().with_variant(Integer(), "sqlite")


class Instant(TypeDecorator[datetime]):
    """An instant, an aware datetime in UTC in both directions.

    Postgres has a type for it.  SQLite has none and keeps text of a fixed
    width, which sorts as the instants do; `fromisoformat` reads it in 0.1 µs,
    a fifth of what SQLAlchemy's own type needs.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return text on SQLite and `timestamptz` elsewhere."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(_INSTANT_TEXT))
        return dialect.type_descriptor(DateTime(timezone=True))

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], object]:
        """Return what turns an instant into the driver's value."""
        if dialect.name == "sqlite":
            return lambda value: (
                None if value is None else _utc(value).isoformat("T", "microseconds")
            )
        return lambda value: None if value is None else _utc(value)

    def result_processor(
        self,
        dialect: Dialect,
        coltype: object,  # noqa: ARG002 - the base class's signature
    ) -> Callable[[Any], datetime | None]:
        """Return what turns the driver's value into an instant."""
        if dialect.name == "sqlite":
            read = datetime.fromisoformat
            return lambda value: None if value is None else read(value)
        return lambda value: None if value is None else value.astimezone(UTC)


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        msg = f"an instant without a zone: {value!r}"
        raise ValueError(msg)
    return value.astimezone(UTC)


class Span(TypeDecorator[timedelta]):
    """A duration, stored as whole microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(
        self,
        value: timedelta | None,
        dialect: Dialect,  # noqa: ARG002 - the base class's signature
    ) -> int | None:
        """Return the microseconds."""
        return None if value is None else value // _MICROSECOND

    def process_result_value(
        self,
        value: int | None,
        dialect: Dialect,  # noqa: ARG002 - the base class's signature
    ) -> timedelta | None:
        """Return the duration."""
        return None if value is None else timedelta(microseconds=value)


class RefText(TypeDecorator[str]):
    """The name of a ref, stored as its bytes.

    Git's names are bytes; those that are not UTF-8 carry surrogate escapes
    here, and no database takes these as text.
    """

    impl = LargeBinary
    cache_ok = True

    def bind_processor(
        self,
        dialect: Dialect,  # noqa: ARG002 - the base class's signature
    ) -> Callable[[str | None], bytes | None]:
        """Return what turns a name into bytes."""
        return lambda value: (
            None if value is None else value.encode("utf-8", "surrogateescape")
        )

    def result_processor(
        self,
        dialect: Dialect,  # noqa: ARG002 - the base class's signature
        coltype: object,  # noqa: ARG002 - the base class's signature
    ) -> Callable[[Any], str | None]:
        """Return what turns bytes into a name."""
        return lambda value: (
            None if value is None else bytes(value).decode("utf-8", "surrogateescape")
        )


class Prose(TypeDecorator[str]):
    """Text for people, of any origin: it is made storable, and clipped.

    Git and upstream put NUL and broken UTF-8 into their messages; Postgres
    refuses the one, both refuse the other, and a failure must be recorded.
    """

    impl = Text
    cache_ok = True

    def __init__(self, limit: int = 4000) -> None:
        super().__init__()
        self.limit = limit

    def process_bind_param(
        self,
        value: str | None,
        dialect: Dialect,  # noqa: ARG002 - the base class's signature
    ) -> str | None:
        """Return the text that is stored."""
        return None if value is None else storable(value, self.limit)


def storable(text: str, limit: int) -> str:
    """Return `text` as both databases take it, of at most `limit` characters."""
    clean = text[:limit].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return clean.encode("utf-8", "backslashreplace").decode()[:limit]


class Json(TypeDecorator[Any]):
    """A value as JSON text in ASCII, so that surrogate escapes survive."""

    impl = Text
    cache_ok = True

    def process_bind_param(
        self,
        value: object,
        dialect: Dialect,  # noqa: ARG002 - the base class's signature
    ) -> str | None:
        """Return the text; None stays NULL."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(
        self,
        value: str | None,
        dialect: Dialect,  # noqa: ARG002 - the base class's signature
    ) -> Any:  # noqa: ANN401 - JSON holds anything
        """Return the value."""
        return None if value is None else json.loads(value)
