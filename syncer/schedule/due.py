"""Which mirrors to ask about now, and why.

The interval of a mirror follows its push rate, from 30 seconds up to its tier's
interval, as far as the host's budget allows (`rate.py`).  After a failure it is asked
again soon, and later each time.
Decides only: it waits for nothing, reads no clock and draws no lots.  Jitter comes
from the mirror's path, so that a restart does not reshuffle the schedule.
"""

from __future__ import annotations

import math
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from syncer.model.mirrors import Activity, PushRate, RepoState
from syncer.model.runs import Outcome
from syncer.schedule.demand import LONGEST, Tier, demands_of, is_held, lot
from syncer.schedule.rate import DAY, FLOOR, HOUR, Demand, Steering, steer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from syncer.model.names import RepoName

FIRST_BACKOFF = 60.0
LAST_BACKOFF = 6 * HOUR
_DOUBLINGS = 16  # more than lead from the first backoff to the last
_BACKOFF_SPREAD = 0.10
#: An upstream that asks for years of patience is asked again after a day.
MOST_PATIENCE = timedelta(days=1)
#: Seconds: more than what is lost where an instant is rounded to microseconds.
_HAIR = 1e-5


class Cause(StrEnum):
    """Why a mirror falls due when it does; the value is how a person reads it."""

    NEW = "never mirrored"
    RATE = "pushes"
    BUDGET = "the probe budget of the host is spent"
    BEHIND = "a change was seen that is not published yet"
    BACKOFF = "failed"
    PATIENCE = "upstream asked us to wait"
    HELD = "held, needs `syncer accept`"
    ACCEPTED = "what held it was accepted"
    CLOCK = "the last visit lies in the future"
    BUSY = "in hand"
    PAUSED = "paused, needs `syncer resume`"
    REMOVED = "no longer configured"


class Decision(NamedTuple):
    """What was decided for one mirror.

    `at` is None when time alone never makes it due.  `interval` is the time
    between two probes while nothing fails.
    """

    state: RepoState
    due: bool
    at: datetime | None
    interval: timedelta
    cause: Cause
    now: datetime

    @property
    def mirror_id(self) -> int:
        """The mirror's id in the catalog."""
        return self.state.id

    @property
    def name(self) -> RepoName:
        """The repository's name."""
        return self.state.name

    @property
    def reason(self) -> str:
        """The decision in words: "next probe in 4 min: 12 pushes in the last day".

        Rendered when it is read: of 10,000 decisions, few are.
        """
        if self.at is None or self.cause is Cause.BUSY:
            return self.cause.value
        wait = (self.at - self.now).total_seconds()
        when = "due now" if self.due else f"next probe in {spoken(wait)}"
        return f"{when}: {self._because()}"

    def _because(self) -> str:
        if self.cause is Cause.RATE:
            return _pushes(self.state.rate.decayed(self.now))
        failures = self.state.failures
        if self.cause is Cause.BACKOFF and failures > 1:
            return f"failed {failures} times in a row"
        return self.cause.value


def decide(  # noqa: PLR0913, PLR0917 - all that a decision depends on is an argument
    states: Sequence[RepoState],
    tiers: Mapping[str, Tier],
    budgets: Mapping[str, float],
    now: datetime,
    pending: Mapping[int, datetime] | None = None,
    busy: AbstractSet[int] = frozenset(),
) -> list[Decision]:
    """Return a decision for every mirror, in the order given.

    `budgets` are probes a second by host; a host without one is not limited.
    `pending` are the starts of unchanged probes that are not in `states` yet, and
    `busy` the mirrors in hand.
    """
    probed = pending or {}
    demands = demands_of(states, tiers, now)
    steering, unlimited = _steer_hosts(states, demands, budgets), Steering()
    decisions = []
    for state, demand in zip(states, demands, strict=True):
        host = steering.get(state.name.host, unlimited)
        decision = _decide(state, demand, host, now, probed.get(state.id))
        if state.id in busy and decision.at is not None:
            decision = decision._replace(due=False, cause=Cause.BUSY)
        decisions.append(decision)
    return decisions


def due(  # noqa: PLR0913, PLR0917 - as `decide`
    states: Sequence[RepoState],
    tiers: Mapping[str, Tier],
    budgets: Mapping[str, float],
    now: datetime,
    pending: Mapping[int, datetime] | None = None,
    busy: AbstractSet[int] = frozenset(),
) -> list[Decision]:
    """Return who is due: first the never mirrored, then the most overdue.

    After a long stop that can be everybody at once; the caller takes from the
    front, as fast as the budget allows.
    """
    probed = pending or {}
    demands = demands_of(states, tiers, now)
    steering, unlimited = _steer_hosts(states, demands, budgets), Steering()
    found = []
    for state, demand in zip(states, demands, strict=True):
        host = steering.get(state.name.host, unlimited)
        # Of 10,000, few are due, and many more rest than it takes to say why.
        if state.id in busy:
            continue
        seen = probed.get(state.id)
        if seen is None and _rests(state, host.interval(demand), now):
            continue
        decision = _decide(state, demand, host, now, seen)
        if decision.due:
            found.append(decision)
    return sorted(found, key=_urgency)


