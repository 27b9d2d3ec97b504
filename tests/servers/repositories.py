"""Real upstream repositories, made by git's plumbing: fast and always the same.

Nothing of the machine's git configuration or environment gets in.  Dates and
people are fixed, so the same calls give the same object ids.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: The moment of the first commit; each further one is a minute later.
EPOCH = 1_700_000_000
PERSON = "Ada Example <ada@example.org>"
_STEP = 60


class GitFailed(Exception):
    """A git command of the tests' own failed; its words are in the message."""


def git_environment() -> dict[str, str]:
    """Return an environment in which git depends on nothing but its arguments."""
    name, email = PERSON.removesuffix(">").split(" <")
    people = {
        f"GIT_{role}_{what}": text
        for role in ("AUTHOR", "COMMITTER")
        for what, text in (
            ("NAME", name),
            ("EMAIL", email),
            ("DATE", f"{EPOCH} +0000"),
        )
    }
    return people | {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTO_GC": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }


def git(
    *words: str | Path,
    at: Path | None = None,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
) -> bytes:
    """Run git and return what it printed.

    Raises:
        GitFailed: it exited with another status than 0.
    """
    place = ("--git-dir", at) if at is not None else ()
    done = subprocess.run(
        ["git", *place, *words],
        input=stdin,
        capture_output=True,
        check=False,
        env=git_environment() | dict(environ or {}),
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        msg = f"`git {' '.join(map(str, words))}` exited {done.returncode}: {said}"
        raise GitFailed(msg)
    return done.stdout


def create(path: Path, head: str = "main") -> None:
    """Make an empty bare repository, without a process: thousands are cheap."""
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
        (path / name).mkdir(parents=True)
    (path / "HEAD").write_text(f"ref: refs/heads/{head}\n")
    (path / "config").write_text(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
    )


def blob(data: str | bytes) -> bytes:
    """Return a `data` command of `git fast-import`."""
    raw = data.encode() if isinstance(data, str) else data
    return b"data %d\n%b\n" % (len(raw), raw)


@dataclass(slots=True)
class Repository:
    """A bare repository as an upstream keeps it, and what its people do to it.

    Opening a path where nothing is makes an empty repository whose HEAD is
    `main`.  A file's content None removes it.
    """

    path: Path
    _commits: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        if not self.path.exists():
            create(self.path)

    def git(self, *words: str | Path, stdin: bytes = b"") -> str:
        """Run git in it and return what it printed, without the last newline."""
        return git(*words, at=self.path, stdin=stdin).decode().rstrip("\n")

    def commit(
        self,
        branch: str = "main",
        files: Mapping[str, str | bytes | None] | None = None,
        message: str = "a change",
        *,
        parent: str | None = None,
    ) -> str:
        """Commit to a branch, on `parent` or else its tip, and return the id.

        Without `files`, one file changes.  Other files stay as they are.
        """
        self._commits += 1
        ref = _full(branch)
        tip = parent if parent is not None else self._tip(ref)
        if files is None:
            files = {"file": f"{ref} {tip} {self._commits}\n"}
        person = f"{PERSON} {EPOCH + _STEP * self._commits} +0000"
        lines = [f"commit {ref}\nmark :1\ncommitter {person}\n".encode(), blob(message)]
        lines += [f"from {tip}\n".encode()] if tip else []
        for name, data in files.items():
            if data is None:
                lines.append(f"D {name}\n".encode())
            else:
                lines += [f"M 100644 inline {name}\n".encode(), blob(data)]
        stream = b"".join([*lines, b"\nget-mark :1\n"])
        words = ("--quiet", "--force", "--date-format=raw")
        return self.git("fast-import", *words, stdin=stream)

    def branch(self, name: str, at: str = "HEAD") -> str:
        """Make or move a branch, and return the id it points to."""
        return self._set(_full(name), at)

    def tag(self, name: str, at: str = "HEAD", *, annotated: bool = True) -> str:
        """Make or move a tag, and return the id the ref points to."""
        oid = self.oid(at)
        if annotated:
            self._commits += 1
            person = f"{PERSON} {EPOCH + _STEP * self._commits} +0000"
            kind = self.git("cat-file", "-t", oid)
            text = f"object {oid}\ntype {kind}\ntag {name}\ntagger {person}\n\n{name}\n"
            oid = self.git("mktag", stdin=text.encode())
        return self._set(f"refs/tags/{name}", oid)

    def delete(self, ref: str) -> None:
        """Delete a branch, or any ref by its full name."""
        self.git("update-ref", "-d", _full(ref))

    def force(self, branch: str = "main", commits_back: int = 1) -> str:
        """Rewind a branch by so many commits, add another one, return its id."""
        base = self.oid(f"{_full(branch)}~{commits_back}")
        return self.commit(branch, message="another history", parent=base)

    def rename_head(self, old: str, new: str) -> None:
        """Rename the default branch."""
        self._set(_full(new), _full(old))
        self.git("symbolic-ref", "HEAD", _full(new))
        self.delete(old)

    def note(self, text: str, at: str = "HEAD") -> str:
        """Add a note to a commit, and return the new tip of the notes."""
        self.git("notes", "add", "-f", "-m", text, at)
        return self.oid("refs/notes/commits")

    def pull(self, number: int, at: str = "HEAD") -> str:
        """Open a pull request: `refs/pull/N/head`, a new commit on `at`."""
        base = self.oid(at)
        ref = f"refs/pull/{number}/head"
        return self.commit(ref, {f"pull-{number}": f"{base}\n"}, parent=base)

    def refs(self) -> dict[str, str]:
        """Return every ref and its id, as `git for-each-ref` tells it."""
        text = self.git("for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.split(" ", 1) for line in text.splitlines())

    def head(self) -> str:
        """Return the full name of the default branch."""
        return self.git("symbolic-ref", "HEAD")

    def oid(self, revision: str = "HEAD") -> str:
        """Return the id of a revision."""
        return self.git("rev-parse", "--verify", "--end-of-options", revision)

    def fsck(self) -> str:
        """Return what `git fsck` says; it is right when this is nothing.

        Raises:
            GitFailed: something is missing or wrong.
        """
        return self.git("fsck", "--no-dangling", "--no-progress")

    def copy(self, path: Path) -> Repository:
        """Copy it whole."""
        shutil.copytree(self.path, path, symlinks=True)
        return Repository(path, self._commits)

    def _set(self, ref: str, at: str) -> str:
        oid = self.oid(at)
        self.git("update-ref", ref, oid)
        return oid

    def _tip(self, ref: str) -> str:
        """Return the id of a ref, nothing when there is none."""
        return self.git("for-each-ref", "--format=%(objectname)", ref)


def _full(name: str) -> str:
    return name if name.startswith("refs/") else f"refs/heads/{name}"
