"""Add who repositories are upstream, their other names, pins, hints, discoveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")
_NAME = sa.String(2500).with_variant(sa.String(2500, collation="C"), "postgresql")
_STANDINGS = "'normal', 'archived', 'disabled', 'blocked', 'absent', 'gone'"


def upgrade() -> None:
    """Create the tables, and room for what the schedule reads of them."""
    _create_origin()
    _create_alias()
    _create_pin()
    _create_hint()
    _create_discovery()
    op.add_column(
        "audit_event",
        sa.Column("alarming", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("mirror", sa.Column("upstream", sa.Text()))
    op.add_column("mirror", sa.Column("node_id", sa.Text()))
    # The check stands with its column: SQLite can add and drop it so.
    op.add_column(
        "mirror",
        sa.Column(
            "standing",
            sa.String(16),
            _check("mirror", "standing", f"standing IN ({_STANDINGS})"),
            nullable=False,
            server_default="normal",
        ),
    )


def downgrade() -> None:
    """Drop who repositories are; mirrors keep the names they have by now."""
    for column in ("standing", "node_id", "upstream"):
        op.drop_column("mirror", column)
    op.drop_column("audit_event", "alarming")
    for table in ("discovery", "hint", "pin", "alias", "origin"):
        op.drop_table(table)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _counted(table: str, column: str) -> sa.CheckConstraint:
    return _check(table, column, f"{column} >= 0")


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _belongs(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_mirror_id_mirror")
    return sa.ForeignKeyConstraint(["mirror_id"], ["mirror.id"], name=name)


def _facts(*, optional: bool) -> list[sa.Column[object]]:
    """Return the columns of what upstream says of a repository."""
    return [
        sa.Column("forge_id", sa.BigInteger(), nullable=optional),
        sa.Column("node_id", sa.Text(), nullable=optional),
        sa.Column("host", sa.String(300), nullable=optional),
        sa.Column("owner", sa.String(2500), nullable=optional),
        sa.Column("name", sa.String(100), nullable=optional),
        sa.Column("default_branch", sa.Text()),
        sa.Column("private", sa.Boolean(), nullable=optional),
        sa.Column("archived", sa.Boolean(), nullable=optional),
        sa.Column("disabled", sa.Boolean(), nullable=optional),
        sa.Column("fork", sa.Boolean(), nullable=optional),
        sa.Column("licence", sa.Text()),
        sa.Column("topics", sa.Text(), nullable=optional),
        sa.Column("language", sa.Text()),
        sa.Column("size", sa.BigInteger(), nullable=optional),
        sa.Column("pushed", _INSTANT),
    ]


def _create_origin() -> None:
    whole = " AND ".join(
        f"(forge_id IS NULL) = ({column} IS NULL)"
        for column in ("node_id", "name", "size")
    )
    op.create_table(
        "origin",
        sa.Column("mirror_id", _KEY, nullable=False),
        *_facts(optional=True),
        sa.Column("standing", sa.String(16), nullable=False),
        sa.Column("since", _INSTANT),
        sa.Column("notice", sa.Text()),
        sa.Column("sightings", sa.Integer(), nullable=False),
        sa.Column("described", _INSTANT),
        sa.Column("etag", sa.Text()),
        _primary("origin", "mirror_id"),
        _belongs("origin"),
        _check("origin", "standing", f"standing IN ({_STANDINGS})"),
        _counted("origin", "sightings"),
        _counted("origin", "size"),
        _check("origin", "facts", whole),
    )
    op.create_index(op.f("ix_origin_forge_id"), "origin", ["forge_id"])


def _create_alias() -> None:
    op.create_table(
        "alias",
        sa.Column("identity", _NAME, nullable=False),
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        _primary("alias", "identity", "mirror_id"),
        _belongs("alias"),
        _check("alias", "identity_folded", "identity = lower(identity)"),
    )
    op.create_index(op.f("ix_alias_mirror_id"), "alias", ["mirror_id"])


def _create_pin() -> None:
    op.create_table(
        "pin",
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        _primary("pin", "mirror_id", "tag"),
        _belongs("pin"),
    )


def _create_hint() -> None:
    op.create_table(
        "hint",
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("pushed", _INSTANT),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("absent", sa.Boolean(), nullable=False),
        _primary("hint", "mirror_id"),
        _belongs("hint"),
    )


def _create_discovery() -> None:
    op.create_table(
        "discovery",
        sa.Column("under", _NAME, nullable=False),
        *_facts(optional=False),
        sa.Column("seen", _INSTANT, nullable=False),
        _primary("discovery", "host", "forge_id", "under"),
        _counted("discovery", "size"),
    )
