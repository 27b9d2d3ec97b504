"""The daemon and systemd, whose part the tests play: what it says and obeys."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from syncer.model.blobs import blob_key
from tests.acceptance.command import name_on
from tests.acceptance.running import configure, running, until
from tests.release_store import SECRET, WIDGET, configuration
from tests.servers import postgres
from tests.servers.github_releases import digest_of
from tests.servers.http_faults import Fault
from tests.servers.pointers import pointer_file
from tests.servers.repositories import Repository
from tests.servers.systemd import Manager
from tests.test_architecture import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.acceptance.command import Command
    from tests.acceptance.running import Daemon
    from tests.servers.git_http import GitServer
    from tests.servers.github import GitHubServer

    Upstream = Callable[[str], Repository]

NAME = "acme/widget"
FETCH = "command=fetch"
UNIT = ROOT / "deploy" / "systemd" / "syncer.service"


@pytest.fixture
def manager(syncer: Command, tmp_path: Path) -> Iterator[Manager]:
    """Listen to the daemon that a test starts."""
    with Manager(str(tmp_path / "notify"), watchdog=3) as made:
        syncer.environ |= made.environ
        yield made


class Ear:
    """Remembers all that was heard."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self.heard: list[str] = []

    def count(self, what: str) -> int:
        """Return how many messages have such words so far."""
        self.heard += self._manager.heard()
        return sum(what in each for each in self.heard)

    def hears(self, what: str, times: int = 1) -> str:
        """Wait for a message, and return the last such."""
        until(lambda: self.count(what) >= times, f"{what!r} among {self.heard}")
        return [each for each in self.heard if what in each][-1]


def listed(syncer: Command, server: GitServer, settings: str = "") -> str:
    """Mirror a repository of a server from now on; return its name."""
    name = name_on(server, NAME)
    host = name.partition("/")[0]
    configure(syncer, name, hosts={host: server.url}, settings=settings)
    assert syncer("init").status == 0
    return name


def published(syncer: Command, name: str) -> dict[str, str]:
    """Return the refs that consumers see."""
    place = syncer.place / "mirror" / "git" / f"{name}.git"
    return Repository(place).refs() if place.exists() else {}


def fetches(server: GitServer) -> int:
    """Return how many packs were asked for."""
    return sum(FETCH in each.line for each in server.requests)


def test_a_first_mirror_is_not_the_start(
    syncer: Command, manager: Manager, git_server: GitServer, upstream: Upstream
) -> None:
    """READY comes while it hangs, with signs of life and a line that tells of it."""
    upstream(NAME).commit("main", {"large": os.urandom(300_000)})
    listed(syncer, git_server)
    git_server.fault(FETCH, Fault(hang=2000))
    ear = Ear(manager)
    with running(syncer) as daemon:
        ear.hears("READY=1")
        until(lambda: fetches(git_server), "the fetch")
        ear.hears("STATUS=1 repo: 0 ok, 1 new, 1 syncing, 0 failed")
        ear.hears("WATCHDOG=1", ear.count("WATCHDOG=1") + 2)
        assert ear.count("READY=1") == 1
        daemon.signal(signal.SIGTERM)
        ear.hears("STOPPING=1")
        ear.hears("STATUS=stopping: 1 run on the way to the end")
        daemon.signal(signal.SIGTERM)
        assert daemon.ends() == 0
    assert "Traceback" not in daemon.output


def test_a_run_that_is_nearly_done_ends_before_the_daemon_does(
    syncer: Command, manager: Manager, git_server: GitServer, upstream: Upstream
) -> None:
    """Under systemd it gets longer than a person at a terminal would wait."""
    repository = upstream(NAME)
    name = listed(syncer, git_server)
    assert syncer("sync").status == 0
    repository.commit("main", {"large": os.urandom(300_000)})
    git_server.forget()
    git_server.fault(FETCH, Fault(drip=(5_000, 0.1)), times=1)
    ear = Ear(manager)
    with running(syncer) as daemon:
        until(lambda: fetches(git_server), "the fetch")
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        ear.hears("STOPPING=1")
        assert daemon.ends() == 0
        took = time.monotonic() - began
    assert 5 < took < 40
    assert published(syncer, name) == repository.refs()
    assert daemon.said("sync run ended", outcome="changed", trigger="schedule")
    assert ear.count("WATCHDOG=1") > 2
    assert "Traceback" not in daemon.output


def test_a_reload_is_told_from_its_begin_to_its_end(
    syncer: Command, manager: Manager, git_server: GitServer, upstream: Upstream
) -> None:
    """SIGHUP is answered with RELOADING and then READY, also when it is refused."""
    upstream(NAME)
    listed(syncer, git_server)
    ear = Ear(manager)
    with running(syncer) as daemon:
        ear.hears("READY=1")
        daemon.tells("syncer started")
        daemon.signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in ear.hears("RELOADING=1")
        assert "1 repo: " in ear.hears("READY=1", 2)
        good = syncer.file.read_text()
        syncer.file.write_text(f"{good}[[repo]]\nname = 7\n")
        daemon.tells("the new configuration is not used; the old one stays")
        daemon.signal(signal.SIGHUP)
        ear.hears("RELOADING=1", 2)
        ear.hears("READY=1", 3)
        daemon.stop()


