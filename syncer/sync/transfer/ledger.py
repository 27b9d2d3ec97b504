"""What a transfer has brought, written down some at a time.

A run that is killed keeps what was written; what it brought and did not write, the
next one finds in the store.  Used by the calling thread alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.model.blobs import NEVER, StoredBlob
from syncer.model.lfs import Delivered, Delivery, LfsTally
from syncer.sync.transfer.endings import Proof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from syncer.model.blobs import Blob
    from syncer.ports import BlobIndex, Clock
    from syncer.sync.transfer.endings import Ending
    from syncer.sync.transfer.job import TransferJob

#: So many endings are written together, or those of so many seconds.
_MOST = 300
_LONGEST = 1.0


class Ledger:
    """The endings of one run's objects."""

    def __init__(self, index: BlobIndex, clock: Clock, job: TransferJob) -> None:
        self._index = index
        self._clock = clock
        self._job = job
        # Not of a hundred thousand LFS objects, which have their rows.
        self._tells = job.book.hands_back or job.lenient
        self._unwritten: list[Ending] = []
        self._since = 0.0
        self._counts = dict.fromkeys(Delivery, 0)
        self._missing: list[Delivered] = []
        self._over_quota: set[str] = set()
        self._arrived: dict[str, Blob] = {}
        #: Bytes that were downloaded.
        self.received = 0

    @property
    def tally(self) -> LfsTally:
        """What was done so far, written down or not."""
        counts = self._counts
        return LfsTally(
            counts[Delivery.FETCHED],
            counts[Delivery.LINKED],
            counts[Delivery.MISSING],
            self.received,
        )

    @property
    def missing(self) -> tuple[Delivered, ...]:
        """What upstream does not give."""
        return tuple(self._missing)

    @property
    def over_quota(self) -> frozenset[str]:
        """The oids of what is missing because an allowance is spent."""
        return frozenset(self._over_quota)

    @property
    def arrived(self) -> Mapping[str, Blob]:
        """What is present, by oid, where the caller is told of it."""
        return self._arrived

    def add(self, ending: Ending) -> None:
        """Note how one object ended."""
        if not self._unwritten:
            self._since = self._clock.monotonic()
        self._unwritten.append(ending)
        self._counts[ending.delivered.how] += 1
        if ending.delivered.how is Delivery.MISSING:
            self._missing.append(ending.delivered)
            if ending.over_quota:
                self._over_quota.add(ending.delivered.pointer.oid)
        elif self._tells:
            self._arrived[ending.delivered.pointer.oid] = ending.blob

    def write_due(self) -> None:
        """Write down what has waited long enough, or is enough."""
        if not self._unwritten:
            return
        waited = self._clock.monotonic() - self._since
        if len(self._unwritten) >= _MOST or waited >= _LONGEST:
            self.write()

    def write(self) -> None:
        """Write down everything: the blobs first, then who needs them."""
        if not self._unwritten:
            return
        endings, self._unwritten = self._unwritten, []
        now = self._clock.now()
        self._record(endings, now)
        self._job.book.enter(endings, now)

    def _record(self, endings: Sequence[Ending], now: datetime) -> None:
        """Record the blobs that the index does not know."""
        hashed = [each for each in endings if each.proof is Proof.HASHED]
        seen = [each for each in endings if each.proof is Proof.SEEN]
        if seen:
            # Another run may have brought them since; it knows more than we do.
            known = self._index.find([each.blob.digest for each in seen])
            seen = [each for each in seen if each.blob.digest not in known]
        if hashed or seen:
            self._index.stored([self._stored(each, now) for each in (*hashed, *seen)])

    def _stored(self, ending: Ending, now: datetime) -> StoredBlob:
        if ending.proof is Proof.HASHED:
            return StoredBlob(ending.blob, now, now, str(self._job.name))
        return StoredBlob(ending.blob, now, NEVER)
