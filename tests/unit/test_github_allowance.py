"""How much more may be asked: windows, reserves and pauses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from syncer.errors import RateLimited
from syncer.model.origin import Allowance
from syncer.upstream.allowance import CORE, GRAPHQL, LONGEST, Allowances, read
from tests.fakes import NOW, FakeClock
from tests.fakes_forge import host

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
TOKEN, OTHER = "ghp_a", "ghp_b"  # made up
GITHUB = host("github.com", token=TOKEN)
NOBODY = host("github.com")


def told(
    remaining: int,
    *,
    limit: int = 5000,
    reset: datetime = NOW + HOUR,
    date: datetime | None = NOW,
    resource: str | None = CORE,
) -> Mapping[str, str]:
    """Return the headers of an answer."""
    headers = HTTPHeaderDict(
        {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(int(reset.timestamp())),
        }
    )
    if resource is not None:
        headers["X-RateLimit-Resource"] = resource
    if date is not None:
        headers["Date"] = format_datetime(date, usegmt=True)
    return headers


def test_what_was_said_is_reported() -> None:
    """By resource, in order; nothing before anybody was asked."""
    allowances = Allowances(FakeClock())
    assert allowances.of(GITHUB) == []

    allowances.note(GITHUB, told(4999, resource=GRAPHQL))
    allowances.note(GITHUB, told(4990))
    allowances.note(GITHUB, {"x-ratelimit-limit": "60"})

    assert allowances.of(GITHUB) == [
        Allowance(CORE, 5000, 4990, NOW + HOUR, authorised=True),
        Allowance(GRAPHQL, 5000, 4999, NOW + HOUR, authorised=True),
    ]


def test_each_credential_has_its_own() -> None:
    """A token that was changed inherits nothing of the old one's."""
    allowances = Allowances(FakeClock())
    allowances.note(GITHUB, told(0))
    allowances.pause(GITHUB, CORE, None)

    allowances.check(NOBODY, CORE)
    allowances.check(host("github.com", token=OTHER), CORE)
    allowances.check(host("ghe.test", token=TOKEN), CORE)
    allowances.check(GITHUB, GRAPHQL)
    assert allowances.of(NOBODY) == []
    with pytest.raises(RateLimited):
        allowances.check(GITHUB, CORE)


@pytest.mark.parametrize(
    ("share", "limit", "floor"), [(0.1, 5000, 500), (0.1, 60, 6), (0.0, 60, 0)]
)
def test_the_reserve_is_left_to_others(share: float, limit: int, floor: int) -> None:
    """Nothing that costs is asked once it is reached, until the window ends."""
    clock = FakeClock()
    allowances = Allowances(clock)
    entry = host("github.com", api_reserve=share)
    allowances.note(entry, told(floor + 1, limit=limit))
    allowances.check(entry, CORE)

    allowances.note(entry, told(floor, limit=limit))
    clock.advance(20 * MINUTE)
    with pytest.raises(RateLimited, match=f"{floor} are left") as caught:
        allowances.check(entry, CORE)
    assert caught.value.retry_after == 40 * MINUTE
    assert "token" in str(caught.value.hint)

    clock.advance(40 * MINUTE)
    allowances.check(entry, CORE)


def test_what_costs_nothing_passes_the_reserve_but_no_pause() -> None:
    """A 304 is free for who is known; whom the host sends away stays away."""
    allowances = Allowances(FakeClock())
    allowances.note(GITHUB, told(0))
    allowances.check(GITHUB, CORE, free=True)

    allowances.pause(GITHUB, CORE, MINUTE)
    with pytest.raises(RateLimited, match="another 60 s") as caught:
        allowances.check(GITHUB, CORE, free=True)
    assert caught.value.retry_after == MINUTE


def test_windows_are_measured_by_the_hosts_clock() -> None:
    """Ours may be wrong by hours; and no window is believed beyond two."""
    clock = FakeClock()
    allowances = Allowances(clock)
    theirs = NOW - timedelta(days=3)
    allowances.note(GITHUB, told(0, date=theirs, reset=theirs + 10 * MINUTE))
    with pytest.raises(RateLimited) as caught:
        allowances.check(GITHUB, CORE)
    assert caught.value.retry_after == 10 * MINUTE

    clock.advance(10 * MINUTE)
    allowances.note(GITHUB, told(0, reset=NOW + timedelta(days=365)))
    with pytest.raises(RateLimited) as caught:
        allowances.check(GITHUB, CORE)
    assert caught.value.retry_after == 2 * HOUR


