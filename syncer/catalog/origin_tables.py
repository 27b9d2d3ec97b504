"""The tables of who repositories are upstream, under which names, and of pins.

Nothing here makes content visible, and nothing here deletes any.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
)

from syncer.catalog.columns import Instant, Json, Prose, RefText
from syncer.catalog.schema import (
    PATH,
    WORD,
    Name,
    among,
    counted,
    metadata,
    mirror_key,
)
from syncer.model.origin import Standing


def _facts(*, optional: bool) -> list[Column[object]]:
    """Return the columns of `Facts`, in their order."""
    return [
        Column("forge_id", BigInteger, nullable=optional),
        Column("node_id", Prose, nullable=optional),
        Column("host", String(300), nullable=optional),
        Column("owner", String(PATH), nullable=optional),
        Column("name", String(100), nullable=optional),
        Column("default_branch", Prose),
        Column("private", Boolean, nullable=optional),
        Column("archived", Boolean, nullable=optional),
        Column("disabled", Boolean, nullable=optional),
        Column("fork", Boolean, nullable=optional),
        Column("licence", Prose),
        Column("topics", Json, nullable=optional),
        Column("language", Prose),
        Column("size", BigInteger, nullable=optional),
        Column("pushed", Instant),
    ]


origin = Table(
    "origin",
    metadata,
    mirror_key(primary=True),
    # NULL, all of them, for one that upstream never showed.
    *_facts(optional=True),
    Column("standing", String(WORD), nullable=False),
    Column("since", Instant),
    Column("notice", Prose),
    Column("sightings", Integer, nullable=False),
    Column("described", Instant),
    Column("etag", Prose),
    among("standing", Standing),
    counted("sightings"),
    counted("size"),
    CheckConstraint(
        "(forge_id IS NULL) = (node_id IS NULL)"
        " AND (forge_id IS NULL) = (name IS NULL)"
        " AND (forge_id IS NULL) = (size IS NULL)",
        name="facts",
    ),
    # A repository is known again by its id, whatever its name is by then.
    Index(None, "forge_id"),
)

#: Names that a mirror was configured under, or has upstream beside that one.
#: Two mirrors may have had the same.
alias = Table(
    "alias",
    metadata,
    Column("identity", Name, primary_key=True),
    mirror_key(primary=True),
    Column("since", Instant, nullable=False),
    CheckConstraint("identity = lower(identity)", name="identity_folded"),
    Index(None, "mirror_id"),
)

pin = Table(
    "pin",
    metadata,
    mirror_key(primary=True),
    Column("tag", RefText, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", Prose, nullable=False),
)

hint = Table(
    "hint",
    metadata,
    mirror_key(primary=True),
    Column("node_id", Prose, nullable=False),
    Column("pushed", Instant),
    Column("release", Prose, nullable=False),
    Column("absent", Boolean, nullable=False),
)

discovery = Table(
    "discovery",
    metadata,
    # The `[[owner]]` that it was found under; it may belong to another by now.
    Column("under", Name, nullable=False),
    *_facts(optional=False),
    Column("seen", Instant, nullable=False),
    # The id first: a repository is looked for under every owner.
    PrimaryKeyConstraint("host", "forge_id", "under"),
    counted("size"),
)
