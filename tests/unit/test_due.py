"""Who is due, and the sentence that says why."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from syncer.model.mirrors import Activity, Held, PushRate, RepoState
from syncer.model.names import RepoName
from syncer.model.runs import Outcome
from syncer.schedule.due import Cause, Decision, decide, due, spoken
from syncer.schedule.rate import Demand, Steering, per_second, steer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Tier:
    """A tier, as the schedule sees one."""

    interval: timedelta


TIERS = {"core": Tier(5 * MINUTE), "normal": Tier(30 * MINUTE), "rare": Tier(24 * HOUR)}


def mirror(number: int = 1, **changes: object) -> RepoState:
    """Return a mirror that was visited a moment ago."""
    state = RepoState(
        id=number,
        name=RepoName("github.com", "owner", f"name{number}"),
        path=f"github.com/owner/name{number}.git",
        tier="normal",
        last_attempt=NOW,
        last_success=NOW,
        added=NOW - 90 * 24 * HOUR,
        outcome=Outcome.UNCHANGED,
    )
    return replace(state, **changes)  # type: ignore[arg-type]  # each field's own type


def steady(per_day: float) -> PushRate:
    """Return the counts of a repository that always had so many pushes a day."""
    return PushRate(per_day / 24, per_day, per_day * 14, NOW)


def one(
    state: RepoState,
    budget: float = 20.0,
    now: datetime = NOW,
    probed: datetime | None = None,
    busy: frozenset[int] = frozenset(),
) -> Decision:
    """Decide for one mirror on github.com."""
    pending = {} if probed is None else {state.id: probed}
    return decide([state], TIERS, {"github.com": budget}, now, pending, busy)[0]


def test_one_push_a_day_is_asked_about_every_five_minutes() -> None:
    """With room in the budget, the interval is 1 / √rate."""
    decision = one(mirror(tier="rare", rate=steady(1)))
    assert 270 * SECOND < decision.interval < 310 * SECOND


@pytest.mark.parametrize(("tier", "most"), [("core", 5), ("normal", 30)])
def test_a_dormant_repository_is_asked_at_its_tiers_interval(
    tier: str, most: int
) -> None:
    """Nothing is asked about less often than its tier says."""
    decision = one(mirror(tier=tier))
    assert most * MINUTE * 0.9 < decision.interval <= most * MINUTE


def test_nobody_is_asked_more_often_than_every_thirty_seconds() -> None:
    """The floor holds whatever the number of pushes."""
    assert one(mirror(rate=steady(1e6))).interval == 30 * SECOND


def test_a_tier_may_be_faster_than_the_floor() -> None:
    """The tier's interval is the longest, also below thirty seconds."""
    decision = decide([mirror()], {"normal": Tier(SECOND)}, {}, NOW)[0]
    assert decision.interval <= SECOND


def test_a_tier_that_left_the_configuration_stops_nothing() -> None:
    """A mirror of an unknown tier is asked every half hour."""
    assert one(mirror(tier="gone")).interval <= 30 * MINUTE


def test_a_tier_of_centuries_stays_within_what_dates_can_hold() -> None:
    """The longest interval anybody can write is no error."""
    decision = decide([mirror()], {"normal": Tier(timedelta.max)}, {}, NOW)[0]
    assert decision.at is not None
    assert not decision.due


def test_a_mirror_is_due_when_its_interval_has_passed() -> None:
    """Due is from the last attempt on, not from the last success."""
    decision = one(mirror())
    assert not decision.due
    assert decision.at == NOW + decision.interval
    assert one(mirror(), now=NOW + decision.interval).due
    assert not one(mirror(), now=NOW + decision.interval - SECOND).due


def test_a_probe_that_waits_for_its_flush_counts() -> None:
    """A probe in memory postpones the next one, and ends a backoff."""
    state = mirror(last_attempt=NOW - 5 * HOUR, failures=9)
    decision = one(state, probed=NOW - SECOND)
    assert not decision.due
    assert decision.cause is Cause.RATE


def test_what_is_in_hand_is_not_due() -> None:
    """A mirror never has two runs."""
    decision = one(mirror(last_attempt=None), busy=frozenset({1}))
    assert not decision.due
    assert decision.reason == "in hand"


