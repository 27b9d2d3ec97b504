"""Statements about the other names of mirrors: those they had, or have upstream.

An alias never stands in the way of a mirror: it is looked for only where no
mirror is configured under a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select

from syncer.catalog.bulk import Among, insert, rows
from syncer.catalog.origin_tables import alias
from syncer.catalog.tables import mirror
from syncer.model.mirrors import Activity
from syncer.model.names import RepoName

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from sqlalchemy import Connection

_a, _m = alias.c, mirror.c
_BY_NAME = select(_a.identity, _a.mirror_id).where(Among(_a.identity))
# Of several that had a name, one that is configured, and that had it last.
_HOLDER = (
    select(_a.mirror_id)
    .join_from(alias, mirror)
    .where(_a.identity == bindparam("sought"))
    .order_by(_m.activity == Activity.REMOVED, _a.since.desc(), _a.mirror_id)
    .limit(1)
)
_REMOVE = delete(alias).where(
    _a.identity == bindparam("dropped"), _a.mirror_id == bindparam("holder")
)


def add(conn: Connection, names: Collection[tuple[str, int]], now: datetime) -> None:
    """Note (identity, mirror id) of other names; known ones keep their date."""
    if names:
        noted = insert(conn, alias).on_conflict_do_nothing()
        values = [
            {"identity": identity, "mirror_id": mirror_id, "since": now}
            for identity, mirror_id in sorted(names)
        ]
        conn.execute(noted, values)


def remove(conn: Connection, names: Collection[tuple[str, int]]) -> None:
    """Forget (identity, mirror id) of names that are configured now."""
    if names:
        conn.execute(_REMOVE, [{"dropped": name, "holder": id_} for name, id_ in names])


def clear(conn: Connection, mirror_id: int) -> None:
    """Forget all other names of a mirror."""
    conn.execute(delete(alias).where(_a.mirror_id == mirror_id))


def of(conn: Connection, mirror_id: int) -> list[str]:
    """Return a mirror's other names, sorted."""
    found = select(_a.identity).where(_a.mirror_id == mirror_id)
    return list(conn.scalars(found.order_by(_a.identity)))


def holder(conn: Connection, identity: str) -> int | None:
    """Return the id of the mirror that had a name last, if any did."""
    found = conn.scalar(_HOLDER, {"sought": identity})
    return None if found is None else int(found)


def holders(conn: Connection, identities: Iterable[str]) -> dict[str, set[int]]:
    """Return the ids of all mirrors that had each of many names."""
    found: dict[str, set[int]] = {}
    for identity, mirror_id in rows(conn, _BY_NAME, identities):
        found.setdefault(identity, set()).add(mirror_id)
    return found


def configured(conn: Connection, names: Iterable[RepoName]) -> dict[str, RepoName]:
    """Return the configured names of the mirrors that had names last, by identity."""
    identities = {name.identity for name in names}
    # Few names are an alias: those are asked for one by one.
    found = ((each, _configured(conn, each)) for each in holders(conn, identities))
    return {each: name for each, name in found if name is not None}


def _configured(conn: Connection, identity: str) -> RepoName | None:
    """Return the configured name of the mirror that had a name last.

    None for the name of a mirror: it is nobody's alias.
    """
    if conn.scalar(select(_m.id).where(_m.identity == identity)) is not None:
        return None
    found = select(_m.host, _m.owner, _m.name).where(_m.id == holder(conn, identity))
    row = conn.execute(found).one_or_none()
    return None if row is None else RepoName(*row)
