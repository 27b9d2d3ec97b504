"""How often a host is asked: tokens, pauses, and a stop in between."""

from __future__ import annotations

from datetime import timedelta
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import Interrupted, RateLimited
from syncer.upstream.budget import Budget
from tests.fakes import FakeClock


def budget(clock: FakeClock, rate: float, waits: list[float] | None = None) -> Budget:
    """Return a budget whose waits move the clock, and are written down."""

    def wait(seconds: float) -> bool:
        if waits is not None:
            waits.append(seconds)
        clock.advance(timedelta(seconds=seconds))
        return False

    return Budget("upstream.test", rate, clock, wait)


def test_a_second_of_tokens_may_be_spent_at_once() -> None:
    """After a quiet time there is no wait for the first probes, then an even one."""
    waits: list[float] = []
    bucket = budget(FakeClock(), 20, waits)
    for _ in range(20):
        bucket.take()
    assert waits == []
    for _ in range(5):
        bucket.take()
    assert waits == [pytest.approx(0.05, abs=1e-5)] * 5


@given(
    st.floats(0.1, 1000),
    st.lists(st.floats(0, 5), max_size=60),
)
def test_no_more_is_asked_than_the_rate_allows(rate: float, gaps: list[float]) -> None:
    """In any span there are at most one second's tokens more than the rate gives."""
    clock = FakeClock()
    bucket = budget(clock, rate)
    taken = []
    for gap in gaps:
        clock.advance(timedelta(seconds=gap))
        bucket.take()
        taken.append(clock.monotonic())
    for first, began in enumerate(taken):
        for last in range(first, len(taken)):
            allowed = max(rate, 1) + rate * (taken[last] - began)
            assert last - first + 1 <= allowed + 1 + 1e-3


def test_a_pause_refuses_at_once_until_it_ends() -> None:
    """Nobody waits for a host that asked for hours; the error says how long."""
    clock, waits = FakeClock(), list[float]()
    bucket = budget(clock, 20, waits)
    bucket.pause(timedelta(seconds=90))
    bucket.pause(timedelta(seconds=10))

    clock.advance(timedelta(seconds=30))
    with pytest.raises(RateLimited, match=r"upstream\.test.*60 s") as caught:
        bucket.take()
    assert caught.value.retry_after == timedelta(seconds=60)

    clock.advance(timedelta(seconds=60))
    bucket.take()
    assert waits == []


def test_a_pause_reaches_those_who_wait() -> None:
    """A host that asks us away while probes wait for tokens is asked no more."""
    clock = FakeClock()
    bucket: Budget

    def wait(seconds: float) -> bool:
        clock.advance(timedelta(seconds=seconds))
        bucket.pause(timedelta(minutes=1))
        return False

    bucket = Budget("upstream.test", 1, clock, wait)
    bucket.take()
    with pytest.raises(RateLimited):
        bucket.take()


def test_a_stop_ends_the_wait() -> None:
    """Somebody who waits for a token leaves when the program is stopped."""
    bucket = Budget("upstream.test", 1, FakeClock(), lambda _: True)
    bucket.take()
    with pytest.raises(Interrupted, match="nothing was changed"):
        bucket.take()


def test_a_changed_rate_keeps_what_was_spent() -> None:
    """A reloaded configuration is no way to a second burst."""
    waits: list[float] = []
    bucket = budget(FakeClock(), 10, waits)
    for _ in range(10):
        bucket.take()
    bucket.adjust(2)
    bucket.take()
    assert waits == [pytest.approx(0.5, abs=1e-5)]


def test_threads_share_one_budget() -> None:
    """Each token is spent once, whoever comes."""
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    bucket = Budget("upstream.test", 100, FakeClock(), wait)

    def take() -> None:
        for _ in range(50):
            bucket.take()

    threads = [Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waits) == 100
    assert max(waits) == pytest.approx(1.0)
