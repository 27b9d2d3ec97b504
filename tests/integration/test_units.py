"""The unit files: what systemd's own tools say of them, and what they agree on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from syncer.drain import SERVICE
from syncer.errors import ConfigError
from tests.acceptance.command import Inside
from tests.test_architecture import ROOT

if TYPE_CHECKING:
    from pathlib import Path

UNITS = ROOT / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
#: The exposure that systemd-analyze may find, 0 to 10.
EXPOSURE = 1.5

each_service = pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)


def settings(unit: Path) -> list[tuple[str, str]]:
    """Return what a unit sets, in order."""
    lines = [line for line in unit.read_text().splitlines() if not line.startswith("#")]
    return [(key, value) for key, _, value in (x.partition("=") for x in lines) if _]


def seconds(text: str) -> float:
    """Return a span of time as systemd.time(7) writes it."""
    units = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400}
    match = re.fullmatch(r"([0-9]+)(s|min|h|d|)", text)
    assert match is not None, text
    return int(match[1]) * units[match[2]]


def systemd(*words: str) -> subprocess.CompletedProcess[str]:
    """Run one of systemd's tools that need no running systemd."""
    if shutil.which(words[0]) is None:
        reason = f"{words[0]} is not here"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return subprocess.run(words, capture_output=True, text=True, check=False)


@each_service
def test_a_service_is_hardly_exposed(unit: Path) -> None:
    """The score is at most 1.5; 9.2 is what a unit without any of this has."""
    limit = str(int(10 * EXPOSURE))
    words = ("security", "--offline=true", "--no-pager", f"--threshold={limit}")
    done = systemd("systemd-analyze", *words, str(unit))
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout
    assert 0 < float(found[1]) <= EXPOSURE


def test_systemd_finds_no_mistake_in_the_units() -> None:
    """Nothing is unknown, nothing contradicts; only the program may be absent."""
    kinds = {".service", ".timer"}
    units = [str(unit) for unit in sorted(UNITS.iterdir()) if unit.suffix in kinds]
    assert len(units) == 6
    done = systemd("systemd-analyze", "verify", "--man=no", *units)
    said = (done.stdout + done.stderr).splitlines()
    absent = "Command /opt/syncer/bin/syncer is not executable"
    assert [line for line in said if absent not in line] == []


def test_every_service_is_as_confined_as_the_daemon() -> None:
    """They differ in what they run and how long it may take, in nothing else."""
    first = ("NoNewPrivileges", "yes")
    found = set()
    for unit in SERVICES:
        service = unit.read_text().partition("[Service]\n")[2].partition("\n[")[0]
        lines = [line for line in service.splitlines() if "=" in line]
        pairs = [tuple(each.split("=", 1)) for each in lines if each[0] != "#"]
        found.add(tuple(pairs[pairs.index(first) :]))
        common = {"User", "Group", "StateDirectory", "LoadCredential"}
        assert common <= {key for key, _ in pairs}
    assert len(SERVICES) == 4
    assert len(found) == 1


@each_service
def test_a_service_starts_a_command_that_there_is(unit: Path, tmp_path: Path) -> None:
    """Its options too: `--help` is understood behind them."""
    (command,) = (value for key, value in settings(unit) if key == "ExecStart")
    program, option, file, *words = command.split()
    assert (program, option) == ("/opt/syncer/bin/syncer", "--config")
    assert file == "/etc/syncer/repos.toml"
    done = Inside(tmp_path)(*words, "--help")
    assert done.status == 0, done.err
    assert f"syncer {words[0]}" in done.out


@pytest.mark.parametrize("name", ["syncer.service", "syncer-worker@.service"])
def test_the_end_fits_into_what_systemd_allows(name: str) -> None:
    """Runs have their minute, and the farewell its seconds, before SIGKILL."""
    found = dict(settings(UNITS / name))
    assert SERVICE.moving + SERVICE.farewell < seconds(found["TimeoutStopSec"])
    assert found["KillMode"] == "mixed"  # git's processes hear of it from us
    assert found["Type"] == "notify"
    assert seconds(found["WatchdogSec"]) >= 30
    assert found["RestartPreventExitStatus"] == str(ConfigError.exit_code)


def test_timers_start_what_bears_their_name() -> None:
    """Each has a service, and is made up for when it was missed."""
    timers = sorted(UNITS.glob("*.timer"))
    assert [timer.stem for timer in timers] == ["syncer-report", "syncer-verify"]
    for timer in timers:
        assert timer.with_suffix(".service") in SERVICES
        assert ("Persistent", "yes") in settings(timer)


def test_user_and_directories_are_made(tmp_path: Path) -> None:
    """Below another root: the user, and who may look into what."""
    (tmp_path / "etc").mkdir()
    made = systemd(
        "systemd-sysusers",
        f"--root={tmp_path}",
        str(UNITS / "sysusers.d" / "syncer.conf"),
    )
    assert made.returncode == 0, made.stderr
    users = (tmp_path / "etc" / "passwd").read_text()
    assert re.search(
        r"^syncer:.*:/var/lib/syncer:/usr/sbin/nologin$", users, re.MULTILINE
    )
    if os.geteuid() != 0:
        return  # only root can give directories to somebody else
    conf = str(UNITS / "tmpfiles.d" / "syncer.conf")
    made = systemd("systemd-tmpfiles", "--create", f"--root={tmp_path}", conf)
    assert made.returncode == 0, made.stderr
    modes = {
        "etc/syncer": 0o750,
        "etc/syncer/credentials": 0o700,
        "var/lib/syncer": 0o750,
    }
    for place, mode in modes.items():
        assert (tmp_path / place).stat().st_mode & 0o777 == mode
    assert (tmp_path / "etc/syncer/credentials").stat().st_uid == 0
    assert (tmp_path / "var/lib/syncer").stat().st_uid != 0
