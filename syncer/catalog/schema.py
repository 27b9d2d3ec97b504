"""What the tables have in common: their metadata, and constraints that recur."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, Column, ForeignKey, MetaData, String

from syncer.catalog.columns import Key

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

#: What an index says of itself in its `info`: the condition of the rows it is of.
WHERE = "where"
#: What a table says there: percent of a page that are filled at first, on Postgres.
FILLED = "filled"

WORD = 16
OID = 64  # of sha256; sha1 has 40
DIGEST = 64
PATH = 2500  # Postgres indexes at most 2,700 bytes

# Postgres would sort by the locale of its cluster; names sort by their bytes.
Name = String(PATH).with_variant(String(PATH, collation="C"), "postgresql")
#: A sha256 that is a key.
Digest = String(DIGEST).with_variant(String(DIGEST, collation="C"), "postgresql")


def among(column: str, words: type[StrEnum]) -> CheckConstraint:
    """Return the constraint that a column holds one of some words."""
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def oid(column: str) -> CheckConstraint:
    """Return the constraint that a column holds the id of a git object."""
    return CheckConstraint(f"length({column}) IN (40, {OID})", name=column)


def counted(column: str) -> CheckConstraint:
    """Return the constraint that a column holds a count, or a size."""
    return CheckConstraint(f"{column} >= 0", name=column)


def sha256(column: str) -> CheckConstraint:
    """Return the constraint that a column holds a sha256 in lower-case digits."""
    digits = f"ltrim({column}, '0123456789abcdef') = ''"
    return CheckConstraint(f"length({column}) = {DIGEST} AND {digits}", name=column)


def mirror_key(*, primary: bool = False) -> Column[int]:
    """Return a column that says to which mirror a row belongs."""
    return Column(
        "mirror_id", Key, ForeignKey("mirror.id"), primary_key=primary, nullable=False
    )


def complete() -> MetaData:
    """Return the metadata with the options that are one engine's own.

    Only who makes or compares tables needs them, and naming one loads its engine's
    whole dialect: a tenth of what a command takes that only reads.
    """
    for table in metadata.tables.values():
        if FILLED in table.info:
            kept = {"fillfactor": table.info[FILLED]}
            table.dialect_kwargs["postgresql_with"] = kept
        for index in table.indexes:
            if WHERE in index.info:
                for engine in ("sqlite", "postgresql"):
                    index.dialect_kwargs[f"{engine}_where"] = index.info[WHERE]
    return metadata
