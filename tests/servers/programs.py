"""Where the programs are that tests start, and in which versions.

Servers of S3 and the newest git-lfs are no packages of Debian: `make servers`
builds them into a cache outside the checkout, `$SYNCER_TEST_CACHE`, or else
`syncer-test` in the user's cache directory.  A version is a directory of its
own, so that one with another version in it is built and found beside it.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path


def _cache() -> Path:
    own = os.environ.get("SYNCER_TEST_CACHE")
    if own:
        return Path(own).absolute()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches).absolute() / "syncer-test"


#: Read when the tests are collected: while one runs, its environment is bare.
CACHE = _cache()
_PATH = os.environ.get("PATH", os.defpath)


class Missing(Exception):
    """A program is not on this machine; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Built:
    """A Go program of one version; `package` is what `go install` is asked for."""

    name: str
    package: str
    version: str

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        return self.directory / self.name

    @property
    def directory(self) -> Path:
        """The directory that holds it alone; fit for a PATH."""
        return CACHE / "bin" / f"{self.name}@{self.version}"

    def find(self) -> Path:
        """Return its path.

        Raises:
            Missing: it was not built.
        """
        if not self.path.is_file():
            msg = f"{self.name} {self.version} is not built: make servers"
            raise Missing(msg)
        return self.path


MINIO = Built("minio", "github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c")
VERSITYGW = Built("versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0")
#: What people get today; Debian's is years older, and consumers have both.
GIT_LFS = Built("git-lfs", "github.com/git-lfs/git-lfs/v3", "v3.8.1")
BUILT = (VERSITYGW, GIT_LFS, MINIO)


def rclone() -> Path:
    """Return the path of rclone, which a wheel brings into our environment.

    Raises:
        Missing: the wheel is not installed.
    """
    path = Path(sys.prefix) / "bin/rclone"
    if not path.is_file():
        msg = "rclone is not installed: pip install '.[test]'"
        raise Missing(msg)
    return path


def packaged_git_lfs() -> Path:
    """Return the path of the distribution's git-lfs.

    Raises:
        Missing: it is not installed.
    """
    found = shutil.which("git-lfs", path=_PATH)
    if found is None:
        msg = "git-lfs is not installed: apt-get install git-lfs"
        raise Missing(msg)
    return Path(found)
