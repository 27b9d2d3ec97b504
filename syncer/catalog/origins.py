"""Statements about who mirrors' repositories are upstream, and what sweeps show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from syncer.catalog import aliases, history, mirrors
from syncer.catalog.bulk import insert
from syncer.catalog.facts import facts_columns, facts_values, read_facts
from syncer.catalog.origin_tables import hint, origin
from syncer.catalog.tables import mirror
from syncer.model.origin import UNKNOWN, Hint, Origin, Standing
from syncer.model.runs import AuditEvent

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection

    from syncer.model.names import RepoName
    from syncer.model.origin import Event, Facts

_o, _h = origin.c, hint.c
_ORIGIN = select(
    *(_o.standing, _o.since, _o.notice, _o.sightings, _o.described, _o.etag),
    *facts_columns(origin),
)
_HINTS = select(_h.mirror_id, _h.node_id, _h.pushed, _h.release, _h.absent)


def known(conn: Connection, mirror_id: int) -> Origin:
    """Return what is known of a mirror's repository; `UNKNOWN` if nothing is."""
    found = conn.execute(_ORIGIN.where(_o.mirror_id == mirror_id))
    row = found.one_or_none()
    if row is None:
        return UNKNOWN
    standing, since, notice, sightings, described, etag, *facts = row
    return Origin(
        read_facts(facts),
        Standing(standing),
        since=since,
        notice=notice,
        sightings=sightings,
        described=described,
        etag=etag,
    )


def describe(
    conn: Connection,
    mirror_id: int,
    now_known: Origin,
    events: Iterable[Event],
    now: datetime,
) -> None:
    """Store what is known now; a name upstream beside the configured one is noted.

    Raises:
        UnknownMirror: there is no such row.
    """
    name = mirrors.owned_state(conn, mirror_id).name
    facts = now_known.facts
    upstream = None if facts is None else _differing(facts, name)
    if _is_another(known(conn, mirror_id).facts, facts):
        aliases.clear(conn, mirror_id)
    _write(conn, mirror_id, now_known)
    conn.execute(
        update(mirror)
        .where(mirror.c.id == mirror_id)
        .values(
            upstream=None if upstream is None else spelled(upstream),
            node_id=None if facts is None else facts.node_id,
            standing=now_known.standing,
        )
    )
    if upstream is not None:
        aliases.add(conn, [(upstream.identity, mirror_id)], now)
    tell(conn, name.short, events, now)


def spelled(name: RepoName) -> str:
    """Return a name as the column `upstream` holds it."""
    return f"{name.host}/{name.owner}/{name.name}"


def _differing(facts: Facts, name: RepoName) -> RepoName | None:
    """Return the name upstream unless it is the configured one, however spelled."""
    return None if facts.name.identity == name.identity else facts.name


def _is_another(before: Facts | None, now: Facts | None) -> bool:
    """Return whether a person gave the mirror another repository, with other names."""
    return before is not None and now is not None and before.id != now.id


def _write(conn: Connection, mirror_id: int, now_known: Origin) -> None:
    values = {
        **facts_values(now_known.facts),
        "standing": now_known.standing,
        "since": now_known.since,
        "notice": now_known.notice,
        "sightings": now_known.sightings,
        "described": now_known.described,
        "etag": now_known.etag,
    }
    row = insert(conn, origin).values(mirror_id=mirror_id, **values)
    conn.execute(row.on_conflict_do_update(index_elements=["mirror_id"], set_=values))


def tell(
    conn: Connection, subject: str, events: Iterable[Event], now: datetime
) -> None:
    """Append what upstream did to the audit trail."""
    for each in events:
        told = (now, "upstream", each.action, subject, each.detail, each.alarming)
        history.audit(conn, AuditEvent(*told))


def visibility(conn: Connection) -> dict[int, bool]:
    """Return whether the repositories that upstream described are private."""
    described = select(_o.mirror_id, _o.private).where(_o.private.is_not(None))
    return {each.mirror_id: each.private for each in conn.execute(described)}


def hints(conn: Connection) -> dict[int, Hint]:
    """Return what the last sweep showed of each mirror."""
    return {mirror_id: Hint(*shown) for mirror_id, *shown in conn.execute(_HINTS)}


def store_hints(conn: Connection, found: Iterable[tuple[int, Hint]]) -> None:
    """Keep what a sweep showed; mirrors that were purged meanwhile are passed over.

    Most of 10,000 repositories are as they were a minute ago: only what differs is
    written.
    """
    stored = hints(conn)
    present = set(conn.scalars(select(mirror.c.id)))
    changed = {
        mirror_id: each
        for mirror_id, each in found
        if mirror_id in present and stored.get(mirror_id) != each
    }
    if not changed:
        return
    row = insert(conn, hint)
    columns = ("node_id", "pushed", "release", "absent")
    kept = row.on_conflict_do_update(
        index_elements=["mirror_id"],
        set_={column: row.excluded[column] for column in columns},
    )
    conn.execute(
        kept, [_hint_values(*each) for each in sorted(changed.items(), key=_id)]
    )


def _id(item: tuple[int, Hint]) -> int:
    return item[0]


def _hint_values(mirror_id: int, each: Hint) -> dict[str, Any]:
    return {
        "mirror_id": mirror_id,
        "node_id": each.node_id,
        "pushed": each.pushed,
        "release": each.release,
        "absent": each.absent,
    }
