"""Create the catalog: mirrors, their runs, and what happened to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")
# Sorted by bytes, whatever the locale of the cluster.
_NAME = sa.String(2500).with_variant(sa.String(2500, collation="C"), "postgresql")
_OUTCOMES = "'unchanged', 'changed', 'partial', 'held', 'failed', 'gone'"


def upgrade() -> None:
    """Create every table."""
    _create_mirror()
    _create_run()
    _create_intent()
    _create_ref_change()
    _create_findings()
    _create_lag_sample()
    _create_host_and_audit()


def downgrade() -> None:
    """Drop every table; the mirrored repositories are not touched."""
    for table in (
        *("audit_event", "host", "lag_sample", "accepted_object", "finding"),
        *("ref_change", "intent", "run", "mirror"),
    ):
        op.drop_table(table)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _belongs(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{to}")
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=name)


def _create_mirror() -> None:
    counted = ("ref_count", "generation", "failures", "packs", "size")
    op.create_table(
        "mirror",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("identity", _NAME, nullable=False),
        sa.Column("host", sa.String(300), nullable=False),
        sa.Column("owner", sa.String(2500), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("path", _NAME, nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("activity", sa.String(16), nullable=False),
        sa.Column("fingerprint", sa.String(128)),
        sa.Column("asked", sa.Text()),
        sa.Column("stamp", sa.Text()),
        sa.Column("head", sa.LargeBinary()),
        sa.Column("ref_count", sa.Integer(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("error", sa.Text()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_attempt", _INSTANT),
        sa.Column("last_success", _INSTANT),
        sa.Column("behind_since", _INSTANT),
        sa.Column("last_change", _INSTANT),
        sa.Column("not_before", _INSTANT),
        sa.Column("rate_hour", sa.Float(53), nullable=False),
        sa.Column("rate_day", sa.Float(53), nullable=False),
        sa.Column("rate_fortnight", sa.Float(53), nullable=False),
        sa.Column("rate_at", _INSTANT),
        sa.Column("held", sa.Text()),
        sa.Column("packs", sa.Integer(), nullable=False),
        sa.Column("maintained", _INSTANT),
        sa.Column("added", _INSTANT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        _primary("mirror", "id"),
        sa.UniqueConstraint("identity", name=op.f("uq_mirror_identity")),
        sa.UniqueConstraint("path", name=op.f("uq_mirror_path")),
        _check("mirror", "activity", "activity IN ('active', 'paused', 'removed')"),
        _check("mirror", "outcome", f"outcome IN ({_OUTCOMES})"),
        _check("mirror", "identity_folded", "identity = lower(identity)"),
        _check("mirror", "path", "substr(path, 1, 1) <> '/' AND path <> ''"),
        _check("mirror", "fingerprint", "length(fingerprint) BETWEEN 1 AND 128"),
        *(_check("mirror", column, f"{column} >= 0") for column in counted),
        sqlite_autoincrement=True,
        postgresql_with={"fillfactor": 70},
    )


def _create_run() -> None:
    stages = "'probing', 'fetching', 'promoting', 'recording'"
    op.create_table(
        "run",
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
        _primary("run", "id"),
        _belongs("run", "mirror_id", "mirror"),
        _check("run", "trigger", "trigger IN ('schedule', 'command')"),
        _check("run", "stage", f"stage IN ({stages})"),
        _check("run", "outcome", f"outcome IN ({_OUTCOMES})"),
        _check("run", "ended", "(outcome IS NULL) = (ended IS NULL)"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_run_mirror_id_id"), "run", ["mirror_id", "id"])
    still_open = sa.text("outcome IS NULL")
    op.create_index(
        op.f("ix_run_open"),
        "run",
        ["mirror_id"],
        sqlite_where=still_open,
        postgresql_where=still_open,
    )


def _create_intent() -> None:
    op.create_table(
        "intent",
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("run_id", _KEY, nullable=False),
        sa.Column("old", sa.String(64), nullable=False),
        sa.Column("beside", sa.String(64)),
        sa.Column("new", sa.String(64), nullable=False),
        sa.Column("head", sa.LargeBinary()),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(128)),
        sa.Column("asked", sa.Text()),
        sa.Column("observed", _INSTANT, nullable=False),
        sa.Column("probed", _INSTANT, nullable=False),
        sa.Column("ref_count", sa.Integer(), nullable=False),
        sa.Column("first", sa.Boolean(), nullable=False),
        _primary("intent", "mirror_id"),
        sa.UniqueConstraint("run_id", name=op.f("uq_intent_run_id")),
        _belongs("intent", "mirror_id", "mirror"),
        _belongs("intent", "run_id", "run"),
        _check("intent", "old", "length(old) = 64"),
        _check("intent", "beside", "length(beside) = 64"),
        _check("intent", "new", "length(new) = 64"),
    )


def _create_ref_change() -> None:
    kinds = "'created', 'moved', 'rewound', 'deleted'"
    op.create_table(
        "ref_change",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("run_id", _KEY, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("ref", sa.LargeBinary(), nullable=False),
        sa.Column("old", sa.String(64)),
        sa.Column("new", sa.String(64)),
        sa.Column("kind", sa.String(16), nullable=False),
        _primary("ref_change", "id"),
        _belongs("ref_change", "mirror_id", "mirror"),
        _belongs("ref_change", "run_id", "run"),
        _check("ref_change", "kind", f"kind IN ({kinds})"),
        _check("ref_change", "old", "length(old) IN (40, 64)"),
        _check("ref_change", "new", "length(new) IN (40, 64)"),
        _check("ref_change", "differs", "old IS NOT NULL OR new IS NOT NULL"),
    )
    name = op.f("ix_ref_change_mirror_id_id")
    op.create_index(name, "ref_change", ["mirror_id", "id"])
    op.create_index(op.f("ix_ref_change_run_id"), "ref_change", ["run_id"])


def _create_findings() -> None:
    op.create_table(
        "finding",
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("oid", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("seen", _INSTANT, nullable=False),
        _primary("finding", "mirror_id", "oid", "message_id"),
        _belongs("finding", "mirror_id", "mirror"),
        _check("finding", "oid", "length(oid) IN (40, 64)"),
    )
    op.create_table(
        "accepted_object",
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("oid", sa.String(64), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        _primary("accepted_object", "mirror_id", "oid"),
        _belongs("accepted_object", "mirror_id", "mirror"),
        _check("accepted_object", "oid", "length(oid) IN (40, 64)"),
    )


def _create_lag_sample() -> None:
    op.create_table(
        "lag_sample",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("mirror_id", _KEY, nullable=False),
        sa.Column("component", sa.String(16), nullable=False),
        sa.Column("observed", _INSTANT, nullable=False),
        sa.Column("published", _INSTANT, nullable=False),
        sa.Column("not_before", _INSTANT),
        _primary("lag_sample", "id"),
        _belongs("lag_sample", "mirror_id", "mirror"),
    )
    op.create_index(op.f("ix_lag_sample_published"), "lag_sample", ["published"])


def _create_host_and_audit() -> None:
    op.create_table(
        "host",
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("capabilities", sa.Text(), nullable=False),
        sa.Column("checked", _INSTANT, nullable=False),
        _primary("host", "name"),
    )
    op.create_table(
        "audit_event",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        _primary("audit_event", "id"),
    )
