"""Statements about releases and assets: what is known of them, and what becomes of it.

Assets are written by whole releases: an id may stand for a file and for tombstones
of those that had it before, and a file that comes back is the same row's again.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, insert, select

from syncer.catalog import assets, blobs, bulk, pins, transitions
from syncer.catalog.release_rows import (
    ASSET,
    RELEASE,
    asset_values,
    read_asset,
    read_release,
    release_values,
)
from syncer.catalog.release_tables import asset, release
from syncer.errors import PermanentError
from syncer.model.releases import AssetState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from syncer.model.releases import AssetRecord, ReleaseChanges, ReleaseRecord

_r, _a = release.c, asset.c
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

_IDS = select(_r.upstream_id, _r.id)
_TAGS = select(_r.upstream_id, _r.tag)
_DUE = (
    ASSET.add_columns(_r.upstream_id.label("owner"))
    .join_from(asset, release)
    .where(_a.retry_at.is_not(None), _r.gone.is_(None))
    .order_by(_a.retry_at, _a.upstream_id)
)
_CLEAR = delete(asset).where(_a.release_id == bindparam("cleared"))
#: What a publication must not lose, or may rely on: assets whose bytes are here.
_HELD = select(_r.upstream_id, _a.upstream_id, _a.blob, _a.attestation).join_from(
    asset, release, and_(_a.release_id == _r.id, _a.state != AssetState.DAMAGED)
)


def records(conn: Connection, mirror_id: int) -> list[ReleaseRecord]:
    """Return every release with all its assets, newest first."""
    owned: dict[int, list[AssetRecord]] = defaultdict(list)
    for *row, owner in conn.execute(
        ASSET.add_columns(_a.release_id).where(_a.mirror_id == mirror_id)
    ):
        owned[owner].append(read_asset(row))
    found = [
        read_release(row, owned[id_])
        for *row, id_ in conn.execute(
            RELEASE.add_columns(_r.id).where(_r.mirror_id == mirror_id)
        )
    ]
    return sorted(found, key=_age, reverse=True)


def _age(each: ReleaseRecord) -> tuple[datetime, int]:
    shown = each.release
    return shown.published or shown.created or _LONG_AGO, shown.id


def due(
    conn: Connection, mirror_id: int, now: datetime
) -> list[tuple[int, AssetRecord]]:
    """Return (release id, asset) to ask upstream for again, the longest due first."""
    owed = _DUE.where(_a.mirror_id == mirror_id, _a.retry_at <= now)
    return [(owner, read_asset(row)) for *row, owner in conn.execute(owed)]


def check(conn: Connection, mirror_id: int, changes: ReleaseChanges) -> None:
    """Do nothing if changes can be published.

    Raises:
        PermanentError: bytes that they name are not known to be stored and right,
            or what they replace has bytes that they do not name.
    """
    held = conn.execute(_HELD.where(_a.mirror_id == mirror_id)).all()
    _check_complete(held, changes)
    # One that stands beside an asset already keeps no release back when it is lost.
    attested = assets.attestations(changes) - {row[3] for row in held}
    wanted = assets.present(changes) | attested
    lacking = sorted(wanted - blobs.reliable(conn, wanted))
    if lacking:
        msg = f"the blob {lacking[0]} is not known to be stored; nothing was published"
        raise PermanentError(msg)


def _check_complete(held: Sequence[Sequence[Any]], changes: ReleaseChanges) -> None:
    """Raise if bytes of a release that is replaced would be forgotten."""
    named = {each.release.id: _bytes(each) for each in changes.records}
    if len(named) < len(changes.records):
        msg = "a release is named twice; nothing was published"
        raise PermanentError(msg)
    for owner, id_, blob, _ in held:
        if blob is not None and owner in named and (id_, blob) not in named[owner]:
            named_not = f"release {owner} does not name asset {id_} with its bytes"
            msg = f"{named_not}; nothing was published"
            raise PermanentError(msg)


def _bytes(record: ReleaseRecord) -> set[tuple[int, str | None]]:
    return {(each.asset.id, each.blob) for each in record.assets}


def sound(
    conn: Connection, changes: ReleaseChanges, at: datetime
) -> tuple[ReleaseRecord, ...]:
    """Return the records of changes as the store can bear them out.

    Refs that moved stay moved: an asset that was lost since this was planned is
    due again, and so keeps no finish back.
    """
    wanted = assets.present(changes) | assets.attestations(changes)
    known = blobs.known(conn, wanted)
    lost = wanted - blobs.reliable(conn, wanted)
    if not lost:
        return changes.records
    return tuple(
        replace(
            record,
            assets=tuple(
                transitions.borne_out(each, lost, known, at) for each in record.assets
            ),
        )
        for record in changes.records
    )


def write(conn: Connection, mirror_id: int, changed: Sequence[ReleaseRecord]) -> None:
    """Let records replace what is stored below their ids, and count anew."""
    if not changed:
        return
    now = {each.release.id: each.release.tag for each in changed}
    tags = conn.execute(_TAGS.where(_r.mirror_id == mirror_id))
    moved = {tag: now[id_] for id_, tag in tags if now.get(id_, tag) != tag}
    if moved:
        pins.follow(conn, mirror_id, moved)
    added = bulk.insert(conn, release)
    kept = added.on_conflict_do_update(
        index_elements=["mirror_id", "upstream_id"],
        set_={c.name: added.excluded[c.name] for c in release.c if c.name != "id"},
    )
    conn.execute(kept, [release_values(mirror_id, each) for each in changed])
    found = conn.execute(_IDS.where(_r.mirror_id == mirror_id))
    ids: dict[int, int] = {row[0]: row[1] for row in found}
    conn.execute(_CLEAR, [{"cleared": ids[each.release.id]} for each in changed])
    rows = [
        asset_values(mirror_id, ids[record.release.id], transitions.recorded(each))
        for record in changed
        for each in record.assets
    ]
    if rows:
        conn.execute(insert(asset), rows)
    assets.count(conn, mirror_id)
