"""Statements about the LFS objects of mirrors, and the counts of them.

The counts stand in the mirror's row and change with the rows they count, by
differences: counting 100,000 rows anew for each hundred would take longer than
the hundred.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, update

from syncer.catalog import blobs, transitions
from syncer.catalog.blob_tables import lfs_object
from syncer.catalog.bulk import Among, insert, rows
from syncer.catalog.tables import mirror
from syncer.errors import PermanentError
from syncer.model.lfs import LfsCounts, LfsObject, LfsPointer, LfsState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select

_o = lfs_object.c
_STATES = {state.value: state for state in LfsState}
#: The columns that `_read` unpacks, in its order.
_OBJECT = select(
    *(_o.oid, _o.size, _o.state, _o.reason, _o.since, _o.retry_at, _o.tries)
)
_OWED = select(func.min(_o.retry_at)).where(
    _o.mirror_id == mirror.c.id, _o.retry_at.is_not(None)
)
_COUNT = (
    update(mirror)
    .where(mirror.c.id == bindparam("counted"))
    .values(
        lfs_present=mirror.c.lfs_present + bindparam("more_present"),
        lfs_missing=mirror.c.lfs_missing + bindparam("more_missing"),
        lfs_damaged=mirror.c.lfs_damaged + bindparam("more_damaged"),
        lfs_size=mirror.c.lfs_size + bindparam("more_size"),
        lfs_retry_at=_OWED.scalar_subquery(),
    )
)


def link(conn: Connection, mirror_id: int, objects: Sequence[LfsObject]) -> None:
    """Record what became of a mirror's objects.

    Raises:
        PermanentError: one is said to be here, and the store has no such blob.
    """
    before = known(conn, mirror_id, [each.pointer.oid for each in objects])
    after = dict(before)
    for each in objects:
        oid = each.pointer.oid
        after[oid] = transitions.linked(after.get(oid), each)
    changed = {oid: now for oid, now in after.items() if now != before.get(oid)}
    if not changed:
        return
    _check_stored(conn, changed.values())
    _write(conn, mirror_id, changed)
    replaced = [before[oid] for oid in changed if oid in before]
    _count(conn, [_difference(mirror_id, replaced, changed.values())])


def _check_stored(conn: Connection, objects: Iterable[LfsObject]) -> None:
    """Raise unless the blobs that objects need are there.

    The foreign key says it of all of them; one that is being removed, or is
    known to be wrong, is not there either.
    """
    present = {each.pointer.oid for each in objects if each.state is LfsState.PRESENT}
    lacking = sorted(present - blobs.reliable(conn, present))
    if lacking:
        msg = f"the blob {lacking[0]} is not known to be stored; nothing was linked"
        raise PermanentError(msg)


def _write(conn: Connection, mirror_id: int, objects: Mapping[str, LfsObject]) -> None:
    added = insert(conn, lfs_object)
    columns = ("size", "state", "blob", "reason", "since", "retry_at", "tries")
    kept = added.on_conflict_do_update(
        index_elements=["mirror_id", "oid"],
        set_={column: added.excluded[column] for column in columns},
    )
    conn.execute(kept, [_values(mirror_id, objects[oid]) for oid in sorted(objects)])


def _values(mirror_id: int, each: LfsObject) -> dict[str, Any]:
    oid, size = each.pointer
    return {
        "mirror_id": mirror_id,
        "oid": oid,
        "size": size,
        "state": each.state,
        "blob": None if each.state.is_absent else oid,
        "reason": each.reason,
        "since": each.since,
        "retry_at": each.retry_at,
        "tries": each.tries,
    }


def _difference(
    mirror_id: int, before: Collection[LfsObject], after: Collection[LfsObject]
) -> dict[str, int]:
    """Return what becomes of the counts when rows of a mirror are replaced."""
    states: Counter[LfsState] = Counter(each.state for each in after)
    size = sum(each.pointer.size for each in after if _is_here(each))
    states.subtract(each.state for each in before)
    return {
        "counted": mirror_id,
        "more_present": states[LfsState.PRESENT],
        "more_missing": states[LfsState.MISSING],
        "more_damaged": states[LfsState.DAMAGED],
        "more_size": size - sum(each.pointer.size for each in before if _is_here(each)),
    }


def _is_here(each: LfsObject) -> bool:
    return each.state is LfsState.PRESENT


def _count(conn: Connection, differences: Iterable[dict[str, int]]) -> None:
    """Add to the counts of mirrors; by id, as the flush of probes does."""
    ordered = sorted(differences, key=itemgetter("counted"))
    if ordered:
        conn.execute(_COUNT, ordered)


def damage(conn: Connection, digest: str, at: datetime, reason: str) -> set[int]:
    """Mark the objects that need a blob; return the mirrors that they are of."""
    return _turn(conn, digest, LfsState.DAMAGED, at, reason)


def heal(conn: Connection, healed: Mapping[str, datetime]) -> None:
    """Mark the objects whose blobs are right again, each as of a moment."""
    for digest, at in sorted(healed.items()):
        _turn(conn, digest, LfsState.PRESENT, at, None)


def _turn(
    conn: Connection, digest: str, state: LfsState, at: datetime, reason: str | None
) -> set[int]:
    """Give the objects that need a blob their state; return whose they are."""
    owned = _OBJECT.add_columns(_o.mirror_id).where(_o.blob == digest)
    retry_at = None if state is LfsState.PRESENT else at
    counted = []
    for *row, mirror_id in conn.execute(owned).all():
        old = _read(row)
        turned = replace(old, state=state, reason=reason, since=at, retry_at=retry_at)
        new = transitions.linked(old, turned)
        _write(conn, mirror_id, {digest: new})
        counted.append(_difference(mirror_id, [old], [new]))
    _count(conn, counted)
    return {each["counted"] for each in counted}


def objects(conn: Connection, mirror_id: int) -> list[LfsObject]:
    """Return a mirror's objects, by oid."""
    return _all(conn, _of(mirror_id).order_by(_o.oid))


