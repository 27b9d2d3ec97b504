"""Those that are due and wait for room: the most urgent first, each of them once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from syncer.model.mirrors import RepoState
from syncer.model.names import RepoName
from syncer.schedule.backlog import Backlog
from syncer.schedule.due import Cause, Decision

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = [RepoName.parse(f"acme/r{number}") for number in range(6)]
STATES = [RepoState(n, name, name.path, "normal") for n, name in enumerate(NAMES)]
DUE = [
    Decision(state, due=True, at=NOW, interval=timedelta(1), cause=Cause.RATE, now=NOW)
    for state in STATES
]


def two(ready: list[Decision], in_hand: list[RepoState]) -> list[Decision]:
    """Let two be in hand at most."""
    return ready[: max(0, 2 - len(in_hand))]


def ids(decisions: list[Decision]) -> list[int]:
    """Return the mirrors that they are about."""
    return [each.mirror_id for each in decisions]


def test_who_waits_begins_when_there_is_room() -> None:
    """In the order that was decided, and nobody twice."""
    backlog = Backlog()
    assert not backlog
    backlog.renew(DUE[:4], STATES)
    assert ids(backlog.take(set(), two)) == [0, 1]
    assert backlog.take({0, 1}, two) == []
    assert ids(backlog.take({1}, two)) == [2]
    assert ids(backlog.take(set(), two)) == [3]
    assert not backlog


def test_who_is_in_hand_by_other_ways_is_not_due_any_more() -> None:
    """A sweep, or a person, was quicker; those beside the schedule take room too."""
    backlog = Backlog()
    backlog.renew(DUE[:3], STATES)
    assert ids(backlog.take({0, 5}, two)) == []
    assert ids(backlog.take(set(), two)) == [1, 2]
    assert not backlog


def test_a_new_decision_is_the_only_one() -> None:
    """So is none, when what is wanted has changed."""
    backlog = Backlog()
    backlog.renew(DUE[:2], STATES)
    backlog.renew(DUE[4:], STATES)
    assert ids(backlog.take(set(), two)) == [4, 5]
    backlog.renew(DUE, STATES)
    backlog.forget()
    assert not backlog
    assert backlog.take(set(), two) == []
