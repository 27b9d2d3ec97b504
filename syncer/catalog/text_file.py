"""Replaces the text of a file, whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.errors import ConfigError, NoSpace, PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Replace a file's text by what `change` makes of it, whole or not at all.

    A symbolic link is followed; mode and owner stay.  Another `edit` at the
    same time waits for this one.

    Raises:
        NoSpace: there is no room; the file is as it was.
        PermanentError: it cannot be read or written, and is as it was.
    """
    target = Path(os.path.realpath(path))
    try:
        with _held(target) as descriptor:
            before = _decoded(target.read_bytes(), path)
            after = change(before)
            if after != before:
                _replace(target, after.encode(), os.fstat(descriptor))
    except OSError as exc:
        kind = NoSpace if exc.errno in {errno.ENOSPC, errno.EDQUOT} else PermanentError
        msg = f"{path} cannot be edited, and is as it was: {exc.strerror}"
        raise kind(msg) from exc


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        msg = f"{path} is not UTF-8, and was not edited"
        raise ConfigError(msg) from exc


@contextmanager
def _held(target: Path) -> Iterator[int]:
    """Hold a file against other edits: the one that has its name when we do."""
    while True:
        with target.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(file.fileno()), target.stat()):
                yield file.fileno()
                return


def _replace(target: Path, content: bytes, like: os.stat_result) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(content)
            file.flush()
            if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, like.st_mode & 0o7777)
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