@pytest.mark.parametrize(
    ("activity", "reason"),
    [
        (Activity.PAUSED, "paused, needs `syncer resume`"),
        (Activity.REMOVED, "no longer configured"),
    ],
)
def test_paused_and_removed_mirrors_are_never_due(
    activity: Activity, reason: str
) -> None:
    """Time alone does not bring them back."""
    decision = one(mirror(activity=activity, last_attempt=None))
    assert (decision.due, decision.at, decision.reason) == (False, None, reason)


def test_paused_mirrors_take_nothing_from_the_budget() -> None:
    """The others share what the host allows."""
    states = [mirror(n, rate=steady(50)) for n in range(1, 100)]
    alone = decide(states[:10], TIERS, {"github.com": 0.1}, NOW)
    paused = [replace(s, activity=Activity.PAUSED) for s in states[10:]]
    among = decide([*states[:10], *paused], TIERS, {"github.com": 0.1}, NOW)
    assert [d.interval for d in alone] == [d.interval for d in among[:10]]


def test_a_held_mirror_is_asked_at_its_tiers_interval() -> None:
    """What holds it may go away upstream, so it is not forgotten."""
    held = mirror(rate=steady(500), held=Held("many refs vanished", NOW))
    decision = one(held)
    assert 27 * MINUTE < decision.interval <= 30 * MINUTE
    assert decision.reason.endswith("held, needs `syncer accept`")


def test_an_accepted_mirror_is_due_at_once() -> None:
    """`syncer accept` need not wait for the interval."""
    held = Held("many refs vanished", NOW, accepted=True)
    assert one(mirror(held=held)).due
    assert not one(mirror(held=held, failures=1)).due


def test_a_change_that_was_seen_is_published_soon() -> None:
    """A run that a crash ended is done again, whatever the interval."""
    decision = one(mirror(behind_since=NOW))
    assert decision.at == NOW + 30 * SECOND
    partial = one(mirror(behind_since=NOW, outcome=Outcome.PARTIAL))
    assert partial.cause is Cause.RATE


def test_failures_back_off_to_six_hours() -> None:
    """Each failure doubles the wait, which never passes six hours."""
    waits = []
    for failures in range(1, 12):
        decision = one(mirror(tier="core", rate=steady(1e6), failures=failures))
        assert decision.at is not None
        waits.append((decision.at - NOW).total_seconds())
    assert 54 <= waits[0] <= 66
    assert all(1.5 < b / a < 2.5 for a, b in pairwise(waits[:8]))
    assert waits[-1] <= 6 * 3600
    assert waits[-1] > 4.5 * 3600


def test_a_failure_is_tried_again_before_the_interval_has_passed() -> None:
    """One hiccup of the network must not cost half an hour of freshness."""
    decision = one(mirror(failures=1))
    assert decision.at is not None
    assert decision.at < NOW + one(mirror()).interval


def test_upstreams_wish_is_honoured() -> None:
    """Nobody is asked before the moment upstream named."""
    decision = one(mirror(not_before=NOW + 3 * HOUR))
    assert decision.at == NOW + 3 * HOUR
    assert decision.reason == "next probe in 3 h: upstream asked us to wait"
    new = one(mirror(last_attempt=None, added=NOW, not_before=NOW + MINUTE))
    assert not new.due


def test_upstream_cannot_send_us_away_for_years() -> None:
    """A wish beyond a day is asked about again after a day."""
    decision = one(mirror(not_before=NOW + timedelta(days=9999)))
    assert decision.at == NOW + timedelta(days=1)


def test_a_clock_that_ran_ahead_stops_nothing() -> None:
    """A last visit in the future means that the clock was wrong: ask now."""
    decision = one(mirror(last_attempt=NOW + timedelta(days=400)))
    assert decision.due
    assert decision.cause is Cause.CLOCK


