"""The tables of releases: what upstream shows, and which blobs we hold of it.

An asset's row names the blob that has its bytes for as long as they are kept,
also when upstream does not show it any more.  What is here or was here has one;
what never came, or was given up, has none; what the selection leaves out may
have one that waits to be given up.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from syncer.catalog.columns import Instant, Json, Key, Prose, RefText
from syncer.catalog.schema import (
    WHERE,
    WORD,
    Digest,
    among,
    counted,
    metadata,
    mirror_key,
    sha256,
)
from syncer.model.releases import AssetState, Departure, Proof

#: Characters of release notes; GitHub takes 125,000.
NOTES = 1 << 18

_OWED = text("retry_at IS NOT NULL")
_SHOWN = text("gone IS NULL")

release = Table(
    "release",
    metadata,
    Column("id", Key, primary_key=True),
    mirror_key(),
    Column("upstream_id", BigInteger, nullable=False),
    Column("node_id", Prose, nullable=False),
    Column("tag", RefText, nullable=False),
    Column("target", Prose, nullable=False),
    Column("title", Prose),
    Column("body", Prose(NOTES)),
    Column("author_id", BigInteger),
    Column("author_login", Prose),
    Column("draft", Boolean, nullable=False),
    Column("prerelease", Boolean, nullable=False),
    Column("immutable", Boolean, nullable=False),
    Column("created", Instant),
    Column("published", Instant),
    Column("updated", Instant),
    Column("selected", Boolean, nullable=False),
    Column("gone", Instant),
    CheckConstraint("(author_id IS NULL) = (author_login IS NULL)", name="author"),
    UniqueConstraint("mirror_id", "upstream_id"),
)

asset = Table(
    "asset",
    metadata,
    Column("id", Key, primary_key=True),
    Column("release_id", Key, ForeignKey("release.id"), nullable=False, index=True),
    mirror_key(),
    Column("upstream_id", BigInteger, nullable=False),
    Column("node_id", Prose, nullable=False),
    Column("name", Prose, nullable=False),
    Column("label", Prose),
    Column("content_type", Prose, nullable=False),
    Column("size", BigInteger, nullable=False),
    # What upstream says that its bytes are; `blob` is what they were found to be.
    Column("digest", Digest),
    Column("uploaded", Boolean, nullable=False),
    Column("created", Instant),
    Column("updated", Instant),
    Column("uploader_id", BigInteger),
    Column("uploader_login", Prose),
    Column("state", String(WORD), nullable=False),
    Column("blob", Digest, ForeignKey("blob.digest"), index=True),
    Column("proof", String(WORD)),
    Column("reason", Prose),
    Column("since", Instant),
    Column("retry_at", Instant),
    Column("tries", Integer, nullable=False),
    Column("gone", Instant),
    Column("departure", String(WORD)),
    Column("attestation", Digest, ForeignKey("blob.digest"), index=True),
    sha256("digest"),
    counted("size"),
    counted("tries"),
    among("state", AssetState),
    among("proof", Proof),
    among("departure", Departure),
    CheckConstraint(
        "(uploader_id IS NULL) = (uploader_login IS NULL)", name="uploader"
    ),
    CheckConstraint(
        "state NOT IN ('present', 'damaged') OR blob IS NOT NULL", name="here"
    ),
    CheckConstraint("state NOT IN ('missing', 'expired') OR blob IS NULL", name="away"),
    CheckConstraint("blob IS NULL OR proof IS NOT NULL", name="proven"),
    CheckConstraint("state <> 'expired' OR attestation IS NULL", name="expired"),
    CheckConstraint("(gone IS NULL) = (departure IS NULL)", name="gone"),
    # What upstream does not show cannot be asked for; all else that is lacking is.
    CheckConstraint(
        "(retry_at IS NOT NULL) = (state IN ('missing', 'damaged') AND gone IS NULL)",
        name="retry_at",
    ),
    Index(
        "ix_asset_due",
        "mirror_id",
        "retry_at",
        info={WHERE: _OWED},
    ),
    # Upstream may give a file that it replaced the same id: that one is a tombstone.
    Index(
        "ix_asset_shown",
        "mirror_id",
        "upstream_id",
        unique=True,
        info={WHERE: _SHOWN},
    ),
)

listing_page = Table(
    "listing_page",
    metadata,
    mirror_key(primary=True),
    Column("position", Integer, primary_key=True),
    Column("url", Text, nullable=False),
    Column("etag", Text),
    Column("next", Text),
    Column("ids", Json, nullable=False),
    Column("read", Instant),
)
