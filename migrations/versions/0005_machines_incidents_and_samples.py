"""Add machines, incidents, storage samples and counters; where mirrors are at home."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")
_NAME = sa.String(2500).with_variant(sa.String(2500, collation="C"), "postgresql")
_KINDS = (
    "'late', 'failing', 'held', 'disk', 'integrity', 'upstream', 'licence', "
    "'force-push', 'scheduler'"
)
_OPEN = sa.text("ended IS NULL")


def upgrade() -> None:
    """Create the tables; say of mirrors and runs on which machine they are."""
    _create_machine()
    _create_incident()
    _create_storage_sample()
    _create_counter()
    op.add_column("mirror", sa.Column("home", sa.String(64)))
    op.add_column("run", sa.Column("machine", sa.String(64)))
    op.create_index(op.f("ix_run_ended"), "run", ["ended"])
    op.create_index(op.f("ix_audit_event_at"), "audit_event", ["at"])
    _count()


def downgrade() -> None:
    """Drop what operators are told; mirrors belong to no machine then."""
    op.drop_index(op.f("ix_audit_event_at"), "audit_event")
    op.drop_index(op.f("ix_run_ended"), "run")
    op.drop_column("run", "machine")
    op.drop_column("mirror", "home")
    for table in ("counter", "storage_sample", "incident", "machine"):
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


def _create_machine() -> None:
    counts = ("leader", "running", "waiting", "capacity")
    op.create_table(
        "machine",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("started", _INSTANT, nullable=False),
        sa.Column("seen", _INSTANT, nullable=False),
        sa.Column("leader", sa.Integer(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("oldest", _INSTANT),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("tick", sa.Float(53), nullable=False),
        sa.Column("allowances", sa.Text(), nullable=False),
        _primary("machine", "name"),
        *(_counted("machine", column) for column in counts),
    )


def _create_incident() -> None:
    op.create_table(
        "incident",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", _NAME, nullable=False),
        sa.Column("began", _INSTANT, nullable=False),
        sa.Column("ended", _INSTANT),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("mirror_id", _KEY),
        sa.Column("event_id", _KEY),
        sa.Column("told", _INSTANT),
        sa.Column("recovery_told", _INSTANT),
        _primary("incident", "id"),
        _refers("incident", "mirror_id", "mirror.id"),
        _refers("incident", "event_id", "audit_event.id"),
        _check("incident", "kind", f"kind IN ({_KINDS})"),
        sa.UniqueConstraint("event_id", name=op.f("uq_incident_event_id")),
        sa.UniqueConstraint(
            *("kind", "subject", "began"), name=op.f("uq_incident_kind_subject_began")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_incident_open",
        "incident",
        ["kind", "subject"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_index(op.f("ix_incident_mirror_id"), "incident", ["mirror_id"])
    op.create_index(op.f("ix_incident_began"), "incident", ["began"])


def _create_storage_sample() -> None:
    sizes = ("free", "capacity", "git", "lfs", "assets", "blobs")
    op.create_table(
        "storage_sample",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("machine", sa.String(128), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in sizes),
        _primary("storage_sample", "id"),
        *(_counted("storage_sample", column) for column in sizes),
    )
    op.create_index(op.f("ix_storage_sample_at"), "storage_sample", ["at"])


def _create_counter() -> None:
    op.create_table(
        "counter",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("value", sa.Float(53), nullable=False),
        _primary("counter", "name", "label"),
        _check("counter", "value", "value >= 0"),
    )


_BOUNDS = (1, 5, 15, 60, 300, 900, 3600, 21_600)
# exit codes of `Interrupted` and `Locked`
_ENDED = "CASE exit_code WHEN 130 THEN 'interrupted' WHEN 11 THEN 'locked' ELSE {} END"
_PROBED = """CASE WHEN stage <> 'probing' THEN 'changed'
    WHEN outcome = 'failed' THEN 'failed' ELSE 'unchanged' END"""


def _count() -> None:
    """Count what is on record: counters begin with it.

    How long a run took whose process died is not known; here it is as long as it
    was until somebody found out.
    """
    took, lag = _seconds("started", "ended"), _seconds("observed", "published")
    for name, label, amount in (
        ("syncs", _ENDED.format("outcome"), "1"),
        ("sync_seconds_sum", "''", took),
        ("sync_seconds_bucket", _bucket(took), "1"),
        ("bytes", "'git'", "received"),
        ("bytes", "'lfs'", _member("lfs", "received")),
        ("bytes", "'assets'", _member("releases", "received")),
        ("probes", _PROBED, "1"),
        ("force_pushes", "''", _member("counts", "rewound")),
        ("mismatches", "'run'", "CASE exit_code WHEN 7 THEN 1 ELSE 0 END"),
    ):
        _add(name, label, amount, "run WHERE outcome IS NOT NULL")
    for name, label, amount in (
        ("lag_seconds_sum", "component", lag),
        ("lag_seconds_bucket", f"component || '/' || {_bucket(lag)}", "1"),
    ):
        _add(name, label, amount, "lag_sample")
    stored = "blob WHERE damaged IS NULL AND removing IS NULL"
    _add("blob_bytes", "''", "size", stored)


def _add(name: str, label: str, amount: str, rows: str) -> None:
    """Store the sums of an expression by another, but for those that are nothing."""
    op.execute(
        f"INSERT INTO counter (name, label, value) SELECT '{name}', label, sum(amount)"  # noqa: S608 - nobody's input
        f" FROM (SELECT {label} AS label, {amount} AS amount FROM {rows}) AS counted"
        " GROUP BY label HAVING sum(amount) > 0"
    )


def _seconds(start: str, end: str) -> str:
    """Return the expression for what lies between two instants; never less than 0."""
    if _is_sqlite():
        seconds = f"(julianday({end}) - julianday({start})) * 86400"
    else:
        seconds = f"CAST(extract(epoch FROM {end} - {start}) AS double precision)"
    return f"CASE WHEN {end} > {start} THEN {seconds} ELSE 0 END"


def _bucket(seconds: str) -> str:
    """Return the expression for the first bucket that has room for a duration."""
    # What `julianday` is off by must not push an even duration into the next one.
    fits = (f"WHEN {seconds} < {bound}.0005 THEN '{bound}'" for bound in _BOUNDS)
    return f"CASE {' '.join(fits)} ELSE '+Inf' END"


def _member(column: str, name: str) -> str:
    """Return the expression for a number in a column of JSON; nothing for none."""
    if _is_sqlite():
        return f"json_extract({column}, '$.{name}')"
    return f"CAST(CAST({column} AS json) ->> '{name}' AS double precision)"


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"
