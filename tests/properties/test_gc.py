"""Runs and `gc` against each other: wherever they meet, what is needed stays.

An interleaving is drawn: which operations follow each other, and what happens in
the midst of one, before which of its port calls: another run, a purge, a sweep,
time that passes, or the death of the process.  Each process has an engine of its
own; they share the store, the catalog and its index.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.catalog import database
from syncer.errors import Locked
from syncer.model.blobs import REMOVAL
from syncer.model.lfs import LfsState
from syncer.model.runs import Outcome
from tests.fakes_blobs import digest_for
from tests.fleet import (
    GRACE,
    NAMES,
    ONE,
    STALE,
    THREE,
    TWO,
    Fleet,
    Killed,
    Process,
    on_sqlite,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from syncer.model.names import RepoName

_Meeting: TypeAlias = "tuple[str, int, Any]"

_DONE = {Outcome.CHANGED, Outcome.UNCHANGED}
_BODIES = [b"body %03d" % number for number in range(4)]  # of two blocks each
#: Why a run may fail that nobody kills: it is told to come back.
_EXCUSES = ("being removed by `gc`", "is in use")
#: The port calls in whose midst something may happen, of runs and of sweeps.
_RUN: tuple[str, ...] = (
    "open_run",
    "claim",
    "find",
    "batch",
    "write",
    "block",
    "commit",
    "stored",
)
_RUN += ("known", "link", "release", "mark_scanned", "intend", "finish")
_SWEEP: tuple[str, ...] = (
    "unfinished",
    "blobs",
    "orphans",
    "condemn",
    "seize",
    "remove",
    "removed",
)
_SWEEP += ("leftovers", "claimed", "discard")

names = st.sampled_from(NAMES)
minutes = st.sampled_from([0, 4, 11])


class Sync(NamedTuple):
    """A run of one mirror, perhaps after pushes to it, plain or forced."""

    name: RepoName
    bodies: frozenset[int]
    force: bool


class Gc(NamedTuple):
    """A sweep, some minutes later."""

    minutes: int
    orphans: bool


class Purge(NamedTuple):
    """A mirror is removed with all that is its own, and mirrored anew later."""

    name: RepoName


class Death(NamedTuple):
    """The process whose call is met dies."""


bodies = st.frozensets(st.integers(0, len(_BODIES) - 1), max_size=3)
syncs = st.builds(Sync, names, bodies, st.booleans())
gcs = st.builds(Gc, minutes, st.booleans())
purges = st.builds(Purge, names)
others = st.one_of(syncs, gcs, gcs, purges, st.builds(Death))


def amid(work: st.SearchStrategy[Any], calls: Sequence[str]) -> st.SearchStrategy[Any]:
    """Draw some work, and what happens before the first or second call of a kind."""
    first = st.tuples(st.sampled_from(calls), st.integers(1, 2), others)
    more = st.tuples(st.sampled_from([*_RUN, *_SWEEP]), st.integers(1, 2), others)
    script = st.tuples(first, st.lists(more, max_size=2))
    return st.tuples(work, script.map(lambda drawn: [drawn[0], *drawn[1]]))


quiet: st.SearchStrategy[Any] = st.tuples(st.one_of(syncs, gcs, purges), st.just([]))
steps = st.one_of(amid(syncs, _RUN), amid(gcs, _SWEEP), quiet)


@dataclass
class Play:
    """One interleaving, played on a fleet."""

    fleet: Fleet
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._script: deque[_Meeting] = deque()
        self._lock = threading.Lock()

    def step(self, work: Any, script: list[_Meeting]) -> None:  # noqa: ANN401 - one of the above
        """Do some work, with what happens in its midst; then look at everything."""
        self._script = deque(script)
        self._do(work)
        self._script.clear()
        self._look()

    def _do(self, work: Any) -> None:  # noqa: ANN401 - as above
        process = Process(self._meet)
        try:
            if isinstance(work, Sync):
                self._sync(work, process)
            elif isinstance(work, Gc):
                self.fleet.clock.advance(timedelta(minutes=work.minutes))
                self.fleet.sweep(process, orphans=work.orphans)
            else:
                self.fleet.purge(work.name)
        except (Killed, Locked):
            pass

    def _sync(self, work: Sync, process: Process) -> None:
        if work.force:
            self.fleet.upstream(work.name).force()
        if work.bodies:
            self.fleet.push(work.name, *(_BODIES[i] for i in sorted(work.bodies)))
        run = self.fleet.sync(work.name, process)
        error = run.error or ""
        if not any(excuse in error for excuse in _EXCUSES) and error:
            self.violations.append(error)

    def _meet(self, process: Process, call: str) -> None:
        """Let happen what the script says of this call."""
        kind, _, digest = call.partition(" ")
        if kind == "remove":
            self._may_go(digest)
        with self._lock:
            if not self._script:
                return
            awaited, left, work = self._script[0]
            if awaited != kind:
                return
            self._script.popleft()
            if left > 1:
                self._script.appendleft((kind, left - 1, work))
                return
        if isinstance(work, Death):
            process.dead = True
            return
        self._do(work)

    def _may_go(self, digest: str) -> None:
        if self.fleet.index.claimed([digest]):
            self.violations.append(f"{digest} is removed while somebody claims it")
        if digest in self.fleet.needed():
            self.violations.append(f"{digest} is removed while a mirror needs it")

    def _look(self) -> None:
        assert self.violations == []
        assert self.fleet.needed() <= self.fleet.stored()
        for name in NAMES:
            rows = self.fleet.objects(name)
            here = {o for o, e in rows.items() if e.state is LfsState.PRESENT}
            assert self.fleet.published(name) <= here

    def quiesce(self) -> None:
        """Let everybody come to an end; then nothing is left that nothing needs."""
        self.fleet.clock.advance(2 * REMOVAL)
        for name in NAMES:
            assert self.fleet.sync(name).outcome in _DONE
        for _ in range(2):
            self.fleet.sweep(orphans=True)
            self.fleet.clock.advance(max(GRACE, STALE))
        self._look()
        assert self.fleet.stored() == self.fleet.needed()
        assert self.fleet.disk.parts == {}
        assert self.fleet.index.claimed(map(digest_for, _BODIES)) == frozenset()
        assert self.fleet.catalog.unfinished() == []
        assert not self.fleet.sweep(orphans=True)

    def ripen(self, held: dict[RepoName, frozenset[int]], gone: set[RepoName]) -> None:
        """Have mirrors with objects, some of them purged, and their blobs ripe."""
        for name, numbers in held.items():
            self._do(Sync(name, numbers, force=False))
        for name in sorted(gone):
            self.fleet.purge(name)
        self.fleet.sweep()
        self.fleet.clock.advance(GRACE)


ALL = dict.fromkeys(NAMES, frozenset({0, 1}))
HALF = {ONE: frozenset({0, 1}), TWO: frozenset({1}), THREE: frozenset({2})}
AGAIN = Sync(ONE, frozenset({2, 3}), force=False)


@pytest.mark.parametrize("call", _RUN)
@pytest.mark.parametrize("later", _RUN)
def test_a_run_meets_sweeps(call: str, later: str) -> None:
    """Before each of its calls one condemns, before each other one removes."""
    play = Play(Fleet())
    play.ripen(HALF, {ONE})
    script = [(call, 1, Gc(0, orphans=True)), (later, 1, Gc(11, orphans=True))]
    play.step(AGAIN, script)
    play.quiesce()


@pytest.mark.parametrize("call", _SWEEP)
@pytest.mark.parametrize("work", [AGAIN, Purge(TWO), Gc(4, orphans=True), Death()])
@pytest.mark.parametrize("held", [ALL, HALF])
def test_a_sweep_meets_everything(
    call: str,
    work: Any,  # noqa: ANN401 - one of the above
    held: dict[RepoName, frozenset[int]],
) -> None:
    """Before each of its calls, the first and the second of a kind."""
    for count in (1, 2):
        play = Play(Fleet())
        play.ripen(held, {ONE, TWO})
        play.step(Gc(0, orphans=True), [(call, count, work)])
        play.step(AGAIN, [])
        play.quiesce()


held = st.fixed_dictionaries(dict.fromkeys(NAMES, bodies.filter(len)))
gone = st.sets(names, min_size=1, max_size=2)
plans = st.lists(steps, min_size=1, max_size=4)


def play_all(
    fleet: Fleet,
    held: dict[RepoName, frozenset[int]],
    gone: set[RepoName],
    plan: list[tuple[Any, list[_Meeting]]],
) -> None:
    """Play an interleaving from its beginning to its end."""
    play = Play(fleet)
    play.ripen(held, gone)
    for work, script in plan:
        play.step(work, script)
    play.quiesce()


@settings(max_examples=150)
@given(held, gone, plans)
def test_what_is_needed_stays_and_what_is_not_goes(
    held: dict[RepoName, frozenset[int]],
    gone: set[RepoName],
    plan: list[tuple[Any, list[_Meeting]]],
) -> None:
    """In whatever order runs, purges, sweeps and deaths come."""
    play_all(Fleet(), held, gone, plan)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated file that tests copy."""
    file = tmp_path_factory.mktemp("gc") / "catalog.db"
    database.upgrade(f"sqlite:///{file}")
    return file


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(held=held, gone=gone, plan=plans)
def test_the_index_in_a_database_is_as_good(
    migrated: Path,
    held: dict[RepoName, frozenset[int]],
    gone: set[RepoName],
    plan: list[tuple[Any, list[_Meeting]]],
) -> None:
    """The same on SQLite."""
    with on_sqlite(migrated) as make:
        play_all(Fleet(make), held, gone, plan)


@pytest.mark.parametrize(
    ("call", "work"),
    [
        *(("remove", AGAIN), ("removed", AGAIN), ("seize", AGAIN)),
        *(("remove", Death()), ("removed", Gc(4, orphans=True))),
    ],
)
def test_a_sweep_meets_everything_in_a_database(
    migrated: Path,
    call: str,
    work: Any,  # noqa: ANN401 - one of the above
) -> None:
    """Where it matters most."""
    with on_sqlite(migrated) as make:
        plan = [(Gc(0, orphans=True), [(call, 1, work)]), (AGAIN, [])]
        play_all(Fleet(make), HALF, {ONE, TWO}, plan)
