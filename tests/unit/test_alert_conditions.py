"""What is wrong with mirrors, disks and schedulers, and since when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.model.incidents import Incident, Kind
from syncer.model.lfs import LfsCounts
from syncer.model.machines import Machine, Role
from syncer.model.mirrors import Activity, Held, RepoState
from syncer.model.releases import ReleaseCounts, ReleaseState
from syncer.model.runs import AuditEvent, Outcome
from syncer.model.storage import StorageSample, Usage
from syncer.notify.conditions import (
    LEADERLESS,
    last_led,
    missed_since,
    of_disks,
    of_events,
    of_mirrors,
    of_schedulers,
)
from syncer.schedule.lag import Freshness, freshness
from tests.unit.test_lag import MINUTE, NOW, Tier, mirror

DAY = timedelta(days=1)
GIB = 1 << 30
NAME = "owner/name"


def fresh(state: RepoState, *, releases: bool = False) -> Freshness:
    """Return how fresh a mirror is, held against a quarter of an hour."""
    return freshness(state, Tier(), NOW, releases=releases)


def wrong(
    state: RepoState, *, denied: bool = False, lasting: Kind | None = None
) -> list[Incident]:
    """Return what is wrong with one mirror."""
    known = set() if lasting is None else {(lasting, NAME)}
    return list(of_mirrors([fresh(state)], {state.id} if denied else set(), known, NOW))


def kinds(state: RepoState, *, denied: bool = False) -> list[Kind]:
    """Return the kinds of it."""
    return [each.kind for each in wrong(state, denied=denied)]


def test_lateness_begins_at_the_moment_the_target_was_missed() -> None:
    """Not when it was found out: 40 minutes unseen is 25 above a quarter hour."""
    (late,) = wrong(mirror(last_success=NOW - 40 * MINUTE))
    assert late.kind is Kind.LATE
    assert late.subject == NAME
    assert late.mirror_id == 1
    assert late.began == NOW - 25 * MINUTE
    assert "15m" in late.detail


def test_of_several_components_the_first_that_missed_counts() -> None:
    """A release that waits for an hour began before refs that wait for half."""
    waiting = ReleaseState(checked=NOW, behind_since=NOW - 60 * MINUTE)
    state = mirror(behind_since=NOW - 30 * MINUTE, releases=waiting)
    assert missed_since(fresh(state, releases=True), NOW) == NOW - 45 * MINUTE
    assert missed_since(fresh(state), NOW) == NOW - 15 * MINUTE


def test_a_mirror_that_never_was_counts_from_when_it_was_added() -> None:
    """NEW turns late as any other."""
    state = mirror(last_success=None, added=NOW - 20 * MINUTE)
    assert missed_since(fresh(state), NOW) == NOW - 5 * MINUTE


@given(
    st.none() | st.integers(0, 40),
    st.integers(0, 40),
    st.none() | st.integers(0, 40),
    st.integers(0, 40),
)
def test_it_is_late_exactly_when_its_lag_is_above_the_target(
    behind: int | None, seen: int, waiting: int | None, listed: int
) -> None:
    """The moment and the number never contradict each other."""

    def ago(minutes: int | None) -> object:
        return None if minutes is None else NOW - minutes * MINUTE

    releases = ReleaseState(checked=ago(listed), behind_since=ago(waiting))  # type: ignore[arg-type]  # an instant or None
    state = mirror(behind_since=ago(behind), last_success=ago(seen), releases=releases)
    found = fresh(state, releases=True)
    since = missed_since(found, NOW)
    assert (since is not None) == (found.lag > found.target)
    if since is not None:
        assert NOW - since == found.lag - found.target


@pytest.mark.parametrize("activity", [Activity.PAUSED, Activity.REMOVED])
def test_what_is_out_of_the_schedule_is_never_wrong(activity: Activity) -> None:
    """Nobody expects anything of it."""
    state = mirror(last_success=NOW - DAY, failures=9, activity=activity)
    assert wrong(state) == []


@pytest.mark.parametrize(
    ("changes", "denied", "told"),
    [
        ({"failures": 2}, False, False),
        ({"failures": 3}, False, True),
        ({"failures": 1}, True, True),
        ({"failures": 30, "not_before": NOW + MINUTE}, False, False),
        ({"failures": 5, "outcome": Outcome.GONE}, False, False),
    ],
)
def test_three_failures_or_a_refused_credential_are_told(
    changes: dict[str, Any], *, denied: bool, told: bool
) -> None:
    """A limit passes, and what is gone is told otherwise."""
    assert (Kind.FAILING in kinds(mirror(**changes), denied=denied)) == told


def test_failing_lasts_until_a_run_goes_well() -> None:
    """A limit in between, or upstream's final no, is no recovery."""
    failing = mirror(failures=4, error="no route")
    for state in (
        replace(failing, not_before=NOW),
        replace(failing, outcome=Outcome.GONE),
    ):
        (found,) = wrong(state, lasting=Kind.FAILING)
        assert found.kind is Kind.FAILING
        assert found.detail == "4 runs in a row failed: no route"
    assert wrong(mirror(failures=0), lasting=Kind.FAILING) == []


def test_what_waits_for_a_person_is_told_until_it_was_accepted() -> None:
    """Since it was held, with the reason."""
    held = Held("12 of 40 refs are gone", NOW - 9 * MINUTE)
    (found,) = wrong(mirror(held=held))
    assert (found.kind, found.began) == (Kind.HELD, held.since)
    assert found.detail == held.reason
    assert wrong(mirror(held=replace(held, accepted=True))) == []