def test_the_new_come_first_then_the_most_overdue() -> None:
    """Who has nothing waits least; then who has waited longest."""
    states = [
        mirror(1, last_attempt=NOW - 2 * HOUR),
        mirror(2, last_attempt=NOW - 9 * HOUR),
        mirror(3, last_attempt=None, added=NOW),
        mirror(4),
        mirror(5, last_attempt=None, added=NOW - MINUTE),
    ]
    assert [d.mirror_id for d in due(states, TIERS, {}, NOW)] == [5, 3, 2, 1]


def test_a_budget_is_shared_by_the_root_of_the_rate() -> None:
    """With 100 times the pushes a mirror is asked about 10 times as often."""
    states = [
        mirror(1, tier="rare", rate=steady(0.5)),
        mirror(2, tier="rare", rate=steady(50)),
    ]
    slow, fast = decide(states, TIERS, {"github.com": 1 / 600}, NOW)
    assert 8.5 < slow.interval / fast.interval < 11.5
    assert 1 / slow.interval.total_seconds() + 1 / fast.interval.total_seconds() == (
        pytest.approx(1 / 600)
    )


def test_hosts_have_budgets_of_their_own() -> None:
    """What github.com is asked takes nothing from another host."""
    states = [mirror(n, rate=steady(50)) for n in range(1, 50)]
    other = mirror(99, name=RepoName("git.corp", "a", "b"), rate=steady(50))
    budgets = {"github.com": 0.01, "git.corp": 20.0}
    *crowd, alone = decide([*states, other], TIERS, budgets, NOW)
    assert alone.interval < 2 * MINUTE
    assert all(decision.interval > 10 * MINUTE for decision in crowd)


def test_a_budget_below_the_tiers_wins_and_says_so() -> None:
    """Where a host allows too little, all intervals are longer by one factor."""
    states = [mirror(n, tier="core") for n in range(1, 101)]
    decisions = decide(states, TIERS, {"github.com": 0.01}, NOW)
    rate = sum(1 / d.interval.total_seconds() for d in decisions)
    assert rate == pytest.approx(0.01)
    assert decisions[0].reason.endswith("the probe budget of the host is spent")


def test_the_least_c_is_one() -> None:
    """More budget than can be used changes nothing."""
    assert steer([Demand(0.003, 1800)], 1e9) == Steering(1.0, 1.0)
    assert steer([], 0.001) == Steering(1.0, 1.0)


def test_rate_counts_a_steady_repository_right() -> None:
    """The three windows agree on a repository that never changes its pace."""
    assert per_second(steady(24), NOW) == pytest.approx(24 / 86400, rel=0.01)
    assert per_second(PushRate(), NOW) == pytest.approx(1 / 60 / 86400)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (
            mirror(tier="rare", rate=steady(1.5)),
            "next probe in 4 min: 2 pushes in the last day",
        ),
        (
            mirror(tier="core", rate=steady(0.1)),
            "next probe in 5 min: 1 push in the last fortnight",
        ),
        (mirror(tier="core"), "next probe in 5 min: no push in the last fortnight"),
        (mirror(last_attempt=None), "due now: never mirrored"),
        (mirror(failures=1), "next probe in 30 min: failed"),
        (mirror(failures=40), "next probe in 6 h: failed 40 times in a row"),
    ],
)
def test_the_reason_is_a_sentence(state: RepoState, reason: str) -> None:
    """`syncer show` prints why a mirror waits."""
    said = one(state).reason
    # Jitter may move the time by a minute or so.
    assert said.partition(": ")[2] == reason.partition(": ")[2]
    assert said.split()[:2] == reason.split()[:2]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (240, "4 min"), (3 * 3600, "3 h"), (4e5, "5 d")],
)
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    """The unit grows with the time."""
    assert spoken(seconds) == text


def test_ten_thousand_mirrors_are_decided_in_a_moment() -> None:
    """One tick over 10,000 mirrors takes about a tenth of a second."""
    states = [
        mirror(n, rate=steady(n % 50), last_attempt=NOW - n * SECOND)
        for n in range(10_000)
    ]
    times = []
    for _ in range(3):
        start = time.process_time()
        due(states, TIERS, {"github.com": 20.0}, NOW)
        times.append(time.process_time() - start)
    # Four times what it takes, for slow machines and coverage.
    assert min(times) < 0.4
