"""Blobs, releases and pages in memory: what the catalog and both indexes share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from syncer.catalog import transitions
from syncer.errors import PermanentError
from syncer.model.releases import AssetState, ReleaseCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from syncer.model.blobs import StoredBlob
    from syncer.model.releases import AssetRecord, Page, ReleaseChanges, ReleaseRecord

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_OWED = {AssetState.MISSING, AssetState.DAMAGED}


@dataclass
class Shelf:
    """What `FakeCatalog` keeps for `FakeBlobIndex` and `FakeReleaseIndex`."""

    blobs: dict[str, StoredBlob] = field(default_factory=dict)
    removing: dict[str, datetime] = field(default_factory=dict)
    #: By mirror, and by the release's id.
    records: dict[int, dict[int, ReleaseRecord]] = field(default_factory=dict)
    pages: dict[int, tuple[Page, ...]] = field(default_factory=dict)

    def purge(self, mirror_id: int) -> None:
        """Forget a mirror."""
        self.records.pop(mirror_id, None)
        self.pages.pop(mirror_id, None)

    def of(self, mirror_id: int) -> list[ReleaseRecord]:
        """Return a mirror's releases, newest first."""
        found = self.records.get(mirror_id, {}).values()
        return sorted(found, key=_age, reverse=True)

    def assets(self, mirror_id: int) -> Iterator[tuple[ReleaseRecord, AssetRecord]]:
        """Yield each asset of a mirror with its release."""
        for record in self.records.get(mirror_id, {}).values():
            for each in record.assets:
                yield record, each

    def turn(
        self,
        mirror_id: int,
        change: Callable[[ReleaseRecord, AssetRecord], AssetRecord],
    ) -> None:
        """Let each asset of a mirror become another."""
        self.records[mirror_id] = {
            id_: replace(record, assets=tuple(change(record, a) for a in record.assets))
            for id_, record in self.records.get(mirror_id, {}).items()
        }

    def needed(self, mirror_id: int) -> set[str]:
        """Return the digests that a mirror's assets need."""
        found = self.assets(mirror_id)
        return {d for _, a in found for d in (a.blob, a.attestation) if d is not None}

    def owners(self, digest: str) -> set[int]:
        """Return the mirrors whose assets need a blob."""
        return {each for each in self.records if digest in self.needed(each)}

    def reliable(self, digest: str) -> bool:
        """Return whether a blob is stored and right, to stay there."""
        found = self.blobs.get(digest)
        is_right = found is not None and found.damaged is None
        return is_right and digest not in self.removing

    def check(self, mirror_id: int, changes: ReleaseChanges) -> None:
        """Raise unless changes can be published."""
        ids = [record.release.id for record in changes.records]
        if len(set(ids)) < len(ids):
            msg = "a release is named twice; nothing was published"
            raise PermanentError(msg)
        held = [
            (record.release.id, each.asset.id, each.blob, each.attestation)
            for record, each in self.assets(mirror_id)
            if each.state is not AssetState.DAMAGED
        ]
        named = {
            (record.release.id, each.asset.id, each.blob)
            for record in changes.records
            for each in record.assets
        }
        for owner, id_, blob, _ in held:
            if blob is not None and owner in ids and (owner, id_, blob) not in named:
                msg = f"release {owner} does not name asset {id_} with its bytes"
                raise PermanentError(msg)
        known = {row[3] for row in held}
        for digest in _wanted(changes.records) - known:
            if not self.reliable(digest):
                msg = f"the blob {digest} is not known to be stored"
                raise PermanentError(msg)
        self._check_owed(changes.records)

    def _check_owed(self, records: Iterable[ReleaseRecord]) -> None:
        for each in (asset for record in records for asset in record.assets):
            written = transitions.recorded(each)
            is_owed = written.state in _OWED and written.gone is None
            is_here = written.state in {AssetState.PRESENT, AssetState.DAMAGED}
            is_away = written.state in {AssetState.MISSING, AssetState.EXPIRED}
            if (
                is_owed != (written.retry_at is not None)
                or (is_here and written.blob is None)
                or (is_away and written.blob is not None)
                or (written.blob is not None and written.proof is None)
                or (written.gone is None) != (written.departure is None)
            ):
                msg = f"asset {each.asset.id} contradicts itself"
                raise PermanentError(msg)

    def sound(self, changes: ReleaseChanges, at: datetime) -> ReleaseChanges:
        """Return changes as the blobs can bear them out."""
        lost = {d for d in _wanted(changes.records) if not self.reliable(d)}
        records = tuple(
            replace(
                record,
                assets=tuple(
                    transitions.borne_out(each, lost, self.blobs.keys(), at)
                    for each in record.assets
                ),
            )
            for record in changes.records
        )
        return replace(changes, records=records)

    def write(self, mirror_id: int, changes: ReleaseChanges) -> None:
        """Let changes replace what is stored."""
        stored = self.records.setdefault(mirror_id, {})
        for record in changes.records:
            assets = sorted(map(transitions.recorded, record.assets), key=_order)
            bare = replace(record.release, assets=())
            new = replace(record, release=bare, assets=tuple(assets))
            stored[record.release.id] = new
        if changes.listed is not None:
            self.pages[mirror_id] = changes.pages

    def counts(self, mirror_id: int) -> ReleaseCounts:
        """Count a mirror's releases and assets."""
        records = self.records.get(mirror_id, {}).values()
        shown = [
            each
            for record, each in self.assets(mirror_id)
            if record.gone is None and each.gone is None
        ]
        states = [each.state for each in shown]
        here = [each for each in shown if each.state is AssetState.PRESENT]
        owed = [each.retry_at for each in shown if each.retry_at is not None]
        return ReleaseCounts(
            releases=sum(record.gone is None and record.selected for record in records),
            present=len(here),
            missing=states.count(AssetState.MISSING),
            damaged=states.count(AssetState.DAMAGED),
            size=sum(each.asset.size for each in here),
            retry_at=min(owed, default=None),
        )


def _wanted(records: Iterable[ReleaseRecord]) -> set[str]:
    """Return the blobs that records rely on."""
    assets = [each for record in records for each in record.assets]
    here = {a.blob for a in assets if a.state is AssetState.PRESENT and a.blob}
    return here | {a.attestation for a in assets if a.attestation is not None}


def _age(each: ReleaseRecord) -> tuple[datetime, int]:
    shown = each.release
    return shown.published or shown.created or _LONG_AGO, shown.id


def _order(each: AssetRecord) -> tuple[int, bool, datetime]:
    return each.asset.id, each.gone is None, each.gone or _LONG_AGO