def test_lost_bytes_are_told() -> None:
    """Of LFS objects and of assets."""
    assert kinds(mirror(lfs=LfsCounts(present=1, damaged=1))) == [Kind.INTEGRITY]
    counts = ReleaseCounts(present=1, damaged=1)
    assert kinds(mirror(releases=ReleaseState(counts=counts))) == [Kind.INTEGRITY]


def samples(
    free: float, *, daily: float = 0.0, machine: str = "a"
) -> list[StorageSample]:
    """Return a week of samples of a disk of 100 GiB; GiB free now, and lost a day."""
    return [
        StorageSample(
            NOW - day * DAY,
            machine,
            int((free + daily * day) * GIB),
            100 * GIB,
            Usage(),
        )
        for day in range(8)
    ]


def full(detail: str = "4.0 GiB of 100.0 GiB are free") -> dict[str, Incident]:
    """Return an open incident of the disk."""
    return {"a": Incident(Kind.DISK, "a", NOW - DAY, detail, id=1)}


def test_a_disk_below_its_floor_is_told_by_its_machine() -> None:
    """Each machine has its own disk."""
    those = [*samples(4), *samples(40, machine="b")]
    (found,) = of_disks(those, 0.05, {}, NOW)
    assert (found.kind, found.subject, found.began) == (Kind.DISK, "a", NOW)
    assert "4.0 GiB of 100.0 GiB are free" in found.detail
    assert list(of_disks(samples(4), 3 * GIB, {}, NOW)) == []


def test_a_disk_at_its_floor_needs_air_before_it_is_over() -> None:
    """Neither begins nor ends every minute."""
    assert list(of_disks(samples(5.2), 0.05, {}, NOW)) == []
    assert len(list(of_disks(samples(5.2), 0.05, full(), NOW))) == 1
    assert list(of_disks(samples(5.6), 0.05, full(), NOW)) == []


def test_a_disk_that_will_be_full_within_a_week_is_told_before() -> None:
    """At two GiB a day 15 are left; it is over at ten days, not at seven."""
    (found,) = of_disks(samples(15, daily=2), 0.05, {}, NOW)
    assert "in 5d" in found.detail
    known = {"a": replace(found, id=1)}
    assert list(of_disks(samples(15, daily=1.2), 0.05, {}, NOW)) == []
    assert len(list(of_disks(samples(15, daily=1.2), 0.05, known, NOW))) == 1
    assert list(of_disks(samples(15, daily=0.9), 0.05, known, NOW)) == []


def test_a_machine_that_tells_nothing_has_no_disk() -> None:
    """One that was taken away is not full for ever."""
    assert list(of_disks(samples(4), 0.05, full(), NOW + 3 * DAY)) == []


def test_nobody_decides_once_no_scheduler_was_seen_for_a_while() -> None:
    """What follows and what works do not count."""

    def machine(name: str, *, leader: bool, ago: timedelta) -> Machine:
        return Machine(
            name, "1", (Role.SCHEDULER,), NOW - DAY, NOW - ago, leader=leader
        )

    those = [
        machine("a", leader=True, ago=7 * MINUTE),
        machine("b", leader=False, ago=timedelta()),
    ]
    assert list(of_schedulers(last_led(those, NOW - MINUTE), NOW)) == []
    led = last_led(those, NOW - DAY)
    (found,) = of_schedulers(led, NOW)
    assert (found.kind, found.subject) == (Kind.SCHEDULER, "mirrors")
    assert found.began == NOW - 7 * MINUTE + LEADERLESS


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("standing", Kind.UPSTREAM),
        ("renamed", Kind.UPSTREAM),
        ("identity", Kind.UPSTREAM),
        ("visibility", Kind.UPSTREAM),
        ("release-deleted", Kind.UPSTREAM),
        ("licence", Kind.LICENCE),
        ("force-push", Kind.FORCE_PUSH),
        ("tag-moved", Kind.FORCE_PUSH),
        ("asset-replaced", Kind.INTEGRITY),
        ("immutable-release-changed", Kind.INTEGRITY),
    ],
)
def test_each_alarming_event_has_a_kind(action: str, kind: Kind) -> None:
    """It happened at one moment, and nothing can recover."""
    event = AuditEvent(NOW, "upstream", action, NAME, "was x", alarming=True)
    (found,) = of_events([(7, event)], {NAME: 3}, [], NOW)
    assert (found.kind, found.subject, found.mirror_id) == (kind, NAME, 3)
    assert found.is_event
    assert found.event_id == 7
    assert found.told is None
    assert found.detail == f"{action}: was x"


def test_events_of_one_moment_are_all_kept() -> None:
    """One transaction may replace two assets; of one moment there is one incident."""
    event = AuditEvent(NOW, "upstream", "asset-replaced", NAME, alarming=True)
    first, second = of_events([(1, event), (2, event)], {}, [], NOW)
    assert first.began < second.began
    (third,) = of_events([(3, event)], {}, [first, second], NOW)
    assert third.began not in {first.began, second.began}


def test_what_happened_long_ago_is_filed_and_not_told() -> None:
    """An upgrade does not tell the story of a year."""
    at = NOW - DAY - MINUTE
    event = AuditEvent(at, "upstream", "licence", NAME, alarming=True)
    (found,) = of_events([(1, event)], {}, [], NOW)
    assert found.told == NOW
