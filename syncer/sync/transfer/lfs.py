"""LFS objects as a transfer sees them: where they come from, and their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from syncer.model.lfs import LfsObject, LfsState
from syncer.sync.transfer.patience import ask_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from syncer.model.lfs import BatchReply, Grant, LfsEndpoint, LfsPointer
    from syncer.model.names import RepoName
    from syncer.ports import BlobIndex, LfsSource
    from syncer.sync.transfer.endings import Ending

_SHORT = 10  # digits of an oid that a person reads


@dataclass(frozen=True, slots=True)
class LfsOrigin:
    """One repository's LFS server as a `Source`."""

    lfs: LfsSource
    name: RepoName
    endpoint: LfsEndpoint

    def batch(self, wanted: Sequence[LfsPointer]) -> BatchReply:
        """Ask the batch API; see `LfsSource.batch`."""
        return self.lfs.batch(self.name, self.endpoint, wanted)

    def open(
        self, grant: Grant, offset: int
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open an object's bytes; see `LfsSource.open`."""
        return self.lfs.open(self.name, grant, offset)


@dataclass(frozen=True, slots=True)
class LfsBook:
    """The LFS objects of one mirror, a row for each."""

    noun: ClassVar[str] = "LFS object"
    hands_back: ClassVar[bool] = False

    index: BlobIndex
    mirror_id: int
    #: Takes secrets out of what upstream says, which might repeat what it was sent.
    clean: Callable[[str], str]

    def label(self, oid: str) -> str:
        """Return the oid, which is all that a pointer says."""
        return oid

    def short(self, oid: str) -> str:
        """Return as much of an oid as a person reads."""
        return oid[:_SHORT]

    def one(self, _oid: str) -> str:
        """Return what an object is called in a sentence."""
        return "an LFS object"

    def enter(self, endings: Sequence[Ending], now: datetime) -> None:
        """Link the objects: present, or missing with a reason and a next time."""
        oids = [each.delivered.pointer.oid for each in endings if each.proof is None]
        before = self.index.known(self.mirror_id, oids) if oids else {}
        self.index.link(
            self.mirror_id,
            [
                self._linked(each, before.get(each.delivered.pointer.oid), now)
                for each in endings
            ],
        )

    def _linked(
        self, ending: Ending, before: LfsObject | None, now: datetime
    ) -> LfsObject:
        """Return the row of an object, given what was known of it before."""
        pointer = ending.delivered.pointer
        if ending.proof is not None:
            return LfsObject(pointer, LfsState.PRESENT, since=now)
        since, tries, reason = now, 1, ending.delivered.reason
        if before is not None and before.state is not LfsState.PRESENT:
            since, tries = before.since or now, before.tries + 1
        return LfsObject(
            pointer,
            LfsState.MISSING,
            None if reason is None else self.clean(reason),
            since,
            ask_again(pointer.oid, tries, now, over_quota=ending.over_quota),
            tries,
        )
