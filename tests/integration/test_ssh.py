"""Hosts with `protocol = "ssh"`, against a real sshd on loopback."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from syncer.bootstrap import build
from syncer.catalog import database
from syncer.config import load
from syncer.model.runs import Outcome, Trigger
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.bootstrap import App
    from syncer.model.runs import SyncRun

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def _key(path: Path) -> str:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path.with_suffix(".pub").read_text(encoding="utf-8")


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("sshd does not listen")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Run an sshd that lets our key in."""
    if SSHD is None:
        if os.environ.get("CI"):
            pytest.fail("there is no sshd: apt-get install openssh-server")
        pytest.skip("there is no sshd")
    number = _port()
    public = _key(tmp_path / "host_key")
    (tmp_path / "authorized").write_text(_key(tmp_path / "key"), encoding="utf-8")
    known = f"[127.0.0.1]:{number} {public}"
    (tmp_path / "known_hosts").write_text(known, encoding="utf-8")
    (tmp_path / "sshd_config").write_text(
        f"Port {number}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host_key\n"
        f"AuthorizedKeysFile {tmp_path}/authorized\nStrictModes no\nUsePAM no\n"
        "PidFile none\nPasswordAuthentication no\n",
        encoding="utf-8",
    )
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # noqa: PTH103 - where it must be
    server = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", str(tmp_path / "sshd_config")],
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(number, server)
        yield number
    finally:
        server.terminate()
        server.wait(10)


def _app(place: Path, port: int, known_hosts: str = "known_hosts") -> App:
    user = getpass.getuser()
    (place / "repos.toml").write_text(
        '[syncer]\ndata = "data"\nmin_free = 0\n\n[host."forge.corp"]\n'
        f'protocol = "ssh"\ngit = "ssh://{user}@127.0.0.1:{port}{place}/up"\n'
        f'private = true\nssh_key = "{place}/key"\n'
        f'known_hosts = "{place}/{known_hosts}"\n\n'
        '[[repo]]\nname = "forge.corp/team/tool"\n',
        encoding="utf-8",
    )
    config = load(place / "repos.toml", {})
    config.data.mkdir(exist_ok=True)
    database.upgrade(config.catalog_url)
    app = build(config)
    app.reconcile()
    return app


def _sync(app: App) -> SyncRun:
    visit = app.pipeline.probe(app.catalog.states()[0], Trigger.COMMAND)
    return app.pipeline.sync(visit, Trigger.COMMAND)


def test_a_host_by_ssh_is_mirrored_like_any_other(tmp_path: Path, port: int) -> None:
    """Listed by `git ls-remote`, cloned, fetched; equal again, it is unchanged."""
    upstream = Repository(tmp_path / "up/team/tool.git")
    upstream.commit("main", {"a": "1"}, "one")
    upstream.tag("v1")
    app = _app(tmp_path, port)
    mirror = Repository(tmp_path / "data/git/forge.corp/team/tool.git")

    outcomes = [_sync(app).outcome]
    assert mirror.refs() == upstream.refs()
    outcomes.append(_sync(app).outcome)
    upstream.commit("main", {"a": "2"}, "two")
    outcomes.append(_sync(app).outcome)
    app.close()

    assert mirror.refs() == upstream.refs()
    assert outcomes == [Outcome.CHANGED, Outcome.UNCHANGED, Outcome.CHANGED]


def test_an_unknown_host_key_is_refused(tmp_path: Path, port: int) -> None:
    """Whoever answers in the host's place gets nothing mirrored."""
    Repository(tmp_path / "up/team/tool.git").commit("main", {"a": "1"}, "one")
    (tmp_path / "nobody").write_text("", encoding="utf-8")
    app = _app(tmp_path, port, known_hosts="nobody")

    run = _sync(app)
    app.close()

    assert run.outcome is Outcome.FAILED
    assert "Host key verification failed" in str(run.error)
    assert not (tmp_path / "data/git/forge.corp/team/tool.git").exists()
