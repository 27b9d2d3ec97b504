"""Statements about counters: added to with what they count, in its transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from syncer.catalog import bulk, counting, weights
from syncer.catalog.operations_tables import counter

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from syncer.catalog.counting import Amounts

_c = counter.c
_COUNTERS = select(_c.name, _c.label, _c.value).where(_c.name != weights.NAME)


def add(conn: Connection, amounts: Amounts) -> None:
    """Add to counters, as the last word of a transaction.

    All who end runs change the same few rows, and wait for each other from here to
    their commits; in one order, so that none waits for one who waits for it.
    """
    rows = [
        {"name": name, "label": label, "value": amounts[name, label]}
        for name, label in sorted(amounts)
    ]
    if rows:
        row = bulk.insert(conn, counter)
        more = counter.c.value + row.excluded.value
        added = row.on_conflict_do_update(
            index_elements=["name", "label"], set_={"value": more}
        )
        conn.execute(added, rows)


def known(conn: Connection) -> Amounts:
    """Return every counter."""
    found = conn.execute(_COUNTERS)
    return counting.cumulated({(name, label): value for name, label, value in found})
