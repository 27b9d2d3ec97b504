"""Releases and assets become rows here, and rows become releases and assets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from syncer.catalog.release_tables import asset, release
from syncer.model.releases import (
    Asset,
    AssetRecord,
    AssetState,
    Author,
    Departure,
    Proof,
    Release,
    ReleaseRecord,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_r, _a = release.c, asset.c

#: The columns that `read_release` unpacks, in its order.
RELEASE = select(
    *(_r.upstream_id, _r.node_id, _r.tag, _r.target, _r.title, _r.body),
    *(_r.author_id, _r.author_login, _r.draft, _r.prerelease, _r.immutable),
    *(_r.created, _r.published, _r.updated, _r.gone, _r.selected),
)

#: The columns that `read_asset` unpacks, in its order.
ASSET = select(
    *(_a.upstream_id, _a.node_id, _a.name, _a.size, _a.digest, _a.uploaded),
    *(_a.label, _a.content_type, _a.created, _a.updated),
    *(_a.uploader_id, _a.uploader_login),
    *(_a.state, _a.blob, _a.proof, _a.reason, _a.since, _a.retry_at, _a.tries),
    *(_a.gone, _a.departure, _a.attestation),
)


def read_release(row: Sequence[Any], assets: Iterable[AssetRecord]) -> ReleaseRecord:
    """Return the release in one row of `RELEASE`, with its assets in order."""
    id_, node_id, tag, target, title, body, author, login, *rest = row
    draft, prerelease, immutable, created, published, updated, gone, selected = rest
    shown = Release(
        id=id_,
        node_id=node_id,
        tag=tag,
        target=target,
        title=title,
        body=body,
        author=_author(author, login),
        draft=draft,
        prerelease=prerelease,
        immutable=immutable,
        created=created,
        published=published,
        updated=updated,
    )
    ordered = sorted(assets, key=_order)
    return ReleaseRecord(shown, tuple(ordered), gone=gone, selected=selected)


def _order(each: AssetRecord) -> tuple[int, str]:
    """By id; of those that share one, what left first comes first."""
    return each.asset.id, "~" if each.gone is None else each.gone.isoformat()


def read_asset(row: Sequence[Any]) -> AssetRecord:
    """Return the asset in one row of `ASSET`."""
    id_, node_id, name, size, digest, uploaded, label, kind, *rest = row
    created, updated, uploader, login, *known = rest
    state, blob, proof, reason, since, retry_at, tries, *known = known
    gone, departure, attestation = known
    shown = Asset(
        id=id_,
        node_id=node_id,
        name=name,
        size=size,
        digest=digest,
        uploaded=uploaded,
        label=label,
        content_type=kind,
        created=created,
        updated=updated,
        uploader=_author(uploader, login),
    )
    return AssetRecord(
        shown,
        AssetState(state),
        blob=blob,
        proof=None if proof is None else Proof(proof),
        reason=reason,
        since=since,
        retry_at=retry_at,
        tries=tries,
        gone=gone,
        departure=None if departure is None else Departure(departure),
        attestation=attestation,
    )


def _author(id_: int | None, login: str | None) -> Author | None:
    return None if id_ is None or login is None else Author(id_, login)


def release_values(mirror_id: int, each: ReleaseRecord) -> dict[str, Any]:
    """Return the row of a release; its assets have rows of their own."""
    shown = each.release
    id_, login = shown.author or (None, None)
    return {
        "mirror_id": mirror_id,
        "upstream_id": shown.id,
        "node_id": shown.node_id,
        "tag": shown.tag,
        "target": shown.target,
        "title": shown.title,
        "body": shown.body,
        "author_id": id_,
        "author_login": login,
        "draft": shown.draft,
        "prerelease": shown.prerelease,
        "immutable": shown.immutable,
        "created": shown.created,
        "published": shown.published,
        "updated": shown.updated,
        "selected": each.selected,
        "gone": each.gone,
    }


def asset_values(mirror_id: int, release_id: int, each: AssetRecord) -> dict[str, Any]:
    """Return the row of an asset of the release that has a row's id."""
    shown = each.asset
    id_, login = shown.uploader or (None, None)
    return {
        "mirror_id": mirror_id,
        "release_id": release_id,
        "upstream_id": shown.id,
        "node_id": shown.node_id,
        "name": shown.name,
        "label": shown.label,
        "content_type": shown.content_type,
        "size": shown.size,
        "digest": shown.digest,
        "uploaded": shown.uploaded,
        "created": shown.created,
        "updated": shown.updated,
        "uploader_id": id_,
        "uploader_login": login,
        "state": each.state,
        "blob": each.blob,
        "proof": each.proof,
        "reason": each.reason,
        "since": each.since,
        "retry_at": each.retry_at,
        "tries": each.tries,
        "gone": each.gone,
        "departure": each.departure,
        "attestation": each.attestation,
    }
