"""Add blobs, the LFS objects of mirrors, and who relies on which."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Iterator

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")
_NAME = sa.String(2500).with_variant(sa.String(2500, collation="C"), "postgresql")
_DIGEST = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_OUTCOMES = "'unchanged', 'changed', 'partial', 'held', 'failed', 'gone'"
_STAGES = "'probing', 'fetching', 'promoting', 'recording'"
_MORE_STAGES = "'probing', 'fetching', 'transferring', 'promoting', 'recording'"
_COUNTED = ("lfs_present", "lfs_missing", "lfs_damaged", "lfs_size")


def upgrade() -> None:
    """Create the tables, and room for the counts of mirrors and runs."""
    _create_blob()
    _create_lfs_object()
    _create_claim()
    _create_upload()
    _add_to_mirror()
    _add_to_run()


def downgrade() -> None:
    """Drop what is known of blobs; the blobs themselves are not touched."""
    _take_from_run()
    for column in ("lfs_retry_at", *_COUNTED, "lfs_scanned"):
        op.drop_column("mirror", column)
    for table in ("upload", "claim", "lfs_object", "blob"):
        op.drop_table(table)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _counted(table: str, column: str) -> sa.CheckConstraint:
    return _check(table, column, f"{column} >= 0")


def _sha256(table: str, column: str) -> sa.CheckConstraint:
    digits = f"ltrim({column}, '0123456789abcdef') = ''"
    return _check(table, column, f"length({column}) = 64 AND {digits}")


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _belongs(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_mirror_id_mirror")
    return sa.ForeignKeyConstraint(["mirror_id"], ["mirror.id"], name=name)


def _create_partial_index(name: str, table: str, *columns: str) -> None:
    given = sa.text(f"{columns[-1]} IS NOT NULL")
    op.create_index(
        op.f(name), table, list(columns), sqlite_where=given, postgresql_where=given
    )


def _create_blob() -> None:
    op.create_table(
        "blob",
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stored", _INSTANT, nullable=False),
        sa.Column("verified", _INSTANT, nullable=False),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("condemned", _INSTANT),
        sa.Column("removing", _INSTANT),
        sa.Column("damaged", _INSTANT),
        _primary("blob", "digest"),
        _sha256("blob", "digest"),
        _counted("blob", "size"),
        _check("blob", "removing", "removing IS NULL OR condemned IS NOT NULL"),
        sqlite_with_rowid=False,
    )
    _create_partial_index("ix_blob_condemned", "blob", "condemned")


def _create_lfs_object() -> None:
    states = "'present', 'missing', 'damaged', 'unreached'"
    absent = "state IN ('missing', 'unreached')"
    settled = "state IN ('present', 'unreached')"
    needs = op.f("fk_lfs_object_blob_blob")
    op.create_table(
        "lfs_object",
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("oid", _DIGEST, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("blob", _DIGEST),
        sa.Column("reason", sa.Text()),
        sa.Column("since", _INSTANT),
        sa.Column("retry_at", _INSTANT),
        sa.Column("tries", sa.Integer(), nullable=False),
        _primary("lfs_object", "mirror_id", "oid"),
        _belongs("lfs_object"),
        sa.ForeignKeyConstraint(["blob"], ["blob.digest"], name=needs),
        _sha256("lfs_object", "oid"),
        _counted("lfs_object", "size"),
        _counted("lfs_object", "tries"),
        _check("lfs_object", "state", f"state IN ({states})"),
        _check("lfs_object", "blob", "blob = oid"),
        _check("lfs_object", "needs", f"({absent}) = (blob IS NULL)"),
        _check("lfs_object", "retry_at", f"({settled}) = (retry_at IS NULL)"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_lfs_object_blob"), "lfs_object", ["blob"])
    _create_partial_index("ix_lfs_object_due", "lfs_object", "mirror_id", "retry_at")


def _create_claim() -> None:
    op.create_table(
        "claim",
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        _primary("claim", "mirror_id", "digest"),
        _belongs("claim"),
        _sha256("claim", "digest"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_claim_digest"), "claim", ["digest"])


def _create_upload() -> None:
    op.create_table(
        "upload",
        sa.Column("key", _NAME, nullable=False),
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("started", _INSTANT, nullable=False),
        _primary("upload", "key"),
        _sha256("upload", "digest"),
        _counted("upload", "size"),
    )


def _add_to_mirror() -> None:
    op.add_column("mirror", sa.Column("lfs_scanned", _INSTANT))
    for name in _COUNTED:
        # The check stands with its column: SQLite can add and drop it so.
        op.add_column(
            "mirror",
            sa.Column(
                name,
                sa.BigInteger(),
                _counted("mirror", name),
                nullable=False,
                server_default=sa.text("0"),
            ),
        )
    op.add_column("mirror", sa.Column("lfs_retry_at", _INSTANT))


def _add_to_run() -> None:
    with (
        _numbers_kept("run"),
        op.batch_alter_table("run", copy_from=_run(_STAGES)) as batch,
    ):
        batch.drop_constraint(op.f("ck_run_stage"), type_="check")
        batch.create_check_constraint(
            op.f("ck_run_stage"), sa.text(f"stage IN ({_MORE_STAGES})")
        )
        batch.add_column(sa.Column("lfs", sa.Text()))


def _take_from_run() -> None:
    # The step before it is the nearest that the older program knows.
    op.execute("UPDATE run SET stage = 'fetching' WHERE stage = 'transferring'")
    added = sa.Column("lfs", sa.Text())
    before = _run(_MORE_STAGES, added)
    with _numbers_kept("run"), op.batch_alter_table("run", copy_from=before) as batch:
        batch.drop_constraint(op.f("ck_run_stage"), type_="check")
        batch.create_check_constraint(
            op.f("ck_run_stage"), sa.text(f"stage IN ({_STAGES})")
        )
        batch.drop_column("lfs")


@contextmanager
def _numbers_kept(table: str) -> Iterator[None]:
    """Let a table that SQLite replaces go on with the numbers of its rows.

    The new one would begin after those that it holds: a purged one's number
    would return.
    """
    if op.get_context().dialect.name != "sqlite":
        yield
        return
    last = f"FROM sqlite_sequence WHERE name = '{table}'"
    op.execute(f"CREATE TEMPORARY TABLE kept AS SELECT name, seq {last}")
    yield
    op.execute(f"DELETE {last}")
    op.execute("INSERT INTO sqlite_sequence SELECT name, seq FROM kept")
    op.execute("DROP TABLE kept")


def _run(stages: str, *added: sa.Column[str]) -> sa.Table:
    """Return the table as it is; SQLite replaces it by another one.

    Written out, since a script for an administrator is made without a database
    to look at.
    """
    still_open = sa.text("outcome IS NULL")
    metadata = sa.MetaData()
    sa.Table("mirror", metadata, sa.Column("id", _KEY))
    table = sa.Table(
        "run",
        metadata,
        sa.Column("id", _KEY, nullable=False),
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("trigger", sa.String(16), nullable=False),
        sa.Column("started", _INSTANT, nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("ended", _INSTANT),
        sa.Column("error", sa.Text()),
        sa.Column("hint", sa.Text()),
        sa.Column("exit_code", sa.Integer(), nullable=False),
        sa.Column("retry_after", sa.BigInteger()),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("objects", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        *added,
        _primary("run", "id"),
        _belongs("run"),
        _check("run", "trigger", "trigger IN ('schedule', 'command')"),
        _check("run", "stage", f"stage IN ({stages})"),
        _check("run", "outcome", f"outcome IN ({_OUTCOMES})"),
        _check("run", "ended", "(outcome IS NULL) = (ended IS NULL)"),
        sqlite_autoincrement=True,
    )
    sa.Index(op.f("ix_run_mirror_id_id"), table.c.mirror_id, table.c.id)
    sa.Index(
        op.f("ix_run_open"),
        table.c.mirror_id,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    return table
