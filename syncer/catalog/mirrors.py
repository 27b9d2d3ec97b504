"""Statements about mirrors: which there are, and the state each is in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    TypeDecorator,
    bindparam,
    case,
    delete,
    insert,
    select,
    update,
)

from syncer.catalog import aliases, counters, counting, transitions
from syncer.catalog.rows import STATE, held_values, read_state, state_values
from syncer.catalog.tables import OWNED, accepted_object, mirror
from syncer.errors import PermanentError, UnknownMirror
from syncer.model.mirrors import Activity
from syncer.model.runs import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select
    from sqlalchemy.engine import Dialect

    from syncer.model.content import RefSnapshot
    from syncer.model.mirrors import Held, RepoState
    from syncer.model.names import RepoName
    from syncer.model.runs import AuditEvent, Probe, ProbeResult

_CONFIGURED = STATE.where(mirror.c.activity != Activity.REMOVED).order_by(
    mirror.c.identity
)

#: Rows that are read at once.
_PART = 500

_started = bindparam("probed", type_=mirror.c.last_attempt.type)
_latest = mirror.c.last_attempt.is_(None) | (mirror.c.last_attempt <= _started)
# A probe may be flushed after a later attempt was recorded: times never go
# back, and what that attempt found is not overwritten.
_FLUSH = (
    update(mirror)
    .where(
        mirror.c.id == bindparam("mirror_id"),
        # Not those that moved meanwhile: elsewhere it may not be true.
        mirror.c.home.is_not_distinct_from(bindparam("machine")),
    )
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

_listed = bindparam("listed", type_=mirror.c.releases_checked.type)
_checked, _behind = mirror.c.releases_checked, mirror.c.releases_behind
_unlisted = _listed.is_(None)
# The same for mirrors some of which had their releases listed with the probe.
_FLUSH_LISTED = _FLUSH.values(
    releases_checked=case((_unlisted | (_checked > _listed), _checked), else_=_listed),
    releases_behind=case((_unlisted | (_behind > _listed), _behind), else_=None),
    **{
        column.name: case((_unlisted | (_checked > _listed), column), else_=value)
        for column, value in (
            (mirror.c.releases_failures, 0),
            (mirror.c.releases_error, None),
            (mirror.c.releases_not_before, None),
        )
    },
)


class Remembered:
    """The mirrors that are configured, each as when its row was last another one.

    The schedule reads all of them at every tick, and few have changed since: to
    compare a row as the driver gives it takes a tenth of making a state of it.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._known: dict[int, tuple[tuple[Any, ...], RepoState]] = {}
        whole = {"literal_binds": True}
        self._statement = str(
            _CONFIGURED.compile(dialect=dialect, compile_kwargs=whole)
        )
        # Both drivers give the other types as they are.
        self._readers = [
            (place, read)
            for place, column in enumerate(STATE.selected_columns)
            if isinstance(column.type, TypeDecorator)
            and (read := column.type.result_processor(dialect, None)) is not None
        ]

    def states(self, conn: Connection) -> list[RepoState]:
        """Return the mirrors that are configured, by name."""
        known, found = self._known, {}
        # By parts: 10,000 rows at once are 20 MiB, for a moment of each tick.
        for part in conn.exec_driver_sql(self._statement).partitions(_PART):
            for row in map(tuple, part):
                before = known.get(row[0])
                if before is None or before[0] != row:
                    before = row, self._read(row)
                found[row[0]] = before
        # In one step: other threads may be at it, too.
        self._known = found
        return [state for _, state in found.values()]

    def _read(self, row: tuple[Any, ...]) -> RepoState:
        values = list(row)
        for place, read in self._readers:
            if values[place] is not None:
                values[place] = read(values[place])
        return read_state(values)


def state(conn: Connection, name: RepoName) -> RepoState:
    """Return the mirror of this name, else the one that had it, or has it upstream.

    Raises:
        UnknownMirror: there is none.
    """
    row = conn.execute(STATE.where(mirror.c.identity == name.identity)).one_or_none()
    if row is not None:
        return read_state(row)
    holder = aliases.holder(conn, name.identity)
    return _one(conn, STATE.where(mirror.c.id == holder), name.short)


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


def flush(
    conn: Connection, results: Sequence[ProbeResult], machine: str | None
) -> None:
    """Store unchanged probes of a machine's mirrors.

    By id, so that two flushes at once wait for each other instead of
    locking each other out.
    """
    rows = [
        {
            "mirror_id": each.mirror_id,
            "machine": machine,
            "probed": each.started,
            "listed": each.listed,
        }
        for each in sorted(results, key=_by_id)
    ]
    is_listed = any(each.listed is not None for each in results)
    conn.execute(_FLUSH_LISTED if is_listed else _FLUSH, rows)
    counters.add(conn, counting.flushed(len(rows)))


def _by_id(result: ProbeResult) -> tuple[int, datetime]:
    return result.mirror_id, result.started


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
