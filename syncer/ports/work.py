"""Time, and the work on one mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from syncer.model.mirrors import RepoState
    from syncer.model.runs import SyncRun, Trigger, Visit
    from syncer.ports.sinks import ProgressSink


class Clock(Protocol):
    """Time, so that tests can own it."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC, for rows and display."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations and deadlines."""


class Runner(Protocol):
    """What is done for one mirror, step by step."""

    def probe(self, state: RepoState, trigger: Trigger) -> Visit:
        """Ask upstream; never raises on purpose."""

    def sync(
        self,
        visit: Visit,
        trigger: Trigger,
        *,
        wait: timedelta | None = None,
        progress: ProgressSink | None = None,
    ) -> SyncRun:
        """Bring a mirror to what its probe saw; never raises on purpose."""

    def maintain(self, state: RepoState, *, idle: bool = False) -> bool:
        """Put a mirror's packs in order when they need it; True if they did."""


class WorkQueue(Protocol):
    """Runs mirrors, a bounded number at a time."""

    def submit(self, state: RepoState, trigger: Trigger) -> bool:
        """Take a mirror in hand; False if it is in hand already."""

    def busy(self) -> set[int]:
        """Return the ids of the mirrors in hand."""
