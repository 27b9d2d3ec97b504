"""A real PostgreSQL server, thrown away when the tests end."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from syncer.catalog import database

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWNER = "postgres"  # the server refuses to run as root
_STARTUP = 60.0  # seconds
_ICU_SINCE = 15
_TEMPLATE = "migrated"


@dataclass
class Postgres:
    """A running server; everybody on this machine may connect while it runs."""

    directory: Path
    port: int
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to serve, and return when everybody may connect."""
        self._process = _started(self)
        _await(self, self._process)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT ends sessions first, SIGQUIT stops as a power cut does."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_STARTUP)

    def url(self, name: str) -> str:
        """Return a database's address for SQLAlchemy."""
        return f"postgresql://{_OWNER}@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str) -> None:
        """Run a statement outside of any transaction."""
        with psycopg.connect(
            host=str(self.directory),
            port=self.port,
            user=_OWNER,
            dbname="postgres",
            autocommit=True,
        ) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Yield the address of a database without tables, then drop it."""
        with self._created("template1") as url:
            yield url

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """Yield the address of a copy of the migrated database, then drop it."""
        with self._created(_TEMPLATE) as url:
            yield url

    def prepare(self) -> None:
        """Make the migrated database that `migrated` copies."""
        self.execute(f"CREATE DATABASE {_TEMPLATE}")
        database.upgrade(self.url(_TEMPLATE))

    @contextmanager
    def _created(self, template: str) -> Iterator[str]:
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


_SERVER = pytest.StashKey[Postgres]()


def shared(config: pytest.Config) -> Postgres:
    """Return the one server of this test process; it stops when that ends.

    Where the programs are not installed, the test is skipped; on the build
    server, which has to have them, it fails.
    """
    if _SERVER not in config.stash:
        if programs() is None:
            reason = "PostgreSQL is not installed: apt-get install postgresql"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        stack = ExitStack()
        config.add_cleanup(stack.close)
        server = stack.enter_context(running())
        server.prepare()
        config.stash[_SERVER] = server
    return config.stash[_SERVER]


def programs() -> Path | None:
    """Return the directory of the newest server's programs, None without any."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: float(path.parts[-3]),
    )
    if installed:
        return installed[-1].parent
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server on a free port and yield it; nothing of it remains."""
    directory = Path(tempfile.mkdtemp(prefix="syncer-postgres-"))
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_OWNER)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        _initialise(directory)
        server = Postgres(directory, _free_port())
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def _initialise(directory: Path) -> None:
    command = ["initdb", "--pgdata", str(directory / "data"), "--username", _OWNER]
    command += ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
    if _version() >= _ICU_SINCE:
        # Sorts as people do, unlike SQLite: that must not show anywhere.
        command += ["--locale-provider=icu", "--icu-locale=en"]
    subprocess.run(
        _as_owner(command), check=True, cwd=directory, stdout=subprocess.DEVNULL
    )


def _version() -> int:
    command = [_program("initdb"), "--version"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = re.search(r"\d+", shown)
    return int(match[0]) if match else 0


def _started(server: Postgres) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": server.port,
        "unix_socket_directories": server.directory,
        # The cluster is thrown away: only its speed matters, not its durability.
        "fsync": "off",
        "full_page_writes": "off",
        "log_min_messages": "fatal",
    }
    command = ["postgres", "-D", str(server.directory / "data")]
    for key, value in settings.items():
        command += ["-c", f"{key}={value}"]
    return subprocess.Popen(
        _as_owner(command), cwd=server.directory, stderr=subprocess.DEVNULL
    )


def _as_owner(command: list[str]) -> list[str]:
    """Return a command that runs as the server's owner and dies with the tests."""
    prefix = ["setpriv", "--pdeathsig=INT"]
    if os.geteuid() == 0:
        prefix += [f"--reuid={_OWNER}", f"--regid={_OWNER}", "--init-groups"]
    return [*prefix, "--", _program(command[0]), *command[1:]]


def _program(name: str) -> str:
    directory = programs()
    return name if directory is None else str(directory / name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await(server: Postgres, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _STARTUP
    while True:
        try:
            server.execute("SELECT 1")
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
