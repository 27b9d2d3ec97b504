"""LFS pointer files as a client writes them, and repositories full of them."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from syncer.model.lfs import LfsPointer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.repositories import Repository

_AT_ONCE = 100


def pointer_file(pointer: LfsPointer) -> bytes:
    """Return a pointer file's content (docs/spec.md of git-lfs)."""
    lines = ("version https://git-lfs.github.com/spec/v1", f"oid sha256:{pointer.oid}")
    return "".join(f"{line}\n" for line in (*lines, f"size {pointer.size}")).encode()


def some_pointers(count: int) -> Iterator[LfsPointer]:
    """Yield different pointers, always the same ones."""
    for number in range(count):
        yield LfsPointer(sha256(b"%d" % number).hexdigest(), 1000 + number)


def track(repository: Repository, count: int, branch: str = "main") -> list[LfsPointer]:
    """Commit so many pointers to a branch, a hundred at once, and return them."""
    pointers = list(some_pointers(count))
    for start in range(0, count, _AT_ONCE):
        few = pointers[start : start + _AT_ONCE]
        repository.commit(
            branch, {f"large/{pointer.oid}": pointer_file(pointer) for pointer in few}
        )
    return sorted(pointers)
