"""Upstream rewrites history: the audit trail says so, with the refs and once."""

from __future__ import annotations

import pytest

from syncer.model.runs import AuditEvent, Outcome
from tests.fakes_git import lives
from tests.integration.test_pipeline import Killed, Memory, memory  # noqa: F401 - a fixture


def events(those: Memory) -> list[AuditEvent]:
    """Return what upstream did, oldest first."""
    found = those.catalog.audit_events(99)[::-1]
    return [each for each in found if each.actor == "upstream"]


def brief(those: Memory) -> list[tuple[str, bool]]:
    """Return the actions, and whether each asks for a person."""
    return [(each.action, each.alarming) for each in events(those)]


@pytest.fixture
def world(memory: Memory) -> Memory:  # noqa: F811 - the fixture
    """Return a mirror with two branches and a tag."""
    memory.upstream.commit()
    memory.upstream.branch("topic")
    memory.upstream.commit("topic")
    memory.upstream.tag("v1")
    assert memory.sync().outcome is Outcome.CHANGED
    assert events(memory) == []
    return memory


def test_a_rewound_default_branch_is_an_alarm(world: Memory) -> None:
    """With the ref and both of its ends; the old one is kept."""
    old = world.upstream.refs["refs/heads/main"]
    new = world.upstream.force()
    world.sync()
    (event,) = events(world)
    assert (event.action, event.alarming) == ("force-push", True)
    assert event.subject == world.state.name.short
    assert f"`refs/heads/main` {old[:7]}..{new[:7]}" in event.detail
    assert world.sync().outcome is Outcome.UNCHANGED
    assert len(events(world)) == 1


def test_another_branch_that_is_rebased_is_no_alarm(world: Memory) -> None:
    """That happens every day; it is on record."""
    world.upstream.force("topic")
    world.sync()
    assert brief(world) == [("force-push", False)]


def test_a_tag_that_names_something_else_is_an_alarm(world: Memory) -> None:
    """Beside the branches, in an event of its own."""
    world.upstream.force("topic")
    world.upstream.force()
    world.upstream.tag("v1")
    world.sync()
    assert brief(world) == [("force-push", True), ("tag-moved", True)]
    assert events(world)[0].detail.startswith("`refs/heads/main`")


def test_a_commit_rewrites_nothing(world: Memory) -> None:
    """Nor does a new tag, or a branch that goes."""
    world.upstream.commit()
    world.upstream.tag("v2")
    world.upstream.delete("refs/heads/topic")
    world.sync()
    assert events(world) == []


def test_many_branches_are_one_event(world: Memory) -> None:
    """The first few by name."""
    for index in range(6):
        world.upstream.branch(f"b{index}")
        world.upstream.commit(f"b{index}")
    world.sync()
    for index in range(6):
        world.upstream.force(f"b{index}")
    world.sync()
    (event,) = events(world)
    assert event.detail.count("refs/heads/") == 3
    assert "and 3 more" in event.detail


@pytest.mark.parametrize("step", ["publish", "finish"])
def test_it_is_told_once_when_the_process_dies(world: Memory, step: str) -> None:
    """With the transaction that records the refs, whoever finishes it."""
    world.upstream.force()

    def die(at: str) -> None:
        if at == step:
            raise Killed

    world.store.died = die
    with pytest.raises(Killed):
        world.sync()
    world.store.died = lives
    world.sync()
    world.sync()
    assert brief(world) == [("force-push", True)]
