"""Which machine keeps a mirror that none keeps yet, and which may begin there.

Decides only: it reads no clock and knows no database.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.model.machines import Role
from syncer.schedule.share import admit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from syncer.model.machines import Machine
    from syncer.model.mirrors import RepoState
    from syncer.schedule.due import Decision

#: Who was not seen for longer is not given anything new.
ALIVE = timedelta(seconds=60)


def host_of(process: str) -> str:
    """Return the machine that a process runs on: `a` for `a/4711`."""
    return process.partition("/")[0]


def alive(machines: Iterable[Machine], now: datetime) -> set[str]:
    """Return the machines some process of which takes runs, and was seen lately."""
    return {
        host_of(each.name)
        for each in machines
        if Role.WORKER in each.roles and now - each.seen <= ALIVE
    }


def place(states: Sequence[RepoState], machines: Iterable[str]) -> dict[int, str]:
    """Return a home for each mirror that has none, by id: where least is stored.

    One of which nothing is stored yet counts as much as the average of the others,
    so that many new ones are spread evenly.  One that was mirrored before machines
    had names lies on one of them already: that one has to say so.
    """
    stored = [state.stored for state in states if state.generation and state.stored]
    typical = max(1, sum(stored) // len(stored)) if stored else 1
    load = dict.fromkeys(sorted(machines), 0)
    for state in states:
        if state.home in load:
            load[state.home] += state.stored or typical
    found: dict[int, str] = {}
    for state in states:
        if state.home is None and not state.generation and load:
            least = min(load, key=lambda name: (load[name], name))
            found[state.id] = least
            load[least] += typical
    return found


def admit_each(
    ready: Iterable[Decision],
    in_hand: Iterable[RepoState],
    connections: Mapping[str, int],
) -> list[Decision]:
    """Return who may begin: on each machine as many of a host as it alone may have.

    A machine that is down keeps what it has in hand, and nothing of the others'.
    Those without a home begin nowhere.
    """
    taken: dict[str, list[str]] = {}
    for state in in_hand:
        taken.setdefault(state.home or "", []).append(state.name.host)
    waiting: dict[str, list[Decision]] = {}
    for decision in ready:
        if decision.state.home is not None:
            waiting.setdefault(decision.state.home, []).append(decision)
    return [
        decision
        for home, those in waiting.items()
        for decision in admit(those, taken.get(home, ()), connections)
    ]
