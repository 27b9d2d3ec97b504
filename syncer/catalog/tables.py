"""The tables.  Constraints repeat the promises, so that a bug cannot break one.

Refs are not here: the bare repository is their store, and the catalog keeps
one digest for each mirror and the refs that changed.  No column that changes
with every probe is indexed, since Postgres would then write the index as well.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    false,
    text,
)

from syncer.catalog import schema
from syncer.catalog.blob_tables import claim, lfs_object
from syncer.catalog.columns import Instant, Json, Key, Prose, RefText, Span
from syncer.catalog.operations_tables import incident
from syncer.catalog.origin_tables import alias, hint, origin, pin
from syncer.catalog.release_tables import asset, listing_page, release
from syncer.catalog.schema import (
    DIGEST,
    FILLED,
    OID,
    PATH,
    WHERE,
    WORD,
    Name,
    among,
    counted,
    mirror_key,
    oid,
)
from syncer.model.content import ChangeKind
from syncer.model.mirrors import Activity
from syncer.model.origin import Standing
from syncer.model.runs import Outcome, Stage, Trigger

#: All tables, those of blobs included.
metadata = schema.metadata
#: The same, with what only those need who make tables.
complete = schema.complete

_OPEN = text("outcome IS NULL")
_NONE = text("0")

mirror = Table(
    "mirror",
    metadata,
    Column("id", Key, primary_key=True),
    Column("identity", Name, nullable=False, unique=True),
    Column("host", String(300), nullable=False),
    Column("owner", String(PATH), nullable=False),
    Column("name", String(100), nullable=False),
    Column("path", Name, nullable=False, unique=True),
    Column("tier", Text, nullable=False),
    Column("activity", String(WORD), nullable=False),
    Column("fingerprint", String(128)),
    Column("asked", Text),
    Column("stamp", Text),
    Column("head", RefText),
    Column("ref_count", Integer, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("outcome", String(WORD)),
    Column("error", Prose),
    Column("failures", Integer, nullable=False),
    Column("last_attempt", Instant),
    Column("last_success", Instant),
    Column("behind_since", Instant),
    Column("last_change", Instant),
    Column("not_before", Instant),
    Column("rate_hour", Float(53), nullable=False),
    Column("rate_day", Float(53), nullable=False),
    Column("rate_fortnight", Float(53), nullable=False),
    Column("rate_at", Instant),
    Column("held", Json),
    Column("packs", Integer, nullable=False),
    Column("maintained", Instant),
    Column("added", Instant, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("lfs_scanned", Instant),
    # Counts of the rows of `lfs_object`, kept with each change of these: the
    # schedule reads all mirrors at every tick.
    Column("lfs_present", BigInteger, nullable=False, server_default=_NONE),
    Column("lfs_missing", BigInteger, nullable=False, server_default=_NONE),
    Column("lfs_damaged", BigInteger, nullable=False, server_default=_NONE),
    Column("lfs_size", BigInteger, nullable=False, server_default=_NONE),
    Column("lfs_retry_at", Instant),
    Column("releases_checked", Instant),
    Column("releases_behind", Instant),
    Column("releases_asked", Text),
    Column("releases_failures", Integer, nullable=False, server_default=_NONE),
    Column("releases_error", Prose),
    Column("releases_not_before", Instant),
    # Counts of the rows of `release` and `asset`, kept likewise.
    Column("release_count", BigInteger, nullable=False, server_default=_NONE),
    Column("assets_present", BigInteger, nullable=False, server_default=_NONE),
    Column("assets_missing", BigInteger, nullable=False, server_default=_NONE),
    Column("assets_damaged", BigInteger, nullable=False, server_default=_NONE),
    Column("assets_size", BigInteger, nullable=False, server_default=_NONE),
    Column("assets_retry_at", Instant),
    # Of the row of `origin`, which is read for one mirror at a time.
    Column("upstream", Text),
    Column("node_id", Prose),
    Column("standing", String(WORD), nullable=False, server_default="normal"),
    # Where several machines work: the one whose workers alone write its repository.
    Column("home", String(64)),
    among("standing", Standing),
    among("activity", Activity),
    among("outcome", Outcome),
    CheckConstraint("identity = lower(identity)", name="identity_folded"),
    CheckConstraint("substr(path, 1, 1) <> '/' AND path <> ''", name="path"),
    CheckConstraint("length(fingerprint) BETWEEN 1 AND 128", name="fingerprint"),
    *map(counted, ("ref_count", "generation", "failures", "packs", "size")),
    *map(counted, ("lfs_present", "lfs_missing", "lfs_damaged", "lfs_size")),
    *map(counted, ("releases_failures", "release_count", "assets_present")),
    *map(counted, ("assets_missing", "assets_damaged", "assets_size")),
    # An id that was purged must not return: a probe may still be in flight.
    sqlite_autoincrement=True,
    # Room in each page for the versions that the flushes leave behind.
    info={FILLED: 70},
)

run = Table(
    "run",
    metadata,
    Column("id", Key, primary_key=True),
    mirror_key(),
    Column("trigger", String(WORD), nullable=False),
    Column("started", Instant, nullable=False),
    Column("stage", String(WORD), nullable=False),
    Column("outcome", String(WORD)),
    Column("ended", Instant, index=True),
    Column("error", Prose),
    Column("hint", Prose),
    Column("exit_code", Integer, nullable=False),
    Column("retry_after", Span),
    Column("counts", Json, nullable=False),
    Column("objects", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("notes", Json, nullable=False),
    Column("lfs", Json),
    Column("releases", Json),
    Column("machine", String(64)),
    among("trigger", Trigger),
    among("stage", Stage),
    among("outcome", Outcome),
    CheckConstraint("(outcome IS NULL) = (ended IS NULL)", name="ended"),
    Index(None, "mirror_id", "id"),
    Index("ix_run_open", "mirror_id", info={WHERE: _OPEN}),
    sqlite_autoincrement=True,
)

intent = Table(
    "intent",
    metadata,
    mirror_key(primary=True),
    Column("run_id", Key, ForeignKey("run.id"), nullable=False, unique=True),
    Column("old", String(DIGEST), nullable=False),
    Column("beside", String(DIGEST)),
    Column("new", String(DIGEST), nullable=False),
    Column("head", RefText),
    Column("changes", Json, nullable=False),
    Column("fingerprint", String(128)),
    Column("asked", Text),
    Column("observed", Instant, nullable=False),
    Column("probed", Instant, nullable=False),
    Column("ref_count", Integer, nullable=False),
    Column("first", Boolean, nullable=False),
    Column("releases", Json),
    Column("events", Json),
    *(
        CheckConstraint(f"length({column}) = {DIGEST}", name=column)
        for column in ("old", "beside", "new")
    ),
)

ref_change = Table(
    "ref_change",
    metadata,
    Column("id", Key, primary_key=True),
    mirror_key(),
    Column("run_id", Key, ForeignKey("run.id"), nullable=False, index=True),
    Column("generation", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("ref", RefText, nullable=False),
    Column("old", String(OID)),
    Column("new", String(OID)),
    Column("kind", String(WORD), nullable=False),
    among("kind", ChangeKind),
    oid("old"),
    oid("new"),
    CheckConstraint("old IS NOT NULL OR new IS NOT NULL", name="differs"),
    Index(None, "mirror_id", "id"),
)

finding = Table(
    "finding",
    metadata,
    mirror_key(primary=True),
    Column("oid", String(OID), primary_key=True),
    Column("message_id", String(100), primary_key=True),
    Column("text", Prose, nullable=False),
    Column("seen", Instant, nullable=False),
    oid("oid"),
)

accepted_object = Table(
    "accepted_object",
    metadata,
    mirror_key(primary=True),
    Column("oid", String(OID), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", Prose, nullable=False),
    oid("oid"),
)

lag_sample = Table(
    "lag_sample",
    metadata,
    Column("id", Key, primary_key=True),
    mirror_key(),
    Column("component", String(WORD), nullable=False),
    Column("observed", Instant, nullable=False),
    Column("published", Instant, nullable=False, index=True),
    Column("not_before", Instant),
)

host = Table(
    "host",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("capabilities", Text, nullable=False),
    Column("checked", Instant, nullable=False),
)

audit_event = Table(
    "audit_event",
    metadata,
    Column("id", Key, primary_key=True),
    Column("at", Instant, nullable=False, index=True),
    Column("actor", Prose, nullable=False),
    Column("action", Prose, nullable=False),
    Column("subject", Prose, nullable=False),
    Column("detail", Prose, nullable=False),
    Column("alarming", Boolean, nullable=False, server_default=false()),
)

#: What belongs to one mirror, in the order in which it can be deleted.
OWNED = (
    *(claim, lfs_object, intent, ref_change, lag_sample, finding),
    *(accepted_object, run, listing_page, asset, release),
    *(alias, hint, origin, pin, incident),
)
