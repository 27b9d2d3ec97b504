"""Which git is safe enough to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from syncer.errors import GitTooOld, NotInitialised
from syncer.git.command import GitCommand
from syncer.git.version import FLOORS, check, is_safe, parse

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("git version 2.39.5\n", (2, 39, 5)),
        ("git version 2.50.1 (Apple Git-155)\n", (2, 50, 1)),
        ("git version 2.49.1.windows.1\n", (2, 49, 1)),
        ("git version 2.51.0-rc1\n", (2, 51, 0)),
        ("git version 2.52\n", (2, 52, 0)),
        ("git version 3.0.0\n", (3, 0, 0)),
    ],
)
def test_versions_are_read(text: str, version: tuple[int, int, int]) -> None:
    """What vendors append does not matter."""
    assert parse(text) == version


def test_what_is_no_version_is_refused() -> None:
    """A program that does not say what it is, is not run."""
    with pytest.raises(GitTooOld, match="is not a git version"):
        parse("usage: git [-v | --version]\n")


@pytest.mark.parametrize("line", sorted(FLOORS))
def test_each_line_has_its_floor(line: tuple[int, int]) -> None:
    """The first release with the fixes is safe, the one before it is not."""
    assert is_safe((*line, FLOORS[line]), None)
    assert is_safe((*line, FLOORS[line] + 1), None)
    assert not is_safe((*line, FLOORS[line] - 1), None)


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((1, 9, 5), False),
        ((2, 39, 5), False),
        ((2, 42, 99), False),
        ((2, 51, 0), True),
        ((2, 55, 0), True),
        ((3, 0, 0), True),
    ],
)
def test_other_lines_are_old_or_new(
    version: tuple[int, int, int], *, safe: bool
) -> None:
    """Lines before the table never got the fixes, those after it have them."""
    assert is_safe(version, None) is safe


@pytest.mark.parametrize(
    ("package", "safe"),
    [
        ("1:2.39.5-0+deb12u2", False),
        ("1:2.39.5-0+deb12u3", True),
        ("1:2.39.5-0+deb12u4", True),
        ("1:2.39.5-0+deb12u10", True),
        ("1:2.39.2-1.1", False),
        (None, False),
    ],
)
def test_a_distribution_may_have_patched(package: str | None, *, safe: bool) -> None:
    """Debian 12 carries the fixes in an older version."""
    assert is_safe((2, 39, 5), package) is safe


def test_the_machines_git_is_looked_at(tmp_path: Path) -> None:
    """An old git is refused with what to do, whatever it is called."""
    old = tmp_path / "old-git"
    old.write_text("#!/bin/sh\necho git version 2.30.2\n")
    old.chmod(0o755)

    with pytest.raises(GitTooOld, match=r"2\.30\.2 .* nothing was changed") as caught:
        check(GitCommand(str(old)))

    assert caught.value.hint is not None


def test_a_new_git_is_taken(tmp_path: Path) -> None:
    """Its version is what `version` answers."""
    new = tmp_path / "new-git"
    new.write_text("#!/bin/sh\necho git version 2.55.1\n")
    new.chmod(0o755)

    assert check(GitCommand(str(new))) == "2.55.1"


def test_no_git_is_said_so() -> None:
    """A missing program is named, not a traceback."""
    with pytest.raises(NotInitialised, match="no `git-of-nobody`"):
        check(GitCommand("git-of-nobody"))
