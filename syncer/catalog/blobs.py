"""Statements about blobs: which are stored, claimed, condemned, being removed.

Whether a blob may be removed is decided from rows of other transactions.  All
that change them (a claim, a link, a condemnation, a seizure) therefore run one
after the other: their callers hold `exclusively`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    and_,
    bindparam,
    case,
    delete,
    exists,
    literal,
    or_,
    select,
    update,
)

from syncer.catalog import weights
from syncer.catalog.blob_tables import blob, lfs_object, upload
from syncer.catalog.blob_tables import claim as claims
from syncer.catalog.bulk import Among, change, insert, rows
from syncer.catalog.release_tables import asset
from syncer.model.blobs import REMOVAL, Blob, StoredBlob, Upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

_b = blob.c
_RELIED_ON = (
    exists().where(lfs_object.c.blob == _b.digest),
    # Tombstones too, until their bytes are given up.
    exists().where(asset.c.blob == _b.digest),
    exists().where(asset.c.attestation == _b.digest),
    exists().where(claims.c.digest == _b.digest),
)
# One condition each: Postgres looks each up for all blobs at once then.
_FREE = and_(*(~each for each in _RELIED_ON))
_AMONG = Among(_b.digest)
_BLOB = select(_b.digest, _b.size)

_KNOWN = select(_b.digest).where(_AMONG)
_RELIABLE = _KNOWN.where(_b.removing.is_(None), _b.damaged.is_(None))
_DAMAGED = _KNOWN.where(_b.damaged.is_not(None))
_MARKED = select(_b.digest, _b.removing).where(_AMONG, _b.condemned.is_not(None))
_STORED = select(
    *(_b.digest, _b.size, _b.stored, _b.verified, _b.provenance),
    *(_b.condemned, _b.damaged),
).where(_AMONG, _b.removing.is_(None))
_CLAIMS = select(claims.c.digest).where(Among(claims.c.digest))

_PARDON = update(blob).where(_AMONG).values(condemned=None)
_VERIFY = update(blob).where(_AMONG).values(verified=bindparam("at"), damaged=None)
_SEIZE = update(blob).where(_AMONG).values(removing=bindparam("at"))
_FORGET = delete(blob).where(_AMONG, _b.removing.is_not(None))


def claim(
    conn: Connection, mirror_id: int, digests: Iterable[str], now: datetime
) -> frozenset[str]:
    """Rely on blobs; return those that are being removed, which nobody can."""
    wanted = set(digests)
    marked = [(row[0], row[1]) for row in rows(conn, _MARKED, wanted)]
    dying = {digest: since for digest, since in marked if since is not None}
    busy = frozenset(d for d, since in dying.items() if not _is_dead(since, now))
    # Nobody knows whether a dead removal came to the bytes.
    change(conn, _FORGET, dying.keys() - busy)
    change(conn, _PARDON, [digest for digest, since in marked if since is None])
    added = insert(conn, claims)
    kept = added.on_conflict_do_update(
        index_elements=["mirror_id", "digest"], set_={"at": added.excluded.at}
    )
    relied = sorted(wanted - busy)
    if relied:
        conn.execute(
            kept, [{"mirror_id": mirror_id, "digest": d, "at": now} for d in relied]
        )
    return busy


def _is_dead(since: datetime, now: datetime) -> bool:
    return since <= now - REMOVAL


def release(conn: Connection, mirror_id: int) -> None:
    """Delete a mirror's claims."""
    conn.execute(delete(claims).where(claims.c.mirror_id == mirror_id))


def claimed(conn: Connection, digests: Iterable[str]) -> frozenset[str]:
    """Return which digests somebody relies on."""
    return frozenset(row[0] for row in rows(conn, _CLAIMS, digests))


def orphans(conn: Connection, digests: Iterable[str]) -> frozenset[str]:
    """Return which digests are neither known nor claimed; what is needed is known."""
    unknown = set(digests) - known(conn, digests)
    return frozenset(unknown - claimed(conn, unknown))


def stored(conn: Connection, found: Iterable[StoredBlob]) -> dict[str, datetime]:
    """Record that blobs are in the store; return which it heals, and as of when."""
    by_digest = {each.blob.digest: each for each in found}
    healed = {row[0] for row in rows(conn, _DAMAGED, by_digest)}
    added = insert(conn, blob)
    new = added.excluded
    first = case((_b.provenance == literal(""), new.provenance), else_=_b.provenance)
    latest = case((_b.verified > new.verified, _b.verified), else_=new.verified)
    kept = added.on_conflict_do_update(
        index_elements=["digest"],
        set_={
            "size": new.size,
            "verified": latest,
            "provenance": first,
            **dict.fromkeys(("condemned", "removing", "damaged")),
        },
    )
    if by_digest:
        rows_ = [_values(by_digest[digest]) for digest in sorted(by_digest)]
        with weights.kept(conn, by_digest):
            conn.execute(kept, rows_)
    return {digest: by_digest[digest].stored for digest in healed}