def absent(conn: Connection, mirror_id: int) -> list[LfsObject]:
    """Return the objects that upstream does not give, by oid."""
    # The index of `blob` has them next to each other: few rows of few mirrors.
    return _all(conn, _of(mirror_id).where(_o.blob.is_(None)).order_by(_o.oid))


def known(
    conn: Connection, mirror_id: int, oids: Iterable[str]
) -> dict[str, LfsObject]:
    """Return those of a mirror's objects that `oids` name."""
    among = _of(mirror_id).where(Among(_o.oid))
    return {row[0]: _read(row) for row in rows(conn, among, oids)}


def due(conn: Connection, mirror_id: int, now: datetime) -> list[LfsObject]:
    """Return the objects to ask upstream for again, the longest due first."""
    owed = _of(mirror_id).where(_o.retry_at.is_not(None), _o.retry_at <= now)
    return _all(conn, owed.order_by(_o.retry_at, _o.oid))


def _of(mirror_id: int) -> Select[Any]:
    return _OBJECT.where(_o.mirror_id == mirror_id)


def _all(conn: Connection, wanted: Select[Any]) -> list[LfsObject]:
    return [_read(row) for row in conn.execute(wanted)]


def _read(row: Sequence[Any]) -> LfsObject:
    oid, size, state, *facts = row
    return LfsObject(LfsPointer(oid, size), _STATES[state], *facts)


def counts(conn: Connection, mirror_id: int) -> LfsCounts:
    """Return a mirror's counts; none for a mirror that is not there."""
    c = mirror.c
    columns = (c.lfs_present, c.lfs_missing, c.lfs_damaged, c.lfs_size, c.lfs_retry_at)
    row = conn.execute(select(*columns).where(c.id == mirror_id)).one_or_none()
    return LfsCounts() if row is None else LfsCounts(*row)


def mark_scanned(conn: Connection, mirror_id: int, at: datetime | None) -> None:
    """Record when a mirror's objects were searched for pointers."""
    scanned = update(mirror).where(mirror.c.id == mirror_id)
    conn.execute(scanned.values(lfs_scanned=at))
