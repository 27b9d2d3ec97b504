"""Statements that make the mirrors those of the configuration.

A repository is renamed upstream, then the configuration follows: its mirror takes
the new name and keeps its directory, rather than being mirrored all over again.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, insert, select, update

from syncer.catalog import aliases, history, origins
from syncer.catalog.homes import place
from syncer.catalog.tables import mirror
from syncer.model.mirrors import Activity
from syncer.model.names import RepoName
from syncer.model.runs import AuditEvent

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

_m = mirror.c
_PRESENT = select(
    *(_m.identity, _m.host, _m.owner, _m.name, _m.tier, _m.activity),
    *(_m.id, _m.path, _m.upstream, _m.home, _m.generation),
)
_BY_ID = update(mirror).where(mirror.c.id == bindparam("mirror_id"))


class _Row(NamedTuple):
    """A mirror as it is."""

    identity: str
    host: str
    owner: str
    name: str
    tier: str
    activity: str
    id: int
    path: str
    upstream: str | None
    home: str | None
    generation: int

    @property
    def is_new(self) -> bool:
        """Whether nothing of it lies on any machine yet."""
        return self.home is None and not self.generation

    @property
    def is_removed(self) -> bool:
        return self.activity == Activity.REMOVED

    @property
    def told(self) -> tuple[str, ...]:
        """What the configuration says of it."""
        return self[1:6]


class Changes(NamedTuple):
    """What would make the mirrors those of the configuration."""

    added: list[dict[str, Any]]
    updated: list[dict[str, Any]]
    #: Mirrors as they were, and the names of theirs that they take.
    renamed: list[tuple[_Row, RepoName]]
    #: The homes of mirrors that have none.
    placed: dict[int, str]
    at: datetime

    def __bool__(self) -> bool:
        return bool(self.added or self.updated or self.renamed or self.placed)


def compare(
    conn: Connection,
    wanted: Sequence[tuple[RepoName, str]],
    now: datetime,
    homes: Mapping[str, str],
) -> Changes:
    """Return how the mirrors differ from those that are wanted.

    `homes` are machines by the identity of a name: where a mirror goes of which
    nothing lies anywhere yet.
    """
    present = {row[0]: _Row(*row) for row in conn.execute(_PRESENT)}
    # Of a name that is wanted twice the first counts.
    named = {name.identity: (name, tier) for name, tier in reversed(wanted)}
    paths = {row.path.lower() for row in present.values()}
    followed = _followed(conn, named, present)
    changes = Changes([], [], [], {}, now)
    kept = set()
    for identity, (name, tier) in reversed(named.items()):
        row = present.get(identity) or followed.get(identity)
        if row is None:
            new = _new(name, tier, _free(name.path, paths), now)
            changes.added.append(new | {"home": homes.get(identity)})
            continue
        kept.add(row.id)
        if row.is_new and identity in homes:
            changes.placed[row.id] = homes[identity]
        if row.identity != identity:
            changes.renamed.append((row, name))
        activity = Activity.ACTIVE if row.is_removed else row.activity
        told = (name.host, name.owner, name.name, tier, activity)
        if told != row.told:
            changes.updated.append(_told(row.id, *told))
    left = (row for row in present.values() if row.id not in kept)
    changes.updated.extend(_removed(row) for row in left if not row.is_removed)
    return changes


def _followed(
    conn: Connection, wanted: Collection[str], present: Mapping[str, _Row]
) -> dict[str, _Row]:
    """Return the mirrors that are wanted under another name now, by that name.

    It is a name of one mirror only, which is not wanted under its own any more.
    """
    free = {row.id: row for row in present.values() if row.identity not in wanted}
    if not free:
        return {}
    strange = [identity for identity in wanted if identity not in present]
    found: dict[int, str] = {}
    for identity, ids in sorted(aliases.holders(conn, strange).items()):
        row = free.get(min(ids)) if len(ids) == 1 else None
        if row is not None and _follows(row, identity, found.get(row.id)):
            found[row.id] = identity
    return {identity: free[mirror_id] for mirror_id, identity in found.items()}


def _follows(row: _Row, identity: str, other: str | None) -> bool:
    """Return whether a mirror takes one of its names, rather than another one.

    The name that its repository has upstream is the best.  Names of before may be
    another repository's by now: one that was removed earlier does not take them.
    """
    if _is_upstream(row, identity):
        return True
    return other is None and not row.is_removed


def _is_upstream(row: _Row, identity: str) -> bool:
    return row.upstream is not None and row.upstream.lower() == identity


def _free(path: str, taken: set[str]) -> str:
    """Return where a new mirror goes: beside one whose name was its name before.

    No name has a tilde, so nobody else goes there.
    """
    stem = path.removesuffix(".git")
    tried = (f"{stem}~{number}.git" if number > 1 else path for number in count(1))
    free = next(each for each in tried if each.lower() not in taken)
    taken.add(free.lower())
    return free


def _removed(row: _Row) -> dict[str, Any]:
    return _told(row.id, *row.told[:-1], Activity.REMOVED)


def _told(mirror_id: int, *told: str) -> dict[str, Any]:
    columns = ("host", "owner", "name", "tier", "activity")
    return {"mirror_id": mirror_id, **dict(zip(columns, told, strict=True))}


def _new(name: RepoName, tier: str, path: str, now: datetime) -> dict[str, Any]:
    return {
        "identity": name.identity,
        "host": name.host,
        "owner": name.owner,
        "name": name.name,
        "path": path,
        "tier": tier,
        "activity": Activity.ACTIVE,
        "added": now,
        **dict.fromkeys(("ref_count", "generation", "failures", "packs", "size"), 0),
        **dict.fromkeys(("rate_hour", "rate_day", "rate_fortnight"), 0.0),
    }


def apply(conn: Connection, changes: Changes) -> None:
    """Write what `compare` found."""
    if changes.updated:
        conn.execute(_BY_ID, changes.updated)
    _rename(conn, changes)
    if changes.added:
        conn.execute(insert(mirror), changes.added)
    place(conn, changes.placed)


def _rename(conn: Connection, changes: Changes) -> None:
    """Let mirrors take their new names; those they leave become aliases."""
    for row, name in changes.renamed:
        before = RepoName(row.host, row.owner, row.name)
        same = _is_upstream(row, name.identity)
        # One that has its name of before upstream goes on being asked for it.
        upstream = None if same else row.upstream or origins.spelled(before)
        taken = {"identity": name.identity, "upstream": upstream}
        conn.execute(update(mirror).where(_m.id == row.id).values(taken))
        aliases.remove(conn, [(name.identity, row.id)])
        aliases.add(conn, [(row.identity, row.id)], changes.at)
        detail = f"was {before.short}"
        event = AuditEvent(changes.at, "config", "rename", name.short, detail)
        history.audit(conn, event)
