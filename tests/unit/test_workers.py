"""Threads that run mirrors: bounded, never two at one mirror, drained at the end."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

from syncer.errors import Locked, NoSpace, SyncerError
from syncer.model.content import RefSnapshot
from syncer.model.mirrors import RepoState
from syncer.model.names import RepoName
from syncer.model.runs import Outcome, Probe, Progress, SyncRun, Trigger, Visit
from syncer.workers.local import Bounds, LocalWorkers
from tests.fakes import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from syncer.ports import ProgressSink

PROBE = Probe("digest", "asked", NOW, RefSnapshot)
LONG = 5.0  # seconds until a test gives up


_ids = count(1)


def states(number: int, host: str = "upstream.test") -> list[RepoState]:
    """Return so many mirrors of one host."""
    names = [RepoName(host, "acme", f"n{n}") for n in range(number)]
    return [RepoState(next(_ids), name, name.path, "normal") for name in names]


class Runner:
    """A `Runner` that stops in each step until it is let go, and counts."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        #: The hosts and steps that stop at the gate; None is all of them.
        self.stops: tuple[str, str] | None = None
        self.changed = True
        self.error: Exception | None = None
        self.maintained: list[int] = []
        self.ran: list[int] = []
        self.probing: Counter[RepoName] = Counter()
        self.running: Counter[RepoName] = Counter()
        #: The most at once: by step, by host, and of one mirror.
        self.most: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def _enter(self, step: str, now: Counter[RepoName], name: RepoName) -> None:
        with self._lock:
            now[name] += 1
            of_host = sum(n for other, n in now.items() if other.host == name.host)
            counts = {"all": now.total(), name.host: of_host, "one": now[name]}
            for what, number in counts.items():
                self.most[step, what] = max(self.most[step, what], number)
        if self.stops in {None, (step, name.host)}:
            self.gate.wait(LONG)

    def probe(self, state: RepoState, trigger: Trigger) -> Visit:
        """Find a change, or nothing."""
        self._enter("probe", self.probing, state.name)
        with self._lock:
            self.probing[state.name] -= 1
        if self.error is not None:
            raise self.error
        if self.changed:
            return Visit(state, NOW, probe=PROBE)
        run = SyncRun(0, state.id, state.name, trigger, NOW)
        return Visit(state, NOW, run=replace(run, outcome=Outcome.UNCHANGED))

    def sync(
        self,
        visit: Visit,
        trigger: Trigger,
        *,
        wait: timedelta | None = None,  # noqa: ARG002 - the port's
        progress: ProgressSink | None = None,
    ) -> SyncRun:
        """Bring the mirror to what its probe saw."""
        state = visit.state
        self._enter("run", self.running, state.name)
        if progress is not None:
            progress(Progress("receiving objects", 1, 2))
        with self._lock:
            self.running[state.name] -= 1
            self.ran.append(state.id)
        run = SyncRun(1, state.id, state.name, trigger, NOW)
        return replace(run, outcome=Outcome.CHANGED)

    def maintain(self, state: RepoState, *, idle: bool = False) -> bool:
        """Note who was maintained."""
        del idle  # after a run it never is
        self.maintained.append(state.id)
        return True


@pytest.fixture
def runner() -> Runner:
    """Return a runner whose gate is open."""
    return Runner()


@pytest.fixture
def ended() -> list[SyncRun]:
    """Return where ended runs are told."""
    return []


@pytest.fixture
def workers(runner: Runner, ended: list[SyncRun]) -> Iterator[LocalWorkers]:
    """Yield workers with eight probes, four runs, and two of each host."""
    made = LocalWorkers(runner, Bounds(8, 4, lambda _: 2), on_end=ended.append)
    yield made
    runner.gate.set()
    made.close()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def test_every_mirror_is_run(
    workers: LocalWorkers, runner: Runner, ended: list[SyncRun]
) -> None:
    """Each submitted mirror is probed, run, maintained and told of, once."""
    mirrors = states(20)

    assert all(workers.submit(state, Trigger.SCHEDULE) for state in mirrors)
    workers.join()

    ids = sorted(state.id for state in mirrors)
    assert sorted(runner.ran) == sorted(runner.maintained) == ids
    assert sorted(run.mirror_id for run in ended) == ids
    assert workers.busy() == set()
    assert workers.counts() == (0, 0)


def test_an_unchanged_mirror_is_not_run(
    workers: LocalWorkers, runner: Runner, ended: list[SyncRun]
) -> None:
    """Its probe is all that happens."""
    runner.changed = False
    workers.submit(states(1)[0], Trigger.SCHEDULE)
    workers.join()

    assert [run.outcome for run in ended] == [Outcome.UNCHANGED]
    assert runner.ran == runner.maintained == []


def test_a_mirror_is_in_one_hand(workers: LocalWorkers, runner: Runner) -> None:
    """While it is in hand, it is refused; afterwards it is taken again."""
    (mirror,) = states(1)
    runner.gate.clear()

    assert workers.submit(mirror, Trigger.SCHEDULE)
    assert not workers.submit(mirror, Trigger.COMMAND)
    assert workers.busy() == {mirror.id}
    runner.gate.set()
    workers.join()
    assert workers.submit(mirror, Trigger.COMMAND)
    workers.join()

    assert runner.most["probe", "one"] == runner.most["run", "one"] == 1
    assert runner.ran == [mirror.id] * 2


