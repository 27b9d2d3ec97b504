"""How far a transfer is, told a few times a second."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from syncer.model.runs import Progress

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from syncer.model.lfs import LfsPointer
    from syncer.ports import Clock, ProgressSink
    from syncer.sync.transfer.books import Book
    from syncer.sync.transfer.courier import Item

#: Seconds between two reports.
INTERVAL = 0.2
#: Seconds that a rate is measured over.
_WINDOW = 5.0
_LEAST = 2


class Meter:
    """Tells a sink how far one run's objects are; does nothing without one."""

    def __init__(
        self,
        sink: ProgressSink | None,
        clock: Clock,
        book: Book,
        wanted: Collection[LfsPointer],
    ) -> None:
        self._sink = sink
        self._book = book
        self._clock = clock
        self._objects = len(wanted)
        self._bytes = sum(pointer.size for pointer in wanted)
        self._ended = 0
        self._ended_bytes = 0
        self._received = 0
        self._told: float | None = None
        self._samples: deque[tuple[float, int]] = deque()

    def end(self, pointer: LfsPointer) -> None:
        """Count an object that has ended, present or missing."""
        self._ended += 1
        self._ended_bytes += pointer.size

    def receive(self, size: int) -> None:
        """Count the bytes that were downloaded for an object no longer under way."""
        self._received += size

    def tell(self, under_way: Iterable[Item], *, last: bool = False) -> None:
        """Report, unless that was done a moment ago and this is not the last time."""
        if self._sink is None:
            return
        now = self._clock.monotonic()
        if not last and self._told is not None and now - self._told < INTERVAL:
            return
        self._told = now
        done, received = self._ended_bytes, self._received
        largest: Item | None = None
        for item in under_way:
            done += item.done
            received += item.received
            begun = item.done > 0 and item.pointer.size > 0
            if begun and (largest is None or item.pointer.size > largest.pointer.size):
                largest = item
        self._sink(
            Progress(
                f"{self._book.noun}s",
                min(done, self._bytes),
                self._bytes,
                received,
                self._rate(now, received),
                (self._ended, self._objects),
                None if largest is None else self._current(largest),
            )
        )

    def _rate(self, now: float, received: int) -> float:
        """Return bytes a second of late."""
        self._samples.append((now, received))
        # Two at least, however far apart they are.
        while len(self._samples) > _LEAST and now - self._samples[0][0] > _WINDOW:
            self._samples.popleft()
        then, before = self._samples[0]
        return (received - before) / (now - then) if now > then else 0.0

    def _current(self, item: Item) -> tuple[str, int, int]:
        oid, size = item.pointer
        return self._book.short(oid), item.done, size
