"""Time, probe results and journals in memory: what many tests stand on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncer.model.runs import ProbeResult

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


class FakeClock:
    """A `Clock` that a test moves; both of its times move together."""

    def __init__(self, now: datetime = NOW) -> None:
        self._lock = Lock()
        self._began = now
        self._now = now

    def now(self) -> datetime:
        """Return the time it was set to."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Return how far it was moved, in seconds."""
        return (self.now() - self._began).total_seconds()

    def advance(self, step: timedelta) -> None:
        """Move time forward."""
        with self._lock:
            self._now += step


class FakeProbeLog:
    """A `ProbeLog` that keeps what it is told."""

    def __init__(self) -> None:
        self.results: list[ProbeResult] = []

    def add(self, result: ProbeResult) -> None:
        """Note one result."""
        self.results.append(result)


class Watched:
    """Stands before an object and writes the names of the calls into a journal."""

    def __init__(self, target: object, journal: list[str]) -> None:
        self._target = target
        self._journal = journal

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the target has
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def call(*args: object, **named: object) -> object:
            self._journal.append(name)
            return found(*args, **named)

        return call
