"""Statements about the bytes of assets: who needs which, lost, healed, given up.

The counts stand in the mirror's row, as those of LFS objects do; there are a few
thousand assets at most, so they are counted anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import and_, bindparam, case, func, null, or_, select, update

from syncer.catalog.blob_tables import blob
from syncer.catalog.release_rows import ASSET, read_asset
from syncer.catalog.release_tables import asset, release
from syncer.catalog.tables import mirror
from syncer.model.blobs import Blob
from syncer.model.releases import AssetState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import BindParameter, Connection

    from syncer.model.releases import AssetRecord, ReleaseChanges

_a, _r, _b = asset.c, release.c, blob.c
_DIGEST: BindParameter[str] = bindparam("turned")
_AT = bindparam("at", type_=_a.since.type)

_DAMAGE = (
    update(asset)
    .where(_a.blob == _DIGEST, _a.state.in_([AssetState.PRESENT, AssetState.DAMAGED]))
    .values(
        state=AssetState.DAMAGED,
        reason=bindparam("words"),
        since=case((_a.state == AssetState.DAMAGED, _a.since), else_=_AT),
        # What upstream does not show any more cannot be asked for.
        retry_at=case((_a.gone.is_(None), _AT), else_=null()),
    )
)
_HEAL = (
    update(asset)
    .where(_a.blob == _DIGEST, _a.state == AssetState.DAMAGED)
    .values(state=AssetState.PRESENT, reason=None, since=_AT, retry_at=None, tries=0)
)
_EXPIRE = (
    update(asset)
    .where(_a.id == bindparam("expired"))
    .values(
        state=AssetState.EXPIRED,
        since=_AT,
        **dict.fromkeys(("blob", "proof", "reason", "retry_at", "attestation")),
        tries=0,
    )
)
_PRESENT = _a.state == AssetState.PRESENT
_COUNTED = (
    select(
        func.count().filter(_PRESENT),
        func.count().filter(_a.state == AssetState.MISSING),
        func.count().filter(_a.state == AssetState.DAMAGED),
        func.coalesce(func.sum(_a.size).filter(_PRESENT), 0),
        func.min(_a.retry_at),
    )
    .join_from(asset, release)
    .where(_a.gone.is_(None), _r.gone.is_(None))
)
_RELEASES = select(func.count()).where(_r.gone.is_(None), _r.selected)


class Outdated(NamedTuple):
    """An asset whose bytes may be given up, and the tag of its release."""

    id: int
    tag: str
    record: AssetRecord


def present(changes: ReleaseChanges) -> set[str]:
    """Return the blobs that changes say are here."""
    return {
        each.blob
        for record in changes.records
        for each in record.assets
        if each.state is AssetState.PRESENT and each.blob is not None
    }


def attestations(changes: ReleaseChanges) -> set[str]:
    """Return the blobs of the attestations that changes name."""
    return {
        each.attestation
        for record in changes.records
        for each in record.assets
        if each.attestation is not None
    }


def count(conn: Connection, mirror_id: int) -> None:
    """Count a mirror's releases and assets anew."""
    counted = conn.execute(_COUNTED.where(_a.mirror_id == mirror_id)).one()
    here, lacking, damaged, size, retry_at = counted
    releases = conn.scalar(_RELEASES.where(_r.mirror_id == mirror_id))
    conn.execute(
        update(mirror)
        .where(mirror.c.id == mirror_id)
        .values(
            release_count=releases,
            assets_present=here,
            assets_missing=lacking,
            assets_damaged=damaged,
            assets_size=size,
            assets_retry_at=retry_at,
        )
    )


def blobs_of(conn: Connection, mirror_id: int) -> list[Blob]:
    """Return the blobs that a mirror's assets need, attestations included."""
    needed = select(_a.blob).where(_a.mirror_id == mirror_id, _a.blob.is_not(None))
    beside = select(_a.attestation).where(
        _a.mirror_id == mirror_id, _a.attestation.is_not(None)
    )
    found = select(_b.digest, _b.size).where(_b.digest.in_(needed.union(beside)))
    return [Blob(*row) for row in conn.execute(found.order_by(_b.digest))]


def damage(conn: Connection, digest: str, at: datetime, reason: str) -> set[int]:
    """Mark the assets whose bytes are lost; return the mirrors that need the blob."""
    conn.execute(_DAMAGE, {"turned": digest, "at": at, "words": reason})
    return _recount(conn, digest)


def heal(conn: Connection, healed: Mapping[str, datetime]) -> None:
    """Mark the assets whose blobs are right again, each as of a moment."""
    for digest, at in sorted(healed.items()):
        conn.execute(_HEAL, {"turned": digest, "at": at})
        _recount(conn, digest)


def _recount(conn: Connection, digest: str) -> set[int]:
    """Count anew the mirrors whose assets need a blob; by id, as probes flush."""
    owners = set(conn.scalars(select(_a.mirror_id).where(_a.blob == digest)))
    for mirror_id in sorted(owners):
        count(conn, mirror_id)
    attested = select(_a.mirror_id).where(_a.attestation == digest)
    return owners | set(conn.scalars(attested))


def outdated(
    conn: Connection, mirror_id: int, before: datetime, pinned: frozenset[str]
) -> list[Outdated]:
    """Return the assets that left before an instant and have bytes, but no pin."""
    left = func.coalesce(_a.gone, _r.gone) < before
    unwanted = and_(_a.state == AssetState.UNWANTED, _a.since < before)
    found = conn.execute(
        ASSET.add_columns(_a.id, _r.tag)
        .join_from(asset, release)
        .where(_a.mirror_id == mirror_id, or_(left, unwanted))
        .where(or_(_a.blob.is_not(None), _a.attestation.is_not(None)))
        .order_by(_r.upstream_id, _a.upstream_id, _a.id)
    )
    return [
        Outdated(id_, tag, read_asset(row))
        for *row, id_, tag in found
        if tag not in pinned
    ]


def expire(
    conn: Connection, mirror_id: int, old: list[Outdated], now: datetime
) -> None:
    """Give up the bytes of assets; they need no blob any more."""
    if old:
        conn.execute(_EXPIRE, [{"expired": each.id, "at": now} for each in old])
        count(conn, mirror_id)
