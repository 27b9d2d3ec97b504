"""Statements about where mirrors live, and who may write of them therefore.

Where several machines work, one of them keeps a mirror's repository: its home.
Nobody else records anything of it.  A worker that sleeps through a move and wakes
up is refused in the catalog, and its own disk is nobody's any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update

from syncer.catalog import mirrors
from syncer.catalog.tables import mirror
from syncer.errors import Locked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from syncer.model.mirrors import RepoState

_HOMELESS = (
    update(mirror)
    .where(mirror.c.id == bindparam("mirror_id"), mirror.c.home.is_(None))
    .values(home=bindparam("machine"))
)
#: What is not known of a repository that begins anew, where nothing of it lies.
_ANEW: dict[str, Any] = {
    **dict.fromkeys(("fingerprint", "asked", "stamp", "head", "maintained")),
    **dict.fromkeys(("outcome", "last_attempt", "last_success", "lfs_scanned")),
    **dict.fromkeys(("ref_count", "packs", "size"), 0),
}


def check(conn: Connection, mirror_id: int, machine: str | None) -> None:
    """Do nothing if a mirror lives on `machine`, and let it stay until the commit.

    Raises:
        Locked: it lives elsewhere, or nowhere yet.
    """
    found = conn.execute(
        select(mirror.c.home, mirror.c.path)
        .where(mirror.c.id == mirror_id)
        .with_for_update(key_share=True)
    ).one_or_none()
    if found is None or found.home == machine:
        return  # Of one that is not there, others say so.
    raise elsewhere(found.path.removesuffix(".git"), found.home, machine)


def elsewhere(shown: str, home: str | None, machine: str | None) -> Locked:
    """Return the error for a mirror that another machine keeps."""
    if home is None:
        msg = f"no machine keeps {shown} yet; nothing was changed"
        return Locked(msg, hint=f"wait for the scheduler, or: syncer rehome {shown}")
    if machine is None:
        msg = f"{shown} is kept by the machine {home}; nothing was changed"
        return Locked(msg, hint="say which machine this is: [syncer] host")
    msg = f"{shown} is kept by the machine {home}, not by {machine}"
    hint = f"run it on {home}, or move it: syncer rehome {shown}"
    return Locked(f"{msg}; nothing was changed", hint=hint)


def place(conn: Connection, homes: Mapping[int, str]) -> None:
    """Give homes to mirrors that have none; the others stay where they are."""
    rows = [{"mirror_id": id_, "machine": homes[id_]} for id_ in sorted(homes)]
    if rows:
        conn.execute(_HOMELESS, rows)


def move(conn: Connection, state: RepoState, home: str, stamp: str | None) -> None:
    """Let a mirror live on another machine, if it is still as `state` has it.

    With `stamp` that machine has its repository, as it was last published; with
    None it has nothing, and begins anew.

    Raises:
        Locked: it was published or moved since; nothing was changed.
    """
    found = mirrors.owned_state(conn, state.id)
    if _version(found) != _version(state):
        msg = f"{state.name} changed meanwhile; nothing was changed"
        raise Locked(msg, hint="copy the repository once more, and try again")
    values = _ANEW if stamp is None else {"stamp": stamp}
    here = update(mirror).where(mirror.c.id == state.id)
    conn.execute(here.values(home=home, **values))


def _version(state: RepoState) -> tuple[str | None, str | None, int]:
    return state.home, state.stamp, state.generation
