"""All that a run needs for LFS, in memory: store, index, source and engine."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from syncer.limits import Pace, Room
from syncer.sync.transfer import TransferLimits, Transfers
from tests.fakes_blobs import FakeBlobStore, FakeLfsSource
from tests.fakes_index import FakeBlobIndex

if TYPE_CHECKING:
    from tests.fakes import FakeClock
    from tests.fakes_catalog import FakeCatalog

_ROOM = 128 << 20


class FakeLfs:
    """An upstream's objects, a store for them, and what moves them."""

    def __init__(self, catalog: FakeCatalog, clock: FakeClock) -> None:
        self.blobs = FakeBlobStore(clock=clock)
        self.index = FakeBlobIndex(catalog)
        self.source = FakeLfsSource(clock=clock)
        stop = Event()
        limits = TransferLimits(
            workers=2,
            room=Room(_ROOM, stop),
            pace=Pace(None, clock.monotonic, stop.wait),
            lanes=lambda _host: 2,
        )
        self.transfers = Transfers(self.blobs, self.index, clock, stop, limits)
