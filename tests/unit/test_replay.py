"""The interval by push rate, against a fixed one, on histories of pushes.

The histories are made up, in the manner of real ones: repositories differ by
orders of magnitude, pushes come in bursts, and long silences lie between.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from statistics import median

from syncer.model.mirrors import PushRate
from syncer.schedule.rate import DAY, HOUR, Demand, Steering, per_second

START = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = 21 * DAY
FIXED = HOUR
CAP = 2 * HOUR
REPOSITORIES = 30


def pushes(lot: random.Random) -> list[float]:
    """Return the seconds at which one repository is pushed to."""
    between_bursts = DAY * lot.lognormvariate(0.9, 1.3)
    found = []
    now = lot.uniform(-between_bursts, between_bursts)
    while now < SPAN:
        burst = now
        for _ in range(1 + int(lot.expovariate(1 / 3))):
            found.append(burst)
            burst += lot.expovariate(1 / (0.5 * HOUR))
        now = burst + lot.expovariate(1 / between_bursts)
    return sorted(at for at in found if 0 <= at < SPAN)


def replay(history: list[float], steering: Steering) -> tuple[int, list[float]]:
    """Return how many probes a history costs, and the lag of each push."""
    rate, last, probes = PushRate(), 0.0, 0
    lags: list[float] = []
    while last < SPAN:
        root = per_second(rate, START + timedelta(seconds=last)) ** 0.5
        now = last + steering.interval(Demand(root, CAP))
        probes += 1
        seen = history[bisect_right(history, last) : bisect_left(history, now)]
        if seen:
            rate = rate.bumped(START + timedelta(seconds=now))
            lags += [now - at for at in seen]
        last = now
    return probes, lags


def fixed(history: list[float]) -> list[float]:
    """Return the lags with the same interval for all, in the middle of luck."""
    return [FIXED - (at + FIXED / 2) % FIXED for at in history]


def test_the_rate_beats_a_fixed_interval_at_the_same_number_of_probes() -> None:
    """The median lag is at most half that of a fixed interval."""
    lot = random.Random(7)  # noqa: S311 - the same histories each time
    histories = [pushes(lot) for _ in range(REPOSITORIES)]
    allowed = REPOSITORIES * SPAN / FIXED
    low, high = 0.5, 64.0
    for _ in range(6):
        middle = (low * high) ** 0.5
        spent = sum(replay(each, Steering(middle))[0] for each in histories)
        low, high = (low, middle) if spent < allowed else (middle, high)
    ours = [replay(each, Steering(high)) for each in histories]
    assert sum(probes for probes, _ in ours) <= allowed
    by_rate = median(lag for _, lags in ours for lag in lags)
    by_clock = median(lag for each in histories for lag in fixed(each))
    assert by_rate <= by_clock / 2
