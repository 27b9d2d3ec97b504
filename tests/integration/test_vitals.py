"""What a catalog's database says of its health, on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from syncer.catalog import database
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.vitals import Readings, Vitals
from syncer.errors import IntegrityError
from syncer.model.blobs import Blob, StoredBlob
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Provide a migrated catalog."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/catalog.db"
        database.upgrade(url)
        made = database.connect(url)
        yield made
        made.dispose()
        return
    with postgres.shared(request.config).migrated() as url:
        made = database.connect(url)
        yield made
        made.dispose()


def test_a_sound_catalog_has_no_problems(engine: Engine) -> None:
    """The engine and the size are told; SQLite's pages were checked."""
    health = Vitals(engine).health()
    assert health.engine.startswith(("SQLite 3.", "PostgreSQL 1"))
    assert health.size > 10_000
    assert health.is_sound in {True, None}
    harmless = {"what is committed can be lost (fsync is off)"}
    harmless |= {
        f"what is committed can be lost ({name} is off)"
        for name in ("full_page_writes", "synchronous_commit")
    }
    # The tests' own server writes fast and forgets.
    texts = {each.text for each in health.problems}
    assert all(each.fix for each in health.problems)
    assert texts <= (harmless if health.is_sound is None else set())


def test_readings_tell_of_the_blob_that_was_not_read_for_longest(
    engine: Engine,
) -> None:
    """Damaged ones are counted; without blobs there is nothing to tell."""
    vitals = Vitals(engine)
    assert vitals.readings() == Readings(0, 0, None)
    index = SqlBlobIndex(engine)
    old = NOW - timedelta(days=9)
    digests = ("a" * 64, "b" * 64)
    index.stored(
        StoredBlob(Blob(digest, 3), at, at)
        for digest, at in zip(digests, (old, NOW), strict=True)
    )
    assert vitals.readings() == Readings(2, 0, old)
    index.damaged(digests[1], NOW, "lost")
    assert vitals.readings() == Readings(2, 1, old)


def test_a_setting_that_loses_commits_is_a_problem(tmp_path: Path) -> None:
    """SQLite that does not wait for the disk, and a page that is not what it was."""
    url = f"sqlite:///{tmp_path}/catalog.db"
    database.upgrade(url)
    engine = database.connect(url)

    def careless(connection: object, _record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")  # type: ignore[attr-defined] # a driver's connection has no common type

    event.listen(engine, "connect", careless)
    (problem,) = Vitals(engine).health().problems
    assert "not made durable" in problem.text
    engine.dispose()
    file = tmp_path / "catalog.db"
    content = bytearray(file.read_bytes())
    content[4096 * 3 : 4096 * 5] = b"\xff" * 8192
    file.write_bytes(content)
    broken = database.connect(url)
    try:
        problems = [each.text for each in Vitals(broken).health().problems]
    except IntegrityError:
        problems = ["quick_check: it cannot even be read"]
    finally:
        broken.dispose()
    assert any(each.startswith("quick_check") for each in problems)
