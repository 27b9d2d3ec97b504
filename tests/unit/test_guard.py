"""What is published without asking, and what waits for a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.model.content import DEFAULT_SCOPE, Ref, RefSnapshot
from syncer.sync.guard import check
from tests.fakes import NOW

if TYPE_CHECKING:
    from syncer.model.mirrors import Held

MAIN = "refs/heads/main"
OID = "a" * 40


def refs(branches: int, *, head: str | None = MAIN) -> RefSnapshot:
    """Return `main` and so many branches beside it."""
    names = [MAIN, *(f"refs/heads/topic/{n:03}" for n in range(branches))]
    return RefSnapshot({name: Ref(OID) for name in names}, head)


def without(snapshot: RefSnapshot, *gone: str, head: str | None = MAIN) -> RefSnapshot:
    """Return a snapshot that lost some refs."""
    left = {name: ref for name, ref in snapshot.refs.items() if name not in gone}
    return RefSnapshot(left, head)


def topics(count: int) -> list[str]:
    """Return the names of the first branches that `refs` makes."""
    return [f"refs/heads/topic/{n:03}" for n in range(count)]


def verdict(
    published: RefSnapshot, target: RefSnapshot, held: Held | None = None
) -> Held | None:
    """Ask the guard with the scope that is usual."""
    return check(published, target, DEFAULT_SCOPE, held, NOW)


@pytest.mark.parametrize(
    ("total", "gone", "holds"),
    [
        (100, 9, False),  # too few to be a mass
        (100, 10, True),
        (198, 10, True),
        (199, 10, False),  # exactly a twentieth of 200
        (999, 50, False),
        (999, 51, True),
        (9, 9, False),
    ],
)
def test_a_mass_is_over_a_twentieth_and_at_least_ten(
    total: int, gone: int, *, holds: bool
) -> None:
    """Both bounds must be passed before a disappearance is held."""
    old = refs(total)

    held = verdict(old, without(old, *topics(gone)))

    assert (held is not None) is holds
    if held is not None:
        assert held.deletions == tuple(topics(gone))
        assert f"{gone} of {total + 1}" in held.reason


def test_an_empty_answer_is_held_whatever_its_size() -> None:
    """An upstream that shows nothing has lost even a single branch's mirror."""
    held = verdict(refs(0), RefSnapshot())

    assert held is not None
    assert "no refs at all" in held.reason
    assert held.deletions == (MAIN,)


def test_nothing_published_can_not_disappear() -> None:
    """An empty upstream is no surprise to an empty mirror."""
    assert verdict(RefSnapshot(), RefSnapshot()) is None
    assert verdict(RefSnapshot(), refs(3)) is None


@pytest.mark.parametrize("head", [MAIN, None, "refs/heads/absent"])
def test_a_lost_default_branch_is_held(head: str | None) -> None:
    """It may go only when HEAD names another branch that is there."""
    old = refs(3)

    held = verdict(old, without(old, MAIN, head=head))

    assert held is not None
    assert MAIN in held.reason


def test_a_renamed_default_branch_passes() -> None:
    """HEAD names the new branch: nobody lost anything."""
    old = refs(3)

    assert verdict(old, without(old, MAIN, head=topics(1)[0])) is None


def test_a_smaller_scope_is_no_loss() -> None:
    """What the configuration no longer asks for is not gone upstream."""
    tags = {f"refs/tags/v{n}": Ref(OID) for n in range(50)}
    old = RefSnapshot({**refs(3).refs, **tags}, MAIN)

    assert check(old, refs(3), ("refs/heads/",), None, NOW) is None
    assert check(old, refs(3), DEFAULT_SCOPE, None, NOW) is not None


def test_kept_tips_do_not_count() -> None:
    """Refs of our own never disappear upstream."""
    kept = {f"refs/syncer/keep/2026-01-01/{n:040}": Ref(OID) for n in range(99)}
    old = RefSnapshot({**refs(12).refs, **kept}, MAIN)

    held = verdict(old, without(refs(12), *topics(10)))

    assert held is not None
    assert "10 of 13" in held.reason


def test_what_was_accepted_passes() -> None:
    """The same deletions, or fewer, go through; one more holds again."""
    old = refs(40)
    held = verdict(old, without(old, *topics(20)))
    assert held is not None
    accepted = replace(held, accepted=True)

    assert verdict(old, without(old, *topics(20)), accepted) is None
    assert verdict(old, without(old, *topics(12)), accepted) is None
    assert verdict(old, without(old, *topics(20)), held) is not None
    more = verdict(old, without(old, *topics(21)), accepted)
    assert more is not None
    assert not more.accepted


def test_a_hold_knows_since_when() -> None:
    """Looking again later does not make it younger; a new one is new."""
    old = refs(40)
    first = verdict(old, without(old, *topics(20)))
    assert first is not None
    earlier = replace(first, since=NOW - timedelta(days=1))

    again = verdict(old, without(old, *topics(20)), earlier)
    another = verdict(old, without(old, *topics(30)), replace(earlier, accepted=True))

    assert again is not None
    assert again.since == earlier.since
    assert another is not None
    assert another.since == NOW
