"""How fast the store's file system is, measured as the store is written and read.

write    1 MiB blocks into one file, then fsync
read     the same file, after its pages were given up
random   4 KiB at random places of it: written and made durable, or read
publish  a file written, synced, renamed, its directory synced: one blob, or ref
"""

from __future__ import annotations

import mmap
import os
import random
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.doctor.measuring import OPERATIONS, THROUGHPUT, Figure, check, middle, rate
from syncer.durable import check_space, sync_directory, translated

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

_BLOCK, _PAGE = 1 << 20, 4096
#: Random bytes, which no file system makes smaller; written again and again.
_POOL = 64 << 20
#: Requests at the same time, and threads that publish.
DEPTH, PUBLISHERS = 32, 8
#: Names that each of them writes to.
_NAMES = 64
#: The share of what is free that a measurement may take.
_SHARE = 4
_UNCHANGED = "nothing is left of the measurement"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: bytes of the file, seconds of a round, rounds."""

    size: int
    seconds: float = 2.0
    times: int = 3


def fitting(place: Path, size: int, floor: float) -> int:
    """Return how many bytes may be written, at most `size`; whole blocks.

    Raises:
        NoSpace: what is free is below the floor already.
    """
    check_space(place, floor)
    room = shutil.disk_usage(place).free // _SHARE
    return max(_BLOCK, min(size, room) // _BLOCK * _BLOCK)


def measured(
    place: Path, plan: Plan, stop: threading.Event, tell: Callable[[str], object]
) -> Iterator[Figure]:
    """Yield the figures of the file system of a directory; leave nothing there.

    Raises:
        SyncerError: the disk is full, or fails.
        Interrupted: `stop` was set.
    """
    with translated("measuring", unchanged=_UNCHANGED), _scratch(place) as directory:
        disk = _Disk(directory, plan, stop)
        try:
            tell("writing and reading one file")
            writes, reads = disk.streams()
            how = f"{plan.size >> 20} MiB in blocks of 1 MiB"
            yield Figure("write", f"{how}, then fsync", writes, "B/s", THROUGHPUT)
            yield Figure("read", f"{how}, not from memory", reads, "B/s", THROUGHPUT)
            tell("writing and reading at random")
            how = f"4 KiB at random, {DEPTH} at a time"
            found = disk.random(disk.write_page)
            what = "random writes"
            yield Figure(what, f"{how}, each fdatasync", found, "a second", OPERATIONS)
            found = disk.random(disk.read_page)
            how = f"{how}, {disk.way}"
            yield Figure("random reads", how, found, "a second", OPERATIONS)
            tell("publishing small files")
            how = (
                f"4 KiB, fsync, rename, fsync of the directory, {PUBLISHERS} at a time"
            )
            yield Figure("publications", how, disk.publications(), "a second")
        finally:
            disk.close()


@contextmanager
def _scratch(place: Path) -> Iterator[Path]:
    """Provide a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=place) as name:
        yield Path(name)


class _Disk:
    """One file without a name, so that not even a kill leaves it, and a directory."""

    def __init__(self, directory: Path, plan: Plan, stop: threading.Event) -> None:
        self._directory = directory
        self._plan = plan
        self._stop = stop
        self._pool = os.urandom(min(_POOL, plan.size))
        self._page = self._pool[:_PAGE]
        path = directory / "large"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._direct: int | None = None
        with suppress(OSError):  # not every file system goes around memory
            self._direct = os.open(path, os.O_RDONLY | os.O_DIRECT)
        path.unlink()
        self._buffers = [mmap.mmap(-1, _PAGE) for _ in range(DEPTH)]
        self._numbers = [0] * PUBLISHERS

    @property
    def way(self) -> str:
        """How pages are read."""
        return "O_DIRECT" if self._direct is not None else "pages given up before"

    def close(self) -> None:
        os.close(self._file)
        if self._direct is not None:
            os.close(self._direct)
        for buffer in self._buffers:
            buffer.close()

    def streams(self) -> tuple[float, float]:
        """Return bytes a second that are written, and read."""
        reads: list[float] = []

        def round_() -> float:
            written = self._write()
            reads.append(self._read())
            return written

        writes = middle(round_, self._plan.times)
        return writes, sorted(reads)[len(reads) // 2]

    def random(self, act: Callable[[int], object]) -> float:
        """Return how many pages a second are written, or read."""
        return middle(
            lambda: rate(
                act, threads=DEPTH, seconds=self._plan.seconds, stop=self._stop
            ),
            self._plan.times,
        )

    def publications(self) -> float:
        """Return how many small files a second become durable below their names."""
        return middle(
            lambda: rate(
                self._publish,
                threads=PUBLISHERS,
                seconds=self._plan.seconds,
                stop=self._stop,
            ),
            self._plan.times,
        )

    def write_page(self, _number: int) -> None:
        os.pwrite(self._file, self._page, self._anywhere())
        os.fdatasync(self._file)

    def read_page(self, number: int) -> None:
        place = self._anywhere()
        if self._direct is not None:
            os.preadv(self._direct, [self._buffers[number]], place)
            return
        os.posix_fadvise(self._file, place, _PAGE, os.POSIX_FADV_DONTNEED)
        os.preadv(self._file, [self._buffers[number]], place)

    def _publish(self, number: int) -> None:
        # Over a name that is there, as refs are published: thousands of files more
        # would have to be removed again.
        self._numbers[number] = (self._numbers[number] + 1) % _NAMES
        target = self._directory / f"{number}-{self._numbers[number]}"
        part = target.with_suffix(".part")
        with part.open("xb") as file:
            file.write(self._page)
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
        sync_directory(self._directory)

    def _write(self) -> float:
        began = time.monotonic()
        for place in range(0, self._plan.size, _BLOCK):
            check(self._stop)
            start = place % len(self._pool)
            os.pwrite(self._file, self._pool[start : start + _BLOCK], place)
        os.fsync(self._file)
        return self._plan.size / (time.monotonic() - began)

    def _read(self) -> float:
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        began = time.monotonic()
        for place in range(0, self._plan.size, _BLOCK):
            check(self._stop)
            os.pread(self._file, _BLOCK, place)
        return self._plan.size / (time.monotonic() - began)

    def _anywhere(self) -> int:
        # Chance that nobody has to foresee.
        return random.randrange(self._plan.size // _PAGE) * _PAGE  # noqa: S311 - a place in a file, no secret
