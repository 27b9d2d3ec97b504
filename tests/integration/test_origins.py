"""Identities, names and pins in their tables: migrations, constraints, races."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from syncer.catalog import database
from syncer.catalog.release_index import SqlReleaseIndex
from syncer.catalog.sql import SqlCatalog
from syncer.model.origin import UNKNOWN, Discovery, Hint, Origin, Standing
from syncer.model.releases import Pin
from tests.contracts.catalog import GIT, QWEN, T0, event
from tests.contracts.origins import DESCRIBED, FACTS, NEW, Known
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

_POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
_BROKEN = (
    "UPDATE mirror SET standing = 'dead'",
    "UPDATE origin SET standing = 'dead'",
    "UPDATE origin SET sightings = -1",
    "UPDATE origin SET size = NULL",
    "UPDATE origin SET forge_id = NULL",
    "UPDATE alias SET identity = 'github.com/Qwen/x'",
    "UPDATE pin SET mirror_id = 4711",
    "UPDATE discovery SET size = -1",
)


@pytest.fixture(params=["sqlite", _POSTGRES])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the address of a migrated database."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path}/catalog.db"
        database.upgrade(address)
        yield address
        return
    with postgres.shared(request.config).migrated() as address:
        yield address


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """Yield an engine for it."""
    engine = database.connect(url)
    yield engine
    engine.dispose()


@pytest.fixture
def known(engine: Engine) -> Known:
    """Return a catalog with rows in all tables, of a mirror that was renamed."""
    known = Known(SqlCatalog(engine), SqlReleaseIndex(engine))
    known.want(GIT, QWEN)
    id_, index = known.qwen.id, known.index
    moved = replace(DESCRIBED, facts=replace(FACTS, name=NEW))
    index.describe(id_, moved, (), T0)
    index.pin(id_, Pin("v1", T0, "tester"), event("pin"))
    index.store_hints([(id_, Hint("R_1", T0, "v1"))])
    index.discovered("a", [Discovery("a", FACTS)], (), T0)
    return known


def test_going_back_loses_only_what_is_new(
    url: str, engine: Engine, known: Known
) -> None:
    """A mirror that took another name keeps it, and its directory."""
    known.want(GIT, NEW)
    engine.dispose()
    database.downgrade(url, "0003")

    with engine.connect() as conn:
        found = conn.execute(text("SELECT identity, path FROM mirror ORDER BY id"))
        assert (NEW.identity, QWEN.path) in [tuple(row) for row in found]
    engine.dispose()
    database.upgrade(url)
    state = known.catalog.state(NEW)
    assert (state.upstream, state.node_id, state.standing) == (
        None,
        None,
        Standing.NORMAL,
    )
    assert known.index.origin(state.id) == UNKNOWN
    assert known.index.discoveries() == []
    assert database.check_models(url) == []


def test_no_bug_can_break_a_promise(engine: Engine, known: Known) -> None:
    """The tables refuse what no caller means."""
    for statement in _BROKEN:
        with (
            pytest.raises(IntegrityError, match=r"CHECK|check|FOREIGN|foreign"),
            engine.begin() as conn,
        ):
            conn.execute(text(statement))

    assert known.index.origin(known.qwen.id).standing is Standing.BLOCKED


def test_many_ask_and_the_configuration_is_read_at_once(known: Known) -> None:
    """Nothing locks another out, and the mirror is one and the same afterwards."""
    id_ = known.qwen.id
    origin = Origin(replace(FACTS, name=NEW))

    def describe(_: int) -> None:
        known.index.describe(id_, origin, (), T0)

    def discover(number: int) -> None:
        facts = replace(FACTS, name=NEW, size=number)
        known.index.discovered("a", [Discovery("a", facts)], (), T0)

    with ThreadPoolExecutor(4) as pool:
        done = [
            pool.submit(call, number)
            for number in range(5)
            for call in (describe, discover, lambda _: known.want(GIT, NEW))
        ]
        for each in done:
            each.result()

    state = known.catalog.state(NEW)
    assert (state.id, state.name, state.upstream) == (id_, NEW, None)
    assert known.index.aliases(id_) == [QWEN.identity]
