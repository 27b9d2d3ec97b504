"""The engine for SQLite or Postgres, and whether its tables fit this program.

Alembic is not imported here but where a migration runs: importing it takes
as long as a whole command.
"""

from __future__ import annotations

import ctypes
import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError

import syncer
from syncer.catalog.translation import translated
from syncer.errors import ConfigError, NotInitialised, SchemaOutdated

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

#: Marks connections that only read: on SQLite they do not queue with writers.
READING = {"syncer_reading": True}

_BUSY_TIMEOUT = 10  # seconds
#: How Postgres is reached.  A server's machine that is gone says nothing, not even
#: goodbye: that is noticed within half a minute, not after two hours.
#: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_LASTING: dict[str, Any] = {
    "connect_timeout": _BUSY_TIMEOUT,
    "application_name": "syncer",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
_NFS_MAGIC = 0x6969  # statfs(2)
_LOCK_KEY = 0x73796E63  # "sync": which of Postgres' advisory locks is ours
_ENCRYPTED = {"require", "verify-ca", "verify-full"}
_REVISION = re.compile(
    r'^(?P<key>revision|down_revision)\b[^=\n]*= *(?:"(?P<id>\w+)"|None)', re.MULTILINE
)


def connect(url: str) -> Engine:
    """Return an engine for a catalog's address; nothing is contacted yet.

    Raises:
        ConfigError: the address is not usable, or not safely.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    return _postgres(parsed)


def parse(url: str) -> URL:
    """Return the parts of a catalog's address.

    Raises:
        ConfigError: it is neither SQLite's nor Postgres'.
    """
    hint = "for example sqlite:////var/lib/syncer/catalog.db or postgresql://db/syncer"
    try:
        parsed = make_url(url)
    except ArgumentError:
        # Not quoted: it may hold a password.
        msg = "the catalog's address is not one"
        raise ConfigError(msg, hint=hint) from None
    if parsed.drivername in {"sqlite", "postgresql", "postgresql+psycopg"}:
        return parsed
    msg = f"a catalog cannot be kept in `{parsed.drivername}`"
    raise ConfigError(msg, hint=hint)


def sqlite_file(url: URL) -> Path | None:
    """Return the file of a SQLite catalog, None for another engine."""
    if url.get_backend_name() != "sqlite":
        return None
    if url.database in {None, "", ":memory:"}:
        msg = "a catalog in memory would be lost; nothing was opened"
        raise ConfigError(msg, hint="write sqlite:////path/to/catalog.db")
    return Path(str(url.database))


def _sqlite(url: URL) -> Engine:
    file = sqlite_file(url)
    if file is not None and file_system(file) == _NFS_MAGIC:
        msg = f"{file} is on NFS, where SQLite loses writes; nothing was opened"
        raise ConfigError(msg, hint="keep it on a local disk, or use Postgres")
    engine = create_engine(
        url,
        connect_args={"timeout": _BUSY_TIMEOUT},
        max_overflow=-1,
        # A value that a statement names ten times is then converted once.
        paramstyle="named",
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection has no common type
    # The driver would begin transactions at its own moments, never around DDL.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {_BUSY_TIMEOUT * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(conn: Connection) -> None:
    # A transaction that reads first and writes later may be refused in its
    # middle; one that says so at once waits for its turn.
    reading = conn.get_execution_options().get("syncer_reading", False)
    conn.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def file_system(file: Path) -> int:
    """Return statfs(2)'s type of the file system that `file` is or will be on."""
    there = next((p for p in (file, *file.absolute().parents) if p.exists()), None)
    buffer = ctypes.create_string_buffer(512)
    statfs = getattr(ctypes.CDLL(None, use_errno=True), "statfs", None)
    if statfs is None or there is None or statfs(os.fsencode(there), buffer):
        return 0
    return ctypes.c_long.from_buffer(buffer).value


def _postgres(url: URL) -> Engine:
    _check_encryption(url)
    try:
        engine = create_engine(
            url,
            connect_args=_LASTING,
            # A server that restarted is noticed before a statement is lost.
            pool_pre_ping=True,
            max_overflow=-1,
        )
    except ImportError:
        msg = "the driver for Postgres is not installed"
        raise ConfigError(msg, hint="pip install 'syncer[postgres]'") from None
    event.listen(engine, "connect", _prepare_postgres)
    return engine


