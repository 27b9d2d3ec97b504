"""The Debian package, installed, upgraded, removed and purged by dpkg itself.

On a view of this machine whose changes are in memory.  It is built as `make deb`
does, which takes its Python packages from the index: therefore only with `--long`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from deploy.debian import build, metadata
from deploy.debian.contents import ROOT
from tests.acceptance.command import name_on
from tests.packaging.machine import Machine, obstacle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.git_http import GitServer
    from tests.servers.repositories import Repository

pytestmark = pytest.mark.long

_NEWER = "99.0"
_CONFIG = "/etc/syncer/repos.toml"
_STORE = "/var/lib/syncer"

#: Tells systemd's part: it writes down what it is asked, and one service is active.
_SYSTEMCTL = """\
#!/bin/sh
case "$1" in
  list-units) echo 'syncer.service loaded active running syncer' ;;
  stop) echo "stop $2 $(syncer --version)" >> /run/asked ;;
  start) echo "start $2 $(syncer --version)" >> /run/asked ;;
esac
"""


class Packages(NamedTuple):
    """The version of the checkout, built twice, and a newer one."""

    this: Path
    again: Path
    newer: Path


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Build them; the newer one differs only in its version."""
    reason = obstacle()
    if reason is not None:
        pytest.skip(reason)
    top = tmp_path_factory.mktemp("deb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPKG_DEB_COMPRESSOR_LEVEL", "1")  # a third of the time
        patch.setenv("SOURCE_DATE_EPOCH", str(metadata.last_change(ROOT)))
        stage, version = top / "one/root", metadata.version(ROOT)
        build.fill(stage)
        this = build.pack(stage, top / "this", version)
        second = top / "two/root"
        build.fill(second, stage / "usr/share/doc/syncer/packages.txt")
        again = build.pack(second, top / "again", version)
        shutil.rmtree(second)
        (init,) = stage.rglob("site-packages/syncer/__init__.py")
        text = init.read_text()
        init.write_text(text.replace(f'"{version}"', f'"{_NEWER}"'))
        newer = build.pack(stage, top / "newer", _NEWER)
    shutil.rmtree(stage)
    return Packages(this, again, newer)


@pytest.fixture
def machine(packages: Packages) -> Iterator[Machine]:
    """Lend a machine on which the package is installed."""
    with Machine() as machine:
        said = machine.run("dpkg", "--install", machine.copy(packages.this))
        assert "not started" in said
        yield machine


def listed(machine: Machine, server: GitServer, name: str) -> str:
    """Let it mirror one repository of a server; return its name there."""
    where = server.url.partition("//")[2]
    text = machine.run("cat", _CONFIG)
    host = f'\n[host."{where}"]\ngit = "{server.url}"\nprivate = true\n'
    machine.run("sh", "-c", 'printf %s "$2" > "$1"', "sh", _CONFIG, text + host)
    return name_on(server, name)


def test_two_builds_are_the_same(packages: Packages) -> None:
    """A second build, of the same versions, is the same file."""
    assert packages.again.read_bytes() == packages.this.read_bytes()


def test_it_names_no_place_where_it_was_built(
    packages: Packages, tmp_path: Path
) -> None:
    """No file has the path of the build, and programs start from /opt/syncer."""
    subprocess.run(["dpkg-deb", "-R", packages.this, tmp_path / "deb"], check=True)
    places = [b"syncer-deb-", str(packages.this.parents[1]).encode()]
    for path in (tmp_path / "deb").rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert not any(place in content for place in places), path
    started = (tmp_path / "deb/opt/syncer/bin/syncer").read_text()
    assert started.startswith("#!/opt/syncer/bin/python\n")
    assert not list((tmp_path / "deb").rglob("__pycache__"))


@pytest.mark.skipif(shutil.which("lintian") is None, reason="there is no lintian")
def test_lintian_has_nothing_to_say(packages: Packages) -> None:
    """Debian's own checker finds no error and no warning."""
    words = ("lintian", "--allow-root", "--fail-on=error,warning", packages.this)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_modes_are_for_the_service_alone(machine: Machine) -> None:
    """Configuration is root's and the group's, secrets root's, the store syncer's."""
    assert machine.mode("/etc/syncer") == "750 root:syncer"
    assert machine.mode(_CONFIG) == "640 root:syncer"
    assert machine.mode("/etc/syncer/credentials") == "700 root:root"
    assert machine.mode(_STORE) == "750 syncer:syncer"
    assert machine.mode("/opt/syncer/bin/syncer") == "755 root:root"
    assert machine.run("dpkg", "--verify", "syncer") == ""
    # Modules were compiled where they are, so the service need not write there.
    assert machine.run("find", "/opt/syncer", "-name", "main.cpython-*.pyc")
    assert not machine.has("/etc/systemd/system/multi-user.target.wants/syncer.service")