def _values(each: StoredBlob) -> dict[str, Any]:
    return {
        "digest": each.blob.digest,
        "size": each.blob.size,
        "stored": each.stored,
        "verified": each.verified,
        "provenance": each.provenance,
    }


def find(conn: Connection, digests: Iterable[str]) -> dict[str, StoredBlob]:
    """Return what is known of blobs; one that is being removed is not known."""
    return {
        digest: StoredBlob(Blob(digest, size), *facts)
        for digest, size, *facts in rows(conn, _STORED, digests)
    }


def known(conn: Connection, digests: Iterable[str]) -> set[str]:
    """Return which digests have a row, be they damaged or being removed."""
    return {row[0] for row in rows(conn, _KNOWN, digests)}


def reliable(conn: Connection, digests: Iterable[str]) -> set[str]:
    """Return which blobs are in the store as far as we know, to stay there."""
    return {row[0] for row in rows(conn, _RELIABLE, digests)}


def verified(
    conn: Connection, digests: Sequence[str], at: datetime
) -> dict[str, datetime]:
    """Record that blobs are right; return which it heals, and as of when."""
    healed = {row[0]: at for row in rows(conn, _DAMAGED, digests)}
    with weights.kept(conn, digests):
        change(conn, _VERIFY, digests, {"at": at})
    return healed


def damaged(conn: Connection, digest: str, at: datetime) -> bool:
    """Record that a blob is lost or wrong, since when it was first seen to be.

    Return whether it was not known to be.
    """
    sound = update(blob).where(_b.digest == digest, _b.damaged.is_(None))
    with weights.kept(conn, [digest]):
        return conn.execute(sound.values(damaged=at)).rowcount > 0


def condemn(conn: Connection, now: datetime) -> list[Blob]:
    """Condemn what nothing needs; take back what something needs again."""
    kept = update(blob).where(_b.condemned.is_not(None), _b.removing.is_(None))
    conn.execute(kept.where(or_(*_RELIED_ON)).values(condemned=None))
    free = update(blob).where(_b.condemned.is_(None), _FREE)
    found = conn.execute(free.values(condemned=now).returning(_b.digest, _b.size))
    return sorted(Blob(*row) for row in found)


def to_condemn(conn: Connection) -> list[Blob]:
    """Return what `condemn` would."""
    free = _BLOB.where(_b.condemned.is_(None), _FREE)
    return [Blob(*row) for row in conn.execute(free.order_by(_b.digest))]


def condemned(conn: Connection, before: datetime) -> list[Blob]:
    """Return what waited long enough, what is being removed included."""
    old = or_(_b.condemned <= before, _b.removing.is_not(None))
    return _removable(conn, old, None)


def seize(conn: Connection, before: datetime, now: datetime, limit: int) -> list[Blob]:
    """Mark blobs as being removed: what waited long enough, and dead removals."""
    old = or_(
        (_b.condemned <= before) & _b.removing.is_(None), _b.removing <= now - REMOVAL
    )
    found = _removable(conn, old, limit)
    digests = [each.digest for each in found]
    with weights.kept(conn, digests):
        change(conn, _SEIZE, digests, {"at": now})
    return found


def _removable(
    conn: Connection, old: ColumnElement[bool], limit: int | None
) -> list[Blob]:
    free = _BLOB.where(_b.condemned.is_not(None), old, _FREE)
    first = free.order_by(_b.condemned, _b.digest).limit(limit)
    return [Blob(*row) for row in conn.execute(first)]


def removed(conn: Connection, digests: Iterable[str]) -> None:
    """Forget blobs that were being removed; one that is back by now stays."""
    change(conn, _FORGET, digests)


def begin_upload(conn: Connection, begun: Upload) -> None:
    """Note an upload, or that a noted one was begun anew."""
    added = insert(conn, upload).values(asdict(begun))
    again = {"digest": begun.digest, "size": begun.size, "started": begun.started}
    conn.execute(added.on_conflict_do_update(index_elements=["key"], set_=again))


def end_upload(conn: Connection, key: str) -> None:
    """Forget an upload."""
    conn.execute(delete(upload).where(upload.c.key == key))


def uploads(conn: Connection) -> list[Upload]:
    """Return the uploads that were not seen to end, oldest first."""
    c = upload.c
    oldest = select(c.key, c.digest, c.size, c.started).order_by(c.started, c.key)
    return [Upload(*row) for row in conn.execute(oldest)]
