"""How the daemon ends: runs that move objects come to their end, within limits.

    asked once    ─> under systemd runs get a minute; at a terminal, and whatever
                     only asks upstream, 5 seconds; a run that publishes gets longer
    asked twice   ─> git is ended at once, downloads keep their parts
    either        ─> some seconds to record that, and the process goes

Nothing is lost at any point: a run that is ended changes no ref, and one that dies
while it publishes is finished or forgotten at the next start.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import SyncerError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from syncer.systemd import Notifier

_POLL = 0.05
_SECOND = 1.0
#: Seconds between two questions whether a run still publishes.
_PAUSE = 0.25
#: Seconds that are asked of systemd at once while a run publishes.
_EXTENSION = 30.0


class Limits(NamedTuple):
    """Seconds from the first signal, and `farewell` from when git is ended."""

    #: For what asks upstream, and moves nothing.
    asking: float
    #: For runs that move objects.
    moving: float
    #: For runs that publish; systemd is asked for more time meanwhile.
    publishing: float
    #: To record how all ended.
    farewell: float


#: Whoever pressed Ctrl-C waits for the prompt.  `docker stop` waits for 10 seconds.
TERMINAL = Limits(asking=5, moving=5, publishing=30, farewell=4)
#: `moving` and `farewell` together are less than the unit's TimeoutStopSec=90.
SERVICE = Limits(asking=5, moving=60, publishing=300, farewell=15)


class Drain:
    """Waits for what is at work, no longer than its limits allow."""

    def __init__(
        self,
        notifier: Notifier,
        hurry: threading.Event,
        *,
        moving: Callable[[], int],
        publishing: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set `hurry` when time is up.

        `moving` counts the runs that move objects; `publishing` says whether one of
        them moves refs.
        """
        self._notifier = notifier
        self._hurry = hurry
        self._moving = moving
        self._publishing = publishing
        self._monotonic = monotonic
        self._limits = SERVICE if notifier.is_heard else TERMINAL
        self._next_word = 0.0

    def wait(self, ending: threading.Thread) -> bool:
        """Wait for the thread that ends all; False if it takes too long."""
        began = self._monotonic()
        while ending.is_alive() and not self._hurry.is_set():
            ending.join(_POLL)
            if not self._may_go_on(ending, self._monotonic() - began):
                break
        self._hurry.set()
        ending.join(self._limits.farewell)
        return not ending.is_alive()

    def _may_go_on(self, ending: threading.Thread, lasted: float) -> bool:
        limits, moving = self._limits, self._moving()
        self._tell(lasted, moving)
        if lasted < (limits.moving if moving else limits.asking):
            return True
        if not moving or lasted >= limits.publishing or not self._is_publishing():
            return False
        self._notifier.extend(_EXTENSION)
        ending.join(_PAUSE)
        return True

    def _tell(self, lasted: float, moving: int) -> None:
        """Give a sign of life and a word each second, as the ticks have ended."""
        if lasted < self._next_word:
            return
        self._next_word = lasted + _SECOND
        self._notifier.alive()
        noun = "run" if moving == 1 else "runs"
        what = f"{moving} {noun} on the way to the end" if moving else "almost done"
        self._notifier.status(f"stopping: {what}")

    def _is_publishing(self) -> bool:
        try:
            return self._publishing()
        except SyncerError:
            return False  # who cannot say so cannot record it either
