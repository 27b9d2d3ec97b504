"""The tables of blobs: which there are, who needs them, who relies on them.

A row that says an object is here names the blob that has its bytes, so that
no blob can be forgotten while a mirror needs it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    text,
)

from syncer.catalog.columns import Instant, Prose
from syncer.catalog.schema import (
    WHERE,
    WORD,
    Digest,
    Name,
    among,
    counted,
    metadata,
    mirror_key,
    sha256,
)
from syncer.model.lfs import LfsState

_CONDEMNED = text("condemned IS NOT NULL")
_OWED = text("retry_at IS NOT NULL")

blob = Table(
    "blob",
    metadata,
    Column("digest", Digest, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("stored", Instant, nullable=False),
    Column("verified", Instant, nullable=False),
    Column("provenance", Prose, nullable=False),
    Column("condemned", Instant),
    Column("removing", Instant),
    Column("damaged", Instant),
    sha256("digest"),
    counted("size"),
    CheckConstraint("removing IS NULL OR condemned IS NOT NULL", name="removing"),
    Index(
        "ix_blob_condemned",
        "condemned",
        info={WHERE: _CONDEMNED},
    ),
    # The rows lie in the order of the key: there is no second tree to descend.
    sqlite_with_rowid=False,
)

lfs_object = Table(
    "lfs_object",
    metadata,
    mirror_key(primary=True),
    Column("oid", Digest, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("state", String(WORD), nullable=False),
    # The oid once more where the mirror needs the blob: it is here, or was.
    Column("blob", Digest, ForeignKey("blob.digest"), index=True),
    Column("reason", Prose),
    Column("since", Instant),
    Column("retry_at", Instant),
    Column("tries", Integer, nullable=False),
    sha256("oid"),
    counted("size"),
    counted("tries"),
    among("state", LfsState),
    CheckConstraint("blob = oid", name="blob"),
    CheckConstraint(
        "(state IN ('missing', 'unreached')) = (blob IS NULL)", name="needs"
    ),
    CheckConstraint(
        "(state IN ('present', 'unreached')) = (retry_at IS NULL)", name="retry_at"
    ),
    Index(
        "ix_lfs_object_due",
        "mirror_id",
        "retry_at",
        info={WHERE: _OWED},
    ),
    sqlite_with_rowid=False,
)

claim = Table(
    "claim",
    metadata,
    mirror_key(primary=True),
    # No blob needs to be there yet: it is claimed before it is fetched.
    Column("digest", Digest, primary_key=True, index=True),
    Column("at", Instant, nullable=False),
    sha256("digest"),
    sqlite_with_rowid=False,
)

upload = Table(
    "upload",
    metadata,
    Column("key", Name, primary_key=True),
    Column("digest", Digest, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("started", Instant, nullable=False),
    sha256("digest"),
    counted("size"),
)
