"""The oldest git that is safe enough to run on repositories of strangers."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from syncer.errors import GitTooOld
from syncer.git.command import Call

if TYPE_CHECKING:
    from syncer.git.command import GitCommand

#: The first release of each line with the fixes of CVE-2025-48384 and -48385.
FLOORS = {
    (2, 43): 7,
    (2, 44): 4,
    (2, 45): 4,
    (2, 46): 4,
    (2, 47): 3,
    (2, 48): 2,
    (2, 49): 1,
    (2, 50): 1,
}
#: Distributions that carry the same fixes in an older version.
PATCHED = (re.compile(r"1:2\.39\.5-0\+deb12u(?:[3-9]|[1-9]\d)"),)


def parse(text: str) -> tuple[int, int, int]:
    """Read `git version 2.39.5` and its vendor variants."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        msg = f"`{text.strip()}` is not a git version"
        raise GitTooOld(msg)
    return int(match[1]), int(match[2]), int(match[3] or 0)


def is_safe(version: tuple[int, int, int], package: str | None) -> bool:
    """Return whether a git has the fixes, by its version or its package's."""
    line = version[:2]
    if line > max(FLOORS):
        return True
    if line in FLOORS and version[2] >= FLOORS[line]:
        return True
    return package is not None and any(p.match(package) for p in PATCHED)


def check(git: GitCommand) -> str:
    """Return git's version.

    Raises:
        GitTooOld: it lacks fixes that this program relies on.
    """
    said = git.run(Call(["version"])).stdout.decode()
    version = parse(said)
    text = ".".join(map(str, version))
    if is_safe(version, None) or is_safe(version, _package(git.program)):
        return text
    msg = f"git {text} at {git.program} lacks security fixes; nothing was changed"
    hint = "install git 2.43.7, 2.50.1 or newer, or Debian's 1:2.39.5-0+deb12u3"
    raise GitTooOld(msg, hint=hint)


def _package(program: str) -> str | None:
    """Return the version of the Debian package that owns a program, if any does."""
    if program != "/usr/bin/git":
        return None
    try:
        return subprocess.run(
            ["/usr/bin/dpkg-query", "-W", "-f", "${Version}", "git"],
            capture_output=True,
            check=True,
            text=True,
            timeout=10,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
