"""Runs and gc at the same time, on real SQLite and real Postgres."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.catalog import blobs, database
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.sql import SqlCatalog
from syncer.errors import PermanentError
from syncer.model.blobs import StoredBlob
from syncer.model.lfs import LfsCounts, LfsState
from syncer.model.runs import ProbeResult
from tests.contracts.blob_index import (
    LATER,
    A,
    Facts,
    blob_of,
    condemned,
    present,
)
from tests.contracts.catalog import GIT, QWEN, T0
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from syncer.model.blobs import Blob
    from syncer.model.lfs import LfsObject

_POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
_SHORT = 0.3  # seconds; what does not wait needs a hundredth of it
_ROUNDS = 15


@pytest.fixture(params=["sqlite", _POSTGRES])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Yield an engine for a migrated catalog."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/catalog.db"
        database.upgrade(url)
        engine = database.connect(url)
        yield engine
        engine.dispose()
        return
    with postgres.shared(request.config).migrated() as url:
        engine = database.connect(url)
        yield engine
        engine.dispose()


@pytest.fixture
def facts(engine: Engine) -> Facts:
    """Return an index and the catalog beside it, with two mirrors."""
    facts = Facts(SqlCatalog(engine), SqlBlobIndex(engine))
    facts.catalog.reconcile([(GIT, "normal"), (QWEN, "normal")], T0)
    return facts


def _told(
    engine: Engine, first: Callable[[Connection], object], then: Callable[[], object]
) -> object:
    """Return what `then` answers, begun before `first` has committed."""
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as conn:
            database.exclusively(conn)
            first(conn)
            waiting: Future[object] = pool.submit(then)
            wait([waiting], _SHORT)
            assert not waiting.done()
        return waiting.result()


def test_a_claim_is_seen_before_it_is_committed(engine: Engine, facts: Facts) -> None:
    """A seizure that began meanwhile waits, and then leaves the blob alone."""
    condemned(facts, A)
    git = facts.git
    answer = _told(
        engine,
        lambda conn: blobs.claim(conn, git, [A.digest], LATER),
        lambda: facts.index.seize(LATER, LATER, 9),
    )

    assert answer == []
    assert facts.index.claimed([A.digest]) == {A.digest}


def test_a_seizure_is_seen_before_it_is_committed(engine: Engine, facts: Facts) -> None:
    """A claim that began meanwhile waits, and is then told to come back."""
    condemned(facts, A)
    git = facts.git
    answer = _told(
        engine,
        lambda conn: blobs.seize(conn, LATER, LATER, 9),
        lambda: facts.index.claim(git, [A.digest], LATER),
    )

    assert answer == {A.digest}
    assert facts.index.claimed([A.digest]) == frozenset()


def test_runs_and_gc_do_not_lock_each_other_out(facts: Facts) -> None:
    """Nobody meets a deadlock, no blob is lost, and every count is right."""
    git, qwen = facts.git, facts.qwen
    every = [blob_of(number) for number in range(30)]
    works = (
        lambda: _run(facts, git, every),
        lambda: _run(facts, qwen, every[::-1]),
        lambda: _gc(facts),
        lambda: _flush(facts, [qwen, git]),
    )
    with ThreadPoolExecutor(len(works)) as pool:
        for ended in [pool.submit(work) for work in works]:
            ended.result()

    for mirror_id, name in ((git, GIT), (qwen, QWEN)):
        counts = facts.index.counts(mirror_id)
        assert counts == _counted(facts.index.objects(mirror_id))
        _transfer(facts, mirror_id, every, LATER)
        assert facts.index.counts(mirror_id).present == len(every)
        assert facts.catalog.state(name).lfs == facts.index.counts(mirror_id)
    assert len(facts.index.find(blob.digest for blob in every)) == len(every)


def _run(facts: Facts, mirror_id: int, every: Sequence[Blob]) -> None:
    """Transfer the same blobs over and over; now and then one is lost."""
    now = T0
    for number in range(_ROUNDS):
        now += timedelta(minutes=1)
        # Another run may lose a blob before this one has linked it: it fails.
        with suppress(PermanentError):
            _transfer(facts, mirror_id, every, now)
        if number % 3 == 0:
            facts.index.damaged(every[number].digest, now, "rotten")


def _transfer(
    facts: Facts, mirror_id: int, every: Sequence[Blob], now: datetime
) -> None:
    """Claim, store and link blobs, as a run does."""
    busy = facts.index.claim(mirror_id, [blob.digest for blob in every], now)
    free = [blob for blob in every if blob.digest not in busy]
    facts.index.stored(StoredBlob(blob, now, now) for blob in free)
    facts.index.link(mirror_id, [present(blob) for blob in free])
    facts.index.release(mirror_id)


def _counted(objects: Sequence[LfsObject]) -> LfsCounts:
    here = [each for each in objects if each.state is LfsState.PRESENT]
    owed = [each.retry_at for each in objects if each.retry_at is not None]
    size = sum(each.pointer.size for each in here)
    damaged = len(objects) - len(here)
    return LfsCounts(len(here), 0, damaged, size, min(owed, default=None))


def _gc(facts: Facts) -> None:
    for _ in range(_ROUNDS):
        facts.index.condemn(T0)
        taken = facts.index.seize(T0, LATER, 9)
        facts.index.removed(blob.digest for blob in taken)


def _flush(facts: Facts, mirrors: list[int]) -> None:
    for _ in range(_ROUNDS):
        facts.catalog.flush_probes([ProbeResult(each, T0) for each in mirrors])
