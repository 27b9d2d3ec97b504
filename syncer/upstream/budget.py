"""How often a host may be asked, and when it asked us to stay away."""

from __future__ import annotations

from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING

from syncer.errors import Interrupted, RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.ports import Clock


class Budget:
    """A token bucket, and a pause in which nothing is asked.  Thread safe.

    One second's tokens may be spent at once.  Tokens are taken in advance:
    whoever comes when there is none waits for its own, in the order of arrival.
    """

    def __init__(
        self, host: str, rate: float, clock: Clock, wait: Callable[[float], bool]
    ) -> None:
        self._host = host
        self._clock = clock
        self._wait = wait
        self._lock = Lock()
        self._rate = rate
        self._tokens = max(rate, 1.0)
        self._filled = clock.monotonic()
        self._paused_until = 0.0

    def take(self) -> None:
        """Wait until one more request may be made.

        Raises:
            RateLimited: the host is paused.
            Interrupted: we were asked to stop while waiting.
        """
        self.check()
        with self._lock:
            now = self._clock.monotonic()
            grown = self._tokens + (now - self._filled) * self._rate
            self._tokens = min(grown, max(self._rate, 1.0)) - 1.0
            self._filled = now
            short = -self._tokens / self._rate
        if short > 0:
            if self._wait(short):
                msg = f"stopped before {self._host} was asked; nothing was changed"
                raise Interrupted(msg)
            self.check()

    def check(self) -> None:
        """Raise `RateLimited` while the host is paused."""
        if self._paused_until:
            left = self._paused_until - self._clock.monotonic()
            if left > 0:
                msg = f"{self._host} asked not to be visited for another {left:.0f} s"
                raise RateLimited(msg, retry_after=timedelta(seconds=left))

    def pause(self, duration: timedelta) -> None:
        """Ask nothing for a while; a longer pause that is on stays."""
        with self._lock:
            until = self._clock.monotonic() + duration.total_seconds()
            self._paused_until = max(self._paused_until, until)

    def adjust(self, rate: float) -> None:
        """Take over a changed rate; what was spent stays spent."""
        with self._lock:
            self._rate = rate
            self._tokens = min(self._tokens, max(rate, 1.0))
