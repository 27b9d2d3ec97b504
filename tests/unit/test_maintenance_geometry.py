"""Which packs a roll-up replaces: pure, and the same choice as git's own."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.git.layout import object_count
from syncer.git.maintenance import to_roll
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from pathlib import Path

FACTOR = 2
SIZES = st.lists(st.integers(min_value=1, max_value=5000), max_size=40)


def named(sizes: list[int]) -> list[tuple[str, int]]:
    """Return packs of these sizes."""
    return [(f"pack-{index:03}", size) for index, size in enumerate(sizes)]


def is_geometric(sizes: list[int]) -> bool:
    """Return whether each is at least twice the one before it."""
    ordered = sorted(sizes)
    return all(b >= FACTOR * a for a, b in pairwise(ordered))


@given(SIZES)
def test_what_is_left_is_geometric(sizes: list[int]) -> None:
    """The new pack and the packs that stay grow by the factor at least."""
    packs = named(sizes)
    rolled = set(to_roll(packs))

    left = [size for name, size in packs if name not in rolled]
    made = [sum(size for name, size in packs if name in rolled)] if rolled else []

    assert is_geometric([*left, *made])


@given(SIZES)
def test_the_largest_stay(sizes: list[int]) -> None:
    """Only the smaller packs are written anew."""
    packs = named(sizes)
    rolled = set(to_roll(packs))

    moved = [size for name, size in packs if name in rolled]
    left = [size for name, size in packs if name not in rolled]

    assert max(moved, default=0) <= min(left, default=5000)


@given(SIZES)
def test_what_is_geometric_stays(sizes: list[int]) -> None:
    """Nothing is rolled when nothing needs it, and never one pack alone."""
    rolled = to_roll(named(sizes))

    assert bool(rolled) is not is_geometric(sizes)
    assert len(rolled) != 1


def test_a_second_roll_up_has_nothing_to_do() -> None:
    """A hundred small packs and a big one become two, which stay two."""
    packs = [("big", 100_000), *named([3] * 100)]

    rolled = to_roll(packs)

    assert rolled == [name for name, _ in packs[1:]]
    assert to_roll([("big", 100_000), ("made", 300)]) == []


def _blobs(repository: Repository, counts: list[int]) -> None:
    """Make one pack of so many objects for each count."""
    number = 0
    for count in counts:
        data = b""
        for _ in range(count):
            number += 1
            text = f"{number}\n".encode()
            data += b"blob\ndata %d\n%b\n" % (len(text), text)
        words = ("-c", "fastimport.unpackLimit=0", "fast-import", "--quiet")
        repository.git(*words, stdin=data)


@pytest.mark.parametrize(
    "counts",
    [[8, 1, 1], [20, 6, 2, 1], [3, 2, 1], [40, 12, 5, 5, 1], [1, 2, 4, 8], [6, 3, 3]],
    ids=str,
)
def test_git_chooses_the_same(tmp_path: Path, counts: list[int]) -> None:
    """`git repack --geometric=2` replaces exactly the packs that we would."""
    repository = Repository(tmp_path / "packs.git")
    _blobs(repository, counts)
    directory = repository.path / "objects" / "pack"
    before = {p.stem: object_count(p) for p in directory.glob("*.pack")}
    assert sorted(before.values()) == sorted(counts)

    chosen = to_roll(list(before.items()))
    repository.git("repack", "-d", f"--geometric={FACTOR}", "--no-write-bitmap-index")

    left = {p.stem for p in directory.glob("*.pack")}
    gone = set(before) - left
    assert sorted(before[name] for name in chosen) == sorted(before[n] for n in gone)
