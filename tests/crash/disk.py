"""An ext4 file system in a file, whose power can be cut.

Needs root and loop devices.  What it mounts it unmounts; image files are
sparse, so they lie in memory when `/dev/shm` is there.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = Path("/dev/shm")  # noqa: S108  memory is the place that is meant


def run(*words: str | Path) -> None:
    """Run a tool; its own words are in the error."""
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True
    )
    if done.returncode:
        msg = f"`{' '.join(map(str, words))}` failed: {done.stderr.strip()}"
        raise RuntimeError(msg)


def scratch() -> Path:
    """Make a directory, in memory where there is room for it."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 1 << 30
    return Path(tempfile.mkdtemp(prefix="crash-", dir=MEMORY if roomy else None))


@dataclass(slots=True)
class Disk:
    """An image that is copied for each point, and the place it is mounted at."""

    place: Path
    size: int = 64 << 20
    options: str = ""
    _mounts: int = 0

    @property
    def point(self) -> Path:
        """Where it is mounted."""
        return self.place / "disk"

    def format(self) -> None:
        """Make the empty file system."""
        self.point.mkdir(parents=True, exist_ok=True)
        with self._master.open("wb") as image:
            image.truncate(self.size)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", self._master)

    @contextlib.contextmanager
    def filling(self) -> Iterator[Path]:
        """Mount the master, to put a world there.

        It is synced before it is unmounted: the mount namespace of a point that
        runs elsewhere right now may keep it mounted, and unwritten.
        """
        self._mount(self._master)
        try:
            yield self.point
            run("sync", "--file-system", self.point)
        finally:
            self._unmount()

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Path]:
        """Mount a copy of the master."""
        self._mount_copy(self._master)
        try:
            yield self.point
        finally:
            self._unmount()
            self._current.unlink()

    def power_up(self) -> None:
        """Mount it again, as after a power cut: the journal is replayed.

        A copy of it: the mount namespace of another point that runs right now
        may hold the file system that was stopped, and the kernel would show
        that one again.
        """
        stopped = self._current
        self._unmount()
        self._mount_copy(stopped)
        stopped.unlink()

    @property
    def _master(self) -> Path:
        return self.place / "master.img"

    @property
    def _current(self) -> Path:
        return self.place / f"{self._mounts}.img"

    def _mount_copy(self, image: Path) -> None:
        self._mounts += 1
        run("cp", "--sparse=always", image, self._current)
        self._mount(self._current)

    def _mount(self, image: Path) -> None:
        options = ",".join(filter(None, ("loop", self.options)))
        run("mount", "-t", "ext4", "-o", options, image, self.point)

    def _unmount(self) -> None:
        run("umount", self.point)
