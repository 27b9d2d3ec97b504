"""Moves LFS objects and assets from upstream into the blob store, each verified.

    wanted ──claim──> known? ──batch──> granted ──> in the store? ──> download
                                   └─ refused            │               │
                                         │               └── linked      └─ fetched
                                         └──── missing       (a row for each)

An asset whose digest nobody knows is downloaded first and claimed then, before it
is visible.

One pass: network, digest, store.  What is in memory, on its way and asked ahead is
bounded; what was brought is written down while the rest is under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.sync.transfer.inhand import InHand
from syncer.sync.transfer.lanes import Lanes
from syncer.sync.transfer.means import Means
from syncer.sync.transfer.passage import Passage

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from syncer.limits import Pace, Room
    from syncer.ports import BlobIndex, BlobStore, Clock, ProgressSink
    from syncer.sync.transfer.job import TransferJob, TransferResult


@dataclass(frozen=True)
class TransferLimits:
    """How much may go on at once, over all runs.

    `room` bounds the bytes in memory, `pace` those a second, `workers` the threads.
    """

    workers: int
    room: Room
    pace: Pace
    #: Objects on their way from one host at the same time.
    lanes: Callable[[str], int]


class Transfers:
    """Moves objects for all runs of a process, in threads that they share."""

    def __init__(
        self,
        blobs: BlobStore,
        index: BlobIndex,
        clock: Clock,
        stop: threading.Event,
        limits: TransferLimits,
    ) -> None:
        self._means = Means(
            blobs,
            index,
            clock,
            stop,
            limits.room,
            limits.pace,
            Lanes(limits.workers, limits.lanes),
            InHand(),
        )

    def run(self, job: TransferJob, on_progress: ProgressSink | None) -> TransferResult:
        """Bring every wanted object, or learn that upstream does not give it.

        The blobs are recorded, and the endings in the job's book.  Whatever ends a
        run, what it brought until then is kept and recorded.  The claims it makes
        stay: `BlobIndex.release` is the caller's.

        Raises:
            IntegrityError: upstream sent wrong bytes for some objects; all others
                are here.
            Interrupted: the stop event was set; parts are kept.
            SyncerError: of the batch (see `Source`), of the store, or of an object
                that did not come although it was tried again.  Of a lenient job
                only what the store or the index raises.
        """
        return Passage(self._means, job, on_progress).run()

    def close(self) -> None:
        """End the threads; the runs have ended, or are told to by the stop event."""
        self._means.lanes.close()
