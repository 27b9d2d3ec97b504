"""What all transfers of a process share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

    from syncer.limits import Pace, Room
    from syncer.ports import BlobIndex, BlobStore, Clock
    from syncer.sync.transfer.inhand import InHand
    from syncer.sync.transfer.lanes import Lanes


@dataclass(frozen=True)
class Means:
    """The ports, bounds and threads of every run."""

    blobs: BlobStore
    index: BlobIndex
    clock: Clock
    stop: threading.Event
    room: Room
    pace: Pace
    lanes: Lanes
    in_hand: InHand
