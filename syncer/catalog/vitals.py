"""How a catalog's database is: its engine, its health, and what was read of blobs.

PRAGMAs: https://www.sqlite.org/pragma.html.  Postgres' settings:
https://www.postgresql.org/docs/current/runtime-config-wal.html.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import case, func, select, text

from syncer.catalog.blob_tables import blob
from syncer.catalog.database import READING, sqlite_file
from syncer.catalog.translation import translated

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Engine

#: A larger SQLite catalog takes longer to check than people wait.
_CHECKED = 1 << 30
_RESTORE = "restore the catalog from a backup; the mirrors are not affected"
_FULL = 2  # PRAGMA synchronous
_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")


class Problem(NamedTuple):
    """What is wrong with a database, and what to do about it."""

    text: str
    fix: str


class Health(NamedTuple):
    """What a database says of itself."""

    engine: str
    #: Bytes.
    size: int
    #: None: it was not checked, because it is large.
    is_sound: bool | None
    problems: tuple[Problem, ...]


class Readings(NamedTuple):
    """How many blobs are known, how many are damaged, since when none was read."""

    blobs: int
    damaged: int
    #: When the one was last read that was not for longest.
    oldest: datetime | None


class Vitals:
    """Looks at a catalog's database; writes nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(**READING)

    def health(self) -> Health:
        """Return how the database is."""
        with translated(), self._engine.begin() as conn:
            if conn.dialect.name == "sqlite":
                return self._sqlite(conn)
            return _postgres(conn)

    def readings(self) -> Readings:
        """Return when blobs were read and found right."""
        column = blob.c
        damaged = func.sum(case((column.damaged.is_not(None), 1), else_=0))
        # A blob that came was read then.
        query = select(func.count(), damaged, func.min(column.verified))
        with translated(), self._engine.begin() as conn:
            count, bad, oldest = conn.execute(query).one()
        return Readings(int(count), int(bad or 0), oldest)

    def _sqlite(self, conn: Connection) -> Health:
        problems: list[Problem] = []
        if int(conn.scalar(text("PRAGMA synchronous")) or 0) < _FULL:
            words = "commits are not made durable (synchronous)"
            problems.append(Problem(words, "report it: it is set for each connection"))
        journal = str(conn.scalar(text("PRAGMA journal_mode")))
        if journal != "wal":
            words = f"readers wait for writers (journal_mode is {journal})"
            problems.append(Problem(words, "keep it on a local disk, not on a share"))
        file = sqlite_file(self._engine.url)
        size = 0 if file is None else file.stat().st_size
        sound: bool | None = None
        if size <= _CHECKED:
            found = [str(row[0]) for row in conn.execute(text("PRAGMA quick_check(5)"))]
            sound = found == ["ok"]
            problems += (
                []
                if sound
                else [Problem(f"quick_check: {line}", _RESTORE) for line in found]
            )
        return Health(f"SQLite {sqlite3.sqlite_version}", size, sound, tuple(problems))


def _postgres(conn: Connection) -> Health:
    def setting(name: str) -> str:
        return str(conn.scalar(text("SELECT current_setting(:name)"), {"name": name}))

    problems = [
        Problem(
            f"what is committed can be lost ({name} is off)",
            f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()",
        )
        for name in _SETTINGS
        if setting(name) == "off"
    ]
    if conn.scalar(text("SELECT pg_is_in_recovery()")):
        fix = "name the primary: target_session_attrs=read-write in the address"
        problems.append(Problem("it is a replica, which takes no writes", fix))
    used = int(conn.scalar(text("SELECT count(*) FROM pg_stat_activity")) or 0)
    most = int(setting("max_connections"))
    if used > most * 0.9:
        words = f"{used} of {most} connections are taken"
        problems.append(Problem(words, "raise max_connections, or use a pooler"))
    size = int(conn.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    version = setting("server_version").split()[0]
    return Health(f"PostgreSQL {version}", size, None, tuple(problems))
