"""Statements about what owners were found to have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, select, update

from syncer.catalog import aliases, origins
from syncer.catalog.bulk import insert
from syncer.catalog.facts import NAMES, facts_columns, facts_values, read_facts
from syncer.catalog.origin_tables import discovery, origin
from syncer.catalog.tables import mirror
from syncer.model.names import RepoName
from syncer.model.origin import Discovery

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from syncer.model.origin import Event, Facts

_d, _o = discovery.c, origin.c
_KEY = ("host", "forge_id", "under")
_KNOWN = select(_d.under, _d.seen, *facts_columns(discovery))
_MOVED = (
    update(discovery)
    .where(
        _d.host == bindparam("known_host"),
        _d.forge_id == bindparam("known_id"),
        _d.under != bindparam("finder"),
    )
    .values({name: bindparam(name) for name in NAMES if name not in _KEY})
)
_MIRRORED = (
    select(mirror.c.id, mirror.c.identity, _d.host, _d.owner, _d.name)
    .join_from(discovery, origin, and_(_o.forge_id == _d.forge_id, _o.host == _d.host))
    .join(mirror)
    .where(_d.under == bindparam("finder"), _d.seen == bindparam("found"))
)


def discoveries(conn: Connection) -> list[Discovery]:
    """Return what owners have, by name.

    A name that went from one repository to another is the newer one's: it was
    seen later.
    """
    found: dict[tuple[str, str], Discovery] = {}
    for under, seen, *row in conn.execute(_KNOWN.order_by(_d.seen, _d.forge_id)):
        facts = read_facts(row)
        if facts is not None:
            found[facts.name.identity, under] = Discovery(under, facts, seen)
    return [found[key] for key in sorted(found)]


def discovered(
    conn: Connection,
    owner: str,
    found: Sequence[Discovery],
    events: Iterable[Event],
    now: datetime,
) -> None:
    """Store what an owner has; what was found earlier, and is not now, stays known.

    A repository that has another name by now has it under every owner, and the
    mirror of it can be configured under that.
    """
    facts = {(each.facts.name.host, each.facts.id): each.facts for each in found}
    ordered = [facts[key] for key in sorted(facts)]
    if ordered:
        _write(conn, owner, ordered, now)
        _name_mirrors(conn, owner, now)
    origins.tell(conn, owner, events, now)


def _write(conn: Connection, owner: str, found: Sequence[Facts], now: datetime) -> None:
    row = insert(conn, discovery)
    columns = [name for name in (*NAMES, "seen") if name not in _KEY]
    kept = row.on_conflict_do_update(
        index_elements=_KEY, set_={name: row.excluded[name] for name in columns}
    )
    values = [facts_values(each) for each in found]
    conn.execute(kept, [{**each, "under": owner, "seen": now} for each in values])
    conn.execute(_MOVED, [_moved(owner, each) for each in values])


def _moved(owner: str, values: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in values.items() if name not in _KEY}
    identified = {"known_host": values["host"], "known_id": values["forge_id"]}
    return {**told, **identified, "finder": owner}


def _name_mirrors(conn: Connection, owner: str, now: datetime) -> None:
    """Note the names of mirrored repositories, which are known by their ids."""
    found = conn.execute(_MIRRORED, {"finder": owner, "found": now})
    named = [(mirror_id, each, RepoName(*name)) for mirror_id, each, *name in found]
    aliases.add(
        conn,
        [(name.identity, id_) for id_, each, name in named if name.identity != each],
        now,
    )


def forget(conn: Connection, owner: str) -> None:
    """Forget what an owner has that is no longer configured."""
    conn.execute(delete(discovery).where(_d.under == owner))
