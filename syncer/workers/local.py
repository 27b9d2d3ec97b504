"""A bounded number of threads: many probes, few runs that move objects.

A probe is one small request; a run that follows a changed one starts git.
They have pools of their own, so that a sweep over a thousand mirrors is not
held up behind one large fetch, and each host has a limit of its own.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.errors import Locked, SyncerError
from syncer.model.runs import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from syncer.model.mirrors import RepoState
    from syncer.model.runs import Progress, SyncRun, Trigger, Visit
    from syncer.ports import Runner

    OnProgress = Callable[[RepoState, Progress], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """How much may go on at once."""

    probes: int
    runs: int
    #: Runs that move objects from one host at the same time.
    runs_of: Callable[[str], int]
    #: How long a run waits for a mirror that another process holds.
    lock_wait: timedelta | None = None


class LocalWorkers:
    """Runs mirrors in threads; no mirror is in two hands at once."""

    def __init__(
        self,
        runner: Runner,
        bounds: Bounds,
        *,
        on_end: Callable[[SyncRun], None],
        on_progress: OnProgress | None = None,
    ) -> None:
        self._runner = runner
        self._bounds = bounds
        self._on_end = on_end
        self._on_progress = on_progress
        self._probing = ThreadPoolExecutor(bounds.probes, "probe")
        self._running = ThreadPoolExecutor(bounds.runs, "run")
        self._lock = threading.Lock()
        self._busy: set[int] = set()
        self._waiting: deque[tuple[Visit, Trigger]] = deque()
        self._active: Counter[str] = Counter()
        self._futures: set[Future[None]] = set()
        self._closed = False

    def submit(self, state: RepoState, trigger: Trigger) -> bool:
        """Take a mirror in hand; False if it is in hand already, or when closing."""
        with self._lock:
            if self._closed or state.id in self._busy:
                return False
            self._busy.add(state.id)
            self._track(self._probing.submit(self._probe, state, trigger))
        return True

    def busy(self) -> set[int]:
        """Return the ids of the mirrors in hand."""
        with self._lock:
            return set(self._busy)

    def counts(self) -> tuple[int, int]:
        """Return how many runs move objects, and how many wait to."""
        with self._lock:
            return self._active.total(), len(self._waiting)

    def oldest(self) -> datetime | None:
        """Return since when the first visit that waits to move objects does so."""
        with self._lock:
            return min((visit.started for visit, _ in self._waiting), default=None)

    def join(self) -> None:
        """Wait until nothing is in hand."""
        while True:
            with self._lock:
                left = set(self._futures)
            if not left:
                return
            wait(left)

    def close(self) -> None:
        """Take nothing more in hand and let what runs come to its end."""
        with self._lock:
            self._closed = True
            dropped = [visit.state.id for visit, _ in self._waiting]
            self._waiting.clear()
            self._busy.difference_update(dropped)
        self._probing.shutdown(wait=True, cancel_futures=True)
        self._running.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._busy.clear()  # of the probes that never began

    def _track(self, future: Future[None]) -> None:
        self._futures.add(future)
        future.add_done_callback(self._untrack)

    def _untrack(self, future: Future[None]) -> None:
        with self._lock:
            self._futures.discard(future)
        exc = None if future.cancelled() else future.exception()
        if exc is not None:
            log.error("work on a mirror ended by a defect", exc_info=exc)

    def _probe(self, state: RepoState, trigger: Trigger) -> None:
        try:
            visit = self._runner.probe(state, trigger)
        except BaseException:
            self._release(state.id)
            raise
        if visit.run is not None:
            self._finished(visit.run)
            return
        with self._lock:
            if self._closed:
                self._busy.discard(state.id)
                return
            self._waiting.append((visit, trigger))
            self._dispatch()

    def _dispatch(self) -> None:
        """Start what may run, oldest first; called with the lock held."""
        for _ in range(len(self._waiting)):
            visit, trigger = self._waiting.popleft()
            host = visit.state.name.host
            full = self._active.total() >= self._bounds.runs
            if full or self._active[host] >= self._bounds.runs_of(host):
                self._waiting.append((visit, trigger))
                continue
            self._active[host] += 1
            self._track(self._running.submit(self._run, visit, trigger))

    def _run(self, visit: Visit, trigger: Trigger) -> None:
        state = visit.state
        report = self._on_progress
        run = None
        try:
            run = self._runner.sync(
                visit,
                trigger,
                wait=self._bounds.lock_wait,
                progress=None if report is None else lambda p: report(state, p),
            )
            if run.outcome is Outcome.CHANGED:
                self._maintain(state)
        finally:
            with self._lock:
                self._active[state.name.host] -= 1
                if not self._closed:
                    self._dispatch()
            if run is None:
                self._release(state.id)
            else:
                self._finished(run)

    def _maintain(self, state: RepoState) -> None:
        try:
            self._runner.maintain(state)
        except Locked:
            return  # somebody else is at it; there is always a next time
        except SyncerError as exc:
            # The mirror is as fresh as before; the next run tries again.
            log.warning(
                "maintenance failed",
                extra={"repo": str(state.name), "error": str(exc)},
            )

    def _finished(self, run: SyncRun) -> None:
        self._release(run.mirror_id)
        self._on_end(run)

    def _release(self, mirror_id: int) -> None:
        with self._lock:
            self._busy.discard(mirror_id)
