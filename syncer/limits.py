"""Bounds that threads share: bytes in memory, and bytes a second."""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from syncer.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TICK = 0.25  # seconds between two looks at the stop event


class Room:
    """Bytes that may be in memory at the same time.

    A single transfer that needs more than there is goes alone.  Whoever waits
    is served in order, so that small transfers never keep a large one out.
    """

    def __init__(self, size: int, stop: threading.Event | None = None) -> None:
        self.size = size
        self._free = size
        self._stop = stop or threading.Event()
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Hold room for `size` bytes; wait for it.

        Raises:
            Interrupted: the stop event was set while waiting.
        """
        amount = min(size, self.size)
        self._take(amount)
        try:
            yield
        finally:
            self.give(amount)

    def _take(self, amount: int) -> None:
        turn = object()
        with self._changed:
            self._queue.append(turn)
            try:
                while self._queue[0] is not turn or self._free < amount:
                    if self._stop.is_set():
                        msg = "stopped on request; nothing was published"
                        raise Interrupted(msg)
                    self._changed.wait(_TICK)
                self._free -= amount
            finally:
                self._queue.remove(turn)
                self._changed.notify_all()

    def try_take(self, size: int) -> bool:
        """Take room for `size` bytes if nobody waits for it; `give` it back."""
        with self._changed:
            if self._queue or self._free < size:
                return False
            self._free -= size
            return True

    def give(self, size: int) -> None:
        """Give back what `try_take` took."""
        with self._changed:
            self._free += size
            self._changed.notify_all()


class Pace:
    """A limit in bytes a second for all threads together; None is no limit.

    Bytes are paid for after they came: the one that overdraws waits.
    """

    def __init__(
        self,
        rate: int | None,
        monotonic: Callable[[], float],
        wait: Callable[[float], object],
    ) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._wait = wait
        self._lock = threading.Lock()
        self._until = 0.0  # when all that was taken is paid for

    def pay(self, size: int) -> None:
        """Wait until `size` bytes more are within the limit."""
        if not self._rate:
            return
        with self._lock:
            now = self._monotonic()
            self._until = max(self._until, now) + size / self._rate
            debt = self._until - now
        if debt > 0:
            self._wait(debt)


#: mallopt(3) of glibc: blocks of so many bytes and more have pages of their own.
_M_MMAP_THRESHOLD, _OWN_PAGES = -3, 256 * 1024
#: Heaps that all threads share: else a hundred keep eight for each processor.
_M_ARENA_MAX, _HEAPS = -8, 2


def give_memory_back() -> None:
    """Let large blocks go back to the system as soon as they are free.

    glibc would raise that size as it goes and keep what many threads have freed:
    twice the bytes in flight.  Other C libraries are left as they are.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES)
        mallopt(_M_ARENA_MAX, _HEAPS)
