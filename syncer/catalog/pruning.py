"""Statements that drop what is old, a batch at a time.

A batch is what lies between two instants.  Who asks for it commits after each, so
that those who write wait for one batch at most.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import and_, delete, exists, select, update

from syncer.catalog.operations_tables import incident, storage_sample
from syncer.catalog.tables import audit_event, intent, lag_sample, ref_change, run

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Connection, Table

#: Rows that one batch looks at.
BATCH = 1000
#: Before everything.
START = datetime.min.replace(tzinfo=UTC)


class Old(NamedTuple):
    """What ages: the column that says how old a row is, and which rows may go."""

    table: Table
    at: Column[datetime]
    free: ColumnElement[bool]


_later = run.alias("later")
_RUN_FREE = and_(
    # The index of open runs is not asked for this: those have no `ended`.
    exists().where(_later.c.mirror_id == run.c.mirror_id, _later.c.id > run.c.id),
    ~exists().where(intent.c.run_id == run.c.id),
    ~exists().where(ref_change.c.run_id == run.c.id),
)
#: An incident that was made from an event goes after it: the event would be filed
#: anew.
_FILED = incident.c.event_id.is_not(None)

AUDIT = Old(audit_event, audit_event.c.at, audit_event.c.id.is_not(None))
HISTORY = (
    Old(run, run.c.ended, _RUN_FREE),
    Old(lag_sample, lag_sample.c.published, lag_sample.c.id.is_not(None)),
    Old(storage_sample, storage_sample.c.at, storage_sample.c.id.is_not(None)),
    Old(incident, incident.c.began, and_(incident.c.ended.is_not(None), ~_FILED)),
)


def batch(
    conn: Connection, old: Old, after: datetime, before: datetime
) -> datetime | None:
    """Return the instant at which the next batch ends, if anything is left.

    `after` is where the last one ended.
    """
    left = select(old.at).where(old.at > after, old.at < before).order_by(old.at)
    last = conn.scalar(left.offset(BATCH - 1).limit(1))
    if last is not None:
        return last
    newest = select(old.at).where(old.at > after, old.at < before)
    return conn.scalar(newest.order_by(old.at.desc()).limit(1))


def drop(conn: Connection, old: Old, after: datetime, last: datetime) -> int:
    """Delete what may go of a batch; return how many rows went."""
    of_batch = and_(old.at > after, old.at <= last)
    if old.table is audit_event:
        filed = select(audit_event.c.id).where(of_batch)
        conn.execute(
            update(incident).where(incident.c.event_id.in_(filed)).values(event_id=None)
        )
    return conn.execute(delete(old.table).where(of_batch, old.free)).rowcount
