"""The blobs that a mirror needs, and what its assets among them are called."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from syncer.model.care import Needed
from syncer.model.lfs import LfsState
from syncer.model.releases import AssetState, Departure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from syncer.model.lfs import LfsObject
    from syncer.model.mirrors import RepoState
    from syncer.model.releases import AssetRecord, ReleaseRecord
    from syncer.sync.world import World

#: What is said of damage whose reason nobody recorded.
_BEFORE = "found damaged before"


def holdings(world: World, state: RepoState, *, lfs: bool) -> list[Needed]:
    """Return every blob that a mirror needs, once, the LFS objects' first.

    Without `lfs`, those that only LFS objects need are left out.
    """
    objects = world.index.objects(state.id) if lfs else []
    found = {each.oid: each for each in of_objects(objects)}
    found |= {each.oid: each for each in _of_assets(world, state, found.keys())}
    return list(found.values())


def of_objects(objects: Iterable[LfsObject]) -> Iterator[Needed]:
    """Yield the blobs of LFS objects; what never was here has none."""
    for each in objects:
        if not each.state.is_absent:
            is_bad = each.state is LfsState.DAMAGED
            yield Needed(*each.pointer, (each.reason or _BEFORE) if is_bad else None)


def _of_assets(
    world: World, state: RepoState, known: Iterable[str]
) -> Iterator[Needed]:
    """Yield the blobs of assets and attestations, tombstones' included."""
    known = frozenset(known)
    blobs = [b for b in world.index.asset_blobs(state.id) if b.digest not in known]
    stored = world.index.find(blob.digest for blob in blobs)
    bad = {digest for digest, each in stored.items() if each.damaged is not None}
    why = _reasons(world.releases.releases(state.id)) if bad else {}
    for digest, size in blobs:
        yield Needed(digest, size, why.get(digest, _BEFORE) if digest in bad else None)


def _reasons(records: Iterable[ReleaseRecord]) -> dict[str, str]:
    """Return why assets are damaged, by their blobs."""
    return {
        each.blob: each.reason
        for record in records
        for each in record.assets
        if each.state is AssetState.DAMAGED and each.blob and each.reason
    }


def names_of(records: Sequence[ReleaseRecord]) -> dict[str, tuple[str, ...]]:
    """Return what the assets that need a blob are called, by the blob's digest.

    As `v1.0/model.bin`; those that upstream shows no longer say so.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for record in records:
        for each in record.assets:
            name = _name(record.release.tag, each)
            if each.blob is not None:
                found[each.blob].append(name)
            if each.attestation is not None:
                found[each.attestation].append(f"the attestation of {name}")
    return {digest: tuple(names) for digest, names in found.items()}


def _name(tag: str, each: AssetRecord) -> str:
    name = f"{tag}/{each.asset.name}"
    if each.gone is None:
        return name
    replaced = each.departure is Departure.REPLACED
    return f"{name} ({'replaced' if replaced else 'deleted'} upstream)"
