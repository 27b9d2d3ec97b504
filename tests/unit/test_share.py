"""Who may begin: each host its own share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from syncer.model.mirrors import RepoState
from syncer.model.names import RepoName
from syncer.schedule.due import Cause, Decision
from syncer.schedule.share import AHEAD, admit

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def ready(number: int, host: str) -> Decision:
    """Return the decision that a mirror of a host is due."""
    name = RepoName(host, "acme", f"r{number}")
    state = RepoState(number, name, name.path, "normal")
    hour = timedelta(hours=1)
    return Decision(state, due=True, at=NOW, interval=hour, cause=Cause.NEW, now=NOW)


def test_the_most_urgent_of_each_host_begin() -> None:
    """A host with many overdue mirrors leaves the other one its place."""
    many = [ready(number, "a.test") for number in range(20)]
    other = ready(99, "b.test")
    admitted = admit([*many, other], [], {"a.test": 2, "b.test": 1})
    assert admitted == [*many[: 2 * AHEAD], other]


def test_what_is_in_hand_counts() -> None:
    """A host whose mirrors all hang is handed no further one."""
    waiting = [ready(number, "a.test") for number in range(3)]
    shares = {"a.test": 1}
    assert admit(waiting, ["a.test"] * AHEAD, shares) == []
    assert admit(waiting, ["a.test"] * (AHEAD - 1), shares) == waiting[:1]
    assert admit(waiting, ["b.test"] * AHEAD, shares) == waiting
