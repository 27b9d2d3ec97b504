"""Every exception of SQLAlchemy and its drivers becomes one of ours.

Messages carry the driver's first line and never the statement or its values.
Codes: https://www.sqlite.org/rescode.html and
https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import exc

from syncer.errors import (
    CatalogBusy,
    IntegrityError,
    NoSpace,
    NotInitialised,
    PermanentError,
    SchemaOutdated,
    SyncerError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_SQLITE = {
    5: CatalogBusy,  # BUSY
    6: CatalogBusy,  # LOCKED
    9: CatalogBusy,  # INTERRUPT
    11: IntegrityError,  # CORRUPT
    13: NoSpace,  # FULL
    15: CatalogBusy,  # PROTOCOL: lost a race for the WAL's locks
    26: IntegrityError,  # NOTADB
}
# A code, or the class its first two characters name.
_POSTGRES = {
    "08": CatalogBusy,  # connection
    "25006": CatalogBusy,  # read only: a replica, until it is promoted
    "40": CatalogBusy,  # rolled back: deadlock, serialization
    "42P01": NotInitialised,  # no such table
    "42703": SchemaOutdated,  # no such column
    "53": CatalogBusy,  # too many connections, out of memory
    "53100": NoSpace,
    "55": CatalogBusy,  # lock not available
    "57": CatalogBusy,  # cancelled, or the server goes down
    "58030": PermanentError,  # input/output error
    "XX001": IntegrityError,
    "XX002": IntegrityError,
}
_UPGRADE = "run `syncer db upgrade`"
_HINTS: dict[type[SyncerError], str] = {
    NotInitialised: _UPGRADE,
    SchemaOutdated: _UPGRADE,
    NoSpace: "free space where the catalog lives; nothing in it was changed",
    IntegrityError: "restore the catalog from a backup; the mirrors are not affected",
}
# libpq reports a refused login without a code.
_REFUSED = re.compile(
    r"authentication failed|no pg_hba\.conf entry|(?:role|database) .* does not exist"
    r"|permission denied|no password supplied|certificate|SSL"
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise what SQLAlchemy raises within as an error of ours."""
    try:
        yield
    except exc.SQLAlchemyError as problem:
        raise translate(problem) from problem


def translate(problem: exc.SQLAlchemyError) -> SyncerError:
    """Return the error that says what a database's error means to a caller."""
    kind = _kind(problem)
    words = _first_line(problem)
    if kind is CatalogBusy and _is_away(problem):
        msg = f"the catalog cannot be reached, and is as it was: {words}"
        return CatalogBusy(msg, hint="is Postgres running? syncer doctor --check D04")
    if kind is CatalogBusy:
        return CatalogBusy(f"the catalog did not take a statement in time: {words}")
    return kind(
        f"the catalog refused, and is as it was: {words}", hint=_HINTS.get(kind)
    )


def _is_away(problem: exc.SQLAlchemyError) -> bool:
    """Return whether no connection could be made: libpq gives no code for that."""
    return isinstance(problem, exc.OperationalError) and (
        "connection failed" in str(problem.orig)
    )


def _kind(problem: exc.SQLAlchemyError) -> type[SyncerError]:
    if isinstance(problem, exc.TimeoutError):  # No connection came free.
        return CatalogBusy
    if not isinstance(problem, exc.DBAPIError):
        return PermanentError
    return CatalogBusy if problem.connection_invalidated else _driver_kind(problem)


def _driver_kind(problem: exc.DBAPIError) -> type[SyncerError]:
    code = getattr(problem.orig, "sqlite_errorcode", None)
    if code is not None:
        return _sqlite_kind(code, str(problem.orig))
    state = getattr(problem.orig, "sqlstate", None)
    if state is not None:
        return _POSTGRES.get(state) or _POSTGRES.get(state[:2], PermanentError)
    if not isinstance(problem, exc.OperationalError):
        return PermanentError
    refused = _REFUSED.search(str(problem.orig)) is not None
    return PermanentError if refused else CatalogBusy


def _sqlite_kind(code: int, words: str) -> type[SyncerError]:
    if words.startswith("no such table"):
        return NotInitialised
    if words.startswith(("no such column", "table ")):
        return SchemaOutdated
    # The low byte is the kind, the rest of the code its detail.
    return _SQLITE.get(code & 0xFF, PermanentError)


def _first_line(problem: exc.SQLAlchemyError) -> str:
    cause = problem.orig if isinstance(problem, exc.StatementError) else problem
    lines = str(cause or problem).strip().splitlines() or [type(cause).__name__]
    return lines[0]
