"""A view of this machine that can be changed: what is written goes into memory.

An overlay (overlayfs, see mount(8)) in a mount namespace of its own; with the
process that holds the namespace everything is gone.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOUNTS = """\
set -e
mount -t tmpfs -o size=3g none "$1"
mkdir "$1"/upper "$1"/work "$1"/root
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1"/root
mount -t proc none "$1"/root/proc
mount --rbind /dev "$1"/root/dev
mount -t tmpfs -o mode=0755 none "$1"/root/run
mount -t tmpfs -o mode=1777 none "$1"/root/tmp
echo ready
exec cat
"""
_PATIENCE = 300


def obstacle() -> str | None:
    """Return why such a view cannot be had here, None when it can."""
    if os.geteuid() != 0:
        return "only root installs packages"
    if not Path("/usr/bin/dpkg-deb").exists() or not Path("/usr/bin/python3").exists():
        return "there is no dpkg, or no Python of the distribution"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        check=False,
    )
    return None if tried.returncode == 0 else "this machine lets nobody mount"


class Machine:
    """The view, for the length of a block."""

    def __enter__(self) -> Self:
        self._top = tempfile.TemporaryDirectory(prefix="machine-")
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _MOUNTS, "sh", self._top.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._holder.stdin is not None
        self._holder.communicate()
        self._top.cleanup()

    def run(
        self,
        *words: str,
        user: str | None = None,
        expect: int | Sequence[int] = 0,
        **environ: str,
    ) -> str:
        """Run a command in it and return all that it said."""
        become = ("runuser", "-u", user, "--") if user else ()
        inside = ("chroot", f"{self._top.name}/root", *become, *words)
        clean = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            "HOME": "/",
        }
        done = subprocess.run(
            ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", *inside],
            env=clean | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
        right = (expect,) if isinstance(expect, int) else tuple(expect)
        assert done.returncode in right, f"{words}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in it."""
        script = 'printf %s "$2" > "$1"; chmod "$3" "$1"'
        self.run("sh", "-c", script, "sh", path, text, f"{mode:o}")

    def copy(self, file: Path) -> str:
        """Bring a file into its /tmp and return the path there."""
        # The overlay shows the machine's own files, all but those below /tmp and /run.
        target = f"/tmp/{file.name}"  # noqa: S108 - a file system of its own
        with file.open("rb") as source:
            subprocess.run(
                [
                    *("nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt"),
                    *("chroot", f"{self._top.name}/root", "tee", target),
                ],
                stdin=source,
                stdout=subprocess.DEVNULL,
                check=True,
            )
        return target

    def mode(self, path: str) -> str:
        """Return a file's mode and owners, as `750 root:syncer`."""
        return self.run("stat", "--format=%a %U:%G", path).strip()

    def has(self, path: str) -> bool:
        """Return whether there is such a file."""
        return not self.run("sh", "-c", f"test -e {path} || echo no")
