"""Threads that transfers share: bounded, in turns, ended at the end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from syncer.errors import Interrupted
from syncer.sync.transfer.lanes import Lanes, Task

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 5.0  # seconds until a test gives up


class Work:
    """Tasks that stop at a gate, and are counted while they run."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.order: list[tuple[str, int]] = []
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._lock = threading.Lock()

    def task(self, host: str, number: int, owner: object = None) -> Task:
        """Return a task of a host."""
        return Task(owner, lambda: self._run(host, number))

    def _run(self, host: str, number: int) -> None:
        with self._lock:
            self.order.append((host, number))
            for key in (host, "all"):
                self._now[key] += 1
                self.most[key] = max(self.most[key], self._now[key])
        self.gate.wait(LONG)
        with self._lock:
            self._now.subtract((host, "all"))


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def test_all_and_each_host_are_bounded() -> None:
    """Neither all hosts together nor one of them get more than their share."""
    lanes, work = Lanes(5, {"a": 2, "b": 4}.__getitem__), Work()
    for number in range(20):
        lanes.submit("a", work.task("a", number))
        lanes.submit("b", work.task("b", number))
    until(lambda: work.most["all"] == 5, "five at once")
    time.sleep(0.05)
    work.gate.set()
    until(lambda: len(work.order) == 40, "all have run")
    lanes.close()

    assert work.most["all"] == 5
    assert 1 <= work.most["a"] <= 2
    assert 3 <= work.most["b"] <= 4


def test_a_burst_uses_every_lane() -> None:
    """Threads that are idle do not keep new ones from being made."""
    lanes, work = Lanes(6, lambda _: 6), Work()
    work.gate.set()
    lanes.submit("a", work.task("a", 0))
    until(lambda: len(work.order) == 1, "one has run, its thread is idle")
    time.sleep(0.02)
    work.gate.clear()
    for number in range(6):
        lanes.submit("a", work.task("a", number))
    until(lambda: work.most["a"] == 6, "six at once")
    work.gate.set()
    lanes.close()


def test_hosts_take_turns_and_tasks_keep_their_order() -> None:
    """A host that came late does not wait for all that came before it."""
    lanes, work = Lanes(1, lambda _: 1), Work()
    lanes.submit("a", work.task("a", 0))
    until(lambda: len(work.order) == 1, "the thread is taken")
    for number in range(1, 4):
        lanes.submit("a", work.task("a", number))
    for number in range(2):
        lanes.submit("b", work.task("b", number))
    lanes.submit("a", work.task("a", 9), first=True)
    work.gate.set()
    until(lambda: len(work.order) == 7, "all have run")
    lanes.close()

    assert [n for host, n in work.order if host == "a"] == [0, 9, 1, 2, 3]
    assert [n for host, n in work.order if host == "b"] == [0, 1]
    assert [host for host, _ in work.order[:5]] == ["a", "a", "b", "a", "b"]


def test_dropped_tasks_never_run() -> None:
    """Only the owner's go, and only those that have not begun."""
    lanes, work = Lanes(1, lambda _: 1), Work()
    mine, yours = object(), object()
    lanes.submit("a", work.task("a", 0, mine))
    until(lambda: len(work.order) == 1, "the first runs")
    for number in (1, 2):
        lanes.submit("a", work.task("a", number, mine))
        lanes.submit("b", work.task("b", number, yours))
    assert lanes.drop(mine) == 2
    assert lanes.drop(mine) == 0
    work.gate.set()
    until(lambda: len(work.order) == 3, "the others have run")
    lanes.close()

    assert sorted(work.order) == [("a", 0), ("b", 1), ("b", 2)]


def test_closing_ends_the_threads() -> None:
    """What runs comes to its end, what waits is forgotten, nothing begins."""
    before = set(threading.enumerate())
    lanes, work = Lanes(2, lambda _: 2), Work()
    for number in range(5):
        lanes.submit("a", work.task("a", number))
    until(lambda: work.most["a"] == 2, "two run")
    closing = threading.Thread(target=lanes.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    work.gate.set()
    closing.join(LONG)

    assert set(threading.enumerate()) <= before
    assert len(work.order) == 2
    with pytest.raises(Interrupted):
        lanes.submit("a", work.task("a", 9))


def test_no_thread_before_it_is_needed() -> None:
    """A process that transfers nothing has no threads for it."""
    before = set(threading.enumerate())
    lanes = Lanes(8, lambda _: 8)
    assert set(threading.enumerate()) == before
    lanes.close()
