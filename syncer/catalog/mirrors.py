"""Statements about mirrors: which there are, and the state each is in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, case, delete, insert, select, update

from syncer.catalog import transitions
from syncer.catalog.rows import STATE, held_values, read_state, state_values
from syncer.catalog.tables import OWNED, accepted_object, mirror
from syncer.errors import PermanentError, UnknownMirror
from syncer.model.mirrors import Activity
from syncer.model.runs import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select

    from syncer.model.content import RefSnapshot
    from syncer.model.mirrors import Held, RepoState
    from syncer.model.names import RepoName
    from syncer.model.runs import AuditEvent, Probe, ProbeResult

_CONFIGURED = STATE.where(mirror.c.activity != Activity.REMOVED).order_by(
    mirror.c.identity
)

_started = bindparam("probed", type_=mirror.c.last_attempt.type)
_latest = mirror.c.last_attempt.is_(None) | (mirror.c.last_attempt <= _started)
# A probe may be flushed after a later attempt was recorded: times never go
# back, and what that attempt found is not overwritten.
_FLUSH = (
    update(mirror)
    .where(mirror.c.id == bindparam("mirror_id"))
    .values(
        last_attempt=case((_latest, _started), else_=mirror.c.last_attempt),
        last_success=case(
            (mirror.c.last_success > _started, mirror.c.last_success), else_=_started
        ),
        behind_since=case(
            (mirror.c.behind_since > _started, mirror.c.behind_since), else_=None
        ),
        failures=case((_latest, 0), else_=mirror.c.failures),
        error=case((_latest, None), else_=mirror.c.error),
        not_before=case((_latest, None), else_=mirror.c.not_before),
        outcome=case(
            (~_latest, mirror.c.outcome),
            (mirror.c.outcome == Outcome.PARTIAL.value, mirror.c.outcome),
            (mirror.c.outcome == Outcome.HELD.value, mirror.c.outcome),
            (mirror.c.held.is_not(None), Outcome.HELD.value),
            else_=Outcome.UNCHANGED.value,
        ),
    )
)


class Changes(NamedTuple):
    """What would make the mirrors those of the configuration."""

    added: list[dict[str, Any]]
    updated: list[dict[str, Any]]

    def __bool__(self) -> bool:
        return bool(self.added or self.updated)


def compare(
    conn: Connection, wanted: Sequence[tuple[RepoName, str]], now: datetime
) -> Changes:
    """Return how the mirrors differ from those that are wanted."""
    c = mirror.c
    present = {
        row[0]: row
        for row in conn.execute(
            select(c.identity, c.host, c.owner, c.name, c.tier, c.activity, c.id)
        )
    }
    changes = Changes([], [])
    for name, tier in wanted:
        row = present.pop(name.identity, None)
        if row is None:
            changes.added.append(_new(name, tier, now))
            continue
        activity = row[5] if row[5] != Activity.REMOVED else Activity.ACTIVE
        told = (name.host, name.owner, name.name, tier, activity)
        if told != row[1:6]:
            changes.updated.append(_told(row[6], *told))
    changes.updated.extend(
        _told(row[6], *row[1:5], Activity.REMOVED)
        for row in present.values()
        if row[5] != Activity.REMOVED
    )
    return changes


def _told(mirror_id: int, *told: str) -> dict[str, Any]:
    columns = ("host", "owner", "name", "tier", "activity")
    return {"mirror_id": mirror_id, **dict(zip(columns, told, strict=True))}


def _new(name: RepoName, tier: str, now: datetime) -> dict[str, Any]:
    return {
        "identity": name.identity,
        "host": name.host,
        "owner": name.owner,
        "name": name.name,
        "path": name.path,
        "tier": tier,
        "activity": Activity.ACTIVE,
        "added": now,
        **dict.fromkeys(("ref_count", "generation", "failures", "packs", "size"), 0),
        **dict.fromkeys(("rate_hour", "rate_day", "rate_fortnight"), 0.0),
    }


def apply(conn: Connection, changes: Changes) -> None:
    """Write what `compare` found."""
    if changes.updated:
        by_id = update(mirror).where(mirror.c.id == bindparam("mirror_id"))
        conn.execute(by_id, changes.updated)
    if changes.added:
        conn.execute(insert(mirror), changes.added)


def states(conn: Connection) -> list[RepoState]:
    """Return the mirrors that are configured, by name."""
    return [read_state(row) for row in conn.execute(_CONFIGURED)]


def state(conn: Connection, name: RepoName) -> RepoState:
    """Return the mirror of this name.

    Raises:
        UnknownMirror: there is none.
    """
    return _one(conn, STATE.where(mirror.c.identity == name.identity), name.short)


def owned_state(conn: Connection, mirror_id: int) -> RepoState:
    """Return a mirror and keep others from changing it until the commit.

    SQLite needs no such thing: a writer is alone there from its first word.

    Raises:
        UnknownMirror: there is none.
    """
    statement = STATE.where(mirror.c.id == mirror_id).with_for_update(key_share=True)
    return _one(conn, statement, f"number {mirror_id}")


def _one(conn: Connection, statement: Select[Any], shown: str) -> RepoState:
    row = conn.execute(statement).one_or_none()
    if row is None:
        msg = f"the mirror {shown} is not in the catalog"
        raise UnknownMirror(msg, hint="`syncer list` shows the mirrors there are")
    return read_state(row)


def store(conn: Connection, after: RepoState) -> None:
    """Write what the end of a run may have changed."""
    conn.execute(
        update(mirror).where(mirror.c.id == after.id).values(state_values(after))
    )


def confirm(
    conn: Connection, state: RepoState, probe: Probe, stamp: str, refs: RefSnapshot
) -> None:
    """Record that the published refs were found equal to upstream's."""
    store(
        conn,
        transitions.confirmed(owned_state(conn, state.id), probe, stamp, refs),
    )


