"""Statements about machines: what each last told of itself."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from syncer.catalog.bulk import insert
from syncer.catalog.operations_tables import machine
from syncer.model.machines import Machine, Role
from syncer.model.origin import Allowance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

_c = machine.c
#: The columns that `_read` unpacks, in its order.
_MACHINE = select(
    *(_c.name, _c.version, _c.roles, _c.started, _c.seen, _c.leader),
    *(_c.running, _c.waiting, _c.oldest, _c.capacity, _c.tick, _c.allowances),
).order_by(_c.name)


def seen(conn: Connection, told: Machine) -> None:
    """Store how a machine is, instead of how it was."""
    values = _values(told)
    row = insert(conn, machine).values(values)
    conn.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))


def known(conn: Connection) -> list[Machine]:
    """Return every machine, by name."""
    return [_read(row) for row in conn.execute(_MACHINE)]


def forget(conn: Connection, name: str) -> None:
    """Delete a machine."""
    conn.execute(delete(machine).where(_c.name == name))


def _values(told: Machine) -> dict[str, Any]:
    return {
        "name": told.name,
        "version": told.version,
        "roles": [role.value for role in told.roles],
        "started": told.started,
        "seen": told.seen,
        "leader": int(told.leader),
        "running": told.running,
        "waiting": told.waiting,
        "oldest": told.oldest,
        "capacity": told.capacity,
        "tick": told.tick,
        "allowances": [
            (host, asdict(each) | {"reset": each.reset.isoformat()})
            for host, each in told.allowances
        ],
    }


def _read(row: Sequence[Any]) -> Machine:
    name, version, roles, started, seen_, leader, *rest = row
    running, waiting, oldest, capacity, tick, allowances = rest
    return Machine(
        name,
        version,
        tuple(map(Role, roles)),
        started,
        seen_,
        leader=bool(leader),
        running=running,
        waiting=waiting,
        oldest=oldest,
        capacity=capacity,
        tick=tick,
        allowances=tuple((host, _allowance(told)) for host, told in allowances),
    )


def _allowance(told: dict[str, Any]) -> Allowance:
    return Allowance(**{**told, "reset": datetime.fromisoformat(told["reset"])})
