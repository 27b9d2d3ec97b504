"""The blob store in a directory: `ab/cd/<60 digits>`, each file one blob.

A file gets its final name when its length and sha256 are right and its bytes
are on the disk, and never changes afterwards.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from syncer.durable import check_space, make_directories, sync_directory, translated
from syncer.errors import (
    IntegrityError,
    Interrupted,
    NotFound,
    PermanentError,
    Truncated,
)
from syncer.model.blobs import Blob, blob_key, check_digest, digest_of
from syncer.store import parts
from syncer.store.parts import UNCHANGED, PartWriter
from syncer.store.unnamed import UnnamedPartWriter, mark_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.model.blobs import Leftover
    from syncer.store.parts import Part

_W = TypeVar("_W", bound=PartWriter)

_BLOCK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#: Seconds after which the kernel has written a name by itself, many times over.
_YOUNG = 600


class DirectoryStore:
    """Blobs below `root`; what is on its way lies in `incoming`.

    Both are on one file system.  Nothing new starts when it would leave less
    than `min_free` of that: a share of the whole below 1, else bytes.
    """

    def __init__(
        self,
        root: Path,
        incoming: Path,
        *,
        min_free: float = 0.0,
        stop: threading.Event | None = None,
    ) -> None:
        self._root = root
        self._incoming = incoming
        self._min_free = min_free
        self._stop = stop or threading.Event()
        #: By the first four digits: whether the directories' names are durable.
        self._settled = bytearray(1 << 16)

    def check(self) -> None:
        """Raise unless the store can take and give blobs now."""
        with translated("the blob store", unchanged="nothing was stored"):
            self._prepare()
            for directory in (self._root, self._incoming):
                if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
                    raise PermissionError(
                        errno.EACCES, "it is not ours to write", str(directory)
                    )
            if self._root.stat().st_dev != self._incoming.stat().st_dev:
                msg = (
                    f"{self._root} and {self._incoming} are on two file systems; "
                    "nothing was stored"
                )
                hint = "blobs get their names by a rename: put both on one"
                raise PermanentError(msg, hint=hint)
        check_space(self._root, self._min_free)

    def find(self, digest: str) -> Blob | None:
        """Return a blob that is there; its bytes are not read for that."""
        path = self._path(digest)
        with translated(f"finding {digest}", unchanged="nothing was changed"):
            try:
                seen = path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            if not _is_blob(digest, seen):
                return None
            if time.time() - seen.st_ctime < _YOUNG:
                # Who gave it its name may have died before that was durable.
                self._settle(path)
        return Blob(digest, seen.st_size)

    def survey(self) -> None:
        """Return None: `find` costs less than reading 65,536 directories."""
        return

    @contextmanager
    def write(
        self, digest: str, size: int, *, replace: bool = False
    ) -> Iterator[PartWriter]:
        """Open a writer for a blob; it continues what an earlier one left."""
        blob = Blob(check_digest(digest), size)
        with self._arriving(blob, PartWriter, replace=replace) as writer:
            yield writer

    @contextmanager
    def receive(self, ticket: str, size: int) -> Iterator[UnnamedPartWriter]:
        """Open a writer for a blob without a name; it continues as `write` does."""
        blob = Blob(check_digest(ticket), size)
        with self._arriving(blob, UnnamedPartWriter, mark=mark_of(size)) as writer:
            yield writer

    @contextmanager
    def read(self, digest: str, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Open a blob's bytes from `offset` on, as blocks."""
        descriptor = self._open(digest)
        try:
            yield _blocks(digest, descriptor, offset)
        finally:
            os.close(descriptor)

    def remove(self, digest: str) -> None:
        """Remove a blob; a power cut may bring it back, unknown to the index."""
        with (
            translated(f"removing {digest}", unchanged="it may still be there"),
            suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError),
        ):
            self._path(digest).unlink()

    def blobs(self) -> Iterator[Blob]:
        """Yield every blob, in the order of the digests; foreign names are left."""
        with translated("listing the blobs", unchanged="nothing was changed"):
            for outer in _names(self._root, 2):
                for inner in _names(self._root / outer, 2):
                    yield from self._in(f"{outer}/{inner}")

    def leftovers(self) -> list[Leftover]:
        """Return the part files, also those that are being written."""
        with translated("listing the parts", unchanged="nothing was changed"):
            return parts.leftovers(self._incoming)

    def discard(self, leftover: Leftover) -> None:
        """Remove a part file; one that somebody is writing is no leftover, it stays."""
        with translated("removing a part", unchanged="it may still be there"):
            parts.discard(self._incoming, leftover.place)

    def footprint(self, size: int) -> int:
        """Return the bytes that a writer holds: at most the block at hand."""
        return max(1, min(size, _BLOCK))

    def _path(self, digest: str) -> Path:
        return self._root / blob_key(check_digest(digest))

    def _prepare(self) -> None:
        make_directories(self._root)
        make_directories(self._incoming)

    @contextmanager
    def _arriving(
        self, blob: Blob, kind: type[_W], *, mark: str = "", replace: bool = False
    ) -> Iterator[_W]:
        """Claim the part of a blob, and give it back as it is then."""
        with translated(f"storing {blob.digest}", unchanged=UNCHANGED):
            self._prepare()
            part = parts.claim(self._incoming, blob.digest, mark)
        keep = True
        try:
            writer = kind(part, blob, self._publish)
            with translated(f"storing {blob.digest}", unchanged=UNCHANGED):
                if replace:
                    part.empty()
                check_space(self._root, self._min_free, blob.size - part.length())
                writer.resume(self._lives)
            yield writer
            keep = not writer.is_wrong
        except IntegrityError:
            keep = False
            raise
        finally:
            part.close(keep=keep)

    def _lives(self) -> None:
        if self._stop.is_set():
            msg = f"stopped on request; {UNCHANGED}, the part is kept"
            raise Interrupted(msg)

    def _publish(self, part: Part, blob: Blob) -> None:
        try:
            part.sync()
        except OSError:
            # The kernel may have dropped what it could not write, and says so
            # once: a second fsync would succeed over a hole.
            part.remove()
            raise
        path = self._path(blob.digest)
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._settled[int(blob.digest[:4], 16)] = 0
        part.rename(path)
        self._settle(path)

    def _settle(self, path: Path) -> None:
        """Make a blob's name durable, and those of its directories."""
        sync_directory(path.parent)
        outer = path.parent.parent
        index = int(f"{outer.name}{path.parent.name}", 16)
        if not self._settled[index]:
            # Also when they were there: who made them may not have come this far.
            sync_directory(outer)
            sync_directory(self._root)
            self._settled[index] = 1

    def _open(self, digest: str) -> int:
        path = self._path(digest)
        missing = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
        with translated(f"reading {digest}", unchanged="nothing was changed"):
            try:
                descriptor = os.open(path, _READ)
            except OSError as exc:
                if exc.errno in missing:
                    raise _absent(digest) from exc
                raise
            if _is_blob(digest, os.fstat(descriptor)):
                return descriptor
            os.close(descriptor)
        raise _absent(digest)

    def _in(self, directory: str) -> Iterator[Blob]:
        for name in _names(self._root / directory, 60):
            digest = digest_of(f"{directory}/{name}")
            if digest is None:
                continue
            with suppress(FileNotFoundError):  # removed meanwhile
                seen = (self._root / directory / name).lstat()
                if _is_blob(digest, seen):
                    yield Blob(digest, seen.st_size)


def _absent(digest: str) -> NotFound:
    return NotFound(f"blob {digest} is not in the store")


def _is_blob(digest: str, seen: os.stat_result) -> bool:
    """Return whether a file can be a blob: no link, and not empty for nothing."""
    return stat.S_ISREG(seen.st_mode) and (seen.st_size > 0 or digest == _EMPTY)


def _names(directory: Path, length: int) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(e.name for e in entries if len(e.name) == length)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _blocks(digest: str, descriptor: int, offset: int) -> Iterator[bytes]:
    with translated(f"reading {digest}", unchanged="nothing was changed"):
        size = os.fstat(descriptor).st_size
        while offset < size:
            try:
                block = os.pread(descriptor, min(_BLOCK, size - offset), offset)
            except OSError as exc:
                if exc.errno != errno.EIO:
                    raise
                # A sector is gone, or a file system found its checksum wrong: that
                # is this blob's trouble, the others are read all the same.
                msg = f"blob {digest} cannot be read beyond {offset} of {size} bytes"
                raise Truncated(msg) from exc
            if not block:
                break
            yield block
            offset += len(block)
    if offset != size:
        msg = f"blob {digest} ended at {offset} of {size} bytes"
        raise Truncated(msg)
