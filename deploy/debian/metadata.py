"""What dpkg wants to know of the package: control file, sums, changes."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import subprocess
import textwrap
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MAINTAINER = "syncer maintainers <packages@syncer.invalid>"
_UNITS = "lib/systemd/system"

#: Debian 12's own git, with the fixes that `syncer/git/version.py` asks for.
_GIT = "git (>= 1:2.39.5-0+deb12u3)"

_CONTROL = """\
Package: syncer
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: {depends}
Recommends: openssh-client
Suggests: nginx-light, postgresql, prometheus, prometheus-node-exporter
Section: vcs
Priority: optional
Description: mirror of GitHub repositories that tells how fresh it is
 A daemon that keeps a verified local copy of git repositories, their
 Git LFS objects and their releases with every asset, on schedule, and
 reports the lag of each.
 .
 The program and the Python packages that it runs on are in /opt/syncer.
 It is not started before an administrator has enabled it.
"""


def version(root: Path) -> str:
    """Return the program's version as Debian writes it: 1.0.0rc1 is 1.0.0~rc1."""
    text = (root / "syncer/__init__.py").read_text()
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        msg = "syncer/__init__.py tells no version"
        raise OSError(msg)
    return re.sub(r"\.?(a|b|rc|dev)(?=\d)", r"~\1", found[1])


def architecture() -> str:
    """Return this machine's, as dpkg calls it."""
    return _said("dpkg", "--print-architecture")


def last_change(root: Path) -> int:
    """Return when the sources were last changed, in seconds since the epoch.

    Of a checkout that is its last commit, of an archive the newest of its files.
    """
    try:
        return int(_said("git", "-C", str(root), "log", "-1", "--format=%ct"))
    except (subprocess.CalledProcessError, FileNotFoundError, ValueError):
        return int(max(p.stat().st_mtime for p in (root / "syncer").rglob("*.py")))


def units(stage: Path) -> list[str]:
    """Return the units that can be enabled; templates are, by their instances."""
    return [
        path.name
        for path in sorted((stage / _UNITS).iterdir())
        if "@" not in path.name and "\n[Install]" in path.read_text()
    ]


def sums(stage: Path) -> str:
    """Return what `dpkg --verify` compares with."""
    lines = []
    for path in sorted(stage.rglob("*")):
        inside = path.relative_to(stage)
        if path.is_file() and not path.is_symlink() and inside.parts[0] != "DEBIAN":
            # MD5 is the format's (deb-md5sums(5)); it guards against no attacker.
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False)
            lines.append(f"{digest.hexdigest()}  {inside}\n")
    return "".join(lines)


def control(stage: Path, version: str, python: Path) -> str:
    """Return the control file of a filled stage."""
    return _CONTROL.format(
        version=version,
        architecture=architecture(),
        maintainer=os.environ.get("DEBMAINTAINER", _MAINTAINER),
        size=sum(_kibibytes(path) for path in stage.rglob("*")),
        depends=", ".join(depends(python)),
    )


def depends(python: Path) -> list[str]:
    """Return the packages that it does not run without.

    The environment is of one minor version of Python, and the wheels in it were
    chosen for this machine's C library.
    """
    major, minor = map(int, _said(str(python), "-c", _VERSION).split("."))
    _, _, libc = (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.28").partition(" ")
    return [
        f"python3 (>= {major}.{minor})",
        f"python3 (<< {major}.{minor + 1})",
        f"libc6 (>= {libc})",
        _GIT,
        "ca-certificates",
        # LoadCredential= is of 247; sysusers and tmpfiles come with it.
        "systemd (>= 247)",
    ]


_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def changes(root: Path, version: str) -> str:
    """Return the newest part of CHANGELOG.md in Debian's form (deb-changelog(5))."""
    text = (root / "CHANGELOG.md").read_text()
    newest = text.split("\n## ")[1]
    points = re.findall(r"^- (.+?)(?=\n- |\n\n|\Z)", newest, re.MULTILINE | re.DOTALL)
    told = [
        textwrap.fill(
            " ".join(point.split()),
            initial_indent="  * ",
            subsequent_indent="    ",
            width=78,
        )
        for point in points
    ]
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or last_change(root))
    when = formatdate(seconds).replace("-0000", "+0000")
    body = "\n".join(told)
    head = f"syncer ({version}) stable; urgency=medium"
    return f"{head}\n\n{body}\n\n -- {_MAINTAINER}  {when}\n"


def packed(text: str) -> bytes:
    """Return a text as gzip writes it, without a name or a time of its own."""
    return gzip.compress(text.encode(), mtime=0)


def _kibibytes(path: Path) -> int:
    """Return what a file takes, as deb-substvars(5) reckons Installed-Size."""
    regular = path.is_file() and not path.is_symlink()
    return -(-path.stat().st_size // 1024) if regular else 1


def _said(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.strip()
