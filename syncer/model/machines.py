"""The machines that work for one catalog, as each last told of itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from syncer.model.origin import Allowance


class Role(StrEnum):
    """What a process does for the mirrors."""

    SCHEDULER = "scheduler"  # decides who is due; one of several is elected
    WORKER = "worker"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Machine:
    """One process that works, and how it was when it last told of itself."""

    #: The machine's name; several processes of one have `NAME/WORD`.
    name: str
    version: str
    roles: tuple[Role, ...]
    started: datetime
    seen: datetime
    #: Whether it decides who is due.
    leader: bool = False
    #: Runs that move objects, runs that wait to, and since when the first of them.
    running: int = 0
    waiting: int = 0
    oldest: datetime | None = None
    #: Runs that may move objects at the same time.
    capacity: int = 0
    #: Seconds that the last tick took.
    tick: float = 0.0
    #: What APIs last granted it: (host, allowance).
    allowances: tuple[tuple[str, Allowance], ...] = ()


def latest_allowances(machines: Iterable[Machine]) -> list[tuple[str, Allowance]]:
    """Return what each host's API last granted, of what machines were told.

    Of one resource the window that ends last counts, and in that the answer that
    left least: what remains only falls until the window ends.
    """
    latest: dict[tuple[str, str, bool], Allowance] = {}
    for machine in machines:
        for host, each in machine.allowances:
            key = host, each.resource, each.authorised
            known = latest.setdefault(key, each)
            if (each.reset, -each.remaining) > (known.reset, -known.remaining):
                latest[key] = each
    return [(key[0], latest[key]) for key in sorted(latest)]
