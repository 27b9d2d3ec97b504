"""The wheel: whole, and enough to work from, away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def built(kind: str, place: Path, source: Path = ROOT) -> Path:
    """Build a distribution by the backend that pyproject.toml names; no network."""
    code = (
        "import sys, hatchling.build as backend;"
        f"print(getattr(backend, 'build_{kind}')(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(place)],
        cwd=source,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        text=True,
        check=True,
    )
    return place / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it once."""
    return built("wheel", tmp_path_factory.mktemp("wheel"))


def names(wheel: Path) -> set[str]:
    """Return what a wheel holds, without what describes it."""
    with zipfile.ZipFile(wheel) as archive:
        return {n for n in archive.namelist() if ".dist-info/" not in n}


def tracked(directory: str) -> set[str]:
    """Return the files of the checkout that are, or would be, committed."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", directory],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in done.stdout.split() if (ROOT / name).is_file()}


def test_it_holds_the_package_and_the_migrations_and_nothing_else(wheel: Path) -> None:
    """The wheel has all files of the package, templates included, and no others."""
    migrations = {f"syncer/{name}" for name in tracked("migrations")}
    assert names(wheel) == tracked("syncer") | migrations
    assert "syncer/cli/template.toml" in names(wheel)
    assert "syncer/migrations/versions/0001_initial_catalog.py" in names(wheel)


def test_an_archive_of_the_sources_builds_the_same_wheel(
    wheel: Path, tmp_path: Path
) -> None:
    """What is built from the source archive is the wheel, byte for byte."""
    archive = built("sdist", tmp_path)
    with tarfile.open(archive) as sources:
        sources.extractall(tmp_path, filter="data")
    (unpacked,) = (p for p in tmp_path.iterdir() if p.is_dir() and p.name != "home")
    assert (unpacked / "deploy/compose.yaml").is_file()
    again = built("wheel", tmp_path, unpacked)
    assert again.read_bytes() == wheel.read_bytes()


def test_it_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Installed into an environment of its own, it makes a store and its catalog."""
    home = tmp_path / "venv"
    venv.create(home, symlinks=True, with_pip=False)
    install = ("install", "--quiet", "--no-deps", "--no-index", "--no-compile")
    pip = (sys.executable, "-m", "pip", "--python", home / "bin/python")
    subprocess.run([*pip, *install, wheel], check=True, capture_output=True)
    # What it depends on is that of this environment; the checkout is in neither.
    (own,) = home.glob("lib/python*/site-packages")
    (own / "others.pth").write_text(sysconfig.get_path("purelib"))
    place = tmp_path / "place"
    place.mkdir()

    def run(*words: str) -> str:
        done = subprocess.run(
            [home / "bin/syncer", *words],
            cwd=place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    code = "import syncer; print(syncer.__file__)"
    found = subprocess.check_output([home / "bin/python", "-c", code], cwd=place)
    assert Path(found.decode().strip()).is_relative_to(own)
    assert "OK    catalog" in run("init")
    assert "as they should be" in run("db", "check")
