"""Migrations, run by Alembic, one process at a time, each in one transaction."""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text

from syncer.catalog.database import (
    check_schema,
    connect,
    current,
    head,
    migrations,
    parse,
    revisions,
    sqlite_file,
)
from syncer.catalog.tables import complete
from syncer.catalog.translation import translated
from syncer.errors import CatalogBusy, NotInitialised, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

_PATIENCE = 60.0  # seconds another process may take to migrate
_POLL = 0.05
_LOCK_KEY = 0x6D696772  # "migr": which of Postgres' advisory locks is ours


def upgrade(url: str) -> str:
    """Apply the migrations that are missing."""
    with _opened(url) as engine, _alone(engine):
        before = current(engine)
        if before == head():
            return f"the catalog is up to date ({before})"
        if before is not None and before not in revisions():
            check_schema(engine)  # says what it is, and what to do
        with _connected(engine) as conn:
            command.upgrade(_configuration(conn), "head")
        return f"the catalog went from {before or 'nothing'} to {current(engine)}"


def downgrade(url: str, revision: str) -> None:
    """Take back the migrations after `revision`."""
    with _opened(url) as engine, _alone(engine), _connected(engine) as conn:
        command.downgrade(_configuration(conn), revision)


def script(url: str) -> str:
    """Return the statements of all migrations, for an administrator to run."""
    output = StringIO()
    config = _configuration(None, output)
    config.attributes["dialect"] = parse(url).get_backend_name()
    command.upgrade(config, "head", sql=True)
    return output.getvalue()


def differences(url: str) -> list[str]:
    """Return what autogenerate would put into a migration; empty is right."""
    with _opened(url) as engine, engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        return [str(entry) for entry in compare_metadata(context, complete())]


def _configuration(conn: Connection | None, output: StringIO | None = None) -> Config:
    """Return Alembic's settings; there is no alembic.ini to forget."""
    config = Config(output_buffer=output)
    # Alembic reads `%` as the start of an interpolation.
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.attributes["connection"] = conn
    return config


@contextmanager
def _opened(url: str) -> Iterator[Engine]:
    engine = connect(url)
    try:
        with translated():
            yield engine
    finally:
        engine.dispose()


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    """Yield a connection on which SQLite may replace a table that others refer to.

    It cannot alter one otherwise, and reads the pragma outside of transactions
    only.  https://www.sqlite.org/lang_altertable.html, section 7
    """
    with engine.connect() as conn:
        driver = conn.connection.dbapi_connection
        if driver is not None and engine.dialect.name == "sqlite":
            driver.cursor().execute("PRAGMA foreign_keys = OFF")
        yield conn


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Keep other processes from migrating the same catalog meanwhile."""
    file = sqlite_file(engine.url)
    with _flock(file) if file is not None else _advisory_lock(engine):
        yield


@contextmanager
def _flock(file: Path) -> Iterator[None]:
    try:
        lock = file.with_name(f"{file.name}.lock").open("ab")
    except FileNotFoundError:
        msg = f"{file.parent} does not exist; no catalog was made"
        raise NotInitialised(msg, hint="run `syncer init`") from None
    except OSError as exc:
        msg = f"{file.parent} cannot be written to; no catalog was made: {exc.strerror}"
        raise PermanentError(msg) from exc
    with lock:
        deadline = time.monotonic() + _PATIENCE
        while not _locked(lock.fileno()):
            if time.monotonic() > deadline:
                msg = f"another process is migrating {file}; nothing was changed"
                raise CatalogBusy(msg)
            time.sleep(_POLL)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _advisory_lock(engine: Engine) -> Iterator[None]:
    """Hold a lock of the session, which outlives the migrations' transactions."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text(f"SET lock_timeout = '{_PATIENCE:.0f}s'"))
        conn.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
        # Closed rather than given back: that ends the session and its lock.
        conn.detach()
        yield
