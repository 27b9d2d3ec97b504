"""Statements about incidents: begun, over, and who was told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, exists, or_, select, update

from syncer.catalog.bulk import insert
from syncer.catalog.operations_tables import incident
from syncer.catalog.tables import audit_event, mirror
from syncer.model.incidents import Incident, Kind
from syncer.model.runs import AuditEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select

_c = incident.c
#: The columns that `_read` unpacks, in its order.
_INCIDENT = select(
    *(_c.kind, _c.subject, _c.began, _c.detail, _c.mirror_id, _c.ended),
    *(_c.event_id, _c.id, _c.told, _c.recovery_told),
).order_by(_c.began, _c.id)
_OPEN = _c.ended.is_(None)
_AT = bindparam("at", type_=_c.ended.type)
_ONE = update(incident).where(_c.id == bindparam("one"))
_END = _ONE.where(_OPEN).values(ended=case((_c.began > _AT, _c.began), else_=_AT))
_TOLD = _ONE.where(_c.told.is_(None)).values(told=_AT)
_RECOVERED = _ONE.where(_c.recovery_told.is_(None)).values(recovery_told=_AT)
_UNTOLD = or_(
    _c.told.is_(None),
    and_(_c.ended > _c.began, _c.recovery_told.is_(None)),
)


def begin(conn: Connection, begun: Iterable[Incident]) -> list[Incident]:
    """Insert the incidents that are not known; return these, with their ids.

    Three constraints say what is known, so that of two who ask at once one is first.
    """
    new = []
    for each in begun:
        row = insert(conn, incident).values(_values(each)).on_conflict_do_nothing()
        stored = conn.execute(row.returning(_c.id, _c.mirror_id)).one_or_none()
        if stored is not None:
            new.append(replace(each, id=stored[0], mirror_id=stored[1]))
    return new


def _values(each: Incident) -> dict[str, Any]:
    # A mirror that was purged meanwhile is told of by its name alone.
    present = select(mirror.c.id).where(mirror.c.id == each.mirror_id)
    return {
        "kind": each.kind,
        "subject": each.subject,
        "began": each.began,
        "ended": each.ended,
        "detail": each.detail,
        "mirror_id": present.scalar_subquery(),
        "event_id": each.event_id,
        "told": each.told,
        "recovery_told": each.recovery_told,
    }


def end(conn: Connection, ids: Iterable[int], at: datetime) -> None:
    """Record that open incidents are over, not before they began."""
    rows = [{"one": each, "at": at} for each in sorted(ids)]
    if rows:
        conn.execute(_END, rows)


def told(conn: Connection, ids: Iterable[int], at: datetime, *, recovery: bool) -> None:
    """Record when people were first told of incidents, or of their ends."""
    rows = [{"one": each, "at": at} for each in sorted(ids)]
    if rows:
        conn.execute(_RECOVERED if recovery else _TOLD, rows)


def lasting(conn: Connection) -> list[Incident]:
    """Return the open incidents, oldest first."""
    return _all(conn, _INCIDENT.where(_OPEN))


def since(
    conn: Connection, start: datetime, kinds: Iterable[Kind] | None
) -> list[Incident]:
    """Return the incidents that lasted into, or began after, an instant."""
    wanted = _INCIDENT.where(or_(_OPEN, _c.ended >= start))
    if kinds is not None:
        wanted = wanted.where(_c.kind.in_([kind.value for kind in kinds]))
    return _all(conn, wanted)


def untold(conn: Connection, start: datetime) -> list[Incident]:
    """Return the incidents since an instant that there is something to tell of."""
    return _all(conn, _INCIDENT.where(_c.began >= start, _UNTOLD))


def unfiled(conn: Connection, start: datetime) -> list[tuple[int, AuditEvent]]:
    """Return (id, event) of alarming events without an incident, oldest first."""
    e = audit_event.c
    found = conn.execute(
        select(e.id, e.at, e.actor, e.action, e.subject, e.detail, e.alarming)
        .where(e.at >= start, e.alarming)
        .where(~exists().where(_c.event_id == e.id))
        .order_by(e.at, e.id)
    )
    return [(id_, AuditEvent(*facts)) for id_, *facts in found]


def _all(conn: Connection, wanted: Select[Any]) -> list[Incident]:
    return [_read(row) for row in conn.execute(wanted)]


def _read(row: Sequence[Any]) -> Incident:
    kind, *facts = row
    return Incident(Kind(kind), *facts)
