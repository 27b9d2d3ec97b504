"""Which blobs are on their way into the store, and who else waits for each.

Two runs that want the same blob at the same time download it once.  Nobody blocks
a thread to wait: what to do then is left here.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syncer.sync.transfer.endings import Ending


class Waiter(NamedTuple):
    """What follows when a blob is no longer in hand, and whose it is.

    `go` is called with how it ended, None when the blob did not arrive.
    """

    owner: object
    go: Callable[[Ending | None], None]


class InHand:
    """The blobs that threads of this process are bringing, each by `Item.key`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: dict[str, list[Waiter]] = {}
        self._listeners: list[set[str]] = []

    @contextmanager
    def heard(self) -> Iterator[set[str]]:
        """Hear which blobs arrive: they are added to the set until the end.

        What a run knows of the store gets old while others bring blobs.
        """
        arrivals: set[str] = set()
        with self._lock:
            self._listeners.append(arrivals)
        try:
            yield arrivals
        finally:
            with self._lock:
                self._listeners = [s for s in self._listeners if s is not arrivals]

    def take(self, key: str, waiter: Waiter) -> bool:
        """Take a blob in hand; False, and `waiter` is kept, if another has it."""
        with self._lock:
            if key in self._waiters:
                self._waiters[key].append(waiter)
                return False
            self._waiters[key] = []
            return True

    def leave(self, key: str, arrived: str | None) -> list[Waiter]:
        """Take a blob out of hand; return who waited for it.

        `arrived` is its digest if it did.
        """
        with self._lock:
            if arrived is not None:
                for arrivals in self._listeners:
                    arrivals.add(arrived)
            return self._waiters.pop(key)

    def drop(self, owner: object) -> int:
        """Forget the waiters of an owner; return how many there were."""
        dropped = 0
        with self._lock:
            for key, waiters in self._waiters.items():
                kept = [each for each in waiters if each.owner is not owner]
                dropped += len(waiters) - len(kept)
                self._waiters[key] = kept
        return dropped
