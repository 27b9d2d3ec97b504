"""Statements about what happened: changes, findings, lag, audit, hosts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from syncer.catalog import mirrors, transitions
from syncer.catalog.rows import named
from syncer.catalog.tables import (
    audit_event,
    finding,
    host,
    lag_sample,
    mirror,
    ref_change,
)
from syncer.model.content import ChangeKind, Finding, RefChange
from syncer.model.runs import AuditEvent, LagSample, Published

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from syncer.model.names import RepoName
    from syncer.model.runs import Intent, SyncRun


def add_changes(conn: Connection, planned: Intent, run: SyncRun) -> None:
    """Append the ref changes that a run published."""
    rows = [
        {
            "mirror_id": planned.mirror_id,
            "run_id": planned.run_id,
            "generation": run.generation,
            "at": transitions.ended(run),
            "ref": change.ref,
            "old": change.old,
            "new": change.new,
            "kind": change.kind,
        }
        for change in planned.changes
    ]
    if rows:
        conn.execute(insert(ref_change), rows)


def changes(
    conn: Connection, name: RepoName, limit: int
) -> list[tuple[datetime, int, RefChange]]:
    """Return (when, generation, change), newest first."""
    c = ref_change.c
    found = conn.execute(
        select(c.at, c.generation, c.ref, c.old, c.new, c.kind)
        .where(c.mirror_id == mirrors.state(conn, name).id)
        .order_by(c.id.desc())
        .limit(limit)
    )
    return [
        (at, generation, RefChange(ref, old, new, ChangeKind(kind)))
        for at, generation, ref, old, new, kind in found
    ]


def add_findings(conn: Connection, run: SyncRun) -> None:
    """Insert what fsck had not reported of the mirror before."""
    if not run.findings:
        return
    known = {(f.oid, f.check) for f in findings(conn, run.mirror_id)}
    rows = {
        (f.oid, f.check): {
            "mirror_id": run.mirror_id,
            "oid": f.oid,
            "message_id": f.check,
            "text": f.text,
            "seen": transitions.ended(run),
        }
        for f in run.findings
        if (f.oid, f.check) not in known
    }
    if rows:
        conn.execute(insert(finding), list(rows.values()))


def findings(conn: Connection, mirror_id: int) -> list[Finding]:
    """Return what fsck reported of a mirror, by object."""
    c = finding.c
    found = select(c.oid, c.message_id, c.text).where(c.mirror_id == mirror_id)
    ordered = conn.execute(found.order_by(c.oid, c.message_id))
    return [Finding(oid, check, text) for oid, check, text in ordered]


def add_lag(conn: Connection, sample: LagSample) -> None:
    """Append a lag sample."""
    conn.execute(
        insert(lag_sample).values(
            mirror_id=sample.mirror_id,
            component=sample.component,
            observed=sample.observed,
            published=sample.published,
            not_before=sample.not_before,
        )
    )


def lag_samples(
    conn: Connection, since: datetime, until: datetime | None = None
) -> list[LagSample]:
    """Return the changes published since an instant, oldest first."""
    c = lag_sample.c
    wanted = (
        select(mirror.c.host, mirror.c.owner, mirror.c.name)
        .add_columns(c.mirror_id, c.component, c.observed, c.published, c.not_before)
        .join_from(lag_sample, mirror)
        .where(c.published >= since)
        .order_by(c.published, c.id)
    )
    if until is not None:
        wanted = wanted.where(c.published < until)
    # By position, all at once: a month of 10,000 mirrors has 250,000 of them.
    return [
        LagSample(id_, named(host, owner, name), component, seen, shown, before)
        for host, owner, name, id_, component, seen, shown, before in conn.execute(
            wanted
        ).all()
    ]


def published(conn: Connection, since: datetime) -> list[Published]:
    """Return when changes were seen and published, of those since an instant."""
    c = lag_sample.c
    wanted = select(c.mirror_id, c.observed, c.published).where(c.published >= since)
    return list(map(Published._make, conn.execute(wanted).all()))


def audit(conn: Connection, event: AuditEvent) -> None:
    """Append an event."""
    conn.execute(insert(audit_event).values(asdict(event)))


def audit_events(
    conn: Connection, limit: int, subject: str | None, since: datetime | None
) -> list[AuditEvent]:
    """Return the latest events, newest first: of one subject, since an instant."""
    c = audit_event.c
    latest = select(c.at, c.actor, c.action, c.subject, c.detail, c.alarming)
    if subject is not None:
        latest = latest.where(c.subject == subject)
    if since is not None:
        latest = latest.where(c.at >= since)
    found = conn.execute(latest.order_by(c.id.desc()).limit(limit))
    return [AuditEvent(*row) for row in found]


def capabilities(conn: Connection) -> dict[str, str]:
    """Return what each host's git server can do."""
    rows = conn.execute(select(host.c.name, host.c.capabilities))
    return {name: known for name, known in rows}  # noqa: C416 - a Row is no pair to mypy


def store_capabilities(conn: Connection, name: str, text: str, at: datetime) -> None:
    """Keep what a host's git server can do, instead of what it could."""
    values = {"capabilities": text, "checked": at}
    known = conn.execute(update(host).where(host.c.name == name).values(values))
    if not known.rowcount:
        conn.execute(insert(host).values(name=name, **values))
