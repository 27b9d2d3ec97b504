"""Statements about pins: tags that no retention rule touches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from syncer.catalog import history, mirrors
from syncer.catalog.origin_tables import pin
from syncer.model.releases import Pin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from syncer.model.runs import AuditEvent

_p = pin.c


def add(conn: Connection, mirror_id: int, new: Pin, event: AuditEvent) -> None:
    """Pin a tag; one that is pinned stays as it is, and nothing is audited.

    Raises:
        UnknownMirror: there is no such row.
    """
    mirrors.owned_state(conn, mirror_id)
    if conn.scalar(select(_p.tag).where(_p.mirror_id == mirror_id, _p.tag == new.tag)):
        return
    row = {"mirror_id": mirror_id, "tag": new.tag, "at": new.at, "actor": new.actor}
    conn.execute(insert(pin).values(row))
    history.audit(conn, event)


def remove(conn: Connection, mirror_id: int, tag: str, event: AuditEvent) -> bool:
    """Take a pin back; False, and nothing is audited, if there was none."""
    taken = delete(pin).where(_p.mirror_id == mirror_id, _p.tag == tag)
    if not conn.execute(taken).rowcount:
        return False
    history.audit(conn, event)
    return True


def follow(conn: Connection, mirror_id: int, moved: Mapping[str, str]) -> None:
    """Pin the tags that releases have now, where those they had are pinned."""
    pinned = {each.tag: each for each in of(conn, mirror_id)}
    for old, new in sorted(moved.items()):
        if old in pinned and new not in pinned:
            row = {"mirror_id": mirror_id, "tag": new, "at": pinned[old].at}
            conn.execute(insert(pin).values(row | {"actor": pinned[old].actor}))


def of(conn: Connection, mirror_id: int) -> list[Pin]:
    """Return a mirror's pins, by tag."""
    found = select(_p.tag, _p.at, _p.actor).where(_p.mirror_id == mirror_id)
    return [Pin(*row) for row in conn.execute(found.order_by(_p.tag))]
