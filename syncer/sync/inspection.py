"""Whether blobs are in the store, and their bytes what their names say.

    blobs ──some at a time──> threads: asked for, or read and hashed
                                 │
          bad ones marked at once, right ones some at a time <──┘

A few blobs are in hand at a time, however many a mirror needs and however large
they are; whoever ends it waits for one block of each.
"""

from __future__ import annotations

import heapq
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from syncer.errors import Interrupted, NotFound, Truncated, Unavailable
from syncer.model.care import Damage
from syncer.model.runs import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Executor

    from syncer.model.care import Depth, Needed
    from syncer.ports import BlobIndex, BlobStore, Clock, ProgressSink

#: Blobs asked for, or read, at the same time; and those handed to threads.
_THREADS = 8
_AHEAD = 2 * _THREADS
#: Right blobs that are recorded together, or those of so many seconds.
_MOST = 100
_LONGEST = 5.0
#: Seconds between two looks at how far it is.
_TICK = 0.2
#: Digests of one question to the index.
_QUESTION = 1000


@dataclass(slots=True, eq=False)
class _Task:
    """One blob in hand; `done` is moved by the thread that reads it."""

    blob: Needed
    read: bool
    done: int = 0
    #: Why the blob is bad; None when it is right as far as we looked.
    why: str | None = None
    error: BaseException | None = None


@dataclass(slots=True)
class Inspection:
    """What came of it: what is bad, and how many blobs and bytes were read."""

    damaged: list[Damage] = field(default_factory=list)
    read: int = 0
    read_bytes: int = 0


