"""Part files: blobs on their way into a directory.

A part belongs to whoever holds its `flock`, which the kernel gives back when
that process dies.  What is in it then, the next writer continues.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from syncer.durable import translated
from syncer.errors import IntegrityError
from syncer.model.blobs import Leftover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from syncer.model.blobs import Blob

_BLOCK = 1 << 20
_NAME = re.compile(r"([0-9a-f]{64})(?:\.[0-9a-f]{16})?\.part")
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

UNCHANGED = "nothing became visible"


class Hash(Protocol):
    """A running sha256."""

    def update(self, block: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class Part:
    """A part file that is ours until it is closed.

    An own one was begun beside the usual one, which somebody else is writing;
    nobody would look for it later.
    """

    def __init__(self, path: Path, descriptor: int, *, own: bool = False) -> None:
        self._path = path
        self._fd = descriptor
        self._own = own
        self._is_named = False

    def length(self) -> int:
        """Return the bytes that are in it."""
        return os.fstat(self._fd).st_size

    def blocks(self) -> Iterator[memoryview]:
        """Yield what is in it; a block is good until the next."""
        buffer = memoryview(bytearray(_BLOCK))
        offset = 0
        while count := os.preadv(self._fd, [buffer], offset):
            yield buffer[:count]
            offset += count

    def put(self, block: bytes, offset: int) -> None:
        """Write a block; after an error it can be written again."""
        view = memoryview(block)
        while view:
            count = os.pwrite(self._fd, view, offset)
            view, offset = view[count:], offset + count

    def empty(self) -> None:
        """Throw away what is in it."""
        os.ftruncate(self._fd, 0)

    def sync(self) -> None:
        """Make its bytes durable; after an error it is of no use any more."""
        os.fsync(self._fd)

    def rename(self, path: Path) -> None:
        """Give it its final name, and let nobody write to it."""
        if not _is_at(self._path, self._fd):
            # Another file would get the name that only verified bytes may have.
            raise OSError(errno.ENOENT, "somebody removed the part", str(self._path))
        self._path.rename(path)
        self._is_named = True
        os.fchmod(self._fd, os.fstat(self._fd).st_mode & 0o444)

    def remove(self) -> None:
        """Remove it, unless it has its final name or has gone."""
        if not self._is_named and _is_at(self._path, self._fd):
            self._path.unlink()

    def close(self, *, keep: bool) -> None:
        """Give it back, with what a later writer can continue if `keep`."""
        try:
            # What cannot be removed here is swept with the leftovers.
            with suppress(OSError):
                if not keep or self._own or not self.length():
                    self.remove()
        finally:
            os.close(self._fd)


def claim(directory: Path, digest: str, mark: str = "") -> Part:
    """Return the part of a blob, or one of our own while another writer has it.

    A mark, of 16 hexadecimal digits, keeps those apart that continue each other.
    """
    path = directory / (f"{digest}.{mark}.part" if mark else f"{digest}.part")
    while True:
        descriptor = os.open(path, _FLAGS, 0o644)
        if not _lock(descriptor):
            os.close(descriptor)
            return _own(directory, digest)
        if _is_at(path, descriptor):
            return Part(path, descriptor)
        os.close(descriptor)  # it got its final name, or was removed, before we had it


def _own(directory: Path, digest: str) -> Part:
    path = directory / f"{digest}.{secrets.token_hex(8)}.part"
    descriptor = os.open(path, _FLAGS | os.O_EXCL, 0o644)
    _lock(descriptor)
    return Part(path, descriptor, own=True)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def leftovers(directory: Path) -> list[Leftover]:
    """Return the parts in a directory, also those that are being written."""
    found = []
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None or not entry.is_file(follow_symlinks=False):
                continue
            with suppress(FileNotFoundError):  # it ended well meanwhile
                seen = entry.stat(follow_symlinks=False)
                since = datetime.fromtimestamp(seen.st_mtime, UTC)
                found.append(Leftover(entry.name, match[1], seen.st_size, since))
    return sorted(found, key=lambda leftover: leftover.place)


def discard(directory: Path, place: str) -> None:
    """Remove a part; one that somebody is writing stays."""
    if _NAME.fullmatch(place) is None:
        return  # not a name of ours
    path = directory / place
    with suppress(FileNotFoundError):
        descriptor = os.open(path, _LOOK)
        try:
            if _lock(descriptor) and _is_at(path, descriptor):
                path.unlink()
        finally:
            os.close(descriptor)


class PartWriter:
    """A `BlobWriter` into a part; `publish` makes it durable and visible."""

    def __init__(
        self, part: Part, blob: Blob, publish: Callable[[Part, Blob], None]
    ) -> None:
        self._part = part
        self._blob = blob
        self._publish = publish
        self._hash: Hash = sha256()
        self._offset = 0
        self._wrong = False

    @property
    def offset(self) -> int:
        """Bytes that are here; the next block continues there."""
        return self._offset

    @property
    def is_wrong(self) -> bool:
        """Whether what came is not the blob, nor its beginning."""
        return self._wrong

    def resume(self, lives: Callable[[], None]) -> None:
        """Hash what an earlier writer left; call `lives` before each block."""
        if self._part.length() > self._blob.size:
            self._part.empty()
        for block in self._part.blocks():
            lives()
            self._hash.update(block)
            self._offset += len(block)

    def write(self, block: bytes) -> None:
        """Add a block."""
        end = self._offset + len(block)
        if end > self._blob.size:
            self._refuse(f"{end} bytes or more came, {self._blob.size} were declared")
        with translated(f"storing {self._blob.digest}", unchanged=UNCHANGED):
            self._part.put(block, self._offset)
        self._hash.update(block)
        self._offset = end

    def commit(self) -> Blob:
        """Make the blob visible, durably, if its length and digest are right."""
        digest = self._found()
        if digest != self._blob.digest:
            self._refuse(f"all bytes came, and their sha256 is {digest}")
        return self._shown_as(self._blob)

    def _found(self) -> str:
        """Return the digest of what came, if that is all."""
        if self._wrong or self._offset != self._blob.size:
            self._refuse(f"{self._offset} of {self._blob.size} bytes came")
        return self._hash.hexdigest()

    def _shown_as(self, blob: Blob) -> Blob:
        with translated(f"storing {blob.digest}", unchanged=UNCHANGED):
            self._publish(self._part, blob)
        return blob

    def _refuse(self, why: str) -> None:
        self._wrong = True
        msg = f"blob {self._blob.digest}: {why}; {UNCHANGED}"
        raise IntegrityError(msg)
