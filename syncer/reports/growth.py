"""How fast a disk fills, and when it reaches its floor (pure).

The slope is that of Theil and Sen: the median of the slopes between all pairs of
points (Sen, J. Am. Stat. Assoc. 63, 1968).  Up to 29 % of the points may be anything,
so that a clean-up, or one large clone, does not turn the forecast around.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from syncer.model.storage import StorageSample

#: What to ask `Operations.storage` for: older samples say little of next week.
WINDOW = timedelta(days=14)
#: Samples of less than this show a first mirror, not how it goes on.
LEAST = timedelta(days=1)
#: A disk that lasts longer is not said to fill up at all.
HORIZON = timedelta(days=3650)
#: Points of a fit: the pairs are half the square of it.
_POINTS = 96
_DAY = 86_400.0


class Point(NamedTuple):
    """Bytes at a moment; seconds of any clock."""

    seconds: float
    size: float


def by_machine(samples: Iterable[StorageSample]) -> dict[str, list[StorageSample]]:
    """Return the samples of each machine, by its name, each oldest first."""
    found: dict[str, list[StorageSample]] = {}
    for sample in sorted(samples, key=lambda each: (each.machine, each.at)):
        found.setdefault(sample.machine, []).append(sample)
    return found


def floor_of(min_free: float, capacity: int) -> int:
    """Return the floor in bytes: `min_free` is a share below 1, else bytes."""
    return int(capacity * min_free if min_free < 1 else min_free)


def used(samples: Iterable[StorageSample]) -> list[Point]:
    """Return the bytes that are not free, by seconds since 1970; oldest first."""
    return sorted(Point(s.at.timestamp(), s.capacity - s.free) for s in samples)


def daily(samples: Sequence[StorageSample]) -> float | None:
    """Return by how many bytes a day a machine's store grows; negative: it shrinks.

    None while its samples cover less than `LEAST`.  What fills the disk beside us
    counts too: it is what is not free.
    """
    found = slope(used(samples))
    return None if found is None else found * _DAY


def forecast(samples: Sequence[StorageSample], floor: int) -> timedelta | None:
    """Return how long after its last sample a machine's free space reaches a floor.

    Samples of one machine, in any order.  Nothing left: it has been reached.  None:
    it does not grow, would take more than ten years, or cannot be told yet.
    """
    if not samples:
        return None
    left = max(samples, key=lambda each: each.at).free - floor
    if left <= 0:
        return timedelta()
    growth = daily(samples)
    if growth is None or growth <= 0 or left / growth > HORIZON.days:
        return None
    return timedelta(days=left / growth)


def slope(points: Iterable[Point]) -> float | None:
    """Return the median slope of bytes over seconds; None for too short a time."""
    ordered = thinned(sorted(points))
    if not ordered or ordered[-1].seconds - ordered[0].seconds < LEAST.total_seconds():
        return None
    slopes = [
        (later.size - earlier.size) / (later.seconds - earlier.seconds)
        for index, earlier in enumerate(ordered)
        for later in ordered[index + 1 :]
        if later.seconds > earlier.seconds
    ]
    return median(slopes)


def thinned(points: list[Point]) -> list[Point]:
    """Return at most 96 of ordered points, each the median of some; ends stay."""
    if len(points) <= _POINTS:
        return points
    inner = points[1:-1]
    step = len(inner) / (_POINTS - 2)
    cuts = [round(index * step) for index in range(_POINTS - 1)]
    middle = [inner[a:b] for a, b in pairwise(cuts)]
    return [points[0], *map(_middle, middle), points[-1]]


def _middle(those: Sequence[Point]) -> Point:
    return Point(median(p.seconds for p in those), median(p.size for p in those))
