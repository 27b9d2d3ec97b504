"""A blob index in memory that passes the contract of the real one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from syncer.catalog import counting, transitions
from syncer.errors import PermanentError
from syncer.model.blobs import REMOVAL, Blob, StoredBlob, Upload, check_digest
from syncer.model.lfs import LfsCounts, LfsState
from syncer.model.releases import AssetState
from tests.fakes_catalog import FakeCatalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from syncer.model.lfs import LfsObject
    from syncer.model.releases import AssetRecord, ReleaseRecord


class FakeBlobIndex:
    """`ports.BlobIndex` without a database.

    What it knows of mirrors is the catalog's, as in the real one.  Without a
    catalog any number is a mirror's.
    """

    def __init__(self, catalog: FakeCatalog | None = None) -> None:
        self._catalog = FakeCatalog() if catalog is None else catalog
        self._lock = self._catalog.lock
        self._claims = self._catalog.claims
        self._objects = self._catalog.lfs_objects
        self._shelf = self._catalog.shelf
        self._blobs = self._shelf.blobs
        self._removing = self._shelf.removing
        self._uploads: dict[str, Upload] = {}

    def claim(
        self, mirror_id: int, digests: Iterable[str], now: datetime
    ) -> frozenset[str]:
        with self._lock:
            wanted = {check_digest(digest) for digest in digests}
            dying = wanted & self._removing.keys()
            busy = {d for d in dying if self._removing[d] > now - REMOVAL}
            self.removed(dying - busy)
            for digest in wanted & self._blobs.keys() - busy:
                self._blobs[digest] = replace(self._blobs[digest], condemned=None)
            if wanted - busy:
                self._claims.setdefault(mirror_id, set()).update(wanted - busy)
            return frozenset(busy)

    def release(self, mirror_id: int) -> None:
        with self._lock:
            self._claims.pop(mirror_id, None)

    def stored(self, blobs: Iterable[StoredBlob]) -> None:
        with self._lock:
            for each in blobs:
                digest = check_digest(each.blob.digest)
                old = self._blobs.get(digest, each)
                new = replace(each, stored=old.stored, condemned=None, damaged=None)
                self._blobs[digest] = replace(
                    new,
                    provenance=old.provenance or each.provenance,
                    verified=max(old.verified, each.verified),
                )
                self._removing.pop(digest, None)
                if old.damaged is not None:
                    self._heal(digest, each.stored)

    def find(self, digests: Iterable[str]) -> dict[str, StoredBlob]:
        with self._lock:
            found = (set(digests) & self._blobs.keys()) - self._removing.keys()
            return {digest: self._blobs[digest] for digest in found}

    def link(self, mirror_id: int, objects: Sequence[LfsObject]) -> None:
        with self._lock:
            after = dict(self._objects.get(mirror_id, {}))
            for each in objects:
                oid = check_digest(each.pointer.oid)
                after[oid] = transitions.linked(after.get(oid), each)
            before = self._objects.get(mirror_id, {})
            for oid, now in after.items():
                if now != before.get(oid):
                    self._check(oid, now)
            self._objects[mirror_id] = after
            self._count(mirror_id)

    def _check(self, oid: str, each: LfsObject) -> None:
        blob = self.find([oid]).get(oid)
        if each.state is LfsState.PRESENT and (blob is None or blob.damaged):
            msg = f"the blob {oid} is not known to be stored; nothing was linked"
            raise PermanentError(msg)
        is_settled = each.state in {LfsState.PRESENT, LfsState.UNREACHED}
        if is_settled != (each.retry_at is None):
            msg = f"{oid} is not present, and nobody would ask for it again"
            raise PermanentError(msg)

    def _count(self, mirror_id: int) -> None:
        scanned = self._catalog.scanned(mirror_id)
        self._catalog.note_lfs(mirror_id, self.counts(mirror_id), scanned)

    def asset_blobs(self, mirror_id: int) -> list[Blob]:
        with self._lock:
            needed = self._shelf.needed(mirror_id)
            return sorted(self._blobs[digest].blob for digest in needed)

    def objects(self, mirror_id: int) -> list[LfsObject]:
        with self._lock:
            found = self._objects.get(mirror_id, {})
            return [found[oid] for oid in sorted(found)]

    def absent(self, mirror_id: int) -> list[LfsObject]:
        return [each for each in self.objects(mirror_id) if each.state.is_absent]

    def known(self, mirror_id: int, oids: Iterable[str]) -> dict[str, LfsObject]:
        wanted = set(oids)
        found = self.objects(mirror_id)
        return {o.pointer.oid: o for o in found if o.pointer.oid in wanted}

    def due(self, mirror_id: int, now: datetime) -> list[LfsObject]:
        owed = [
            (each.retry_at, each.pointer.oid, each)
            for each in self.objects(mirror_id)
            if each.retry_at is not None and each.retry_at <= now
        ]
        return [each for _, _, each in sorted(owed)]

    def counts(self, mirror_id: int) -> LfsCounts:
        found = self.objects(mirror_id)
        states = [each.state for each in found]
        here = [o.pointer.size for o in found if o.state is LfsState.PRESENT]
        owed = [each.retry_at for each in found if each.retry_at is not None]
        return LfsCounts(
            present=len(here),
            missing=states.count(LfsState.MISSING),
            damaged=states.count(LfsState.DAMAGED),
            size=sum(here),
            retry_at=min(owed, default=None),
        )

    def mark_scanned(self, mirror_id: int, at: datetime | None) -> None:
        self._catalog.note_lfs(mirror_id, self.counts(mirror_id), at)

    def verified(self, digests: Iterable[str], at: datetime) -> None:
        with self._lock:
            for digest in set(digests) & self._blobs.keys():
                old = self._blobs[digest]
                self._blobs[digest] = replace(old, verified=at, damaged=None)
                if old.damaged is not None:
                    self._heal(digest, at)

    def damaged(self, digest: str, at: datetime, reason: str) -> int:
        with self._lock:
            old = self._blobs.get(digest)
            if old is not None and old.damaged is None:
                self._blobs[digest] = replace(old, damaged=at)
                self._catalog.past.add(counting.DAMAGE)
            owners = self._turn(digest, LfsState.DAMAGED, at, reason)

            def turned(_: ReleaseRecord, each: AssetRecord) -> AssetRecord:
                return _lost(each, digest, at, reason)

            self._turn_assets(digest, turned)
            return len(set(owners) | self._shelf.owners(digest))

    def _heal(self, digest: str, at: datetime) -> None:
        def turned(_: ReleaseRecord, each: AssetRecord) -> AssetRecord:
            return _found(each, digest, at)

        self._turn(digest, LfsState.PRESENT, at, None)
        self._turn_assets(digest, turned)

    def _turn_assets(
        self, digest: str, turned: Callable[[ReleaseRecord, AssetRecord], AssetRecord]
    ) -> None:
        for mirror_id in self._shelf.owners(digest):
            self._shelf.turn(mirror_id, turned)
            self._catalog.recount(mirror_id)

    def _turn(
        self, digest: str, state: LfsState, at: datetime, reason: str | None
    ) -> list[int]:
        owners = self._owners(digest)
        retry_at = None if state is LfsState.PRESENT else at
        for mirror_id in owners:
            old = self._objects[mirror_id][digest]
            new = replace(old, state=state, reason=reason, since=at, retry_at=retry_at)
            self._objects[mirror_id][digest] = transitions.linked(old, new)
            self._count(mirror_id)
        return owners

    def _owners(self, digest: str) -> list[int]:
        return [
            mirror_id
            for mirror_id, objects in self._objects.items()
            if digest in objects and not objects[digest].state.is_absent
        ]

    def condemn(self, now: datetime, *, dry_run: bool = False) -> list[Blob]:
        with self._lock:
            found = self._free(lambda each: each.condemned is None)
            if not dry_run:
                for digest in self._blobs.keys() - self._removing.keys():
                    if self._is_relied_on(digest):
                        self._condemn(digest, None)
                for blob in found:
                    self._condemn(blob.digest, now)
            return sorted(found)

    def _condemn(self, digest: str, at: datetime | None) -> None:
        self._blobs[digest] = replace(self._blobs[digest], condemned=at)

    def _is_relied_on(self, digest: str) -> bool:
        claimed = any(digest in digests for digests in self._claims.values())
        return claimed or bool(self._owners(digest) or self._shelf.owners(digest))

    def _free(self, chosen: Callable[[StoredBlob], bool]) -> list[Blob]:
        old = sorted(
            (each.condemned, each.blob)
            for digest, each in self._blobs.items()
            if chosen(each) and each.condemned and not self._is_relied_on(digest)
        )
        new = [
            each.blob
            for digest, each in self._blobs.items()
            if chosen(each) and not each.condemned and not self._is_relied_on(digest)
        ]
        return [blob for _, blob in old] + new

    def condemned(self, before: datetime) -> list[Blob]:
        with self._lock:
            return self._free(
                lambda each: (
                    each.condemned is not None
                    and (each.condemned <= before or each.blob.digest in self._removing)
                )
            )

    def seize(self, before: datetime, now: datetime, limit: int) -> list[Blob]:
        def is_old(each: StoredBlob) -> bool:
            if each.condemned is None:
                return False
            since = self._removing.get(each.blob.digest)
            if since is not None:
                return since <= now - REMOVAL
            return each.condemned <= before

        with self._lock:
            found = self._free(is_old)[:limit]
            self._removing.update((blob.digest, now) for blob in found)
            return found

    def removed(self, digests: Iterable[str]) -> None:
        with self._lock:
            for digest in set(digests) & self._removing.keys():
                del self._removing[digest], self._blobs[digest]

    def claimed(self, digests: Iterable[str]) -> frozenset[str]:
        with self._lock:
            every = frozenset[str]().union(*self._claims.values())
            return every & set(digests)

    def orphans(self, digests: Iterable[str]) -> frozenset[str]:
        with self._lock:
            unknown = frozenset(digests) - self._blobs.keys()
            return unknown - self.claimed(unknown)

    def begin_upload(self, upload: Upload) -> None:
        with self._lock:
            self._uploads[upload.key] = upload

    def end_upload(self, key: str) -> None:
        with self._lock:
            self._uploads.pop(key, None)

    def uploads(self) -> list[Upload]:
        with self._lock:
            found = self._uploads.values()
            return sorted(found, key=lambda upload: (upload.started, upload.key))


def _lost(each: AssetRecord, digest: str, at: datetime, reason: str) -> AssetRecord:
    if each.blob != digest:
        return each
    if each.state not in {AssetState.PRESENT, AssetState.DAMAGED}:
        return each
    return replace(
        each,
        state=AssetState.DAMAGED,
        reason=reason,
        since=each.since if each.state is AssetState.DAMAGED else at,
        retry_at=at if each.gone is None else None,
    )


def _found(each: AssetRecord, digest: str, at: datetime) -> AssetRecord:
    if each.blob != digest or each.state is not AssetState.DAMAGED:
        return each
    here = replace(each, state=AssetState.PRESENT, since=at)
    return transitions.recorded(here)
