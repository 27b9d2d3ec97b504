"""Large repositories by one `git fast-import`, and ones fsck has words about."""

from __future__ import annotations

import random
import subprocess
from typing import IO, TYPE_CHECKING

from tests.servers.repositories import (
    EPOCH,
    PERSON,
    GitFailed,
    Repository,
    blob,
    git_environment,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_STEP = 60
_PER_DIRECTORY = 64


def build(  # noqa: PLR0913  independent quantities, all by name
    path: Path,
    *,
    commits: int = 100,
    files: int = 100,
    branches: int = 1,
    tags: int = 0,
    blob_size: int = 200,
    seed: int = 0,
) -> Repository:
    """Make a repository of `commits` commits in a line, each changing one file.

    A commit adds four objects: itself, a blob that does not compress, and two
    trees.  `branches` (`main` and `topic/N`) and lightweight `tags` (`v/N`) point
    to commits spread evenly over the line, `main` to the last.  Refs are packed.
    """
    repository = Repository(path)
    marks = path / "marks"
    child = subprocess.Popen(
        [
            "git",
            # Small imports too must be one pack.
            *("-c", "fastimport.unpackLimit=1"),
            *("fast-import", "--quiet", "--date-format=raw"),
            f"--export-marks={marks}",
        ],
        env=git_environment() | {"GIT_DIR": str(path)},
        stdin=subprocess.PIPE,
    )
    choice = random.Random(seed)  # noqa: S311  repeatable is meant
    _pour(child, _stream(commits, files, blob_size, choice))
    lines = (line.split() for line in marks.read_text().splitlines())
    oids = {int(mark[1:]): oid for mark, oid in lines}
    marks.unlink()
    _write_refs(repository, oids, commits, branches, tags)
    return repository


def _pour(child: subprocess.Popen[bytes], stream: Iterator[bytes]) -> None:
    pipe: IO[bytes] | None = child.stdin
    if pipe is not None:
        with pipe:
            pipe.writelines(stream)
    if child.wait():
        msg = f"`git fast-import` exited {child.returncode}"
        raise GitFailed(msg)


def _stream(
    commits: int, files: int, size: int, choice: random.Random
) -> Iterator[bytes]:
    for number in range(1, commits + 1):
        person = f"{PERSON} {EPOCH + _STEP * number} +0000"
        yield f"commit refs/heads/main\nmark :{number}\ncommitter {person}\n".encode()
        yield blob(f"change {number}")
        place = number % files
        name = f"{place // _PER_DIRECTORY}/{place % _PER_DIRECTORY}"
        yield f"M 100644 inline {name}\n".encode()
        yield blob(choice.randbytes(size))


def _write_refs(
    repository: Repository, oids: dict[int, str], commits: int, branches: int, tags: int
) -> None:
    refs = {
        f"refs/heads/topic/{n}": oids[1 + n * commits // branches]
        for n in range(1, branches)
        if branches > 1
    } | {f"refs/tags/v/{n}": oids[1 + n * commits // tags] for n in range(tags)}
    if commits:
        refs["refs/heads/main"] = oids[commits]
    lines = ["# pack-refs with: peeled fully-peeled sorted \n"]
    lines += [f"{oid} {name}\n" for name, oid in sorted(refs.items())]
    (repository.path / "packed-refs").write_text("".join(lines))
    (repository.path / "refs/heads/main").unlink(missing_ok=True)


def _person(date: str) -> str:
    return f"{PERSON} {date}"


def _commit(tree: str, author: str) -> bytes:
    committer = _person(f"{EPOCH} +0000")
    return f"tree {tree}\nauthor {author}\ncommitter {committer}\n\nold\n".encode()


def _entry(mode: str, name: str, oid: str) -> bytes:
    return f"{mode} {name}\0".encode() + bytes.fromhex(oid)


class _Workshop:
    """Writes objects that git's own commands refuse to make."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def write(self, kind: str, data: bytes) -> str:
        words = ("hash-object", "--literally", "-t", kind, "-w", "--stdin")
        return self._repository.git(*words, stdin=data)

    def publish(self, oid: str, ref: str = "refs/heads/main") -> None:
        self._repository.git("update-ref", ref, oid)

    def tip(self) -> str:
        return self._repository.oid("refs/heads/main")

    def tree(self, data: bytes) -> None:
        """Publish a good commit of a tree that may be bad."""
        tree = self.write("tree", data)
        self.publish(self.write("commit", _commit(tree, _person(f"{EPOCH} +0000"))))

    def author(self, author: str) -> None:
        """Publish a commit whose author line may be bad."""
        tree = self.write("tree", _entry("100644", "a", self.blob()))
        self.publish(self.write("commit", _commit(tree, author)))

    def blob(self, data: bytes = b"text\n") -> str:
        return self.write("blob", data)


def _bad_timezone(shop: _Workshop) -> None:
    shop.author(_person(f"{EPOCH} +51800"))


def _missing_space_before_date(shop: _Workshop) -> None:
    shop.author(f"{PERSON}{EPOCH} +0000")


def _zero_padded_filemode(shop: _Workshop) -> None:
    inner = shop.write("tree", _entry("100644", "a", shop.blob()))
    shop.tree(_entry("040000", "directory", inner))


def _missing_tagger_entry(shop: _Workshop) -> None:
    shop.author(_person(f"{EPOCH} +0000"))
    commit = shop.tip()
    text = f"object {commit}\ntype commit\ntag old\n\nno tagger\n"
    tag = shop.write("tag", text.encode())
    shop.publish(tag, "refs/tags/old")


def _gitmodules_url(shop: _Workshop) -> None:
    text = b'[submodule "x"]\n\tpath = x\n\turl = -u./payload\n'
    shop.tree(_entry("100644", ".gitmodules", shop.blob(text)))


def _has_dotgit(shop: _Workshop) -> None:
    inner = shop.write("tree", _entry("100644", "config", shop.blob()))
    shop.tree(_entry("40000", ".git", inner))


def _duplicate_entries(shop: _Workshop) -> None:
    first, second = shop.blob(b"1\n"), shop.blob(b"2\n")
    shop.tree(_entry("100644", "a", first) + _entry("100644", "a", second))


_KINDS: dict[str, Callable[[_Workshop], None]] = {
    "badTimezone": _bad_timezone,
    "missingSpaceBeforeDate": _missing_space_before_date,
    "zeroPaddedFilemode": _zero_padded_filemode,
    "missingTaggerEntry": _missing_tagger_entry,
    "gitmodulesUrl": _gitmodules_url,
    "hasDotgit": _has_dotgit,
    "duplicateEntries": _duplicate_entries,
}
#: What real, old repositories have: to be mirrored and reported.
HARMLESS = tuple(_KINDS)[:4]
#: What can hurt those who fetch it: to be held back.
DANGEROUS = tuple(_KINDS)[4:]


def known_bad(path: Path, kind: str) -> Repository:
    """Make a repository that `git fsck` has exactly one kind of complaint about.

    `kind` is fsck's message id, one of `HARMLESS` or `DANGEROUS`.
    """
    repository = Repository(path)
    _KINDS[kind](_Workshop(repository))
    return repository


def spoil(repository: Repository) -> Path:
    """Flip one bit in the middle of the first pack, and return its path."""
    pack = min((repository.path / "objects/pack").glob("*.pack"))
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(data)
    return pack
