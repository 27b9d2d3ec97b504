"""The file systems that are mounted, as /proc/self/mountinfo lists them (proc(5))."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

#: Their bytes are gone with the machine's next start.
VOLATILE = {"tmpfs", "ramfs"}
#: Their locks, renames and sizes are another machine's business.
REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "virtiofs"}
#: They have no hard links, no modes, and fold case.
FOREIGN = {"vfat", "exfat", "ntfs", "ntfs3", "msdos", "hfsplus"}
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One file system, and where it is mounted."""

    place: Path
    kind: str
    source: str
    options: frozenset[str]


def parse(text: str) -> list[Mount]:
    """Return what a mountinfo file lists; lines of another form are left out."""
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        first, last = before.split(), after.split()
        if len(first) < 6 or len(last) < 3:  # noqa: PLR2004 - the fields of proc(5)
            continue
        options = frozenset(f"{first[5]},{last[2]}".split(","))
        source, place = _plain(last[1]), Path(_plain(first[4]))
        found.append(Mount(place, last[0], source, options))
    return found


def of(path: Path, mounts: list[Mount]) -> Mount | None:
    """Return the file system that a path is on: of nested mounts the innermost."""
    # The last of equals lies on top of the others.
    below = [each for each in mounts if path.is_relative_to(each.place)]
    return max(below, key=lambda each: len(each.place.parts), default=None)


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
