"""Moves LFS objects from upstream into the blob store, each verified on its way.

    wanted ──claim──> known? ──batch──> granted ──> in the store? ──> download
                                   └─ refused            │               │
                                         │               └── linked      └─ fetched
                                         └──── missing       (a row for each)

One pass: network, digest, store.  What is in memory, on its way and asked ahead is
bounded; what was brought is written down while the rest is under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.sync.transfer.inhand import InHand
from syncer.sync.transfer.lanes import Lanes
from syncer.sync.transfer.passage import Means, Passage

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from syncer.limits import Pace, Room
    from syncer.model.lfs import Delivered, LfsEndpoint, LfsPointer, LfsTally
    from syncer.model.names import RepoName
    from syncer.ports import BlobIndex, BlobStore, Clock, LfsSource, ProgressSink


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


@dataclass(frozen=True, slots=True)
class TransferJob:
    """What one mirror's run wants, and where to ask for it."""

    mirror_id: int
    name: RepoName
    endpoint: LfsEndpoint
    wanted: Sequence[LfsPointer]


@dataclass(frozen=True, slots=True)
class TransferResult:
    """What became of it: every object is present, or in `missing` with a reason."""

    tally: LfsTally
    missing: tuple[Delivered, ...]


class Transfers:
    """Moves objects for all runs of a process, in threads that they share."""

    def __init__(  # noqa: PLR0913, PLR0917 - the ports that bytes and facts meet in
        self,
        blobs: BlobStore,
        index: BlobIndex,
        source: LfsSource,
        clock: Clock,
        stop: threading.Event,
        limits: TransferLimits,
    ) -> None:
        self._means = Means(
            blobs,
            index,
            source,
            clock,
            stop,
            limits.room,
            limits.pace,
            Lanes(limits.workers, limits.lanes),
            InHand(),
        )

    def run(self, job: TransferJob, on_progress: ProgressSink | None) -> TransferResult:
        """Bring every wanted object, or record that upstream does not give it.

        Whatever ends a run, what it brought until then is kept and recorded.  The
        claims it makes stay: `BlobIndex.release` is the caller's.

        Raises:
            IntegrityError: upstream sent wrong bytes for some objects; all others
                are here.
            Interrupted: the stop event was set; parts are kept.
            SyncerError: of the batch (see `LfsSource`), of the store, or of an
                object that did not come although it was tried again.
        """
        ledger = Passage(self._means, job, on_progress).run()
        return TransferResult(ledger.tally, ledger.missing)

    def close(self) -> None:
        """End the threads; the runs have ended, or are told to by the stop event."""
        self._means.lanes.close()
