"""Counters in a real database: begun with what is on record, added to by many."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.catalog import database
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.operations import SqlOperations
from syncer.catalog.sql import SqlCatalog
from syncer.errors import IntegrityError, Interrupted, Locked
from syncer.model.blobs import Blob, StoredBlob
from syncer.model.lfs import LfsTally
from syncer.model.names import RepoName
from syncer.model.releases import ReleaseTally
from syncer.model.runs import Outcome, ProbeResult, Stage
from tests.contracts.catalog import GIT, RECEIPT, T0, added, ended, intent_of, opened
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

_POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
_MACHINES, _ROUNDS = 4, 8


@pytest.fixture(params=["sqlite", _POSTGRES])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the address of a new catalog."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path / 'catalog.db'}"
        database.upgrade(address)
        yield address
    else:
        with postgres.shared(request.config).migrated() as address:
            yield address


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """Yield an engine for it."""
    engine = database.connect(url)
    yield engine
    engine.dispose()


def _history(catalog: SqlCatalog) -> None:
    """Let runs of every kind take place, of every length."""
    state = added(catalog)
    lfs, releases = LfsTally(received=200), ReleaseTally(received=30)
    counts = {"moved": 5, "rewound": 2}
    for seconds in (0, 1, 1.25, 60, 300, 21_600, 21_601):
        run = replace(opened(catalog, state), counts=counts, stage=Stage.PROMOTE)
        run = replace(run, received=1000, lfs=lfs, releases=releases)
        catalog.intend(intent_of(run))
        at = T0 + timedelta(seconds=seconds)
        done = replace(run, outcome=Outcome.CHANGED, ended=at)
        catalog.finish(intent_of(run), RECEIPT, done)
    for error in (Interrupted, Locked, IntegrityError):
        run = replace(opened(catalog, state), id=0, exit_code=error.exit_code)
        catalog.close_run(ended(run, Outcome.FAILED, "no"))
    catalog.close_run(ended(opened(catalog, state), Outcome.UNCHANGED))
    opened(catalog, state)


def test_counters_begin_with_what_is_on_record(url: str, engine: Engine) -> None:
    """An upgraded catalog has counted the runs and the lag it has rows of."""
    catalog, operations = SqlCatalog(engine), SqlOperations(engine)
    _history(catalog)
    index = SqlBlobIndex(engine)
    index.stored(StoredBlob(Blob(digit * 64, 2**40), T0, T0) for digit in "abc")
    index.damaged("a" * 64, T0, "lost")
    counted = operations.counters()
    counted.pop(("mismatches", "blob"))  # no row tells how often
    engine.dispose()
    database.downgrade(url, "0004")

    database.upgrade(url)

    found = operations.counters()
    assert found.keys() == counted.keys()
    assert found == pytest.approx(counted, abs=0.01)
    assert operations.usage().blobs == 2**41
    assert found["syncs", "changed"] == 7
    assert found["sync_seconds_bucket", "300"] == 9


def test_machines_that_count_at_once_do_not_lock_each_other_out(
    engine: Engine,
) -> None:
    """Runs end and probes are flushed on several; nothing is refused or lost."""
    catalog = SqlCatalog(engine)
    names = [RepoName.parse(f"octo/r{number}") for number in range(_MACHINES)]
    catalog.reconcile([(name, "normal") for name in (GIT, *names)], T0)
    every = [ProbeResult(state.id, T0) for state in catalog.states()]

    def work(name: RepoName) -> None:
        state = catalog.state(name)
        for round_ in range(_ROUNDS):
            run = opened(catalog, state)
            outcome = list(Outcome)[round_ % len(Outcome)]
            catalog.close_run(ended(replace(run, received=round_), outcome))
            catalog.flush_probes(every)

    with ThreadPoolExecutor(_MACHINES) as machines:
        list(machines.map(work, names))

    found = SqlOperations(engine).counters()
    assert found["sync_seconds_count", ""] == _MACHINES * _ROUNDS
    unchanged = _MACHINES * _ROUNDS * len(every)
    also = sum(Outcome.FAILED is not list(Outcome)[r % 6] for r in range(_ROUNDS))
    assert found["probes", "unchanged"] == unchanged + also * _MACHINES
