"""How many bytes of blobs are in the store, kept with each change of their rows.

Metrics ask for it every few seconds; to add up a million blobs takes a quarter of a
second.  All who change what counts hold `exclusively`, so that no two do at once.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import case, func, select

from syncer.catalog import bulk
from syncer.catalog.blob_tables import blob
from syncer.catalog.operations_tables import counter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection

#: The name of the counter, which falls too and so is told of as usage alone.
NAME = "blob_bytes"

_SUM = select(func.coalesce(func.sum(blob.c.size), 0)).where(
    bulk.Among(blob.c.digest), blob.c.damaged.is_(None), blob.c.removing.is_(None)
)
_KEPT = select(counter.c.value).where(counter.c.name == NAME)


@contextmanager
def kept(conn: Connection, digests: Collection[str]) -> Iterator[None]:
    """Note what becomes of the bytes of some blobs within."""
    before = _weigh(conn, digests)
    yield
    more = _weigh(conn, digests) - before
    if more:
        _add(conn, more)


def total(conn: Connection) -> int:
    """Return the bytes of all blobs that are in the store and right."""
    return int(conn.scalar(_KEPT) or 0)


def _weigh(conn: Connection, digests: Collection[str]) -> int:
    return sum(int(row[0]) for row in bulk.rows(conn, _SUM, digests))


def _add(conn: Connection, more: int) -> None:
    # Never below nothing: what is told of blobs must not keep them from being removed.
    row = bulk.insert(conn, counter).values(name=NAME, label="", value=max(0, more))
    after = counter.c.value + more
    conn.execute(
        row.on_conflict_do_update(
            index_elements=["name", "label"],
            set_={"value": case((after > 0, after), else_=0)},
        )
    )
