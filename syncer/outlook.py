"""What the daemon asks of forges for many mirrors at once.

    every minute or so ──100 repositories a question──> what changed is due now
    every hour         ──what each [[owner]] has──────> the configuration grows

One thread does it, whatever else is due.  Both only make work earlier: without them
every mirror is visited by the clock.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.errors import SyncerError
from syncer.sync.hints import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from syncer.bootstrap import App
    from syncer.model.mirrors import RepoState

log = logging.getLogger(__name__)

#: Seconds between two sweeps, at least.
SWEEP = 60.0
#: Questions an hour that sweeps may take: a tenth of what a token is granted.
_QUESTIONS = 500
_HOUR = timedelta(hours=1).total_seconds()


class Outlook:
    """One thread that looks at many mirrors, and at owners."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._next_sweep = monotonic()
        self._next_discovery = monotonic()
        self._lock = threading.Lock()
        self._due: set[int] = set()
        self._grown = False
        #: What is at work, or was last.
        self.thread: threading.Thread | None = None

    def begin(self, app: App, states: Sequence[RepoState]) -> None:
        """Begin what is due, unless something is at work."""
        if self.thread is not None and self.thread.is_alive():
            return
        now = self._monotonic()
        if app.config.owner and self._next_discovery <= now:
            self._next_discovery = now + _HOUR
            self._start(lambda: self._discover(app))
        elif self._next_sweep <= now and any(state.node_id for state in states):
            questions = -(-len(states) // BATCH)
            self._next_sweep = now + max(SWEEP, questions * _HOUR / _QUESTIONS)
            self._start(lambda: self._sweep(app, states))

    def take(self, busy: AbstractSet[int]) -> set[int]:
        """Return the mirrors that turned out to be due; those in hand come later."""
        with self._lock:
            taken = self._due - busy
            self._due &= busy
        return taken

    def has_grown(self) -> bool:
        """Return whether owners have something new since the last call."""
        with self._lock:
            grown, self._grown = self._grown, False
        return grown

    def join(self) -> None:
        """Wait until nothing is at work."""
        if self.thread is not None:
            self.thread.join()

    def _start(self, work: Callable[[], None]) -> None:
        self.thread = threading.Thread(target=work, name="outlook", daemon=True)
        self.thread.start()

    def _sweep(self, app: App, states: Sequence[RepoState]) -> None:
        try:
            due = app.hints.sweep(states)
        except SyncerError as exc:
            log.warning("a sweep for hints failed", extra={"error": str(exc)})
            return
        with self._lock:
            self._due |= due

    def _discover(self, app: App) -> None:
        try:
            grown = app.discoverer.look([owner.name for owner in app.config.owner])
        except SyncerError as exc:
            log.warning("looking at owners failed", extra={"error": str(exc)})
            return
        with self._lock:
            self._grown = self._grown or grown
