"""Build the Debian package: `make deb`, or `python -m deploy.debian.build`.

A virtual environment in /opt/syncer, on the distribution's own Python, with the
program and everything it needs; around it what belongs into the system.  Two builds
from the same sources, index and SOURCE_DATE_EPOCH are the same bytes.
(https://reproducible-builds.org/specs/source-date-epoch/)
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.debian import metadata
from deploy.debian.contents import CONFFILES, ROOT, SCRIPTS, placed

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where it is installed; nothing in the package knows another place.
HOME = Path("/opt/syncer")
#: The distribution's; the environment links to it.
PYTHON = Path("/usr/bin/python3")
EXTRAS = "cluster,github-app,postgres"

_OURS = Path(__file__).parent


class BuildFailed(Exception):
    """The package was not built; what was said is in the message."""


def main(args: Sequence[str] | None = None) -> int:
    """Build the package and print its path."""
    asked = _arguments().parse_args(args)
    os.environ.setdefault("SOURCE_DATE_EPOCH", str(metadata.last_change(ROOT)))
    os.umask(0o022)
    try:
        with tempfile.TemporaryDirectory(prefix="syncer-deb-") as place:
            stage = Path(place) / "root"
            fill(stage, asked.constraint)
            package = pack(stage, asked.output, metadata.version(ROOT))
    except (BuildFailed, OSError) as error:
        print(f"error: {error}; no package was built", file=sys.stderr)
        print(
            "hint: Debian's python3, dpkg-deb and a package index are needed",
            file=sys.stderr,
        )
        return 1
    print(package)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deploy.debian.build", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="DIR")
    parser.add_argument(
        "--constraint",
        type=Path,
        metavar="FILE",
        help="versions of what is installed, as pip reads them; an earlier package's "
        "/usr/share/doc/syncer/packages.txt builds it again",
    )
    return parser


def fill(stage: Path, constraint: Path | None = None) -> None:
    """Put everything that the package installs below `stage`.

    Raises:
        BuildFailed: a program that it takes could not do its part.
    """
    environment(stage, constraint)
    for source, target, mode in placed():
        _put(source.read_bytes(), stage / target[1:], mode)
    documentation(stage)


def environment(stage: Path, constraint: Path | None) -> None:
    """Make the virtual environment, as if it had been made in its final place."""
    home = stage / HOME.relative_to("/")
    _run(PYTHON, "-m", "venv", "--without-pip", "--symlinks", home)
    python = home / "bin/python"
    wheels = stage.parent / "wheel"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    _run(*pip, "wheel", "--no-deps", "--wheel-dir", wheels, ROOT)
    (wheel,) = wheels.glob("syncer-*.whl")
    chosen = ("--constraint", constraint) if constraint else ()
    # Ready wheels only: what is built here would depend on this machine.
    install = ("install", "--no-compile", "--only-binary", ":all:", *chosen)
    _run(*pip, "--python", python, *install, f"{wheel}[{EXTRAS}]")
    listed = _run(*pip, "--python", python, "freeze", "--exclude", "syncer")
    _put(listed.encode(), stage / "usr/share/doc/syncer/packages.txt")
    relocate(home)


def relocate(home: Path) -> None:
    """Leave nothing in an environment that names the place where it was built."""
    for path in (home / "bin").iterdir():
        if path.name == "syncer":
            _, _, body = path.read_text().partition("\n")
            _put(f"#!{HOME}/bin/python\n{body}".encode(), path, 0o755)
        elif not path.name.startswith("python"):
            # Activation scripts, and commands of packages that nobody asked for.
            path.unlink()
    settings = (home / "pyvenv.cfg").read_text().splitlines(keepends=True)
    kept = [line for line in settings if not line.startswith("command")]
    _put("".join(kept).encode(), home / "pyvenv.cfg")
    for address in home.rglob("*.dist-info/direct_url.json"):
        address.unlink()
    for record in home.rglob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines(keepends=True)
        gone = re.compile(r"(?:\.\./)+bin/|.*/direct_url\.json,")
        _put("".join(line for line in lines if not gone.match(line)).encode(), record)
    for cache in list(home.rglob("__pycache__")):
        shutil.rmtree(cache)
    for path in home.glob("lib/**/*"):
        if path.is_file():
            path.chmod(0o644)  # wheels mark some libraries and modules as programs


def documentation(stage: Path) -> None:
    """Add what the program says of itself: manual page, completion, changes."""
    python = stage / HOME.relative_to("/") / "bin/python"
    share = stage / "usr/share"
    page = _run(python, "-B", _OURS / "manual.py")
    _put(metadata.packed(page), share / "man/man1/syncer.1.gz")
    for shell, name in (
        ("bash", "bash-completion/completions/syncer"),
        ("zsh", "zsh/vendor-completions/_syncer"),
        ("fish", "fish/vendor_completions.d/syncer.fish"),
    ):
        script = _run(python, "-B", "-m", "syncer", "-q", "completion", shell)
        _put(script.encode(), share / name)
    changes = metadata.changes(ROOT, metadata.version(ROOT))
    _put(metadata.packed(changes), share / "doc/syncer/changelog.gz")


def pack(stage: Path, output: Path, version: str) -> Path:
    """Make a package of a filled stage and return its path.

    Raises:
        BuildFailed: dpkg-deb would not.
    """
    (stage / "etc/syncer").chmod(0o750)
    control = stage / "DEBIAN"
    shutil.rmtree(control, ignore_errors=True)
    units = " ".join(metadata.units(stage))
    for name in SCRIPTS:
        script = (_OURS / name).read_text().replace("@UNITS@", units)
        _put(script.encode(), control / name, 0o755)
    _put("".join(f"{file}\n" for file in CONFFILES).encode(), control / "conffiles")
    _put(metadata.sums(stage).encode(), control / "md5sums")
    _put(metadata.control(stage, version, PYTHON).encode(), control / "control")
    output.mkdir(parents=True, exist_ok=True)
    package = output / f"syncer_{version}_{metadata.architecture()}.deb"
    _run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", stage, package)
    return package


def _put(content: bytes, path: Path, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def _run(*words: str | Path) -> str:
    """Run a program and return what it printed; what it says otherwise passes on."""
    # What our own environment says of Python is not for the one that is made.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    clean |= {"SYNCER_CONFIG": os.devnull, "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            [str(word) for word in words],
            cwd="/",
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        msg = f"{Path(words[0]).name} ended with status {error.returncode}"
        raise BuildFailed(msg) from None
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
