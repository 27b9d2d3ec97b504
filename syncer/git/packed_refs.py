"""`packed-refs` and `HEAD`: the two files that say what a repository publishes.

The format is that of refs/packed-backend.c in git: a header, then per ref
`<oid> <name>`, followed by `^<oid>` where an annotated tag peels to another.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from typing import TYPE_CHECKING

from syncer.durable import replace
from syncer.errors import IntegrityError
from syncer.model.content import Ref, RefSnapshot

if TYPE_CHECKING:
    from pathlib import Path

_OID = 40
# A ref that consumers see, as a line; C code goes over files of any size.
_SHOWN = re.compile(rb"^[0-9a-f]{40} (?!refs/syncer/)[^\n]+\n", re.MULTILINE)


def parse(data: bytes) -> dict[str, Ref]:
    """Read the content of `packed-refs`.

    Raises:
        IntegrityError: it is not such a file.
    """
    refs: dict[str, Ref] = {}
    name = ""
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        if not line or line[0] == "#":
            continue
        if line[0] == "^" and name in refs:
            refs[name] = Ref(refs[name].oid, line[1:])
        elif len(line) > _OID and line[_OID] == " ":
            name = line[_OID + 1 :]
            refs[name] = Ref(line[:_OID])
        else:
            msg = "`packed-refs` is damaged; nothing was changed"
            raise IntegrityError(msg, hint="restore the repository from a copy")
    return refs


def shown(data: bytes) -> bytes:
    """Return the lines of a `packed-refs` that `git show-ref` prints in a clone."""
    return b"".join(_SHOWN.findall(data))


def read(repository: Path) -> RefSnapshot:
    """Return what a repository publishes; empty where there is none."""
    return RefSnapshot(parse(read_bytes(repository)), read_head(repository))


def read_bytes(repository: Path) -> bytes:
    """Return the content of `packed-refs`, empty where there is none."""
    try:
        return (repository / "packed-refs").read_bytes()
    except FileNotFoundError:
        return b""


def fingerprint(repository: Path) -> str:
    """Return the sha256 of the published `packed-refs`."""
    return sha256(read_bytes(repository)).hexdigest()


def stamp(repository: Path | str) -> str | None:
    """Return the identity of the published file: inode, size and time.

    Each publication is a new file, so that an equal stamp means that nobody
    has written or restored it since.
    """
    try:
        found = os.stat(f"{repository}/packed-refs")  # noqa: PTH116 - a hot path
    except OSError:
        return None
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def is_copy(here: str | None, stamp: str) -> bool:
    """Return whether a stamp is that of a copy: size and time, in nanoseconds."""
    return here is not None and here.partition(":")[2] == stamp.partition(":")[2]


def publish(repository: Path, content: bytes) -> None:
    """Make `content` the refs that readers see: all of them, by one rename."""
    replace(repository / "packed-refs", content, lock=repository / "packed-refs.lock")


def read_head(repository: Path) -> str | None:
    """Return the ref HEAD names, None if it names none."""
    try:
        text = (repository / "HEAD").read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    return text.removeprefix("ref:").strip() if text.startswith("ref:") else None


def write_head(repository: Path, ref: str) -> None:
    """Make HEAD name `ref`."""
    content = f"ref: {ref}\n".encode("utf-8", "surrogateescape")
    replace(repository / "HEAD", content, lock=repository / "HEAD.lock")