def _rests(state: RepoState, seconds: float, now: datetime) -> bool:
    """Return whether one is not due for sure: it is well, and was visited just now."""
    last = state.last_attempt
    if last is None or state.failures or state.held or state.behind_since:
        return state.activity is not Activity.ACTIVE
    passed = (now - last).total_seconds()
    rests = 0 <= passed < min(seconds, LONGEST) - _HAIR
    return rests or state.activity is not Activity.ACTIVE


def _urgency(decision: Decision) -> tuple[bool, datetime, int]:
    new = decision.cause is Cause.NEW
    return not new, decision.at or decision.now, decision.state.id


def _steer_hosts(
    states: Sequence[RepoState],
    demands: Sequence[Demand],
    budgets: Mapping[str, float],
) -> dict[str, Steering]:
    by_host: dict[str, list[Demand]] = {}
    for state, demand in zip(states, demands, strict=True):
        if state.activity is Activity.ACTIVE:
            by_host.setdefault(state.name.host, []).append(demand)
    return {
        host: steer(those, budgets.get(host, math.inf))
        for host, those in by_host.items()
    }


def _decide(
    state: RepoState,
    demand: Demand,
    steering: Steering,
    now: datetime,
    probed: datetime | None,
) -> Decision:
    seconds = min(steering.interval(demand), LONGEST)
    interval = timedelta(seconds=seconds)
    if state.activity is not Activity.ACTIVE:
        paused = state.activity is Activity.PAUSED
        cause = Cause.PAUSED if paused else Cause.REMOVED
        return Decision(
            state, due=False, at=None, interval=interval, cause=cause, now=now
        )
    last, failures = state.last_attempt, state.failures
    if probed is not None and (last is None or probed > last):
        last, failures = probed, 0
    if last is None:
        at, cause = min(state.added or now, now), Cause.NEW
    else:
        wait, cause = _wait(state, failures, seconds, stretched=steering.stretch > 1)
        at = last + timedelta(seconds=wait)
        if (last - now).total_seconds() > wait:
            at, cause = now, Cause.CLOCK
    since = last or state.added
    # A wish that was reckoned with a wrong clock is none.
    if state.not_before and since and cause is not Cause.CLOCK:
        patience = min(state.not_before, since + MOST_PATIENCE)
        if patience > at:
            at, cause = patience, Cause.PATIENCE
    return Decision(state, at <= now, at, interval, cause, now)


def _wait(
    state: RepoState, failures: int, seconds: float, *, stretched: bool
) -> tuple[float, Cause]:
    """Return the seconds from the last visit to the next one, and why."""
    if failures > 0:
        return backoff(state.path, failures), Cause.BACKOFF
    if is_held(state):
        return seconds, Cause.HELD
    if state.held is not None:
        return 0.0, Cause.ACCEPTED
    if state.behind_since is not None and state.outcome is not Outcome.PARTIAL:
        return min(FLOOR, seconds), Cause.BEHIND
    return seconds, Cause.BUDGET if stretched else Cause.RATE


def backoff(path: str, failures: int) -> float:
    """Return the seconds to stay away after so many failures in a row."""
    doubled: float = FIRST_BACKOFF * 2.0 ** min(failures - 1, _DOUBLINGS)
    least = min(doubled, LAST_BACKOFF / (1 + _BACKOFF_SPREAD))
    return least * (1 + _BACKOFF_SPREAD * lot(f"{path}#{failures}"))


def _pushes(rate: PushRate) -> str:
    for count, span in ((rate.day, "day"), (rate.fortnight, "fortnight")):
        whole = round(count)
        if whole:
            return f"{whole} push{'es' if whole > 1 else ''} in the last {span}"
    return "no push in the last fortnight"


def spoken(seconds: float) -> str:
    """Return a time as people say it: "45 s", "4 min", "3 h", "2 d"."""
    minute = 60.0
    for unit, length, below in (
        ("s", 1.0, 2 * minute),
        ("min", minute, 2 * HOUR),
        ("h", HOUR, 2 * DAY),
    ):
        if seconds < below:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / DAY:.0f} d"
