"""The tables.  Constraints repeat the promises, so that a bug cannot break one.

Refs are not here: the bare repository is their store, and the catalog keeps
one digest for each mirror and the refs that changed.  No column that changes
with every probe is indexed, since Postgres would then write the index as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from syncer.catalog.columns import Instant, Json, Key, Prose, RefText, Span
from syncer.model.content import ChangeKind
from syncer.model.runs import Activity, Outcome, Stage, Trigger

if TYPE_CHECKING:
    from enum import StrEnum

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_WORD = 16
_OID = 64  # of sha256; sha1 has 40
_DIGEST = 64
_OPEN = text("outcome IS NULL")
_PATH = 2500  # Postgres indexes at most 2,700 bytes

# Postgres would sort by the locale of its cluster; names sort by their bytes.
_Name = String(_PATH).with_variant(String(_PATH, collation="C"), "postgresql")


def _among(column: str, words: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _oid(column: str) -> CheckConstraint:
    return CheckConstraint(f"length({column}) IN (40, {_OID})", name=column)


def _counted(column: str) -> CheckConstraint:
    return CheckConstraint(f"{column} >= 0", name=column)


def _mirror_key(*, primary: bool = False) -> Column[int]:
    return Column(
        "mirror_id", Key, ForeignKey("mirror.id"), primary_key=primary, nullable=False
    )


mirror = Table(
    "mirror",
    metadata,
    Column("id", Key, primary_key=True),
    Column("identity", _Name, nullable=False, unique=True),
    Column("host", String(300), nullable=False),
    Column("owner", String(_PATH), nullable=False),
    Column("name", String(100), nullable=False),
    Column("path", _Name, nullable=False, unique=True),
    Column("tier", Text, nullable=False),
    Column("activity", String(_WORD), nullable=False),
    Column("fingerprint", String(128)),
    Column("asked", Text),
    Column("stamp", Text),
    Column("head", RefText),
    Column("ref_count", Integer, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("outcome", String(_WORD)),
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
    _among("activity", Activity),
    _among("outcome", Outcome),
    CheckConstraint("identity = lower(identity)", name="identity_folded"),
    CheckConstraint("substr(path, 1, 1) <> '/' AND path <> ''", name="path"),
    CheckConstraint("length(fingerprint) BETWEEN 1 AND 128", name="fingerprint"),
    *map(_counted, ("ref_count", "generation", "failures", "packs", "size")),
    # An id that was purged must not return: a probe may still be in flight.
    sqlite_autoincrement=True,
    # Room in each page for the versions that the flushes leave behind.
    postgresql_with={"fillfactor": 70},
)

run = Table(
    "run",
    metadata,
    Column("id", Key, primary_key=True),
    _mirror_key(),
    Column("trigger", String(_WORD), nullable=False),
    Column("started", Instant, nullable=False),
    Column("stage", String(_WORD), nullable=False),
    Column("outcome", String(_WORD)),
    Column("ended", Instant),
    Column("error", Prose),
    Column("hint", Prose),
    Column("exit_code", Integer, nullable=False),
    Column("retry_after", Span),
    Column("counts", Json, nullable=False),
    Column("objects", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("notes", Json, nullable=False),
    _among("trigger", Trigger),
    _among("stage", Stage),
    _among("outcome", Outcome),
    CheckConstraint("(outcome IS NULL) = (ended IS NULL)", name="ended"),
    Index(None, "mirror_id", "id"),
    Index("ix_run_open", "mirror_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    sqlite_autoincrement=True,
)

intent = Table(
    "intent",
    metadata,
    _mirror_key(primary=True),
    Column("run_id", Key, ForeignKey("run.id"), nullable=False, unique=True),
    Column("old", String(_DIGEST), nullable=False),
    Column("beside", String(_DIGEST)),
    Column("new", String(_DIGEST), nullable=False),
    Column("head", RefText),
    Column("changes", Json, nullable=False),
    Column("fingerprint", String(128)),
    Column("asked", Text),
    Column("observed", Instant, nullable=False),
    Column("probed", Instant, nullable=False),
    Column("ref_count", Integer, nullable=False),
    Column("first", Boolean, nullable=False),
    *(
        CheckConstraint(f"length({column}) = {_DIGEST}", name=column)
        for column in ("old", "beside", "new")
    ),
)

ref_change = Table(
    "ref_change",
    metadata,
    Column("id", Key, primary_key=True),
    _mirror_key(),
    Column("run_id", Key, ForeignKey("run.id"), nullable=False, index=True),
    Column("generation", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("ref", RefText, nullable=False),
    Column("old", String(_OID)),
    Column("new", String(_OID)),
    Column("kind", String(_WORD), nullable=False),
    _among("kind", ChangeKind),
    _oid("old"),
    _oid("new"),
    CheckConstraint("old IS NOT NULL OR new IS NOT NULL", name="differs"),
    Index(None, "mirror_id", "id"),
)

finding = Table(
    "finding",
    metadata,
    _mirror_key(primary=True),
    Column("oid", String(_OID), primary_key=True),
    Column("message_id", String(100), primary_key=True),
    Column("text", Prose, nullable=False),
    Column("seen", Instant, nullable=False),
    _oid("oid"),
)

accepted_object = Table(
    "accepted_object",
    metadata,
    _mirror_key(primary=True),
    Column("oid", String(_OID), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", Prose, nullable=False),
    _oid("oid"),
)

lag_sample = Table(
    "lag_sample",
    metadata,
    Column("id", Key, primary_key=True),
    _mirror_key(),
    Column("component", String(_WORD), nullable=False),
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
    Column("at", Instant, nullable=False),
    Column("actor", Prose, nullable=False),
    Column("action", Prose, nullable=False),
    Column("subject", Prose, nullable=False),
    Column("detail", Prose, nullable=False),
)

#: What belongs to one mirror, in the order in which it can be deleted.
OWNED = (intent, ref_change, lag_sample, finding, accepted_object, run)