def test_hammering_never_runs_a_mirror_twice(
    workers: LocalWorkers, runner: Runner
) -> None:
    """Many threads that submit the same mirrors find each in one hand."""
    mirrors = states(5)

    def hammer() -> None:
        for _ in range(30):
            for state in mirrors:
                workers.submit(state, Trigger.SCHEDULE)

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    workers.join()

    assert runner.most["probe", "one"] == runner.most["run", "one"] == 1
    assert set(runner.ran) == {state.id for state in mirrors}


def test_runs_are_bounded(workers: LocalWorkers, runner: Runner) -> None:
    """Neither all hosts together nor one of them get more than their share."""
    one, two, three = (states(6, host) for host in ("a.test", "b.test", "c.test"))
    runner.gate.clear()
    for state in (*one, *two, *three):
        workers.submit(state, Trigger.SCHEDULE)
    until(lambda: runner.most["probe", "all"] == 8, "eight probes at once")

    runner.gate.set()
    workers.join()

    assert len(runner.ran) == 18
    assert runner.most["probe", "all"] == 8
    assert runner.most["run", "all"] <= 4
    for host in ("a.test", "b.test", "c.test"):
        assert 1 <= runner.most["run", host] <= 2


def test_a_busy_host_does_not_hold_up_another(
    workers: LocalWorkers, runner: Runner
) -> None:
    """What waits for its host lets others pass."""
    busy, free = states(5, "a.test"), states(1, "b.test")
    runner.stops = ("run", "a.test")
    runner.gate.clear()
    for state in (*busy, *free):
        workers.submit(state, Trigger.SCHEDULE)
    until(lambda: runner.ran == [free[0].id], "the other host's run")
    until(lambda: workers.counts() == (2, 3), "two run and three wait")

    runner.gate.set()
    workers.join()

    assert set(runner.ran) == {state.id for state in (*busy, *free)}


def test_closing_lets_runs_end_and_takes_no_more(
    runner: Runner, ended: list[SyncRun]
) -> None:
    """What runs comes to its end, what waits is dropped, and it stays closed."""
    workers = LocalWorkers(runner, Bounds(8, 1, lambda _: 1), on_end=ended.append)
    mirrors = states(4)
    workers.submit(mirrors[0], Trigger.SCHEDULE)
    workers.join()
    runner.gate.clear()
    for state in mirrors:
        workers.submit(state, Trigger.SCHEDULE)
    until(lambda: runner.probing.total() == 4, "all are being probed")
    closing = threading.Thread(target=workers.close)
    closing.start()
    until(lambda: not workers.submit(mirrors[0], Trigger.SCHEDULE), "it closes")

    runner.gate.set()
    closing.join(LONG)

    assert not closing.is_alive()
    # A probe that ends while closing is not followed by a run.
    assert runner.ran == [mirrors[0].id]
    assert workers.busy() == set()
    assert not workers.submit(mirrors[0], Trigger.COMMAND)
    workers.join()


def test_closing_waits_for_a_run(runner: Runner, ended: list[SyncRun]) -> None:
    """A run that moves objects is not cut off."""
    workers = LocalWorkers(runner, Bounds(8, 1, lambda _: 1), on_end=ended.append)
    mirror, other = states(2)
    runner.stops = ("run", mirror.name.host)
    runner.gate.clear()
    workers.submit(mirror, Trigger.SCHEDULE)
    until(lambda: runner.running.total() == 1, "the run has begun")
    workers.submit(other, Trigger.SCHEDULE)
    until(lambda: workers.counts() == (1, 1), "the other waits")
    closing = threading.Thread(target=workers.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()

    runner.gate.set()
    closing.join(LONG)

    assert [run.mirror_id for run in ended] == [mirror.id]
    assert other.id not in workers.busy()


def test_a_defect_frees_the_mirror(
    workers: LocalWorkers, runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    """A probe that raises is logged, and its mirror can be taken again."""
    (mirror,) = states(1)
    runner.error = ZeroDivisionError("a defect")

    with caplog.at_level(logging.ERROR):
        workers.submit(mirror, Trigger.SCHEDULE)
        workers.join()
        until(lambda: "defect" in caplog.text, "the defect is logged")

    assert workers.busy() == set()
    runner.error = None
    assert workers.submit(mirror, Trigger.SCHEDULE)
    workers.join()
    assert runner.ran == [mirror.id]


@pytest.mark.parametrize(
    ("error", "is_told"),
    [(NoSpace("the disk is full"), True), (Locked("it is in use"), False)],
)
def test_failed_maintenance_is_no_failed_run(  # noqa: PLR0913, PLR0917 - a case, and four fixtures
    workers: LocalWorkers,
    runner: Runner,
    ended: list[SyncRun],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: SyncerError,
    is_told: bool,  # noqa: FBT001 - the case's
) -> None:
    """The mirror is as fresh as before, and somebody may read why it failed.

    That another is at work on it is no failure.
    """

    def raising(_state: RepoState) -> bool:
        raise error

    monkeypatch.setattr(runner, "maintain", raising)
    workers.submit(states(1)[0], Trigger.SCHEDULE)
    workers.join()

    assert [run.outcome for run in ended] == [Outcome.CHANGED]
    assert ("maintenance failed" in caplog.text) is is_told


def test_progress_says_whose_it_is(runner: Runner, ended: list[SyncRun]) -> None:
    """Each step is told with the mirror it belongs to."""
    told: list[tuple[int, str]] = []
    workers = LocalWorkers(
        runner,
        Bounds(8, 4, lambda _: 4),
        on_end=ended.append,
        on_progress=lambda state, progress: told.append((state.id, progress.step)),
    )
    mirrors = states(3)
    for state in mirrors:
        workers.submit(state, Trigger.COMMAND)
    workers.join()
    workers.close()

    assert sorted(told) == [(state.id, "receiving objects") for state in mirrors]
