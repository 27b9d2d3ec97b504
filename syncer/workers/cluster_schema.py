"""The queue's tables in Postgres: procrastinate's own, in a schema of their own.

procrastinate ships one file for a new database and a migration for each change of
it; which was applied last is noted here, since it keeps no such note itself.  The
catalog's own migrations neither know nor touch any of this.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any

from procrastinate import SyncPsycopgConnector, exceptions
from procrastinate.schema import SchemaManager

from syncer.errors import NotInitialised, SchemaOutdated
from syncer.workers import cluster_queue
from syncer.workers.cluster_queue import SCHEMA, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOTE = "syncer_applied"  # a table of one column
_BEGIN = f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}; SET search_path TO {SCHEMA}"
_LOCK = "SELECT pg_advisory_xact_lock(1903521125)"  # "queue", for whoever upgrades
_HAS_NOTE = f"SELECT to_regclass('{SCHEMA}.{_NOTE}') IS NOT NULL AS known"
_LAST = f"SELECT max(name) AS name FROM {SCHEMA}.{_NOTE}"  # noqa: S608 - constants


def upgrade(connection: Mapping[str, Any]) -> str:
    """Make the queue's tables, or bring them up to date; say what was done.

    Raises:
        CatalogBusy: the database does not answer; nothing was changed.
        SchemaOutdated: a newer procrastinate made them.
    """
    with translated(), _opened(connection) as connector:
        before = _applied(connector)
        _refuse_newer(before)
        wanted = migrations()[-1]
        if before == wanted:
            return f"the queue is up to date ({before})"
        _apply(connector, before, wanted)
    return f"the queue went from {before or 'nothing'} to {wanted}"


def check(connection: Mapping[str, Any]) -> None:
    """Do nothing if the queue's tables are those that this program works with.

    Raises:
        NotInitialised: there are none.
        SchemaOutdated: they are older, or newer.
    """
    with translated(), _opened(connection) as connector:
        present = _applied(connector)
    hint = "run `syncer db upgrade`"
    if present is None:
        msg = "there is no queue of runs in the catalog's database yet"
        raise NotInitialised(msg, hint=hint)
    _refuse_newer(present)
    if present != migrations()[-1]:
        msg = f"the queue is at {present}, this program needs {migrations()[-1]}"
        raise SchemaOutdated(msg, hint=hint)


def statements(before: str | None = None) -> str:
    """Return what brings the tables up to date, for an administrator to read."""
    known = migrations()
    if before is None:
        parts = [SchemaManager.get_schema()]
        note = f"CREATE TABLE {_NOTE} (name text PRIMARY KEY)"
    else:
        parts = [_migration(name) for name in known if name > before]
        note = ""
    insert = f"INSERT INTO {_NOTE} (name) VALUES ('{known[-1]}')"  # noqa: S608 - a file's name
    return ";\n".join(each for each in (_LOCK, _BEGIN, *parts, note, insert) if each)


def migrations() -> list[str]:
    """Return the names of procrastinate's migrations, oldest first."""
    files = resources.files("procrastinate.sql.migrations").iterdir()
    return sorted(f.name.removesuffix(".sql") for f in files if f.name.endswith(".sql"))


def _migration(name: str) -> str:
    directory = resources.files("procrastinate.sql.migrations")
    return (directory / f"{name}.sql").read_text(encoding="utf-8")


def _apply(connector: SyncPsycopgConnector, before: str | None, wanted: str) -> None:
    try:
        # Sent as one message, which is one transaction.
        connector.execute_query(_escaped(statements(before)))
    except exceptions.ConnectorException:
        if _applied(connector) != wanted:
            raise
        # Somebody else was at it meanwhile; of ours nothing was done.


def _refuse_newer(present: str | None) -> None:
    if present is not None and present not in migrations():
        msg = f"the queue is at {present}, which the procrastinate here does not know"
        raise SchemaOutdated(msg, hint="install the newer one that upgraded it")


@contextmanager
def _opened(connection: Mapping[str, Any]) -> Iterator[SyncPsycopgConnector]:
    connector = SyncPsycopgConnector()
    with cluster_queue.pool(connection, 1) as pool:
        connector.open(pool)
        yield connector


def _applied(connector: SyncPsycopgConnector) -> str | None:
    if not connector.execute_query_one(_HAS_NOTE)["known"]:
        return None
    name: str | None = connector.execute_query_one(_LAST)["name"]
    return name


def _escaped(sql: str) -> str:
    """Return statements as the driver takes them when there is no parameter."""
    return sql.replace("%", "%%")