def test_it_mirrors_as_its_own_user(
    machine: Machine,
    git_server: GitServer,
    upstream: Callable[[str], Repository],
) -> None:
    """Root sets it up and adds a repository; the service's user mirrors it."""
    upstream("acme/widget")
    machine.run(
        "sh",
        "-c",
        f"umask 077; echo tok > {_CONFIG.rpartition('/')[0]}/credentials/github-token",
    )
    assert "1 host with a token" in machine.run("syncer", "init")
    name = listed(machine, git_server, "acme/widget")
    machine.run("syncer", "add", name)
    assert machine.mode(_CONFIG) == "640 root:syncer"
    machine.run("syncer", "sync", user="syncer")
    assert "OK" in machine.run("syncer", "list", user="syncer")
    found = machine.run("find", f"{_STORE}/git", "-name", "widget.git")
    assert machine.mode(found.strip()).endswith("syncer:syncer")
    # Who is in no group of it is told so, and no more.
    told = machine.run("syncer", "status", user="nobody", expect=2)
    assert f"{_CONFIG} cannot be read: Permission denied" in told


def test_an_upgrade_keeps_what_is_there(
    machine: Machine, packages: Packages, git_server: GitServer
) -> None:
    """Configuration and data stay, the catalog follows, and what ran runs again."""
    machine.run("syncer", "init")
    listed(machine, git_server, "acme/widget")
    edited = machine.run("cat", _CONFIG)
    code = (
        "from syncer.catalog.database import downgrade;"
        f"downgrade('sqlite:///{_STORE}/catalog.db', '0004')"
    )
    machine.run("/opt/syncer/bin/python", "-c", code, user="syncer")
    machine.run("mkdir", "-p", "/run/systemd/system")
    machine.write("/usr/bin/systemctl", _SYSTEMCTL, 0o755)
    machine.run("dpkg", "--install", machine.copy(packages.newer))
    assert machine.run("syncer", "--version") == f"syncer {_NEWER}\n"
    assert machine.run("cat", _CONFIG) == edited
    assert machine.run("syncer", "-q", "db", "current").strip() == "0005"
    assert machine.mode(f"{_STORE}/catalog.db").endswith("syncer:syncer")
    # It was stopped while its files were its own, and started with the new ones.
    was = metadata.version(ROOT)
    asked = machine.run("cat", "/run/asked").splitlines()
    assert asked == [
        f"stop syncer.service syncer {was}",
        f"start syncer.service syncer {_NEWER}",
    ]


def test_removing_keeps_data_and_configuration(machine: Machine) -> None:
    """`remove` takes the program; `purge` takes the configuration, never the data."""
    machine.run("syncer", "init")
    machine.run("dpkg", "--remove", "syncer")
    for gone in (
        "/opt/syncer",
        "/usr/bin/syncer",
        "/lib/systemd/system/syncer.service",
    ):
        assert not machine.has(gone)
    assert machine.has(_CONFIG)
    assert machine.has(f"{_STORE}/catalog.db")
    said = machine.run("dpkg", "--purge", "syncer")
    assert f"{_STORE} and the user syncer were kept" in said
    assert not machine.has("/etc/syncer")
    assert machine.has(f"{_STORE}/catalog.db")


def test_a_catalog_elsewhere_is_left_alone(
    machine: Machine, packages: Packages
) -> None:
    """An upgrade does not touch a database that other machines may use as well."""
    text = '[syncer]\ndata = "/var/lib/syncer"\ncatalog = "postgresql:///syncer"\n'
    machine.run("sh", "-c", 'printf %s "$2" > "$1"', "sh", _CONFIG, text)
    said = machine.run("dpkg", "--install", machine.copy(packages.newer))
    assert "if the catalog needs it, run: syncer db upgrade" in said
    assert not re.search(r"^error", said, re.MULTILINE)
