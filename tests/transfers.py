"""A transfer engine over fakes: what its tests stand on."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self, TypeVar

from syncer.limits import Pace, Room
from syncer.model.lfs import LfsEndpoint, LfsPointer
from syncer.model.names import RepoName
from syncer.sync.transfer import (
    AssetBook,
    LfsBook,
    LfsOrigin,
    TransferJob,
    TransferLimits,
    Transfers,
)
from tests.fakes import FakeClock
from tests.fakes_blobs import FakeBlobStore, FakeLfsSource, digest_for
from tests.fakes_index import FakeBlobIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from syncer.errors import SyncerError
    from syncer.model.blobs import StoredBlob
    from syncer.model.lfs import Grant, LfsObject
    from syncer.ports import Clock, ProgressSink
    from syncer.sync.transfer import TransferResult

_T = TypeVar("_T")

LONG = 10.0  # seconds until a test gives up
NAME = RepoName("upstream.test", "acme", "one")
ENDPOINT = LfsEndpoint("https://upstream.test/acme/one.git/info/lfs")


class RealClock:
    """A `Clock` that nobody moves."""

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds."""
        return time.monotonic()


class SleeplessStop(threading.Event):
    """A stop event on which nobody waits: time moves instead."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        #: All that was waited for, in seconds.
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Move time on, and return whether the event is set."""
        if not self.is_set() and timeout:
            self.waited.append(timeout)
            # A clock has ticks: the smallest wait is longer than nothing.
            self._clock.advance(timedelta(seconds=max(timeout, 0.001)))
        return self.is_set()


class WatchedIndex(FakeBlobIndex):
    """A `BlobIndex` that notes the calls which change it, and can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        #: What `link` raises.
        self.error: SyncerError | None = None

    def claim(
        self, mirror_id: int, digests: Iterable[str], now: datetime
    ) -> frozenset[str]:
        self.calls.append("claim")
        return super().claim(mirror_id, digests, now)

    def find(self, digests: Iterable[str]) -> dict[str, StoredBlob]:
        self.calls.append("find")
        return super().find(digests)

    def stored(self, blobs: Iterable[StoredBlob]) -> None:
        self.calls.append("stored")
        super().stored(blobs)

    def link(self, mirror_id: int, objects: Sequence[LfsObject]) -> None:
        self.calls.append("link")
        if self.error is not None:
            raise self.error
        super().link(mirror_id, objects)


class NotedPace(Pace):
    """No limit; notes what would count against one."""

    def __init__(self) -> None:
        super().__init__(None, lambda: 0.0, lambda _: None)
        self.paid: list[int] = []

    def pay(self, size: int) -> None:
        """Note some bytes."""
        self.paid.append(size)


@dataclass
class Bench:
    """A process with its engine, stopped at the end of a `with`."""

    workers: int = 4
    lanes: Callable[[str], int] = lambda _: 4
    room: int = 128 << 20
    clock: FakeClock = field(default_factory=FakeClock)
    store: FakeBlobStore = field(init=False)
    source: FakeLfsSource = field(init=False)
    index: WatchedIndex = field(default_factory=WatchedIndex)
    stop: threading.Event = field(init=False)
    pace: NotedPace = field(default_factory=NotedPace)
    transfers: Transfers = field(init=False)

    def __post_init__(self) -> None:
        self.store = FakeBlobStore(clock=self.clock)
        self.source = FakeLfsSource(clock=self.clock)
        self.stop = SleeplessStop(self.clock)
        self.restart()

    def restart(self, clock: Clock | None = None) -> None:
        """Make the engine anew, of what the fields are now."""
        room = Room(self.room, self.stop)
        limits = TransferLimits(self.workers, room, self.pace, self.lanes)
        self.transfers = Transfers(
            self.store, self.index, clock or self.clock, self.stop, limits
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.transfers.close()

    def make_real(self) -> None:
        """Let time pass by itself."""
        self.stop = threading.Event()
        self.restart(RealClock())

    def run(
        self,
        *wanted: LfsPointer,
        mirror_id: int = 1,
        name: RepoName = NAME,
        sink: ProgressSink | None = None,
    ) -> TransferResult:
        """Bring some objects for a mirror."""
        endpoint = LfsEndpoint(f"https://{name.host}/{name.owner}/{name.name}.git")
        source = LfsOrigin(self.source, name, endpoint)
        book = LfsBook(self.index, mirror_id, str)
        job = TransferJob(mirror_id, name, source, wanted, book)
        return self.transfers.run(job, sink)

    def bring(  # noqa: PLR0913 - as many as a job has
        self,
        *wanted: LfsPointer,
        labels: Mapping[str, str] | None = None,
        unnamed: Iterable[LfsPointer] = (),
        lenient: bool = True,
        mirror_id: int = 1,
        name: RepoName = NAME,
        sink: ProgressSink | None = None,
    ) -> TransferResult:
        """Bring some assets for a mirror."""
        endpoint = LfsEndpoint(f"https://{name.host}/{name.owner}/{name.name}.git")
        job = TransferJob(
            mirror_id,
            name,
            LfsOrigin(self.source, name, endpoint),
            wanted,
            AssetBook(labels or {}),
            frozenset(pointer.oid for pointer in unnamed),
            lenient,
        )
        return self.transfers.run(job, sink)

    def ticket(self, body: bytes, number: int = 0) -> LfsPointer:
        """Have an asset upstream whose digest nobody was told, and name it."""
        ticket = digest_for(b"asset %d of " % number + body)
        self.source.objects[ticket] = body
        return LfsPointer(ticket, len(body))

    def row(self, pointer: LfsPointer, mirror_id: int = 1) -> LfsObject:
        """Return what is recorded of an object."""
        return self.index.known(mirror_id, [pointer.oid])[pointer.oid]

    def blob(self, pointer: LfsPointer) -> StoredBlob:
        """Return what is recorded of an object's bytes."""
        return self.index.find([pointer.oid])[pointer.oid]


@contextmanager
def gated(bench: Bench) -> Iterator[threading.Event]:
    """Stop every download before its first block, until the event is set."""
    gate, opened = threading.Event(), bench.source.open

    @contextmanager
    def open_late(name: RepoName, grant: Grant, offset: int) -> Iterator[object]:
        with opened(name, grant, offset) as blocks:
            assert gate.wait(LONG)
            yield blocks

    bench.source.open = open_late  # type: ignore[method-assign,assignment] # late
    try:
        yield gate
    finally:
        gate.set()


def until_opened(bench: Bench, number: int) -> None:
    """Wait until so many downloads are open, and a little longer."""
    deadline = time.monotonic() + LONG
    while bench.source.open_now < number:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(0.05)


def in_background(work: Callable[[], _T]) -> Callable[[], _T]:
    """Begin some work in a thread; the call that comes back waits for its result."""
    pool = ThreadPoolExecutor(1, "test")
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return lambda: future.result(LONG)