def libpq(url: str) -> dict[str, Any]:
    """Return what psycopg connects with to reach a Postgres catalog's database.

    For those who keep tables of their own beside the catalog's; may hold a password.

    Raises:
        ConfigError: the catalog is kept in something else.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        msg = "several machines need a Postgres catalog"
        raise ConfigError(msg, hint="for example catalog = 'postgresql://db/syncer'")
    _check_encryption(parsed)
    engine = connect(url)
    _, named = engine.dialect.create_connect_args(parsed)
    return {**named, **_LASTING}


def _prepare_postgres(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection has no common type
    connection.execute(f"SET lock_timeout = '{_BUSY_TIMEOUT}s'")
    connection.execute("SET timezone = 'UTC'")
    connection.commit()


def _check_encryption(url: URL) -> None:
    """Refuse an address whose password or rows would cross a network in the clear.

    Raises:
        ConfigError: it names another machine, and does not ask for TLS.
    """
    named = [url.host] if url.host else []
    for key in ("host", "hostaddr"):
        value = url.query.get(key, ())
        named.extend([value] if isinstance(value, str) else value)
    hosts = [host for part in named for host in part.split(",")]
    # A service file may name any machine.
    far = "service" in url.query or not all(map(_is_here, hosts))
    if far and url.query.get("sslmode") not in _ENCRYPTED:
        msg = "the catalog is on another machine, reached without encryption"
        raise ConfigError(msg, hint="append ?sslmode=verify-full (or require)")


def _is_here(host: str) -> bool:
    # Without a host, with a path or with an abstract name it is a local socket.
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def exclusively(conn: Connection) -> None:
    """Wait until no other transaction that called this is open.

    SQLite needs no such thing: a writer is alone there from its first word.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})


def migrations() -> Path:
    """Return the directory of the migrations: installed, or in a checkout."""
    package = Path(syncer.__file__).parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def revisions() -> dict[str, str | None]:
    """Return each migration's id and that of the one before it."""
    found: dict[str, str | None] = {}
    for file in sorted((migrations() / "versions").glob("*.py")):
        source = file.read_text(encoding="utf-8")
        ids = {match["key"]: match["id"] for match in _REVISION.finditer(source)}
        found[ids["revision"]] = ids["down_revision"]
    return found


def head() -> str:
    """Return the id of the newest migration, without asking Alembic."""
    known = revisions()
    (newest,) = known.keys() - set(known.values())
    return newest


def current(engine: Engine) -> str | None:
    """Return the migration a catalog is at; None if there is no catalog.

    A SQLite file that is not there is not created.
    """
    file = sqlite_file(engine.url)
    if file is not None and not file.exists():
        return None
    reader = engine.execution_options(**READING)
    with translated(), reader.begin() as conn:
        if not inspect(conn).has_table("alembic_version"):
            return None
        version = conn.scalar(text("SELECT version_num FROM alembic_version"))
        return None if version is None else str(version)


def check_schema(engine: Engine) -> None:
    """Do nothing if the tables are the ones this program was written for.

    Raises:
        NotInitialised: there are none.
        SchemaOutdated: they are older, or newer.
    """
    present, wanted = current(engine), head()
    if present == wanted:
        return
    if present is None:
        msg = "there is no catalog here yet"
        raise NotInitialised(msg, hint="run `syncer init`, or `syncer db upgrade`")
    if present in revisions():
        msg = f"the catalog is at {present}, this program needs {wanted}"
        raise SchemaOutdated(msg, hint="run `syncer db upgrade`")
    msg = f"the catalog is at {present}, which this program does not know"
    raise SchemaOutdated(msg, hint="install the newer syncer that upgraded it")


def upgrade(url: str, *, sql: bool = False) -> str:
    """Bring a catalog's tables up to date and return what was done, for people.

    With `sql` nothing is contacted, and what is returned are the statements.

    Raises:
        CatalogBusy: another process is migrating it.
    """
    from syncer.catalog import migrate  # noqa: PLC0415 - imports Alembic, 0.1 s

    return migrate.script(url) if sql else migrate.upgrade(url)


def downgrade(url: str, revision: str = "base") -> None:
    """Take back the migrations after `revision`, and the rows they hold."""
    from syncer.catalog import migrate  # noqa: PLC0415 - imports Alembic, 0.1 s

    migrate.downgrade(url, revision)


def check_models(url: str) -> list[str]:
    """Return how a catalog's tables differ from those of the program."""
    from syncer.catalog import migrate  # noqa: PLC0415 - imports Alembic, 0.1 s

    return migrate.differences(url)
