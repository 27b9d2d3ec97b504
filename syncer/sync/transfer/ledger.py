"""What a transfer has brought, written down some at a time.

A run that is killed keeps what was written; what it brought and did not write, the
next one finds in the store.  Used by the calling thread alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.model.blobs import NEVER, Blob, StoredBlob
from syncer.model.lfs import Delivered, Delivery, LfsObject, LfsState, LfsTally
from syncer.sync.transfer.courier import Proof
from syncer.sync.transfer.patience import ask_again

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from syncer.model.names import RepoName
    from syncer.ports import BlobIndex, Clock
    from syncer.sync.transfer.courier import Ending

#: So many endings are written together, or those of so many seconds.
_MOST = 300
_LONGEST = 1.0


class Ledger:
    """The endings of one run's objects."""

    def __init__(
        self, index: BlobIndex, mirror_id: int, name: RepoName, clock: Clock
    ) -> None:
        self._index = index
        self._mirror_id = mirror_id
        self._name = name
        self._clock = clock
        self._unwritten: list[Ending] = []
        self._since = 0.0
        self._counts = dict.fromkeys(Delivery, 0)
        self._missing: list[Delivered] = []
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

    def add(self, ending: Ending) -> None:
        """Note how one object ended."""
        if not self._unwritten:
            self._since = self._clock.monotonic()
        self._unwritten.append(ending)
        self._counts[ending.delivered.how] += 1
        if ending.delivered.how is Delivery.MISSING:
            self._missing.append(ending.delivered)

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
        oids = [each.delivered.pointer.oid for each in endings if each.proof is None]
        before = self._index.known(self._mirror_id, oids) if oids else {}
        self._index.link(
            self._mirror_id,
            [
                _linked(each, before.get(each.delivered.pointer.oid), now)
                for each in endings
            ],
        )

    def _record(self, endings: Sequence[Ending], now: datetime) -> None:
        """Record the blobs that the index does not know."""
        hashed = [each for each in endings if each.proof is Proof.HASHED]
        seen = [each for each in endings if each.proof is Proof.SEEN]
        if seen:
            # Another run may have brought them since; it knows more than we do.
            known = self._index.find([e.delivered.pointer.oid for e in seen])
            seen = [e for e in seen if e.delivered.pointer.oid not in known]
        if hashed or seen:
            self._index.stored([self._stored(each, now) for each in (*hashed, *seen)])

    def _stored(self, ending: Ending, now: datetime) -> StoredBlob:
        blob = Blob(*ending.delivered.pointer)
        if ending.proof is Proof.HASHED:
            return StoredBlob(blob, now, now, str(self._name))
        return StoredBlob(blob, now, NEVER)


def _linked(ending: Ending, before: LfsObject | None, now: datetime) -> LfsObject:
    """Return the row of an object, given what was known of it before."""
    pointer = ending.delivered.pointer
    if ending.proof is not None:
        return LfsObject(pointer, LfsState.PRESENT, since=now)
    since, tries = now, 1
    if before is not None and before.state is not LfsState.PRESENT:
        since, tries = before.since or now, before.tries + 1
    return LfsObject(
        pointer,
        LfsState.MISSING,
        ending.delivered.reason,
        since,
        ask_again(pointer.oid, tries, now, over_quota=ending.over_quota),
        tries,
    )
