"""Mirrors are read anew where their rows changed, and kept where they did not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, event, update

from syncer.catalog import database, mirrors
from syncer.catalog.rows import STATE, read_state
from syncer.catalog.sql import SqlCatalog
from syncer.catalog.tables import mirror
from syncer.model.mirrors import Activity, Held
from syncer.model.names import RepoName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ("ant", "bee", "cat")


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[Connection]:
    """Yield a catalog's connection; three mirrors are configured."""
    engine = database.connect(f"sqlite:///{tmp_path / 'catalog.db'}")
    mirror.metadata.create_all(engine)
    wanted = [(RepoName.parse(f"acme/{name}"), "core") for name in NAMES]
    SqlCatalog(engine).reconcile(wanted, NOW)
    with engine.begin() as found:
        yield found
    engine.dispose()


def change(conn: Connection, name: str, **columns: object) -> None:
    """Write columns of a mirror."""
    conn.execute(update(mirror).where(mirror.c.name == name).values(**columns))


def test_what_did_not_change_is_the_same_object(conn: Connection) -> None:
    """To make 10,000 states at every tick would take most of it."""
    remembered = mirrors.Remembered(conn.dialect)
    first = remembered.states(conn)
    change(conn, "bee", last_attempt=NOW)
    second = remembered.states(conn)
    assert [state.name.name for state in second] == list(NAMES)
    assert [a is b for a, b in zip(first, second, strict=True)] == [True, False, True]
    assert second[1].last_attempt == NOW


def test_each_state_is_as_the_row_says(conn: Connection) -> None:
    """Instants, holds and words are read as every other statement reads them."""
    held = {
        "reason": "refs gone",
        "since": NOW.isoformat(),
        "deletions": ["refs/heads/a"],
        "oid": None,
        "accepted": False,
    }
    later = NOW + timedelta(microseconds=1)
    change(conn, "bee", held=held, last_success=later, rate_at=NOW, rate_day=2.0)
    change(conn, "cat", error="it failed", failures=3, behind_since=NOW, home="a")
    remembered = mirrors.Remembered(conn.dialect)
    wanted = [read_state(row) for row in conn.execute(STATE.order_by(mirror.c.name))]
    assert remembered.states(conn) == wanted
    assert wanted[1].held == Held("refs gone", NOW, deletions=("refs/heads/a",))
    assert wanted[1].last_success == later


def test_what_is_removed_is_forgotten(conn: Connection) -> None:
    """A mirror that is no longer configured is not among them, until it is again."""
    remembered = mirrors.Remembered(conn.dialect)
    ant, *_ = remembered.states(conn)
    change(conn, "ant", activity=Activity.REMOVED)
    conn.execute(delete(mirror).where(mirror.c.name == "cat"))
    assert [state.name.name for state in remembered.states(conn)] == ["bee"]
    change(conn, "ant", activity=Activity.ACTIVE)
    back, _ = remembered.states(conn)
    assert back == ant
    assert back is not ant


def test_it_is_one_statement(conn: Connection) -> None:
    """However much has changed, the database is asked once."""
    remembered = mirrors.Remembered(conn.dialect)
    remembered.states(conn)
    change(conn, "bee", tier="normal")
    asked: list[str] = []
    event.listen(
        conn, "before_cursor_execute", lambda *told: asked.append(str(told[2]))
    )
    assert [state.tier for state in remembered.states(conn)] == [
        *("core", "normal", "core")
    ]
    assert len(asked) == 1
