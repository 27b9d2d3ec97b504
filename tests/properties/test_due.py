"""What holds for the schedule whatever the states are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.model.mirrors import Activity, Held, PushRate, RepoState
from syncer.model.names import RepoName
from syncer.model.runs import Outcome
from syncer.schedule.due import LAST_BACKOFF, MOST_PATIENCE, Cause, decide, due
from syncer.schedule.rate import FLOOR, Demand, steer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BUDGET = 20.0


@dataclass(frozen=True)
class Tier:
    """A tier, as the schedule sees one."""

    interval: timedelta


TIERS = {"core": Tier(timedelta(minutes=5)), "normal": Tier(timedelta(minutes=30))}

instants = st.datetimes(
    NOW.replace(tzinfo=None) - timedelta(days=800),
    NOW.replace(tzinfo=None) + timedelta(days=800),
    timezones=st.just(UTC),
)
counts = st.floats(0, 1e6)
rates = st.builds(PushRate, counts, counts, counts, st.none() | instants)
holds = st.builds(Held, st.just("held"), instants, accepted=st.booleans())


@st.composite
def mirrors(draw: st.DrawFn, number: int = 1) -> RepoState:
    """Draw any state of a mirror, sensible or not."""
    owner = draw(st.sampled_from(["a", "b", "c"]))
    return RepoState(
        id=number,
        name=RepoName("github.com", owner, f"n{number}"),
        path=f"github.com/{owner}/n{number}.git",
        tier=draw(st.sampled_from(["core", "normal", "vanished"])),
        activity=draw(st.sampled_from(Activity)),
        outcome=draw(st.none() | st.sampled_from(Outcome)),
        failures=draw(st.integers(0, 10**9)),
        last_attempt=draw(st.none() | instants),
        behind_since=draw(st.none() | instants),
        not_before=draw(st.none() | instants),
        rate=draw(rates),
        held=draw(st.none() | holds),
        added=draw(st.none() | instants),
    )


fleets = st.integers(0, 8).flatmap(
    lambda size: st.tuples(*(mirrors(number) for number in range(size)))
)


@given(fleets, st.floats(1e-6, 1e6))
def test_every_mirror_gets_one_decision(
    states: tuple[RepoState, ...], budget: float
) -> None:
    """Any state whatever is decided, in order, and has a reason in words."""
    decisions = decide(states, TIERS, {"github.com": budget}, NOW)
    assert [d.mirror_id for d in decisions] == [s.id for s in states]
    assert all(d.reason for d in decisions)
    assert all(d.due == (d.at is not None and d.at <= NOW) for d in decisions)


@given(fleets)
def test_only_active_mirrors_are_due(states: tuple[RepoState, ...]) -> None:
    """Paused and removed mirrors, and those in hand, are left alone."""
    busy = {state.id for state in states if state.id % 3 == 0}
    found = due(states, TIERS, {"github.com": BUDGET}, NOW, {}, busy)
    assert all(d.state.activity is Activity.ACTIVE for d in found)
    assert not {d.mirror_id for d in found} & busy


recent = st.floats(0, 2400).map(lambda ago: NOW - timedelta(seconds=ago))


@given(
    fleets,
    st.lists(st.none() | recent, min_size=8, max_size=8),
    st.dictionaries(st.integers(0, 7), instants | recent),
    st.sampled_from([1e-9, 1e-3, BUDGET]),
)
def test_those_that_are_due_are_those_of_whom_it_was_decided(
    states: tuple[RepoState, ...],
    visits: list[datetime | None],
    pending: dict[int, datetime],
    budget: float,
) -> None:
    """Whom nobody has to think about long is left out, and nobody else."""
    some = [
        state
        if visit is None
        else replace(state, last_attempt=visit, failures=0, behind_since=None)
        for state, visit in zip(states, visits, strict=False)
    ]
    some = [replace(s, held=None) if s.id % 2 else s for s in some]
    budgets = {"github.com": budget}
    decided = decide(some, TIERS, budgets, NOW, pending, {3})
    found = due(some, TIERS, budgets, NOW, pending, {3})
    assert {d.mirror_id: d for d in found} == {d.mirror_id: d for d in decided if d.due}


@given(mirrors(), st.sampled_from([-2, -1, 0, 1, 2]))
def test_a_mirror_is_due_to_the_microsecond(state: RepoState, hair: int) -> None:
    """However near its moment is, a mirror that rests until then is not late."""
    resting = replace(state, failures=0, held=None, behind_since=None, not_before=None)
    visited = replace(resting, last_attempt=NOW, activity=Activity.ACTIVE)
    at = decide([visited], TIERS, {}, NOW)[0].at
    assert at is not None
    for now in (at + timedelta(microseconds=hair), at):
        decided = [d for d in decide([visited], TIERS, {}, now) if d.due]
        assert due([visited], TIERS, {}, now) == decided


@given(fleets)
def test_the_order_of_the_states_does_not_matter(
    states: tuple[RepoState, ...],
) -> None:
    """The catalog may list the mirrors as it likes."""
    budgets = {"github.com": BUDGET}
    forwards = due(states, TIERS, budgets, NOW)
    assert due(states[::-1], TIERS, budgets, NOW) == forwards


@given(mirrors())
def test_a_next_visit_is_never_out_of_reach(state: RepoState) -> None:
    """No state, however odd, keeps an active mirror away for ever."""
    decision = decide([state], TIERS, {"github.com": BUDGET}, NOW)[0]
    if decision.at is not None:
        longest = max(timedelta(seconds=LAST_BACKOFF), TIERS["normal"].interval)
        assert decision.at <= NOW + 2 * longest + MOST_PATIENCE + timedelta(days=800)
        later = decision.at + timedelta(seconds=1)
        assert decide([state], TIERS, {"github.com": BUDGET}, later)[0].due


@given(mirrors())
def test_upstreams_wish_is_never_cut_short(state: RepoState) -> None:
    """A mirror is not due before `not_before`, up to a day from its last visit."""
    decision = decide([state], TIERS, {"github.com": BUDGET}, NOW)[0]
    if decision.due and state.not_before is not None:
        since = state.last_attempt or state.added or NOW - MOST_PATIENCE
        wish = min(state.not_before, since + MOST_PATIENCE)
        assert wish <= NOW or decision.cause is Cause.CLOCK


@given(mirrors(), st.integers(1, 10**9))
def test_failures_only_ever_make_it_later(state: RepoState, failures: int) -> None:
    """One more failure never makes the next visit come sooner, up to the longest."""
    waits = []
    for count in (failures, failures + 1):
        failing = RepoState(
            1,
            state.name,
            state.path,
            state.tier,
            rate=state.rate,
            last_attempt=NOW,
            failures=count,
        )
        (decision,) = decide([failing], TIERS, {}, NOW)
        assert decision.at is not None
        waits.append((decision.at - NOW).total_seconds())
    # At the longest, jitter alone tells two apart.
    assert waits[0] <= waits[1] or waits[1] > LAST_BACKOFF * 0.8
    assert max(waits) <= LAST_BACKOFF


demands = st.builds(Demand, st.floats(0, 100), st.floats(1e-3, 1e6))


@settings(max_examples=300)
@given(st.lists(demands, min_size=1, max_size=30), st.floats(1e-9, 1e6))
def test_steering_keeps_to_the_budget_and_uses_it(
    wanted: list[Demand], budget: float
) -> None:
    """All probes together keep to the budget, and less of it only at the least c."""
    steering = steer(wanted, budget)
    spent = sum(1 / steering.interval(each) for each in wanted)
    assert spent <= budget * (1 + 1e-6)
    if steering.c > 1 and steering.stretch == 1:
        assert spent == pytest.approx(budget, rel=1e-6)
    for each in wanted:
        interval = steering.interval(each)
        longest = each.cap * steering.stretch
        assert min(FLOOR, longest) <= interval <= longest


@given(st.lists(demands, min_size=1, max_size=30), st.floats(1e-6, 1e3))
def test_more_budget_never_means_fewer_probes(
    wanted: list[Demand], budget: float
) -> None:
    """With twice the budget, nobody is asked less often."""
    tight, wide = steer(wanted, budget), steer(wanted, 2 * budget)
    for each in wanted:
        assert wide.interval(each) <= tight.interval(each) * (1 + 1e-9)
