"""What the daemon looks after by itself: packs that pile up, blobs nobody needs.

    nothing is due? ──> one mirror's packs put in order, what has expired dropped
    a day has passed ──> one sweep of the blob store, whatever else is due, and what
                         is too old in the catalog dropped

One thing at a time, in a thread of its own.  What was done when is not stored: a
restart begins anew, and the first sweep waits an hour, so that a daemon that is
restarted all the time does not sweep all the time.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.errors import Interrupted, Locked, SyncerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from syncer.bootstrap import App
    from syncer.model.mirrors import RepoState

log = logging.getLogger(__name__)

#: A mirror's packs are looked at once in this time.
HOUSEKEEPING = timedelta(minutes=10).total_seconds()
#: Seconds from the start to the first sweep of the blobs, and after one that failed.
FIRST_SWEEP = timedelta(hours=1).total_seconds()
#: Seconds between two sweeps.
SWEEP = timedelta(days=1).total_seconds()


class Care:
    """One thread that cares for a mirror, or for the blobs."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._visited: dict[int, float] = {}
        self._next_sweep = monotonic() + FIRST_SWEEP
        self._mirror_id: int | None = None
        #: What is at work, or was last.
        self.thread: threading.Thread | None = None

    @property
    def in_hand(self) -> set[int]:
        """The mirror that is being cared for, if any."""
        if self._mirror_id is None or not self._is_busy():
            return set()
        return {self._mirror_id}

    def begin(
        self,
        app: App,
        states: Iterable[RepoState],
        *,
        idle: bool,
        leads: bool = True,
    ) -> None:
        """Begin what is due, unless something is at work; mirrors only when `idle`.

        What all machines share is looked after by the one that `leads`.
        """
        if self._is_busy():
            return
        if leads and self._next_sweep <= self._monotonic():
            self._next_sweep = self._monotonic() + SWEEP
            self._start(None, lambda: self._sweep(app))
        elif idle:
            self._visit(app, states)

    def join(self) -> None:
        """Wait until nothing is at work."""
        if self.thread is not None:
            self.thread.join()

    def _is_busy(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def _visit(self, app: App, states: Iterable[RepoState]) -> None:
        """Put one mirror in order, the one that waits for longest."""
        now = self._monotonic()
        last, never = self._visited, now - HOUSEKEEPING
        published = [state for state in states if state.generation > 0]
        waiting = [s for s in published if last.get(s.id, never) + HOUSEKEEPING <= now]
        if waiting:
            chosen = min(waiting, key=lambda state: last.get(state.id, 0.0))
            last[chosen.id] = now
            self._start(chosen.id, lambda: care_for(app, chosen))

    def _start(self, mirror_id: int | None, work: Callable[[], None]) -> None:
        self._mirror_id = mirror_id
        self.thread = threading.Thread(target=work, name="care")
        self.thread.start()

    def _sweep(self, app: App) -> None:
        prune(app)
        if not sweep_blobs(app):
            self._next_sweep = self._monotonic() + FIRST_SWEEP


def care_for(app: App, state: RepoState) -> None:
    """Put one mirror's packs in order and drop what has expired."""
    try:
        if app.pipeline.maintain(state, idle=True):
            log.info("packs put in order", extra={"repo": str(state.name)})
        spec = app.config.find(state.name)
        keep = (spec.keep if spec is not None else None) or app.config.syncer.keep
        now = app.clock.now()
        with app.store.lease(state.path) as repository:
            gone = repository.drop_expired(now, keep, dry_run=False)
            assets = app.world.releases.expire(state.id, now - keep, now)
        if gone or assets:
            counted = {"removed": len(gone), "assets": len(assets)}
            log.info("expired", extra={"repo": str(state.name), **counted})
    except Locked:
        return  # a command works on it; there is always a next time
    except SyncerError as exc:
        log.warning(
            "maintenance failed", extra={"repo": str(state.name), "error": str(exc)}
        )


def sweep_blobs(app: App) -> bool:
    """Take one step with the blobs that nothing needs; False if that failed."""
    try:
        swept = app.sweeper.sweep()
    except Interrupted:
        return False
    except SyncerError as exc:
        extra = {"error": str(exc), "hint": exc.hint}
        log.warning("sweeping the blobs failed; it is tried again", extra=extra)
        return False
    if swept:
        counted = {
            "condemned": len(swept.condemned),
            "removed": len(swept.removed),
            "aborted": len(swept.aborted),
        }
        log.info("blobs swept", extra=counted)
    return True


def prune(app: App) -> None:
    """Drop what the catalog has kept for long enough."""
    now, kept = app.clock.now(), app.config.syncer
    try:
        dropped = app.operations.prune(now - kept.history, now - kept.audit)
    except SyncerError as exc:
        extra = {"error": str(exc), "hint": exc.hint}
        log.warning("dropping old records failed; it is tried again", extra=extra)
        return
    if any(dropped.values()):
        log.info("old records dropped", extra=dropped)
