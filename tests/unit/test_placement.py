"""Where new mirrors go, and who may begin on which machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from syncer.model.machines import Machine, Role
from syncer.model.mirrors import RepoState
from syncer.model.names import RepoName
from syncer.schedule.due import Cause, Decision
from syncer.schedule.placement import ALIVE, admit_each, alive, place
from syncer.schedule.share import AHEAD

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOST = "github.com"


def state(
    number: int, home: str | None = None, size: int = 0, generation: int = 0
) -> RepoState:
    """Return a mirror with what is stored of it."""
    name = RepoName.parse(f"acme/r{number}")
    return RepoState(
        number,
        name,
        name.path,
        "normal",
        home=home,
        size=size,
        generation=generation,
    )


def machine(name: str, seen: datetime, *roles: Role) -> Machine:
    """Return a process as it was when it was seen."""
    return Machine(name, "1", roles or (Role.WORKER,), NOW, seen)


def due(of: RepoState) -> Decision:
    """Return the decision that a mirror is due."""
    return Decision(
        of, due=True, at=NOW, interval=timedelta(1), cause=Cause.NEW, now=NOW
    )


def test_a_machine_lives_while_any_of_its_workers_is_seen() -> None:
    """A scheduler alone takes no runs; one of several processes is enough."""
    late = NOW - ALIVE - timedelta(seconds=1)
    machines = [
        machine("a/1", late),
        machine("a/2", NOW - ALIVE),
        machine("b", late),
        machine("c", NOW, Role.SCHEDULER, Role.WEB),
        machine("d", NOW, Role.SCHEDULER, Role.WORKER),
    ]
    assert alive(machines, NOW) == {"a", "d"}


def test_a_new_mirror_goes_where_least_is_stored() -> None:
    """LFS objects and assets lie elsewhere, but tell of the work."""
    states = [state(1, "a", 900, 1), state(2, "b", 500, 1), state(3)]
    assert place(states, ["a", "b"]) == {3: "b"}


def test_many_new_mirrors_are_spread_evenly() -> None:
    """One of which nothing is known counts as much as the average."""
    states = [state(number) for number in range(1, 7)]
    assert place(states, ["b", "a"]) == {1: "a", 2: "b", 3: "a", 4: "b", 5: "a", 6: "b"}
    grown = [state(8, "a", 100, 1), state(9, "a", 300, 1), *states]
    assert sorted(place(grown, ["a", "b"]).values()) == ["a", "a", "b", "b", "b", "b"]


def test_what_has_a_home_stays_and_what_lies_somewhere_is_not_placed() -> None:
    """Also where the home is down: its data are there and nowhere else."""
    states = [state(1, "gone", 10, 1), state(2, None, 10, 1), state(3)]
    assert place(states, ["a"]) == {3: "a"}


def test_without_a_machine_nothing_is_placed() -> None:
    """It waits until one is seen."""
    assert place([state(1)], []) == {}


def test_each_machine_begins_as_many_as_it_may_have() -> None:
    """A machine that is down holds up no other, though its jobs wait."""
    limit = 2 * AHEAD
    stuck = [state(number, "down") for number in range(limit)]
    waiting = [state(100 + number, "up") for number in range(limit + 3)]
    more = [state(900, "down"), state(901)]
    ready = [due(each) for each in (*more, *waiting)]
    admitted = admit_each(ready, stuck, {HOST: 2})
    assert [d.state for d in admitted] == waiting[:limit]


def test_machines_do_not_share_a_hosts_connections() -> None:
    """Each has its own; what is in hand on one does not count on another."""
    on = [state(1, "a"), state(2, "b")]
    busy = [replace(on[0], id=10 + number) for number in range(AHEAD)]
    admitted = admit_each(map(due, on), busy, {HOST: 1})
    assert [d.state for d in admitted] == [on[1]]
