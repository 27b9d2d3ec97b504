"""How fast the object store is, by the requests that blobs are stored with.

Objects lie below `probe/` and are removed, also when it is interrupted.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from syncer.doctor.measuring import THROUGHPUT, Figure, middle, rate
from syncer.errors import SyncerError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from syncer.doctor.bench_disk import Plan
    from syncer.store.s3_trial import Scratch

#: Bytes of a large object, as of a part, and of a small one.
LARGE, SMALL = 64 << 20, 4096
#: Large objects, and small ones, on their way at the same time.
STREAMS, REQUESTS = 8, 32


def measured(
    scratch: Scratch, plan: Plan, stop: threading.Event, tell: Callable[[str], object]
) -> Iterator[Figure]:
    """Yield the figures of an object store; leave nothing there.

    Requests a second are not judged: a server that many machines ask takes more
    than one process can ask for.

    Raises:
        SyncerError: it does not take objects.
        Interrupted: `stop` was set.
    """
    streams = max(1, min(STREAMS, plan.size // LARGE))
    large = _Objects(scratch, os.urandom(min(LARGE, plan.size)), streams)
    try:
        tell("putting and getting large objects")
        how = f"objects of {large.size >> 20} MiB, {streams} at a time"
        puts, gets = (_bytes(large, act, plan, stop) for act in (large.put, large.get))
        yield Figure("put", how, puts, "B/s", THROUGHPUT)
        yield Figure("get", how, gets, "B/s", THROUGHPUT)
    finally:
        large.clear()
    small = _Objects(scratch, os.urandom(SMALL), REQUESTS)
    try:
        tell("putting and getting small objects")
        for what, act in (("small puts", small.put), ("small gets", small.get)):
            found = _often(act, plan, stop, REQUESTS)
            how = f"objects of 4 KiB, {REQUESTS} at a time, by one process"
            yield Figure(what, how, found, "a second")
    finally:
        small.clear()


class _Objects:
    """As many objects as threads, each put and got again and again."""

    def __init__(self, scratch: Scratch, content: bytes, count: int) -> None:
        self._scratch = scratch
        self._content = content
        self._digest = sha256(content).hexdigest()
        self._keys = [scratch.key() for _ in range(count)]

    @property
    def size(self) -> int:
        return len(self._content)

    @property
    def count(self) -> int:
        return len(self._keys)

    def put(self, number: int) -> None:
        self._scratch.put(self._keys[number], [self._content], self._digest)

    def get(self, number: int) -> None:
        self._scratch.get(self._keys[number])

    def clear(self) -> None:
        for key in self._keys:
            with suppress(SyncerError):
                self._scratch.delete(key)


def _bytes(
    those: _Objects, act: Callable[[int], None], plan: Plan, stop: threading.Event
) -> float:
    return _often(act, plan, stop, those.count) * those.size


def _often(
    act: Callable[[int], None], plan: Plan, stop: threading.Event, threads: int
) -> float:
    return middle(
        lambda: rate(act, threads=threads, seconds=plan.seconds, stop=stop), plan.times
    )
