"""The blob index in the catalog's database: one public call, one transaction.

The statements are in `blobs`, `lfs` and `assets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.catalog import assets, blobs, counters, counting, lfs
from syncer.catalog.transactions import Transactional

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from syncer.model.blobs import Blob, StoredBlob, Upload
    from syncer.model.lfs import LfsCounts, LfsObject


class SqlBlobIndex(Transactional):
    """`ports.BlobIndex` on SQLite or Postgres; usable from many threads.

    Shares the engine with `SqlCatalog`, which closes it.
    """

    def claim(
        self, mirror_id: int, digests: Iterable[str], now: datetime
    ) -> frozenset[str]:
        """Rely on blobs; return those that are being removed at this moment."""
        with self._deciding() as conn:
            return blobs.claim(conn, mirror_id, digests, now)

    def release(self, mirror_id: int) -> None:
        """Rely on nothing any more."""
        with self._writing() as conn:
            blobs.release(conn, mirror_id)

    def stored(self, blobs_: Iterable[StoredBlob]) -> None:
        """Record that blobs are in the store, and what needs damaged ones too."""
        with self._deciding() as conn:
            healed = blobs.stored(conn, blobs_)
            lfs.heal(conn, healed)
            assets.heal(conn, healed)

    def find(self, digests: Iterable[str]) -> dict[str, StoredBlob]:
        """Return what is known of blobs, by digest."""
        with self._reading() as conn:
            return blobs.find(conn, digests)

    def link(self, mirror_id: int, objects: Sequence[LfsObject]) -> None:
        """Record what became of a mirror's objects, and count them anew."""
        with self._deciding() as conn:
            lfs.link(conn, mirror_id, objects)

    def asset_blobs(self, mirror_id: int) -> list[Blob]:
        """Return the blobs that a mirror's assets need, by digest."""
        with self._reading() as conn:
            return assets.blobs_of(conn, mirror_id)

    def objects(self, mirror_id: int) -> list[LfsObject]:
        """Return a mirror's objects, by oid."""
        with self._reading() as conn:
            return lfs.objects(conn, mirror_id)

    def absent(self, mirror_id: int) -> list[LfsObject]:
        """Return the objects that upstream does not give, by oid."""
        with self._reading() as conn:
            return lfs.absent(conn, mirror_id)

    def known(self, mirror_id: int, oids: Iterable[str]) -> dict[str, LfsObject]:
        """Return those of a mirror's objects that `oids` name."""
        with self._reading() as conn:
            return lfs.known(conn, mirror_id, oids)

    def due(self, mirror_id: int, now: datetime) -> list[LfsObject]:
        """Return the objects to ask upstream for again, the longest due first."""
        with self._reading() as conn:
            return lfs.due(conn, mirror_id, now)

    def counts(self, mirror_id: int) -> LfsCounts:
        """Count a mirror's objects."""
        with self._reading() as conn:
            return lfs.counts(conn, mirror_id)

    def mark_scanned(self, mirror_id: int, at: datetime | None) -> None:
        """Record that all objects of the repository were searched for pointers."""
        with self._writing() as conn:
            lfs.mark_scanned(conn, mirror_id, at)

    def verified(self, digests: Iterable[str], at: datetime) -> None:
        """Record that blobs were read and are right."""
        with self._deciding() as conn:
            healed = blobs.verified(conn, list(digests), at)
            lfs.heal(conn, healed)
            assets.heal(conn, healed)

    def damaged(self, digest: str, at: datetime, reason: str) -> int:
        """Record that a blob is lost or wrong; return how many mirrors need it."""
        with self._deciding() as conn:
            is_news = blobs.damaged(conn, digest, at)
            owners = lfs.damage(conn, digest, at, reason)
            owners |= assets.damage(conn, digest, at, reason)
            if is_news:
                counters.add(conn, counting.DAMAGE)
            return len(owners)

    def condemn(self, now: datetime, *, dry_run: bool = False) -> list[Blob]:
        """Condemn every blob that no mirror needs and no run claims."""
        if dry_run:
            with self._reading() as conn:
                return blobs.to_condemn(conn)
        with self._deciding() as conn:
            return blobs.condemn(conn, now)

    def condemned(self, before: datetime) -> list[Blob]:
        """Return what `seize` would, and what is being removed at this moment."""
        with self._reading() as conn:
            return blobs.condemned(conn, before)

    def seize(self, before: datetime, now: datetime, limit: int) -> list[Blob]:
        """Mark some blobs condemned before an instant as being removed."""
        with self._deciding() as conn:
            return blobs.seize(conn, before, now, limit)

    def removed(self, digests: Iterable[str]) -> None:
        """Forget blobs that have left the store."""
        with self._deciding() as conn:
            blobs.removed(conn, digests)

    def claimed(self, digests: Iterable[str]) -> frozenset[str]:
        """Return which of these digests a run relies on at this moment."""
        with self._reading() as conn:
            return blobs.claimed(conn, digests)

    def orphans(self, digests: Iterable[str]) -> frozenset[str]:
        """Return which of these digests are neither known, needed nor claimed."""
        with self._reading() as conn:
            return blobs.orphans(conn, set(digests))

    def begin_upload(self, upload: Upload) -> None:
        """Note an upload before it is begun; a known key is dated anew."""
        with self._writing() as conn:
            blobs.begin_upload(conn, upload)

    def end_upload(self, key: str) -> None:
        """Forget an upload: completed, or aborted."""
        with self._writing() as conn:
            blobs.end_upload(conn, key)

    def uploads(self) -> list[Upload]:
        """Return the uploads that were not seen to end, oldest first."""
        with self._reading() as conn:
            return blobs.uploads(conn)
