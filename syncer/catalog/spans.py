"""Statements about spans of the past: runs, lag and events between two instants.

A span has its start, and not its end, so that spans that follow each other have
everything once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from syncer.catalog import history, mirrors
from syncer.catalog.rows import RUN, read_run
from syncer.catalog.tables import audit_event
from syncer.catalog.tables import run as runs_
from syncer.model.runs import AuditEvent

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from syncer.model.names import RepoName
    from syncer.model.runs import LagSample, Outcome, SyncRun

#: Events that are read at a time.
PAGE = 1000

_e = audit_event.c
_EVENT = select(
    *(_e.id, _e.at, _e.actor, _e.action, _e.subject, _e.detail, _e.alarming)
).order_by(_e.at, _e.id)


def runs(conn: Connection, since: datetime, until: datetime) -> list[SyncRun]:
    """Return the runs that ended in a span, oldest first."""
    ended = runs_.c.ended
    wanted = RUN.where(ended >= since, ended < until).order_by(ended, runs_.c.id)
    return [read_run(row) for row in conn.execute(wanted)]


def latest(
    conn: Connection,
    name: RepoName | None,
    limit: int,
    since: datetime | None,
    outcome: Outcome | None,
) -> list[SyncRun]:
    """Return the latest runs, newest first; what is going on ended after everything."""
    c = runs_.c
    wanted = RUN.order_by(c.id.desc()).limit(limit)
    if name is not None:
        wanted = wanted.where(c.mirror_id == mirrors.state(conn, name).id)
    if since is not None:
        wanted = wanted.where(or_(c.ended >= since, c.ended.is_(None)))
    if outcome is not None:
        wanted = wanted.where(c.outcome == outcome)
    return [read_run(row) for row in conn.execute(wanted)]


def lag(conn: Connection, since: datetime, until: datetime) -> list[LagSample]:
    """Return the changes published in a span, oldest first."""
    return history.lag_samples(conn, since, until)


def events(
    conn: Connection, since: datetime, after: int, until: datetime | None
) -> list[tuple[int, AuditEvent]]:
    """Return (id, event) of a page of a span, oldest first.

    `since` and `after` are the instant and the id of the last event of the page
    before; of the first page, the start of the span and 0.
    """
    wanted = _EVENT.where(_e.at >= since, or_(_e.at > since, _e.id > after))
    if until is not None:
        wanted = wanted.where(_e.at < until)
    return [
        (id_, AuditEvent(*facts)) for id_, *facts in conn.execute(wanted.limit(PAGE))
    ]