def set_paused(conn: Connection, name: RepoName, *, paused: bool) -> None:
    """Take a mirror out of the schedule, or back in."""
    found = state(conn, name)
    if found.activity is Activity.REMOVED:
        msg = f"{name} is no longer configured; nothing was changed"
        raise PermanentError(msg, hint=f"run `syncer add {name}` first")
    activity = Activity.PAUSED if paused else Activity.ACTIVE
    conn.execute(
        update(mirror).where(mirror.c.id == found.id).values(activity=activity)
    )


def accept(
    conn: Connection, name: RepoName, event: AuditEvent, oid: str | None
) -> Held:
    """Mark what holds a mirror as accepted, or accept one object.

    Raises:
        PermanentError: nothing is held.
    """
    found = owned_state(conn, state(conn, name).id)
    held = transitions.accepted(found.held, event, oid)
    if held is None:
        msg = f"nothing of {name} waits to be accepted; nothing was changed"
        raise PermanentError(msg)
    if found.held is not None and held == replace(found.held, accepted=True):
        conn.execute(
            update(mirror).where(mirror.c.id == found.id).values(held=held_values(held))
        )
    if held.oid is not None and held.oid not in accepted_objects(conn, found.id):
        conn.execute(
            insert(accepted_object).values(
                mirror_id=found.id, oid=held.oid, at=event.at, actor=event.actor
            )
        )
    return held


def accepted_objects(conn: Connection, mirror_id: int) -> list[str]:
    """Return the object ids that a person accepted, sorted."""
    c = accepted_object.c
    found = select(c.oid).where(c.mirror_id == mirror_id).order_by(c.oid)
    return list(conn.scalars(found))


def flush(conn: Connection, results: Sequence[ProbeResult]) -> None:
    """Store unchanged probes.

    By id, so that two flushes at once wait for each other instead of
    locking each other out.
    """
    rows = sorted((result.mirror_id, result.started) for result in results)
    conn.execute(_FLUSH, [{"mirror_id": id_, "probed": at} for id_, at in rows])


def maintained(conn: Connection, mirror_id: int, at: datetime, size: int) -> None:
    """Record that a repository's packs are in order."""
    conn.execute(
        update(mirror)
        .where(mirror.c.id == mirror_id)
        .values(packs=0, maintained=at, size=size)
    )


def purge(conn: Connection, name: RepoName) -> None:
    """Delete every row of a mirror that is no longer configured.

    Raises:
        PermanentError: it still is.
    """
    found = state(conn, name)
    if found.activity is not Activity.REMOVED:
        msg = f"{name} is still configured; nothing was deleted"
        raise PermanentError(msg, hint=f"run `syncer remove {name}` first")
    for table in OWNED:
        conn.execute(delete(table).where(table.c.mirror_id == found.id))
    conn.execute(delete(mirror).where(mirror.c.id == found.id))
