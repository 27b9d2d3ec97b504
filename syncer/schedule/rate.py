"""How often a repository is pushed to, and how a host's probes are shared out.

Three counts of observed changes that decay over an hour, a day and a fortnight
stand for a repository's history.  Probing every c / √rate makes the mean lag of a
push smallest for a given number of probes; `c` is one number per host.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from syncer.model.mirrors import PushRate

HOUR = 3600.0
DAY = 24 * HOUR
FORTNIGHT = 14 * DAY
#: What a repository without any push is taken to have: one in sixty days.
IDLE = 1 / (60 * DAY)
#: Nobody is asked more often than this, in seconds, whatever the pushes.
FLOOR = 30.0
#: In √seconds: one push a day then means a probe every five minutes.
LEAST_C = 1.0


def per_second(rate: PushRate, now: datetime) -> float:
    """Return the pushes a second to expect; never nothing.

    A steady repository has as many pushes in a decayed count as in the time the
    count decays over, so each quotient alone estimates its rate.
    """
    if rate.at is None:
        return IDLE
    # As `rate.decayed(now)` has them; at each tick there is no time for an object.
    passed = max(0.0, (now - rate.at).total_seconds())
    return (
        IDLE
        + 0.3 * (rate.hour * math.exp(-passed / HOUR)) / HOUR
        + 0.4 * (rate.day * math.exp(-passed / DAY)) / DAY
        + 0.3 * (rate.fortnight * math.exp(-passed / FORTNIGHT)) / FORTNIGHT
    )


class Demand(NamedTuple):
    """What one mirror asks of its host's budget.

    `root` is the root of its push rate, 0 for always the longest interval; `cap`
    is that longest interval in seconds.
    """

    root: float
    cap: float


class Steering(NamedTuple):
    """How the mirrors of one host share its budget.

    `stretch` is above 1 when the longest intervals alone ask for more than the
    budget holds: all of them are longer by it.
    """

    c: float = LEAST_C
    stretch: float = 1.0

    def interval(self, demand: Demand) -> float:
        """Return the seconds between two probes of a mirror."""
        cap = demand.cap * self.stretch
        if self.c >= cap * demand.root:
            return cap
        return max(self.c / demand.root, min(FLOOR, cap))


def steer(demands: Iterable[Demand], budget: float) -> Steering:
    """Return the least `c` with which all probes keep to `budget` a second."""
    wanted = list(demands)
    if math.isinf(budget) or _probes(wanted) <= budget:
        return Steering()
    least = sum(1 / demand.cap for demand in wanted)
    if least >= budget:
        return Steering(math.inf, least / budget)
    return Steering(_solve(wanted, budget))


def _probes(demands: list[Demand]) -> float:
    """Return the probes a second of all, as a `Steering()` has their intervals."""
    total = 0.0
    for root, cap in demands:
        if cap * root <= LEAST_C:
            total += 1 / cap
        else:
            total += 1 / max(LEAST_C / root, min(FLOOR, cap))
    return total


def _solve(demands: list[Demand], budget: float) -> float:
    """Return the `c` whose probes are `budget` a second.

    Between the values at which a mirror leaves the floor or reaches its cap, the
    probes a second are fixed + roots / c: `fixed` those at either end, `roots` the
    sum over the others.  So it is solved exactly, on the piece where it lies.
    """
    fixed, roots = 0.0, 0.0
    turns: list[tuple[float, float, float]] = []
    for root, cap in demands:
        low = min(FLOOR, cap)
        fixed += 1 / low
        turns.append((low * root, -1 / low, root))
        turns.append((cap * root, 1 / cap, -root))
    turns.sort()
    for c, more_fixed, more_roots in turns:
        if c > 0 and fixed + roots / c <= budget:
            return roots / (budget - fixed) if budget > fixed else c
        fixed += more_fixed
        roots += more_roots
    return math.inf  # within rounding, all are at their caps
