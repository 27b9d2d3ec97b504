"""Which of those that are due may begin now, so that no host lives off another.

A host that hangs keeps every thread that it is given until a deadline passes.
Each host therefore has a share of its own, whatever the others leave unused.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from syncer.schedule.due import Decision

#: Mirrors of a host in hand at once, as multiples of its connections: those that
#: wait to move objects hold the answer of their probe in memory.
AHEAD = 4


def admit(
    ready: Sequence[Decision], in_hand: Iterable[str], connections: Mapping[str, int]
) -> list[Decision]:
    """Return who may begin, in the order given.

    `in_hand` has the host of each mirror that is worked on, `connections` what a
    host may use at the same time.
    """
    taken, admitted = Counter(in_hand), []
    for decision in ready:
        host = decision.name.host
        if taken[host] < connections[host] * AHEAD:
            taken[host] += 1
            admitted.append(decision)
    return admitted
