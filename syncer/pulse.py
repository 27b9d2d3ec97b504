"""The daemon's pulse: what systemd hears while it works.

    every few seconds ─┬─> STATUS=     how the mirrors are, in a line
                       └─> WATCHDOG=1  if the tick gets on, and the catalog answers

The question to the catalog is asked here, so that one which hangs keeps the sign of
life back.  One that answers with errors is down, not hung: a restart mends no
database and would end runs that outlive its absence, so that is the last resort.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from syncer.errors import SyncerError
from syncer.model.runs import Word
from syncer.units import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from syncer.schedule.lag import Freshness, Tier
    from syncer.systemd import Notifier

log = logging.getLogger(__name__)

_PERIOD = 5.0  # seconds
#: The share of the time that the status line may take.
_DUTY = 0.02
#: Seconds of a catalog that answers, but only with errors.
_OUTAGE = 600.0
#: What is not said of mirrors unless there are any.
_SAID = (Word.LATE, Word.PARTIAL, Word.HELD, Word.GONE, Word.PAUSED, Word.NEW)


class Pulse:
    """A thread that tells systemd how the daemon is."""

    def __init__(
        self,
        notifier: Notifier,
        *,
        ask: Callable[[], object],
        tell: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ask` is one round trip to the catalog, `tell` returns the status line."""
        self._notifier = notifier
        self._ask = ask
        self._tell = tell
        self._monotonic = monotonic
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._status = ""
        self._next_status = monotonic()
        self._answered = monotonic()
        #: When the tick got on last; None before the first one.
        self._beaten: float | None = None

    def start(self) -> None:
        """Begin, where anybody listens."""
        if self._notifier.is_heard:
            name = "pulse"
            self._thread = threading.Thread(target=self._go, name=name, daemon=True)
            self._thread.start()

    def beat(self) -> None:
        """Note that the tick, or a step of a long one, has ended."""
        self._beaten = self._monotonic()

    def stop(self) -> None:
        """End; what hangs is not waited for."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(_PERIOD / 5)

    def _go(self) -> None:
        period = min(_PERIOD, self._notifier.watchdog or _PERIOD)
        while not self._over.is_set():
            self.look()
            self._over.wait(period)

    def look(self) -> None:
        """Tell how things are, and that all is alive, if it is."""
        self._say()
        watchdog = self._notifier.watchdog
        if watchdog is not None and self._is_well(2 * watchdog):
            self._notifier.alive()

    def _say(self) -> None:
        began = self._monotonic()
        if began < self._next_status:
            return
        try:
            status = self._tell()
        except Exception:
            # A line for people must not cost the sign of life that follows it.
            log.exception("the status could not be told")
            status = self._status
        took = self._monotonic() - began
        # A hair less than a period, or every other round would come too early.
        self._next_status = began + max(0.9 * _PERIOD, took / _DUTY)
        if status != self._status and not self._over.is_set():
            self._status = status
            self._notifier.status(status)

    def _is_well(self, limit: float) -> bool:
        """Return whether the tick gets on and the catalog answers; asks it."""
        asked = self._monotonic()
        try:
            self._ask()
        except SyncerError:
            answers = self._monotonic() - self._answered < _OUTAGE
        else:
            self._answered = self._monotonic()
            answers = True
        prompt = self._monotonic() - asked < limit
        beaten = self._beaten
        moves = beaten is None or self._monotonic() - beaten < limit
        return answers and prompt and moves


def headline(
    found: Iterable[Freshness], tiers: Mapping[str, Tier], *, syncing: int
) -> str:
    """Return `38 repos: 36 ok, 2 syncing, 0 failed; worst core lag 3m41s`.

    The lag is that of the strictest tier that has mirrors which are not at rest.
    """
    those = list(found)
    words = Counter(each.word for each in those)
    parts = [f"{words[Word.OK]} ok"]
    parts += [f"{words[word]} {word.lower()}" for word in _SAID if words[word]]
    parts += [f"{syncing} syncing", f"{words[Word.FAIL]} failed"]
    noun = "repo" if len(those) == 1 else "repos"
    line = f"{len(those)} {noun}: {', '.join(parts)}"
    at_rest = (Word.PAUSED, Word.GONE, Word.NEW)
    awake = [each for each in those if each.word not in at_rest]
    if not awake:
        return line
    strictest = min({each.state.tier for each in awake}, key=lambda t: tiers[t].target)
    worst = max(each.lag for each in awake if each.state.tier == strictest)
    return f"{line}; worst {strictest} lag {duration(worst)}"
