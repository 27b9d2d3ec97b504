"""Add releases and their assets, and the pages of the listings that showed them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")
_DIGEST = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_COUNTED = (
    *("release_count", "assets_present", "assets_missing", "assets_damaged"),
    "assets_size",
)
_ADDED = ("releases", "events")


def upgrade() -> None:
    """Create the tables, and room for what the schedule knows of releases."""
    _create_release()
    _create_asset()
    _create_listing_page()
    _add_to_mirror()
    op.add_column("run", sa.Column("releases", sa.Text()))
    for column in _ADDED:
        op.add_column("intent", sa.Column(column, sa.Text()))


def downgrade() -> None:
    """Drop what is known of releases; the bytes of assets are not touched."""
    for column in reversed(_ADDED):
        op.drop_column("intent", column)
    op.drop_column("run", "releases")
    for column in (
        *("releases_checked", "releases_behind", "releases_asked"),
        *("releases_failures", "releases_error", "releases_not_before"),
        *(*_COUNTED, "assets_retry_at"),
    ):
        op.drop_column("mirror", column)
    for table in ("listing_page", "asset", "release"):
        op.drop_table(table)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _counted(table: str, column: str) -> sa.CheckConstraint:
    return _check(table, column, f"{column} >= 0")


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{to.partition('.')[0]}")
    return sa.ForeignKeyConstraint([column], [to], name=name)


def _create_release() -> None:
    op.create_table(
        "release",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("upstream_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("body", sa.Text()),
        sa.Column("author_id", sa.BigInteger()),
        sa.Column("author_login", sa.Text()),
        sa.Column("draft", sa.Boolean(), nullable=False),
        sa.Column("prerelease", sa.Boolean(), nullable=False),
        sa.Column("immutable", sa.Boolean(), nullable=False),
        sa.Column("created", _INSTANT),
        sa.Column("published", _INSTANT),
        sa.Column("updated", _INSTANT),
        sa.Column("selected", sa.Boolean(), nullable=False),
        sa.Column("gone", _INSTANT),
        _primary("release", "id"),
        _refers("release", "mirror_id", "mirror.id"),
        _check("release", "author", "(author_id IS NULL) = (author_login IS NULL)"),
        sa.UniqueConstraint(
            "mirror_id", "upstream_id", name=op.f("uq_release_mirror_id_upstream_id")
        ),
    )


def _create_asset() -> None:
    op.create_table(
        "asset",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("release_id", _KEY, nullable=False),
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("upstream_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", _DIGEST),
        sa.Column("uploaded", sa.Boolean(), nullable=False),
        sa.Column("created", _INSTANT),
        sa.Column("updated", _INSTANT),
        sa.Column("uploader_id", sa.BigInteger()),
        sa.Column("uploader_login", sa.Text()),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("blob", _DIGEST),
        sa.Column("proof", sa.String(16)),
        sa.Column("reason", sa.Text()),
        sa.Column("since", _INSTANT),
        sa.Column("retry_at", _INSTANT),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("gone", _INSTANT),
        sa.Column("departure", sa.String(16)),
        sa.Column("attestation", _DIGEST),
        _primary("asset", "id"),
        _refers("asset", "release_id", "release.id"),
        _refers("asset", "mirror_id", "mirror.id"),
        _refers("asset", "blob", "blob.digest"),
        _refers("asset", "attestation", "blob.digest"),
        *_asset_checks(),
    )
    for column in ("release_id", "blob", "attestation"):
        op.create_index(op.f(f"ix_asset_{column}"), "asset", [column])
    _create_partial_index("due", "retry_at IS NOT NULL", "mirror_id", "retry_at")
    _create_partial_index(
        "shown", "gone IS NULL", "mirror_id", "upstream_id", unique=True
    )


def _asset_checks() -> list[sa.CheckConstraint]:
    digits = "ltrim(digest, '0123456789abcdef') = ''"
    states = "'present', 'missing', 'damaged', 'unwanted', 'expired'"
    owed = "state IN ('missing', 'damaged') AND gone IS NULL"
    uploader = "(uploader_id IS NULL) = (uploader_login IS NULL)"
    here = "state NOT IN ('present', 'damaged') OR blob IS NOT NULL"
    away = "state NOT IN ('missing', 'expired') OR blob IS NULL"
    expired = "state <> 'expired' OR attestation IS NULL"
    return [
        _check("asset", "digest", f"length(digest) = 64 AND {digits}"),
        _counted("asset", "size"),
        _counted("asset", "tries"),
        _check("asset", "state", f"state IN ({states})"),
        _check("asset", "proof", "proof IN ('verified', 'pinned')"),
        _check("asset", "departure", "departure IN ('deleted', 'replaced')"),
        _check("asset", "uploader", uploader),
        _check("asset", "here", here),
        _check("asset", "away", away),
        _check("asset", "proven", "blob IS NULL OR proof IS NOT NULL"),
        _check("asset", "expired", expired),
        _check("asset", "gone", "(gone IS NULL) = (departure IS NULL)"),
        _check("asset", "retry_at", f"(retry_at IS NOT NULL) = ({owed})"),
    ]


def _create_partial_index(
    name: str, condition: str, *columns: str, unique: bool = False
) -> None:
    op.create_index(
        op.f(f"ix_asset_{name}"),
        "asset",
        list(columns),
        unique=unique,
        sqlite_where=sa.text(condition),
        postgresql_where=sa.text(condition),
    )


def _create_listing_page() -> None:
    op.create_table(
        "listing_page",
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text()),
        sa.Column("next", sa.Text()),
        sa.Column("ids", sa.Text(), nullable=False),
        sa.Column("read", _INSTANT),
        _primary("listing_page", "mirror_id", "position"),
        _refers("listing_page", "mirror_id", "mirror.id"),
    )


def _add_to_mirror() -> None:
    op.add_column("mirror", sa.Column("releases_checked", _INSTANT))
    op.add_column("mirror", sa.Column("releases_behind", _INSTANT))
    op.add_column("mirror", sa.Column("releases_asked", sa.Text()))
    _add_count("releases_failures", sa.Integer())
    op.add_column("mirror", sa.Column("releases_error", sa.Text()))
    op.add_column("mirror", sa.Column("releases_not_before", _INSTANT))
    for name in _COUNTED:
        _add_count(name, sa.BigInteger())
    op.add_column("mirror", sa.Column("assets_retry_at", _INSTANT))


def _add_count(name: str, kind: sa.Integer) -> None:
    # The check stands with its column: SQLite can add and drop it so.
    check = _counted("mirror", name)
    none = sa.text("0")
    column = sa.Column(name, kind, check, nullable=False, server_default=none)
    op.add_column("mirror", column)
