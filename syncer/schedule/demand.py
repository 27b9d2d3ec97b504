"""What each mirror asks of its host's budget: its push rate, and its tier.

Jitter comes from the mirror's path, so that a restart does not reshuffle the schedule.
"""

from __future__ import annotations

import math
from datetime import timedelta
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

from syncer.schedule.rate import DAY, Demand, per_second

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from syncer.model.mirrors import RepoState
    from syncer.model.origin import Standing

#: Seconds; keeps instants within what `datetime` can hold.
LONGEST = 366 * DAY
_SPREAD = 0.05
_UNKNOWN_TIER = timedelta(minutes=30)
#: What is archived, blocked or gone upstream is asked for once a day.
_QUIET = timedelta(days=1)


class Tier(Protocol):
    """What the schedule needs to know of a tier."""

    @property
    def interval(self) -> timedelta:
        """The longest time between two probes."""


def demands_of(
    states: Sequence[RepoState], tiers: Mapping[str, Tier], now: datetime
) -> list[Demand]:
    """Return what each mirror asks of the budget, its jitter included."""
    found = []
    longest = cache(partial(_longest, tiers))
    for state in states:
        spread = _spread(state.path)
        # Divided so that jitter never carries over the tier's interval.
        cap = longest(state.tier, state.standing) * spread / (1 + _SPREAD)
        held = state.held is not None and is_held(state)
        root = 0.0 if held else math.sqrt(per_second(state.rate, now)) / spread
        found.append(Demand(root, cap))
    return found


def _longest(tiers: Mapping[str, Tier], name: str, standing: Standing) -> float:
    """Return the most seconds between two probes of a tier's mirrors."""
    tier = tiers.get(name)
    # A tier can leave the configuration a moment before the catalog hears of it.
    interval = _UNKNOWN_TIER if tier is None else tier.interval
    if standing.is_quiet:
        interval = max(interval, _QUIET)
    return min(interval.total_seconds(), LONGEST)


@lru_cache(maxsize=1 << 16)
def _spread(path: str) -> float:
    """Return the share of its interval that a mirror is visited after."""
    return 1 + _SPREAD * lot(path)


def is_held(state: RepoState) -> bool:
    """Return whether a mirror waits for a person."""
    return state.held is not None and not state.held.accepted


def lot(key: str) -> float:
    """Return a number from -1 to 1 that is always the same for `key`."""
    return crc32(key.encode()) / 2**31 - 1