def test_answers_may_overtake_each_other() -> None:
    """Within a window what is left only falls; a new window begins anew."""
    allowances = Allowances(FakeClock())
    for remaining in (4000, 3998, 3999):
        allowances.note(GITHUB, told(remaining))
    # Servers of one host name the window's end a second apart.
    allowances.note(GITHUB, told(3997, reset=NOW + HOUR + timedelta(seconds=1)))
    allowances.note(GITHUB, told(4500, reset=NOW + HOUR - timedelta(seconds=1)))
    assert [each.remaining for each in allowances.of(GITHUB)] == [3997]

    allowances.note(GITHUB, told(5000, reset=NOW + 2 * HOUR))
    allowances.note(GITHUB, told(10))
    assert [each.remaining for each in allowances.of(GITHUB)] == [5000]


def test_pauses_grow_while_they_do_not_help() -> None:
    """From a minute to an hour, and again from a minute after a quiet time."""
    clock = FakeClock()
    allowances = Allowances(clock)
    pauses = []
    for _ in range(8):
        pauses.append(allowances.pause(GITHUB, CORE, None))
        # Of many requests on their way, each is refused: that is one refusal.
        assert allowances.pause(GITHUB, CORE, None) == pauses[-1]
        clock.advance(pauses[-1])
    minutes = [pause / MINUTE for pause in pauses]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60]

    clock.advance(LONGEST + MINUTE)
    assert allowances.pause(GITHUB, CORE, None) == MINUTE


def test_the_longest_pause_counts() -> None:
    """A shorter one that comes later takes nothing from it; none lasts no time."""
    clock = FakeClock()
    allowances = Allowances(clock)
    assert allowances.pause(GITHUB, CORE, HOUR) == HOUR
    assert allowances.pause(GITHUB, CORE, MINUTE) == HOUR
    clock.advance(HOUR)
    allowances.check(GITHUB, CORE)
    assert allowances.pause(GITHUB, CORE, timedelta()) == timedelta(seconds=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "many"),
        ("remaining", "-1"),
        ("remaining", ""),
        ("reset", "9" * 12),
        ("resource", "core; DROP"),
        ("resource", "x" * 41),
    ],
)
def test_headers_that_cannot_be_say_nothing(name: str, value: str) -> None:
    """They are ignored, as if they were not there."""
    headers = dict(told(10)) | {f"X-RateLimit-{name.title()}": value}
    assert read(HTTPHeaderDict(headers), authorised=True) is None


def test_a_host_names_no_end_of_resources() -> None:
    """What is kept of them is bounded."""
    allowances = Allowances(FakeClock())
    for number in range(100):
        allowances.note(GITHUB, told(1, resource=f"r{number}"))
    assert len(allowances.of(GITHUB)) == 32


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5000),  # remaining
            st.integers(-7200, 7200),  # reset, by their clock
            st.integers(0, 3600),  # seconds that pass
        ),
        max_size=20,
    )
)
def test_nobody_waits_for_more_than_two_hours(
    answers: list[tuple[int, int, int]],
) -> None:
    """Whatever a host says, in any order, it is asked again by then."""
    clock = FakeClock()
    allowances = Allowances(clock)
    for remaining, reset, passed in answers:
        reset_at = clock.now() + timedelta(seconds=reset)
        allowances.note(GITHUB, told(remaining, reset=reset_at, date=clock.now()))
        clock.advance(timedelta(seconds=passed))
    waits = timedelta()
    try:
        allowances.check(GITHUB, CORE)
    except RateLimited as limited:
        waits = limited.retry_after or timedelta.max
    assert timedelta() <= waits <= 2 * HOUR
    clock.advance(waits)
    allowances.check(GITHUB, CORE)


def test_what_is_left_is_never_more_than_the_limit() -> None:
    """A host that says so is not believed."""
    found = read(told(9000), authorised=False)
    assert found == Allowance(CORE, 5000, 5000, (NOW + HOUR).astimezone(UTC))
