"""The real git-lfs programs that other tests stand on."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from tests.servers import programs
from tests.servers.lfs_client import Listed
from tests.servers.repositories import GitFailed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.lfs_client import GitLfs


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def test_each_is_the_program_it_says(git_lfs: GitLfs) -> None:
    """The new one is the version that was built, the old one the distribution's."""
    built = programs.GIT_LFS

    assert (git_lfs.program == built.path) == (git_lfs.name == "new")
    if git_lfs.name == "new":
        assert f"v{git_lfs.version()}" == built.version


def test_what_matches_becomes_a_pointer(git_lfs: GitLfs, tmp_path: Path) -> None:
    """Pointers are in git and objects beside it, of all of the history."""
    place = git_lfs.repository(tmp_path / "work", "*.bin")
    git_lfs.commit(place, {"a.bin": b"old", "deep/b c.bin": b"other", "text": b"text"})
    git_lfs.commit(place, {"a.bin": b"new"})

    pointer = git_lfs.git("show", "HEAD:a.bin", at=place)

    assert pointer == (
        b"version https://git-lfs.github.com/spec/v1\n"
        b"oid sha256:%b\nsize 3\n" % _digest(b"new").encode()
    )
    assert git_lfs.pointer(place / "a.bin") == pointer
    assert git_lfs.git("show", "HEAD:text", at=place) == b"text"
    assert git_lfs.stored(place) == {
        _digest(data): data for data in (b"old", b"other", b"new")
    }
    assert git_lfs.ls_files_all(place) == {
        Listed(_digest(b"old"), "a.bin"),
        Listed(_digest(b"new"), "a.bin"),
        Listed(_digest(b"other"), "deep/b c.bin"),
    }


def test_it_tells_pointers_from_other_files(git_lfs: GitLfs, tmp_path: Path) -> None:
    """What git-lfs wrote is a pointer, and text is none."""
    (tmp_path / "file").write_bytes(b"data")

    assert git_lfs.pointer_check(git_lfs.pointer(tmp_path / "file"))
    assert not git_lfs.pointer_check(b"version of something else\n")


def test_a_server_that_is_not_there_is_an_error(
    git_lfs: GitLfs, tmp_path: Path
) -> None:
    """A command that fails raises, with the program's words."""
    place = git_lfs.repository(tmp_path / "work", "*.bin")
    git_lfs.commit(place, {"a.bin": b"data"})

    with pytest.raises(GitFailed, match="connection refused"):
        git_lfs.push(place, "http://127.0.0.1:1/acme/widget.git")