@pytest.mark.postgres
@pytest.mark.parametrize(
    "table", ["mirror", pytest.param("intent", marks=pytest.mark.long)]
)
def test_what_hangs_gives_no_sign_of_life(
    request: pytest.FixtureRequest,
    syncer: Command,
    manager: Manager,
    git_server: GitServer,
    table: str,
) -> None:
    """Neither a tick that waits for the catalog nor a catalog that does not answer.

    When it goes on, so do the signs of life: nobody has to restart it.
    """
    with postgres.shared(request.config).migrated() as url:
        listed(syncer, git_server, f'catalog = "{url}"\n')
        ear = Ear(manager)
        with running(syncer) as daemon:
            daemon.tells("syncer started")
            ear.hears("WATCHDOG=1", 2)
            with psycopg.connect(url) as connection:
                # Alone, as a migration or a vacuum would have it.
                connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                time.sleep(4.5)
                before = ear.count("WATCHDOG=1")
                time.sleep(3)
                assert ear.count("WATCHDOG=1") == before
            ear.hears("WATCHDOG=1", before + 2)
            daemon.stop()


def test_secrets_come_as_systemd_loads_a_directory(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """`LoadCredential=syncer:DIR` names them `syncer_FILE`, and they are found."""
    token = "ghp_loadedFromADirectory"  # noqa: S105 - made up
    repository = upstream(NAME)
    git_server.require_token = token
    name = listed(syncer, git_server)
    credentials = syncer.place / "credentials"
    credentials.mkdir()
    host = name.partition("/")[0]
    (credentials / f"syncer_token-{host}").write_text(f"{token}\n")
    syncer.environ["CREDENTIALS_DIRECTORY"] = str(credentials)
    with running(syncer) as daemon:
        until(lambda: published(syncer, name) == repository.refs(), "the mirror")
        daemon.stop()


def confined(syncer: Command) -> tuple[str, ...]:
    """Return what confines a program as the unit does; without it nothing is shown."""
    if shutil.which("systemd-analyze") is None:
        reason = "systemd-analyze, which knows the sets of system calls, is not here"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    words = ("-m", "tests.servers.hardened", str(UNIT), str(syncer.place))
    return (sys.executable, *words)


def test_the_daemon_works_below_the_units_restrictions(
    syncer: Command, manager: Manager, github: GitHubServer
) -> None:
    """Git, LFS and releases arrive, packs are put in order, signals are obeyed.

    The system call filter, no memory that is written and executed, the limits; and
    for root no capability, and nothing but the store that could be written to.
    """
    github.token(SECRET)
    made = github.repository(WIDGET)
    repository = github.git.repository(made)
    pointer = github.git.lfs.add(WIDGET, b"a large file" * 1000)
    repository.commit("main", {"large.bin": pointer_file(pointer)})
    asset = made.release("v1").asset("tool.whl", b"the first")
    text = configuration(github, WIDGET)
    fast = '[tier.normal]\ninterval = "1s"\ntarget = "1h"\n'
    syncer.file.write_text(f"{text}{fast}")
    syncer.environ["SYNCER_GITHUB_TOKEN"] = SECRET
    assert syncer("init").status == 0
    blobs = syncer.place / "mirror" / "blobs"
    keys = [blob_key(pointer.oid), blob_key(digest_of(asset.content))]
    name = f"github.com/{WIDGET}"
    ear = Ear(manager)
    with running(syncer, *confined(syncer)) as daemon:
        ear.hears("READY=1")
        until(lambda: published(syncer, name) == repository.refs(), "the mirror")
        until(lambda: all((blobs / key).is_file() for key in keys), "the blobs")
        repository.commit("main", {"more": b"of it"})
        until(lambda: published(syncer, name) == repository.refs(), "the push")
        _is_confined(daemon)
        ear.hears("WATCHDOG=1")
        daemon.signal(signal.SIGHUP)
        ear.hears("RELOADING=1")
        ear.hears("READY=1", 2)
        daemon.stop()
    wrong = [each for each in daemon.lines() if each["level"] not in {"info", "debug"}]
    assert wrong == []
    assert syncer("verify", "--read-data").status == 0


def _is_confined(daemon: Daemon) -> None:
    """Check that the daemon is below the filters, and has no capability left."""
    text = (ROOT / f"/proc/{daemon.process.pid}/status").read_text()
    facts = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    assert facts["Seccomp"] == "2"
    assert facts["NoNewPrivs"] == "1"
    assert int(facts["CapEff"], 16) == 0
