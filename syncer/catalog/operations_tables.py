"""The tables of what operators are told: machines, incidents, storage, counters."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    text,
)

from syncer.catalog.columns import Instant, Json, Key, Prose
from syncer.catalog.schema import WHERE, WORD, Name, among, counted, metadata
from syncer.model.incidents import Kind

#: Of the name of a machine, and of one of its processes.
_MACHINE = 128

machine = Table(
    "machine",
    metadata,
    Column("name", String(_MACHINE), primary_key=True),
    Column("version", String(64), nullable=False),
    Column("roles", Json, nullable=False),
    Column("started", Instant, nullable=False),
    Column("seen", Instant, nullable=False),
    # 0 or 1.
    Column("leader", Integer, nullable=False),
    Column("running", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("oldest", Instant),
    Column("capacity", Integer, nullable=False),
    Column("tick", Float(53), nullable=False),
    Column("allowances", Json, nullable=False),
    *map(counted, ("leader", "running", "waiting", "capacity")),
)

_OPEN = text("ended IS NULL")

incident = Table(
    "incident",
    metadata,
    Column("id", Key, primary_key=True),
    Column("kind", String(WORD), nullable=False),
    Column("subject", Name, nullable=False),
    Column("began", Instant, nullable=False),
    Column("ended", Instant),
    Column("detail", Prose, nullable=False),
    Column("mirror_id", Key, ForeignKey("mirror.id"), index=True),
    Column("event_id", Key, ForeignKey("audit_event.id"), unique=True),
    Column("told", Instant),
    Column("recovery_told", Instant),
    among("kind", Kind),
    UniqueConstraint("kind", "subject", "began"),
    Index(
        "uq_incident_open",
        "kind",
        "subject",
        unique=True,
        info={WHERE: _OPEN},
    ),
    Index(None, "began"),
    sqlite_autoincrement=True,
)

storage_sample = Table(
    "storage_sample",
    metadata,
    Column("id", Key, primary_key=True),
    Column("at", Instant, nullable=False, index=True),
    Column("machine", String(_MACHINE), nullable=False),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("free", "capacity", "git", "lfs", "assets", "blobs")
    ),
    *map(counted, ("free", "capacity", "git", "lfs", "assets", "blobs")),
)

#: What metrics count since the catalog was made; rows that were counted may go.
counter = Table(
    "counter",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("label", String(64), primary_key=True),
    Column("value", Float(53), nullable=False),
    CheckConstraint("value >= 0", name="value"),
)
