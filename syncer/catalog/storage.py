"""Statements about storage: bytes that are mirrored, and samples of how full it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select

from syncer.catalog import weights
from syncer.catalog.operations_tables import storage_sample
from syncer.catalog.tables import mirror
from syncer.model.storage import StorageSample, Usage

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

_c, _m = storage_sample.c, mirror.c
_MIRRORED = select(
    *(func.coalesce(func.sum(c), 0) for c in (_m.size, _m.lfs_size, _m.assets_size))
)
_SAMPLE = select(
    *(_c.at, _c.machine, _c.free, _c.capacity, _c.git, _c.lfs, _c.assets, _c.blobs)
).order_by(_c.at, _c.id)


def usage(conn: Connection) -> Usage:
    """Return how many bytes are mirrored, and how many blobs are in the store."""
    git, lfs, assets = conn.execute(_MIRRORED).one()
    return Usage(int(git), int(lfs), int(assets), weights.total(conn))


def add(conn: Connection, sample: StorageSample) -> None:
    """Append a sample."""
    values = {name: getattr(sample, name) for name in _OF_SAMPLE}
    kinds = {name: getattr(sample.usage, name) for name in _OF_USAGE}
    conn.execute(insert(storage_sample).values(values | kinds))


_OF_SAMPLE = ("at", "machine", "free", "capacity")
_OF_USAGE = ("git", "lfs", "assets", "blobs")


def since(conn: Connection, start: datetime) -> list[StorageSample]:
    """Return the samples since an instant, oldest first."""
    return [
        StorageSample(at, machine, free, capacity, Usage(*kinds))
        for at, machine, free, capacity, *kinds in conn.execute(
            _SAMPLE.where(_c.at >= start)
        )
    ]