class Inspector:
    """Looks at the blobs that one mirror needs; used once.

    What is bad is marked in the index as soon as it is found, so that nothing
    relies on it.
    """

    def __init__(
        self,
        blobs: BlobStore,
        index: BlobIndex,
        clock: Clock,
        stop: threading.Event,
        progress: ProgressSink | None = None,
    ) -> None:
        self._blobs = blobs
        self._index = index
        self._clock = clock
        self._stop = stop
        self._progress = progress
        self._cancelled = threading.Event()
        self._ended: SimpleQueue[_Task] = SimpleQueue()
        self._in_hand: set[_Task] = set()
        self._found = Inspection()
        self._right: list[str] = []
        self._written = self._told = clock.monotonic()

    def run(self, blobs: Sequence[Needed], depth: Depth) -> Inspection:
        """Look at every blob; read those that `depth` chooses.

        Raises:
            Interrupted: the stop event was set.
            SyncerError: of the store, as `BlobStore`.  What was found until
                then is recorded in any case.
        """
        chosen = self._chosen(blobs, depth)
        tasks = (_Task(b, chosen is None or b.oid in chosen) for b in blobs)
        meter = _Meter(blobs, chosen if depth.read else None)
        try:
            with ThreadPoolExecutor(_THREADS, "verify") as pool:
                try:
                    self._look_at_all(tasks, pool, meter)
                except BaseException:
                    self._cancelled.set()
                    raise
        finally:
            self._take_over()
            self._write()
        return self._found

    def _chosen(self, blobs: Sequence[Needed], depth: Depth) -> frozenset[str] | None:
        """Return the digests of the blobs to read, None for all.

        A share of them are those that were not read for longest: all have their
        turn.  What is known to be bad would keep the others from theirs.
        """
        if not depth.read:
            return frozenset()
        if depth.share >= 1:
            return None
        sound = [blob.oid for blob in blobs if blob.bad is None]
        count = math.ceil(depth.share * len(sound))
        oldest = heapq.nsmallest(count, self._last_read(sound))
        return frozenset(oid for _, oid in oldest)

    def _last_read(self, oids: Sequence[str]) -> Iterator[tuple[float, str]]:
        for start in range(0, len(oids), _QUESTION):
            known = self._index.find(oids[start : start + _QUESTION])
            for oid, stored in known.items():
                yield stored.verified.timestamp(), oid

    def _look_at_all(
        self, tasks: Iterator[_Task], pool: Executor, meter: _Meter
    ) -> None:
        for task in islice(tasks, _AHEAD):
            self._submit(task, pool)
        while self._in_hand:
            self._check()
            try:
                task = self._ended.get(timeout=_TICK)
            except Empty:
                pass
            else:
                self._note(task)
                if task.error is not None:
                    raise task.error
                meter.add(task)
                for following in islice(tasks, 1):
                    self._submit(following, pool)
            self._write_due()
            self._tell(meter)

    def _tell(self, meter: _Meter) -> None:
        now = self._clock.monotonic()
        if self._progress is not None and (
            now - self._told >= _TICK or not self._in_hand
        ):
            self._told = now
            self._progress(meter.read(self._in_hand))

    def _submit(self, task: _Task, pool: Executor) -> None:
        self._in_hand.add(task)
        pool.submit(self._look_at, task)

    def _look_at(self, task: _Task) -> None:
        """Look at one blob; in a thread."""
        try:
            self._check()
            task.why = self._fault(task)
        except BaseException as exc:  # noqa: BLE001 - the calling thread raises it
            task.error = exc
        self._ended.put(task)

    def _fault(self, task: _Task) -> str | None:
        """Return what is wrong with a blob, None when nothing is."""
        oid, size, bad = task.blob
        found = self._blobs.find(oid)
        if found is None:
            return "lost from the store"
        if found.size != size:
            return f"it has {found.size} bytes instead of {size}"
        if not task.read:
            return bad
        try:
            digest = self._hashed(task)
        except (NotFound, Truncated) as exc:
            return str(exc)
        return None if digest == oid else "its bytes are not what its name says"

    def _hashed(self, task: _Task) -> str:
        """Read a blob; go on where it broke off, unless it does so again there."""
        hasher, before = sha256(), -1
        while True:
            try:
                with self._blobs.read(task.blob.oid, offset=task.done) as it:
                    for block in it:
                        self._check()
                        hasher.update(block)
                        task.done += len(block)
            except (Truncated, Unavailable):
                if task.done == before:
                    raise
                before = task.done
            else:
                return hasher.hexdigest()

    def _note(self, task: _Task) -> None:
        """Record what came of one blob."""
        self._in_hand.discard(task)
        self._found.read += task.done > 0
        self._found.read_bytes += task.done
        if task.error is not None:
            return
        oid, size, bad = task.blob
        if task.why is not None:
            self._found.damaged.append(Damage(oid, size, task.why))
            if task.why != bad:
                self._index.damaged(oid, self._clock.now(), task.why)
        elif task.read:
            self._right.append(oid)

    def _take_over(self) -> None:
        """Note what ended while nobody looked; the threads have ended by now."""
        while not self._ended.empty():
            self._note(self._ended.get())

    def _write_due(self) -> None:
        waited = self._clock.monotonic() - self._written
        if len(self._right) >= _MOST or waited >= _LONGEST:
            self._write()

    def _write(self) -> None:
        right, self._right = self._right, []
        self._written = self._clock.monotonic()
        if right:
            self._index.verified(right, self._clock.now())

    def _check(self) -> None:
        if self._stop.is_set() or self._cancelled.is_set():
            msg = "stopped on request; what was found until then is recorded"
            raise Interrupted(msg)


class _Meter:
    """How far it is: in bytes to read, or in bytes of what was asked for."""

    def __init__(self, blobs: Sequence[Needed], chosen: frozenset[str] | None) -> None:
        self._count = len(blobs)
        self._chosen = chosen
        counted = (b for b in blobs if chosen is None or b.oid in chosen)
        self._total = sum(blob.size for blob in counted)
        self._ended = 0
        self._done = 0

    def add(self, task: _Task) -> None:
        """Count a blob that was looked at."""
        self._ended += 1
        if self._chosen is None or task.read:
            self._done += task.blob.size

    def read(self, in_hand: Iterable[_Task]) -> Progress:
        """Return it, with what is on its way."""
        done = self._done + sum(task.done for task in in_hand)
        items = (self._ended, self._count)
        return Progress("verifying", done, self._total, items=items)
