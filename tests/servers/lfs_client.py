"""The real git-lfs, in the versions that people have.

It finds nothing of the machine's configuration; every command says what it
needs.  Repositories are ordinary ones with a working tree.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tests.servers.repositories import GitFailed, git_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What `git lfs install` writes, with nothing asked for at checkout.
_FILTERS = {
    "filter.lfs.clean": "git-lfs clean -- %f",
    "filter.lfs.smudge": "git-lfs smudge --skip -- %f",
    "filter.lfs.process": "git-lfs filter-process --skip",
    "filter.lfs.required": "true",
    # One attempt: a test that waits for eight says so itself.
    "lfs.transfer.maxretries": "1",
    # No question whether somebody holds a lock.
    "lfs.locksverify": "false",
}


class Listed(NamedTuple):
    """One line of `git lfs ls-files`."""

    oid: str
    name: str


@dataclass(frozen=True, slots=True)
class GitLfs:
    """One git-lfs program; `name` is `old` or `new`.

    What fails raises `GitFailed`, with the program's words.
    """

    name: str
    program: Path
    #: An authority to trust, PEM.
    ca: Path | None = None

    def version(self) -> str:
        """Return its version, such as `3.3.0`."""
        words = self.run("version").decode().split()[0]
        return words.removeprefix("git-lfs/")

    def repository(self, place: Path, *patterns: str) -> Path:
        """Make a repository on `main` that keeps what matches as LFS objects."""
        self.git("init", "--quiet", "--initial-branch=main", str(place))
        lines = [f"{each} filter=lfs diff=lfs merge=lfs -text\n" for each in patterns]
        (place / ".gitattributes").write_text("".join(lines))
        return place

    def commit(self, place: Path, files: Mapping[str, bytes]) -> str:
        """Commit files, those that match as pointers, and return the id."""
        for name, data in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
        self.git("add", "--all", at=place)
        self.git("commit", "--quiet", "--message", "a change", at=place)
        return self.git("rev-parse", "HEAD", at=place).decode().strip()

    def push(self, place: Path, url: str) -> None:
        """Send every LFS object of every branch and tag to `url`'s LFS server."""
        self.git("config", "remote.origin.url", url, at=place)
        self.run("push", "--all", "origin", at=place)

    def fetch_all(self, place: Path, url: str) -> None:
        """Fetch every LFS object of every ref from `url`'s LFS server.

        `place` may be a bare repository.
        """
        self.git("config", "remote.origin.url", url, at=place)
        self.run("fetch", "--all", "origin", at=place)

    def stored(self, place: Path) -> dict[str, bytes]:
        """Return the LFS objects that a repository holds, by their digests."""
        text = self.git("rev-parse", "--absolute-git-dir", at=place).decode()
        objects = (place / text.strip() / "lfs/objects").glob("*/*/*")
        return {path.name: path.read_bytes() for path in objects}

    def ls_files_all(self, place: Path) -> set[Listed]:
        """Return the pointers that it finds in all of a repository's history."""
        text = self.run("ls-files", "--all", "--long", at=place).decode()
        # `OID - NAME`, or `*` for the dash where the object itself is there.
        fields = (line.split(" ", 2) for line in text.splitlines())
        return {Listed(oid, name) for oid, _, name in fields}

    def pointer_check(self, data: bytes) -> bool:
        """Return whether it takes `data` for a pointer."""
        done = self._start(("pointer", "--check", "--stdin"), stdin=data)
        if done.returncode not in {0, 1}:
            raise _failed(done)
        return done.returncode == 0

    def pointer(self, file: Path) -> bytes:
        """Return the pointer that it makes for a file."""
        return self.run("pointer", "--file", str(file))

    def run(self, *words: str, at: Path | None = None, stdin: bytes = b"") -> bytes:
        """Run a git-lfs command and return what it printed."""
        return _output(self._start(words, at=at, stdin=stdin))

    def git(self, *words: str, at: Path | None = None, stdin: bytes = b"") -> bytes:
        """Run git, with this git-lfs for its filters, and return what it printed."""
        command = ["git", *words]
        return _output(_done(command, self.environment(), at, stdin))

    def environment(self) -> dict[str, str]:
        """Return an environment where `git lfs` is this program."""
        environ = git_environment()
        path = f"{self.program.parent}{os.pathsep}{environ['PATH']}"
        settings = dict(_FILTERS)
        if self.ca is not None:
            settings["http.sslCAInfo"] = str(self.ca)
        count = {"GIT_CONFIG_COUNT": str(len(settings))}
        pairs = {
            f"GIT_CONFIG_{what}_{number}": text
            for number, pair in enumerate(settings.items())
            for what, text in zip(("KEY", "VALUE"), pair, strict=True)
        }
        return environ | count | pairs | {"PATH": path}

    def _start(
        self, words: tuple[str, ...], *, at: Path | None = None, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        return _done([str(self.program), *words], self.environment(), at, stdin)


def _done(
    command: list[str], environ: Mapping[str, str], at: Path | None, stdin: bytes
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, input=stdin, capture_output=True, check=False, cwd=at, env=environ
    )


def _output(done: subprocess.CompletedProcess[bytes]) -> bytes:
    if done.returncode:
        raise _failed(done)
    return done.stdout


def _failed(done: subprocess.CompletedProcess[bytes]) -> GitFailed:
    said = (done.stderr + done.stdout).decode(errors="replace").strip()
    return GitFailed(f"`{' '.join(done.args)}` exited {done.returncode}: {said}")
