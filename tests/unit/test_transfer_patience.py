"""How patient a transfer is, as decided without waiting."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

import pytest

from syncer.errors import Expired, RateLimited, TransientError, Truncated, Unavailable
from syncer.sync.transfer.patience import (
    ATTEMPTS,
    MOST_WAIT,
    PROGRESS,
    SILENCE,
    Attempts,
    ask_again,
    pause,
)
from tests.fakes import NOW

OID = sha256(b"an object").hexdigest()
LATE = Unavailable("no answer")


def waits(attempts: Attempts, *errors: TransientError) -> list[float]:
    """Return what is waited for after each of some failures in a row."""
    return [attempts.after(error, 0, 0.0) for error in errors]


def test_pauses_double_and_stay_bounded() -> None:
    """The first is half a second, no later one is over half a minute."""
    pauses = [pause(OID, failures) for failures in range(1, 40)]
    assert 0.25 <= pauses[0] <= 0.75
    assert 1.0 <= pauses[2] <= 3.0
    assert max(pauses) <= 30.0


def test_pauses_of_two_objects_differ() -> None:
    """What failed together does not come back at the same moment."""
    assert len({pause(f"object {n}", 1) for n in range(20)}) == 20


def test_attempts_that_bring_nothing_come_to_an_end() -> None:
    """The fifth failure in a row is the last one, and it is what is raised."""
    attempts = Attempts(OID, 0, 0.0)
    waits(attempts, *[LATE] * (ATTEMPTS - 1))
    last = Truncated("cut")
    with pytest.raises(Truncated) as caught:
        attempts.after(last, PROGRESS - 1, 0.0)
    assert caught.value is last


def test_progress_makes_attempts_fresh() -> None:
    """As long as something comes each time, there is no last attempt."""
    attempts = Attempts(OID, 100, 0.0)
    for number in range(1, 50):
        wait = attempts.after(LATE, 100 + number * PROGRESS, number * 60.0)
        assert wait == pause(OID, 1)


def test_silence_comes_to_an_end() -> None:
    """After half an hour without a byte there is no other attempt."""
    attempts = Attempts(OID, 0, 0.0)
    attempts.after(LATE, PROGRESS, 1000.0)
    attempts.after(LATE, PROGRESS, 1000.0 + SILENCE - 1)
    with pytest.raises(Unavailable):
        attempts.after(LATE, PROGRESS, 1000.0 + SILENCE)


def test_what_upstream_asks_for_is_waited_for() -> None:
    """`Retry-After` is taken at its word, up to two minutes in all."""
    attempts = Attempts(OID, 0, 0.0)
    limited = RateLimited("slow down", retry_after=timedelta(seconds=MOST_WAIT / 2))
    assert waits(attempts, limited, limited) == [MOST_WAIT / 2] * 2
    with pytest.raises(RateLimited):
        attempts.after(limited, 0, 0.0)


def test_a_limit_without_a_time_is_a_pause() -> None:
    """A server that says no time gets the pauses of any other failure."""
    limited = RateLimited("slow down", retry_after=None)
    assert waits(Attempts(OID, 0, 0.0), limited) == [pause(OID, 1)]


def test_an_expired_grant_is_asked_for_at_once() -> None:
    """Only if the new one is expired as well is there a pause."""
    expired = Expired("the signature has expired")
    first, second = waits(Attempts(OID, 0, 0.0), expired, expired)
    assert first == 0.0
    assert second == pause(OID, 2)


@pytest.mark.parametrize(
    ("tries", "spent", "hours"),
    [
        (1, False, 1),
        (2, False, 2),
        (5, False, 16),
        (9, False, 168),
        (10**6, False, 168),
        (1, True, 6),
        (3, True, 24),
        (6, True, 168),
    ],
)
def test_what_is_missing_is_asked_for_ever_more_rarely(
    tries: int, hours: float, *, spent: bool
) -> None:
    """An hour, doubling up to a week, a tenth more or less; quotas begin at six."""
    wait = ask_again(OID, tries, NOW, over_quota=spent) - NOW
    assert 0.9 <= wait / timedelta(hours=hours) <= 1.1


def test_missing_objects_do_not_fall_due_together() -> None:
    """A thousand objects that went missing at once spread over a fifth of it."""
    oids = [sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(1000)]
    waits = [(ask_again(o, 1, NOW, over_quota=False) - NOW) for o in oids]
    assert max(waits) - min(waits) > timedelta(minutes=11)
