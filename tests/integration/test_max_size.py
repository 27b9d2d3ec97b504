"""A mirror with a `max_size` is held before it takes the room of all others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from syncer.model.mirrors import Selection
from syncer.model.runs import AuditEvent, Outcome
from tests.lfs_mirrors import NAME, Mirrors
from tests.release_mirrors import WIDGET, Mirrored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.model.mirrors import RepoState

#: Bytes that the fake says each git object takes.
OBJECT = 100


@pytest.fixture
def mirrors() -> Iterator[Mirrors]:
    """Return a mirror that was synced once."""
    made = Mirrors()
    made.offer(b"the first")
    made.syncs()
    yield made
    made.close()


def limited(mirrors: Mirrors, more: int) -> RepoState:
    """Let the mirror have `more` bytes than it has; return how it is."""
    state = mirrors.catalog.state(NAME)
    limit = state.stored + more
    mirrors.selections[NAME.identity] = Selection(max_size=limit)
    return state


def test_git_objects_above_it_hold_the_mirror(mirrors: Mirrors) -> None:
    """What is published stays; the reason says how large it would be."""
    before = limited(mirrors, OBJECT - 1)
    mirrors.upstream.commit()

    run = mirrors.syncs(Outcome.HELD)

    state = mirrors.catalog.state(NAME)
    assert state.generation == before.generation
    assert state.held is not None
    assert state.held.size is not None
    assert state.held.size > before.stored + OBJECT - 1
    assert run.error is not None
    assert "above its max_size" in run.error
    assert "what is published is unchanged" in run.error


def test_lfs_objects_above_it_are_not_downloaded(mirrors: Mirrors) -> None:
    """Their sizes are in the pointers, so nothing is brought in vain."""
    state = limited(mirrors, 20 * OBJECT)
    mirrors.offer(b"x" * 100 * OBJECT)
    mirrors.steps.names.clear()

    mirrors.syncs(Outcome.HELD)

    assert "batch" not in mirrors.steps.names
    assert mirrors.catalog.state(NAME).lfs == state.lfs


def test_accepted_it_passes_as_far_as_a_person_saw(mirrors: Mirrors) -> None:
    """Once: what comes later is held again."""
    limited(mirrors, 0)
    mirrors.upstream.commit()
    mirrors.syncs(Outcome.HELD)
    told = AuditEvent(mirrors.clock.now(), "test", "accept", str(NAME))
    mirrors.catalog.accept(NAME, told, oid=None)

    mirrors.syncs()
    assert mirrors.catalog.state(NAME).held is None
    mirrors.upstream.commit()
    mirrors.syncs(Outcome.HELD)


def test_a_larger_limit_lets_it_pass_by_itself(mirrors: Mirrors) -> None:
    """Nobody has to accept what the configuration allows by now."""
    limited(mirrors, 0)
    mirrors.upstream.commit()
    mirrors.syncs(Outcome.HELD)

    limited(mirrors, 50 * OBJECT)
    mirrors.syncs()

    assert mirrors.catalog.state(NAME).held is None


def test_what_is_unchanged_is_never_too_large(mirrors: Mirrors) -> None:
    """A limit below what is mirrored already holds nothing until more comes."""
    mirrors.selections[NAME.identity] = Selection(max_size=1)
    mirrors.syncs(Outcome.UNCHANGED)
    assert mirrors.catalog.state(NAME).held is None


def test_assets_above_it_hold_the_mirror() -> None:
    """None of them is downloaded, and refs that came along wait too."""
    mirrored = Mirrored()
    try:
        mirrored.upstream.release("v1").asset("small.bin", b"1")
        mirrored.syncs()
        selection = mirrored.world.selection(WIDGET)
        limit = mirrored.state.stored + 10
        mirrored.selections[WIDGET.identity] = replace(selection, max_size=limit)
        mirrored.upstream.release("v2").asset("large.bin", b"2" * 11)
        mirrored.api.downloads.clear()

        run = mirrored.syncs(Outcome.HELD, after=mirrored.every)

        assert mirrored.api.downloads == []
        assert mirrored.state.held is not None
        assert mirrored.state.held.size is not None
        assert run.releases.fetched == 0
    finally:
        mirrored.close()


def test_a_first_mirror_that_upstream_calls_too_large_is_not_fetched() -> None:
    """GitHub tells how large a repository is before a byte of it is fetched."""
    mirrored = Mirrored()
    try:
        mirrored.upstream.size = 1 << 20  # KiB, as GitHub counts
        mirrored.selections[WIDGET.identity] = Selection(max_size=1 << 20)

        run = mirrored.syncs(Outcome.HELD)

        assert run.received == 0
        assert run.error is not None
        assert "1.0 GiB" in run.error
    finally:
        mirrored.close()
