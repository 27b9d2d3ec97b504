"""The search for LFS pointers in a repository's objects.

Git tells type and size of many objects in one process, and the contents of
the few that can be pointers in a second one, which is started only for those.
To find pointers, no history is walked: what is searched is the objects of packs,
or all.  Which of them refs still need is another question, and rarer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING

from syncer.errors import IntegrityError
from syncer.git.command import Call
from syncer.model.pointers import MAX_POINTER, MIN_POINTER, parse_pointer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path

    from syncer.git.command import GitCommand, Holder
    from syncer.model.lfs import LfsPointer

_CHECK = "--batch-check=%(objecttype) %(objectsize) %(objectname)"
_CONTENTS = "--batch=%(objectsize)"
#: Walks from the ids on stdin, along a bitmap as far as there is one, and prints
#: the blobs that are short enough, and the tips.
_WALK = (
    *("rev-list", "--objects", "--no-object-names", "--use-bitmap-index"),
    *("--filter=object:type=blob", f"--filter=blob:limit={MAX_POINTER}", "--stdin"),
)
_BLOCK = 1 << 16
_IN_MEMORY = 1 << 23  # bytes of object ids; more go to a file without a name
_INDEX = b"\xfftOc\x00\x00\x00\x02"
_HEADER = 8 + 256 * 4
_OID = 20
#: Blobs with the length of a pointer.  The line break before each comes first,
#: since the search is five times as fast for what starts with plain text.
_SMALL = re.compile(
    rb"\nblob (?:11[4-9]|1[2-9][0-9]|[2-9][0-9]{2}|10[01][0-9]|102[0-3])"
    rb" ([0-9a-f]{40})(?=\n)"
)


@dataclass(frozen=True)
class PointerScan:
    """Finds the pointers in one repository, whatever its size, in bounded memory."""

    git: GitCommand
    repository: Path
    environment: Mapping[str, str]
    holder: Holder
    deadline: timedelta

    def packed(self, packs: Sequence[Path]) -> list[LfsPointer]:
        """Return the pointers in some packs that git can see, each once, by oid.

        Raises:
            IntegrityError: an index or an object is damaged.
        """
        if not packs:
            return []
        return self._scan(["cat-file", "--buffer", _CHECK], names(packs))

    def everything(self) -> list[LfsPointer]:
        """Return the pointers among all objects that git can see, each once, by oid.

        Raises:
            IntegrityError: an object is damaged.
        """
        every = ["cat-file", "--batch-all-objects", "--unordered", "--buffer", _CHECK]
        return self._scan(every, None)

    def reached(self, tips: Iterable[str]) -> list[LfsPointer]:
        """Return the pointers that some objects reach, each once, by oid.

        Raises:
            SyncerError: an object is damaged, or not there.
        """
        beside = self.repository.parent
        with SpooledTemporaryFile(_IN_MEMORY, dir=str(beside)) as blobs:
            lines = (f"{oid}\n".encode() for oid in dict.fromkeys(tips))
            self._run(_WALK, lines, blobs.write)
            blobs.seek(0)
            return self._scan(["cat-file", "--buffer", _CHECK], _blocks(blobs))

    def _scan(
        self, args: Sequence[str], source: Iterator[bytes] | None
    ) -> list[LfsPointer]:
        beside = self.repository.parent
        with SpooledTemporaryFile(_IN_MEMORY, dir=str(beside)) as oids:
            self._run(args, source, Sieve(oids).take)
            if oids.tell() == 0:
                return []
            oids.seek(0)
            reader = Reader()
            self._run(["cat-file", "--buffer", _CONTENTS], _blocks(oids), reader.take)
        return sorted(reader.found)

    def _run(
        self,
        args: Sequence[str],
        source: Iterator[bytes] | None,
        hear: Callable[[bytes], object],
    ) -> None:
        self.git.run(
            Call(
                args,
                repository=self.repository,
                source=source,
                env=self.environment,
                holder=self.holder,
                timeout=self.deadline,
                on_stdout=hear,
            )
        )


def _blocks(file: SpooledTemporaryFile[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, _BLOCK), b"")


def names(packs: Sequence[Path]) -> Iterator[bytes]:
    """Yield the ids in the packs' indexes, a line each, in blocks of many.

    Read as gitformat-pack(5) lays out version 2: after a header and counts by
    first byte, the last of which is the total, come the ids.

    Raises:
        IntegrityError: it is not such an index.
    """
    for pack in packs:
        path = pack.with_suffix(".idx")
        with path.open("rb") as file:
            head = file.read(_HEADER)
            if len(head) < _HEADER or not head.startswith(_INDEX):
                raise _damaged(path)
            left = int.from_bytes(head[-4:], "big") * _OID
            while left:
                block = file.read(min(left, _OID << 12))
                if not block:
                    raise _damaged(path)
                left -= len(block)
                yield block.hex("\n", _OID).encode() + b"\n"


def _damaged(path: Path) -> IntegrityError:
    msg = f"`{path.name}` is not an index of a pack; published refs are unchanged"
    return IntegrityError(msg)


class Sieve:
    """Keeps the ids of blobs that can be pointers, out of what `_CHECK` prints."""

    def __init__(self, oids: IO[bytes] | SpooledTemporaryFile[bytes]) -> None:
        self._oids = oids
        self._rest = b"\n"

    def take(self, data: bytes) -> None:
        """Take the next part of git's answer."""
        data = self._rest + data
        cut = data.rfind(b"\n")
        found = _SMALL.findall(data, 0, cut + 1)
        self._oids.write(b"".join(oid + b"\n" for oid in found))
        self._rest = data[cut:]


class Reader:
    """Parses the blobs that git prints, each behind a line with its length."""

    def __init__(self) -> None:
        self.found: set[LfsPointer] = set()
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Take the next part of git's answer."""
        data = self._rest + data
        start = 0
        while (line := data.find(b"\n", start)) >= 0:
            end = line + 1 + _length(data[start:line])
            if end >= len(data):  # its content, and the line break after it
                break
            pointer = parse_pointer(data[line + 1 : end])
            if pointer is not None:
                self.found.add(pointer)
            start = end + 1
        self._rest = data[start:]


def _length(line: bytes) -> int:
    """Return the length that git announces.

    Raises:
        IntegrityError: it says instead that the object is not there.
    """
    if line.isdigit() and MIN_POINTER <= int(line) < MAX_POINTER:
        return int(line)
    msg = f"git says `{line.decode()}` of an object; published refs are unchanged"
    raise IntegrityError(msg)
