"""The Debian package, as far as can be told without building it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from email.parser import Parser
from pathlib import Path

import pytest

from deploy.debian import build, metadata
from deploy.debian.contents import CONFFILES, ROOT, SCRIPTS, placed
from syncer.cli.main import COMMANDS
from syncer.config import load

DEBIAN = ROOT / "deploy/debian"


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """Lay out all but the environment."""
    root = tmp_path / "root"
    for source, target, mode in placed():
        path = root / target[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
        path.chmod(mode)
    return root


def test_every_file_has_one_place() -> None:
    """No two files go to the same place, and all are where the system looks."""
    targets = [target for _, target, _ in placed()]
    assert len(set(targets)) == len(targets)
    assert {
        "/usr/bin/syncer",
        "/etc/syncer/repos.toml",
        "/lib/systemd/system/syncer.service",
        "/lib/systemd/system/syncer-worker@.service",
        "/lib/systemd/system/syncer-report.timer",
        "/usr/lib/sysusers.d/syncer.conf",
        "/usr/lib/tmpfiles.d/syncer.conf",
        "/usr/share/syncer/prometheus/syncer.rules.yml",
        "/usr/share/syncer/grafana/dashboards/syncer.json",
        "/usr/share/doc/syncer/examples/repos.toml",
        "/usr/share/doc/syncer/copyright",
    } <= set(targets)
    assert set(CONFFILES) <= set(targets)


def test_units_start_what_the_package_installs() -> None:
    """Every unit starts the program by the path where the package has it."""
    units = [s for s, _, _ in placed() if s.suffix == ".service"]
    assert units
    for unit in units:
        assert f"\nExecStart={build.HOME}/bin/syncer " in unit.read_text(), unit.name


def test_a_rule_that_finds_nothing_is_an_error(tmp_path: Path) -> None:
    """What was moved or renamed is noticed when the package is built."""
    with pytest.raises(FileNotFoundError, match=r"deploy/debian/syncer"):
        list(placed(tmp_path))


@pytest.mark.parametrize("name", [*SCRIPTS, "syncer", "stress"])
def test_scripts_are_right_in_form(name: str) -> None:
    """A POSIX shell reads each script to its end."""
    subprocess.run(["sh", "-n", DEBIAN / name], check=True)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_stop_at_the_first_failure(name: str) -> None:
    """Maintainer scripts end with the first command that fails."""
    assert (DEBIAN / name).read_text().splitlines()[2] == "set -e"
    done = subprocess.run(
        ["sh", DEBIAN / name, "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "nonsense" in done.stderr


def test_the_configuration_is_right() -> None:
    """The installed configuration keeps everything in /var/lib/syncer."""
    config = load(DEBIAN / "repos.toml", {})
    assert config.data == Path("/var/lib/syncer")
    assert not config.repo
    assert tomllib.loads((DEBIAN / "repos.toml").read_text()).keys() == {"syncer"}


def test_the_control_file_says_what_is_needed(stage: Path) -> None:
    """It requires git with its fixes, and the Python that the environment is of."""
    told = Parser().parsestr(metadata.control(stage, "1.2.3", build.PYTHON))
    assert (told["Package"], told["Version"]) == ("syncer", "1.2.3")
    depends = told["Depends"].split(", ")
    assert "git (>= 1:2.39.5-0+deb12u3)" in depends
    assert any(d.startswith("python3 (>= 3.") for d in depends)
    assert any(d.startswith("python3 (<< 3.") for d in depends)
    assert int(told["Installed-Size"]) > 100


def test_units_that_can_be_enabled_are_known(stage: Path) -> None:
    """The scripts are told the service and its timers, not what those start."""
    assert metadata.units(stage) == [
        "syncer-report.timer",
        "syncer-verify.timer",
        "syncer.service",
    ]


def test_changes_are_told_in_the_form_of_debian(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The newest part of CHANGELOG.md becomes an entry with version and time."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    lines = metadata.changes(ROOT, "1.2.3").splitlines()
    assert lines[0] == "syncer (1.2.3) stable; urgency=medium"
    assert lines[2].startswith("  * ")
    assert lines[-1].endswith("  Tue, 14 Nov 2023 22:13:20 +0000")
    assert all(len(line) <= 80 for line in lines[:-1])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("1.0.0", "1.0.0"),
        ("1.0.0rc1", "1.0.0~rc1"),
        ("1.0.0b2", "1.0.0~b2"),
        ("1.0.0.dev3", "1.0.0~dev3"),
    ],
)
def test_releases_to_come_are_older(ours: str, theirs: str, tmp_path: Path) -> None:
    """A version before its release sorts before it, as Debian compares."""
    (tmp_path / "syncer").mkdir()
    (tmp_path / "syncer/__init__.py").write_text(f'__version__ = "{ours}"\n')
    assert metadata.version(tmp_path) == theirs


def test_an_environment_forgets_where_it_was_made(tmp_path: Path) -> None:
    """Shebangs, settings and records name the final place or none."""
    home = tmp_path / "opt/syncer"
    for path, text in {
        "bin/syncer": f"#!{home}/bin/python3\nimport x\n",
        "bin/activate": f"VIRTUAL_ENV={home}\n",
        "bin/alembic": f"#!{home}/bin/python3\n",
        "pyvenv.cfg": f"home = /usr/bin\ncommand = python -m venv {home}\n",
        "lib/a-1.dist-info/direct_url.json": f'{{"url": "file://{tmp_path}"}}',
        "lib/a-1.dist-info/RECORD": (
            "a.py,sha256=x,1\n../../../bin/a,sha256=x,1\na-1.dist-info/direct_url.json,x,1\n"
        ),
        "lib/__pycache__/a.pyc": str(tmp_path),
    }.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text)
    build.relocate(home)
    left = [p for p in home.rglob("*") if p.is_file()]
    assert {str(p.relative_to(home)) for p in left} == {
        "bin/syncer",
        "pyvenv.cfg",
        "lib/a-1.dist-info/RECORD",
    }
    assert not any(str(tmp_path) in p.read_text() for p in left)
    assert (home / "bin/syncer").read_text() == "#!/opt/syncer/bin/python\nimport x\n"
    assert os.access(home / "bin/syncer", os.X_OK)
    assert (home / "lib/a-1.dist-info/RECORD").read_text() == "a.py,sha256=x,1\n"


def test_the_manual_page_names_every_command() -> None:
    """The page comes from the program itself, and groff would take it."""
    page = subprocess.run(
        [sys.executable, DEBIAN / "manual.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "0"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert page.startswith('.TH SYNCER 1 "1970-01-01"')
    for name in COMMANDS:
        assert f".SS syncer {name}" in page
    assert not [ln for ln in page.splitlines() if ln.startswith("'")]
