"""`packed-refs` and `HEAD`, read and written as git does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from syncer.errors import IntegrityError
from syncer.git import packed_refs
from syncer.model.content import Ref, RefSnapshot
from tests.sandbox import snapshot
from tests.servers.repositories import Repository, git

if TYPE_CHECKING:
    from pathlib import Path

LATIN = b"refs/heads/caf\xe9".decode("utf-8", "surrogateescape")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository with branches, both kinds of tags, and an odd name."""
    made = Repository(tmp_path / "made.git")
    made.commit()
    made.tag("v1")
    made.tag("light", annotated=False)
    made.branch("a-b")
    made.branch("a/b")
    git("update-ref", os.fsdecode(b"refs/heads/caf\xe9"), "HEAD", at=made.path)
    return made


def test_what_git_packs_is_read(repository: Repository) -> None:
    """Names, ids and what tags peel to are as `for-each-ref` tells them."""
    repository.git("pack-refs", "--all")

    read = packed_refs.read(repository.path)

    assert read == snapshot(repository.path)
    assert LATIN in read.refs
    assert read.refs["refs/tags/v1"].peeled == repository.oid("main")


def test_what_is_written_is_what_git_writes(repository: Repository) -> None:
    """Byte for byte, in git's order, so that git can search it."""
    repository.git("pack-refs", "--all")

    packed = packed_refs.read(repository.path).packed

    assert packed == (repository.path / "packed-refs").read_bytes()


def test_publishing_replaces_every_ref(repository: Repository) -> None:
    """Git sees exactly what was published, and a new stamp tells of it."""
    repository.git("pack-refs", "--all")
    oid, before = repository.oid("main"), packed_refs.stamp(repository.path)
    new = RefSnapshot({"refs/heads/main": Ref(oid), LATIN: Ref(oid)})

    packed_refs.publish(repository.path, new.packed)

    assert snapshot(repository.path).refs == new.refs
    assert packed_refs.fingerprint(repository.path) == new.fingerprint
    assert packed_refs.stamp(repository.path) != before


def test_the_same_refs_published_again_have_another_stamp(tmp_path: Path) -> None:
    """Each publication is a file of its own, and a restored one another."""
    stamps = []
    for _ in range(3):
        packed_refs.publish(tmp_path, RefSnapshot().packed)
        stamps.append(packed_refs.stamp(tmp_path))

    assert None not in stamps
    assert stamps[0] != stamps[1] != stamps[2]
    assert packed_refs.stamp(tmp_path / "absent") is None


def test_a_foreign_lock_keeps_us_out(repository: Repository) -> None:
    """While git itself writes `packed-refs`, nothing is published."""
    repository.git("pack-refs", "--all")
    before = (repository.path / "packed-refs").read_bytes()
    lock = repository.path / "packed-refs.lock"
    lock.touch()

    with pytest.raises(FileExistsError):
        packed_refs.publish(repository.path, RefSnapshot().packed)

    assert (repository.path / "packed-refs").read_bytes() == before
    assert lock.exists()


@pytest.mark.parametrize(
    "text",
    [
        "not a ref\n",
        "^" + "a" * 40 + "\n",
        "a" * 40 + "\n",
        "a" * 39 + " refs/heads/main\n",
    ],
)
def test_a_damaged_file_is_no_empty_one(text: str) -> None:
    """Half a line is an error: refs that seem gone would be deleted."""
    with pytest.raises(IntegrityError, match="nothing was changed"):
        packed_refs.parse(text.encode())


def test_nothing_is_read_where_there_is_nothing(tmp_path: Path) -> None:
    """A repository that is not there publishes nothing."""
    assert packed_refs.read(tmp_path / "absent") == RefSnapshot()


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/heads/a/b", LATIN])
def test_head_names_what_it_was_told(repository: Repository, ref: str) -> None:
    """Git resolves it, whatever the bytes of the name."""
    packed_refs.write_head(repository.path, ref)

    said = git("symbolic-ref", "HEAD", at=repository.path)

    assert os.fsdecode(said).rstrip("\n") == ref
    assert packed_refs.read_head(repository.path) == ref
    assert repository.oid("HEAD")


def test_a_detached_head_names_nothing(repository: Repository) -> None:
    """An object id is not the name of a branch."""
    (repository.path / "HEAD").write_text(f"{repository.oid()}\n")

    assert packed_refs.read_head(repository.path) is None
