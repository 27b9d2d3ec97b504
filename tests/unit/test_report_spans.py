"""Spans of time, and how disks grow: what is reckoned, whatever comes in."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.model.storage import StorageSample, Usage
from syncer.reports import growth
from syncer.reports.spans import (
    Span,
    bucket_of,
    buckets,
    slices,
    total,
    union,
    width_of,
    within,
    without,
)

if TYPE_CHECKING:
    from random import Random

T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GIB = 1 << 30

hours = st.integers(-30, 30)
spans = st.lists(
    st.builds(lambda a, b: Span(T0 + a * HOUR, T0 + b * HOUR), hours, hours), max_size=8
)


def hours_of(found: list[Span]) -> set[int]:
    """Return each hour of spans; those here begin and end on the hour."""
    return {h for h in range(-30, 30) if any(s.has(T0 + h * HOUR) for s in found)}


@given(spans)
def test_no_moment_counts_twice(those: list[Span]) -> None:
    """A union has the same moments, in order, in pieces that do not touch."""
    found = union(those)
    assert hours_of(found) == hours_of(those)
    assert total(found) == len(hours_of(those)) * HOUR
    assert all(a.end < b.begin for a, b in itertools.pairwise(found))


@given(spans, spans)
def test_holes_are_taken_out(those: list[Span], holes: list[Span]) -> None:
    """What is left has each moment of the spans that no hole has."""
    assert hours_of(without(those, holes)) == hours_of(those) - hours_of(holes)


@given(spans, hours, hours)
def test_spans_are_cut_to_another(those: list[Span], a: int, b: int) -> None:
    """What lies within a span is what both have."""
    whole = Span(T0 + a * HOUR, T0 + b * HOUR)
    assert hours_of(within(those, whole)) == hours_of(those) & hours_of([whole])


@given(st.integers(1, 800 * 24), st.booleans())
def test_buckets_cover_a_period(length: int, days: bool) -> None:  # noqa: FBT001 - an example
    """A chart has few buckets, and each moment falls into one of them."""
    whole = Span(T0 + 7 * HOUR, T0 + (7 + length) * HOUR)
    width = width_of(whole, days=days)
    found = buckets(whole, width)
    assert len(found) <= 50
    assert bucket_of(whole.begin, width) == found[0]
    assert bucket_of(whole.end - timedelta.resolution, width) == found[-1]


def test_a_day_is_a_bucket_from_midnight_on() -> None:
    """Days begin at midnight in UTC, weeks on Mondays."""
    week = Span(T0 + 9 * HOUR, T0 + 7 * DAY + 9 * HOUR)
    assert width_of(week, days=True) == DAY
    assert buckets(week, DAY) == [T0 + n * DAY for n in range(8)]
    assert bucket_of(T0 + 3 * DAY, 7 * DAY) == T0
    assert width_of(Span(T0, T0 + DAY), days=True) == HOUR


def test_slices_follow_each_other() -> None:
    """The parts of a period have each of its moments once."""
    whole = Span(T0, T0 + 2.5 * DAY)
    parts = list(slices(whole, DAY))
    assert [part.length for part in parts] == [DAY, DAY, DAY / 2]
    assert union(parts) == [whole]


def sample(at: datetime, free: float, machine: str = "a") -> StorageSample:
    """Return how full a disk of 1000 GiB was."""
    return StorageSample(at, machine, int(free * GIB), 1000 * GIB, Usage())


@given(st.integers(1, 50), st.integers(2, 15), st.integers(1, 200))
def test_a_steady_disk_is_foreseen(daily: int, days: int, left: int) -> None:
    """What grows by as much each day is full when that has used up what is left."""
    free = [left + 10 + daily * (days - day) for day in range(days + 1)]
    samples = [sample(T0 + day * DAY, gib) for day, gib in enumerate(free)]
    found = growth.forecast(samples, 10 * GIB)
    assert found is not None
    assert found / DAY == pytest.approx(left / daily, rel=1e-6)


@given(st.randoms(use_true_random=False))
def test_a_clean_up_does_not_turn_a_forecast_around(random: Random) -> None:
    """A fifth of the samples may be anything."""
    free = [500.0 - day for day in range(15) for _ in range(8)]
    for index in random.sample(range(1, len(free) - 1), len(free) // 5):
        free[index] = random.uniform(0, 1000)
    samples = [sample(T0 + n * 3 * HOUR, gib) for n, gib in enumerate(free)]
    found = growth.daily(samples)
    assert found is not None
    assert found / GIB == pytest.approx(1.0, rel=0.35)


def test_what_cannot_be_told_is_not() -> None:
    """Too few samples foretell nothing; nor does a disk that shrinks, or stays."""
    assert growth.forecast([], 0) is None
    assert growth.forecast([sample(T0, 500)], 0) is None
    young = [sample(T0 + n * HOUR, 500 - 40 * n) for n in range(8)]
    assert growth.forecast(young, 0) is None
    shrinking = [sample(T0 + n * DAY, 500 + n) for n in range(8)]
    assert growth.forecast(shrinking, 0) is None
    steady = [sample(T0 + n * DAY, 500) for n in range(8)]
    assert growth.forecast(steady, 0) is None
    hardly = [sample(T0 + n * DAY, 500 - n / 1000) for n in range(8)]
    assert growth.forecast(hardly, 0) is None


def test_what_is_full_is_full_now() -> None:
    """Below the floor no time is left, however few samples there are."""
    assert growth.forecast([sample(T0, 40)], 50 * GIB) == timedelta()


def test_a_larger_disk_is_no_growth() -> None:
    """More room changes what is left, not how fast it is used."""
    before = [sample(T0 + n * DAY, 200 - 10 * n) for n in range(8)]
    larger = StorageSample(T0 + 8 * DAY, "a", 1120 * GIB, 2000 * GIB, Usage())
    found = growth.daily([*before, larger])
    assert found is not None
    assert found / GIB == pytest.approx(10)


def test_two_samples_of_one_moment_are_no_slope() -> None:
    """A clock that stood still, or was put back, is survived."""
    samples = [sample(T0, 500), sample(T0, 300), sample(T0 + 2 * DAY, 480)]
    assert growth.daily(samples) is not None
    assert growth.daily([sample(T0 + 2 * DAY, 490), sample(T0, 500)]) == 5 * GIB


def test_many_samples_stay_cheap() -> None:
    """A year of hours is thinned, and ends where it ended."""
    samples = [sample(T0 + n * HOUR, 900 - n / 24) for n in range(9000)]
    points = growth.thinned(growth.used(samples))
    assert len(points) <= 96
    assert points[0] == growth.used(samples)[0]
    assert points[-1] == growth.used(samples)[-1]
    found = growth.daily(samples)
    assert found is not None
    assert found / GIB == pytest.approx(1)


def test_each_machine_has_its_own_disk() -> None:
    """Samples are told apart by machine, each oldest first."""
    mixed = [sample(T0 + DAY, 1, "b"), sample(T0 + DAY, 2), sample(T0, 3)]
    found = growth.by_machine(mixed)
    assert {m: [s.free // GIB for s in those] for m, those in found.items()} == {
        "a": [3, 2],
        "b": [1],
    }
    assert growth.floor_of(0.05, 1000) == 50
    assert growth.floor_of(5_000, 1000) == 5_000
