"""Files that are there after a power cut, and the barrier that makes them so."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from syncer.errors import NoSpace, PermanentError, SyncerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(path: Path) -> None:
    """Make everything on the file system of `path` durable (syncfs(2)).

    It waits for other writers too: only after a first mirror or maintenance.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes, *, lock: Path) -> None:
    """Put `content` at `path` by one rename, durably, through `lock`.

    `lock` is created exclusively, as git does with its own lock files, so that
    a foreign git that writes the same file is kept out.
    """
    descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        lock.rename(path)
    except BaseException:
        lock.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def make_directories(path: Path) -> None:
    """Create a directory and its parents, each name durable."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)


def move_all(pairs: Iterable[tuple[Path, Path]]) -> None:
    """Rename in the given order, then make the target directories durable."""
    touched = set()
    for source, target in pairs:
        source.rename(target)
        touched.add(target.parent)
    for directory in touched:
        sync_directory(directory)


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


_REFS = "published refs are unchanged"


@contextmanager
def translated(what: str, *, unchanged: str = _REFS) -> Iterator[None]:
    """Turn an `OSError` into what it means for a run; say what is `unchanged`."""
    try:
        yield
    except OSError as exc:
        raise storage_error(what, exc, unchanged=unchanged) from exc


def storage_error(what: str, exc: OSError, *, unchanged: str = _REFS) -> SyncerError:
    """Return the error of our tree for a failed file operation."""
    reason = exc.strerror or str(exc)
    where = f" ({exc.filename})" if exc.filename else ""
    if exc.errno in _FULL:
        msg = f"{what}: the disk is full{where}; {unchanged}"
        return NoSpace(msg, hint="free some room; work resumes by itself")
    msg = f"{what}: {reason}{where}; {unchanged}"
    return PermanentError(msg)


def check_space(path: Path, floor: float, needed: int = 0) -> None:
    """Raise `NoSpace` when `needed` bytes more would leave less than a floor.

    `floor` is a share of the file system of `path` below 1, else bytes.  The
    path need not exist yet.
    """
    existing = next(p for p in (path, *path.parents) if p.exists())
    usage = shutil.disk_usage(existing)
    least = int(usage.total * floor if floor < 1 else floor)
    if usage.free - needed < least:
        more = f" and is to take {needed >> 20} MiB" if needed else ""
        msg = (
            f"{existing} has {usage.free >> 20} MiB free{more}, below the floor of "
            f"{least >> 20} MiB; nothing new is started"
        )
        raise NoSpace(msg, hint="free some room, or lower `[syncer] min_free`")
