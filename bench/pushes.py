"""When repositories are pushed to: a process with the statistics of real ones.

Its figures are chosen so that what was measured on 35 real histories (commit times
since 2019, 1,200 windows of 30 days) comes out again:

    pushes a repository and day                        0.86 real, 0.87 here
    "half the age, 45 s to 8 h": probes a day           5.4 real,  5.5 here
        lag of a push, median / p90 / p99 in minutes    84 / 340 / 462, 87 / 341 / 459
    "half the age, at most an hour": probes a day      26.6 real, 26.6 here
        lag of a push, median / p90 in minutes          17.4 / 49, 18 / 49

How it works:

- Repositories differ by orders of magnitude: the mean rate of each is lognormal.
- People work in spells: a repository is busy or dormant, each for a time with a heavy
  tail (Pareto), and all its pushes fall into the busy spells.
- Pushes come in sittings: sittings begin at random, by day more often than by night,
  and each has a geometric number of pushes some minutes apart (lognormal).
- Pushes less than five minutes apart are one, as in the original measurement.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400.0
#: Pushes a repository and day, on average over all.
MEAN_RATE = 0.86
#: Spread of the repositories' rates: the standard deviation of their logarithm.
_SPREAD = 0.8
#: No repository has more sittings a day than this while it is busy.
_MOST = 40.0
#: Pushes of one sitting, on average, and the minutes between them (median, spread).
_SITTING = 1.6
_GAP_MINUTES, _GAP_SPREAD = 30.0, 1.0
#: Days that a busy spell and a dormant one last at least, and their tails' exponents.
_BUSY_DAYS, _DORMANT_DAYS, _TAIL = 1.0, 2.0, 1.4
#: No spell lasts longer.
_LONGEST_DAYS = 120.0
#: The share of a night hour's sittings in those of a day hour.
_NIGHT = 0.25
_TOGETHER = 300.0


def generated(repositories: int, days: float, seed: int) -> list[list[float]]:
    """Return the push times of each repository, seconds from the beginning, sorted."""
    random = Random(seed)  # noqa: S311 - a reproducible workload, no secret
    raw = [_history(random, days * DAY) for _ in range(repositories)]
    wanted = MEAN_RATE * days * repositories
    found = sum(map(len, raw))
    # Thinned or repeated by chance alone the mean would wander with the seed.
    share = wanted / found if found else 1.0
    if share >= 1:
        return raw
    return [_thinned(random, pushes, share) for pushes in raw]


def read(path: Path) -> list[list[float]]:
    """Return the push times in a file, one `REPOSITORY INSTANT` a line.

    An instant is ISO 8601 or seconds since 1970.
    """
    found: dict[str, list[float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, when = line.strip().partition(" ")
        if name and not name.startswith("#"):
            found.setdefault(name, []).append(_instant(when.strip()))
    first = min((min(times) for times in found.values()), default=0.0)
    return [_merged(sorted(t - first for t in times)) for times in found.values()]


def _instant(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        stamp = datetime.fromisoformat(text)
        return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()


def _history(random: Random, length: float) -> list[float]:
    # Twice the rate that is wanted: what is too much is thinned out.
    mean = 2 * MEAN_RATE / _SITTING
    rate = random.lognormvariate(math.log(mean) - _SPREAD**2 / 2, _SPREAD)
    share = _BUSY_DAYS / (_BUSY_DAYS + _DORMANT_DAYS)
    busy_rate = min(rate / share, _MOST)
    noon = random.random() * DAY
    pushes: list[float] = []
    at, busy = -random.random() * 30 * DAY, random.random() < share
    while at < length:
        least = _BUSY_DAYS if busy else _DORMANT_DAYS
        spell = min(least * random.paretovariate(_TAIL), _LONGEST_DAYS) * DAY
        if busy:
            pushes += _spell(random, at, at + spell, busy_rate, noon)
        at, busy = at + spell, not busy
    return _merged(sorted(push for push in pushes if 0 <= push < length))


def _spell(
    random: Random, begin: float, end: float, rate: float, noon: float
) -> list[float]:
    """Return the pushes of a busy spell with so many sittings a day."""
    pushes: list[float] = []
    at = begin
    while True:
        at += random.expovariate(rate / DAY)
        if at >= end:
            return pushes
        by_day = abs((at - noon) % DAY - DAY / 2) < DAY / 4
        if not by_day and random.random() > _NIGHT:
            continue
        push = at
        pushes.append(push)
        while random.random() > 1 / _SITTING:
            gap = random.lognormvariate(math.log(_GAP_MINUTES), _GAP_SPREAD)
            push += gap * 60
            pushes.append(push)


def _merged(times: list[float]) -> list[float]:
    merged: list[float] = []
    for time in times:
        if not merged or time - merged[-1] >= _TOGETHER:
            merged.append(time)
    return merged


def _thinned(random: Random, pushes: list[float], share: float) -> list[float]:
    return [push for push in pushes if random.random() < share]
