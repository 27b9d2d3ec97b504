"""What we know of blobs: which are stored, who needs them, who relies on them.

The store is asked about bytes, the index about facts.  One call is one
transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from syncer.ports.blobs import UploadLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from syncer.model.blobs import Blob, StoredBlob
    from syncer.model.lfs import LfsCounts, LfsObject


class BlobIndex(UploadLog, Protocol):
    """What we know of blobs and of the LFS objects of each mirror."""

    def claim(
        self, mirror_id: int, digests: Iterable[str], now: datetime
    ) -> frozenset[str]:
        """Rely on blobs until `release`: none of them is removed meanwhile.

        Comes before any question whether they are there.  Takes condemned ones
        back.  Returns those that are being removed at this moment: they cannot
        be relied on, nor written, until `removed` or an hour later.
        """

    def release(self, mirror_id: int) -> None:
        """Rely on nothing any more: the run has ended, or is known to be dead."""

    def stored(self, blobs: Iterable[StoredBlob]) -> None:
        """Record that blobs are in the store, durably.

        Takes condemned ones back.  Damaged ones are right again, and so are
        the objects of every mirror that needs them.
        """

    def find(self, digests: Iterable[str]) -> dict[str, StoredBlob]:
        """Return what is known of blobs, by digest; damaged ones included.

        Those that are being removed are not known any more.
        """

    def link(self, mirror_id: int, objects: Sequence[LfsObject]) -> None:
        """Record what became of a mirror's objects, and count them anew.

        What is PRESENT stays so when upstream does not give it any more.
        PRESENT wins over MISSING when a digest comes with two sizes, and of
        two that are MISSING the first is kept.  `since` is kept while the
        state stays the same.  Only what is MISSING becomes UNREACHED, and
        keeps all but its `retry_at`.

        Raises:
            PermanentError: a PRESENT object's blob is not known to be stored
                and right, or a MISSING one has no `retry_at`; nothing was linked.
        """

    def asset_blobs(self, mirror_id: int) -> list[Blob]:
        """Return the blobs that a mirror's assets need, attestations included."""

    def objects(self, mirror_id: int) -> list[LfsObject]:
        """Return a mirror's objects, by oid."""

    def absent(self, mirror_id: int) -> list[LfsObject]:
        """Return the objects that upstream does not give, by oid.

        Those that are MISSING, and those that are UNREACHED.
        """

    def known(self, mirror_id: int, oids: Iterable[str]) -> dict[str, LfsObject]:
        """Return those of a mirror's objects that `oids` name."""

    def due(self, mirror_id: int, now: datetime) -> list[LfsObject]:
        """Return the objects to ask upstream for again: not present, and due."""

    def counts(self, mirror_id: int) -> LfsCounts:
        """Count a mirror's objects."""

    def mark_scanned(self, mirror_id: int, at: datetime | None) -> None:
        """Record that all objects of the repository were searched for pointers.

        None takes the mark back: the next run searches all again.
        """

    def verified(self, digests: Iterable[str], at: datetime) -> None:
        """Record that blobs were read and are right; heals as `stored` does."""

    def damaged(self, digest: str, at: datetime, reason: str) -> int:
        """Record that a blob is lost or wrong; return how many mirrors need it.

        Their LFS objects and assets are DAMAGED and due at once.
        """

    def condemn(self, now: datetime, *, dry_run: bool = False) -> list[Blob]:
        """Condemn every blob that no mirror needs and no run claims.

        Return those that were not condemned before.
        """

    def condemned(self, before: datetime) -> list[Blob]:
        """Return what `seize` would: condemned by an instant, still unneeded."""

    def seize(self, before: datetime, now: datetime, limit: int) -> list[Blob]:
        """Mark some blobs condemned by an instant as being removed, oldest first.

        Checks again that nothing needs or claims them.  Also returns those that
        a dead removal left.  `removed` follows for each, well within `REMOVAL`:
        then others take over.
        """

    def removed(self, digests: Iterable[str]) -> None:
        """Forget blobs that were seized and have left the store."""

    def claimed(self, digests: Iterable[str]) -> frozenset[str]:
        """Return which of these digests a run relies on at this moment."""

    def orphans(self, digests: Iterable[str]) -> frozenset[str]:
        """Return which of these digests are neither known, needed nor claimed."""
