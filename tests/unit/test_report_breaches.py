"""When a mirror was late: three witnesses, and what does not count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from syncer.model.incidents import Incident, Kind
from syncer.model.mirrors import Activity, RepoState
from syncer.model.names import RepoName
from syncer.model.runs import LagSample, Outcome, Word
from syncer.reports.breaches import (
    Record,
    Witnesses,
    lasting,
    paused,
    proven,
    record,
    recorded,
    together,
)
from syncer.reports.spans import Span
from syncer.schedule.lag import Freshness

NOW = datetime(2026, 3, 8, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WEEK = Span(NOW - 7 * DAY, NOW)
NAME = RepoName("github.com", "acme", "widget")
STATE = RepoState(1, NAME, "widget.git", "core", added=NOW - 90 * DAY)
NONE = timedelta()


def fresh(lag: timedelta = MINUTE, **changes: object) -> Freshness:
    """Return how fresh a mirror with a target of 15 minutes is now."""
    state = replace(STATE, **changes)  # type: ignore[arg-type]  # each field's own type
    return Freshness(state, Word.OK, NONE, lag, 15 * MINUTE)


def ago(begin: timedelta, end: timedelta) -> Span:
    """Return a span before now."""
    return Span(NOW - begin, NOW - end)


def test_a_mirror_that_was_never_late_met_its_target() -> None:
    """Nobody tells of a breach: all of the time counts, and all is met."""
    found = record(fresh(), Witnesses(), WEEK, NOW)
    assert (found.counted, found.share, found.longest) == (7 * DAY, 1.0, None)


def test_witnesses_of_one_breach_tell_of_one() -> None:
    """An incident, a slow change and how it is now are united, not added."""
    incident = Incident(Kind.LATE, "acme/widget", NOW - 5 * HOUR, "late", 1)
    sample = LagSample(1, NAME, "refs", NOW - 6 * HOUR, NOW - 3 * HOUR)
    late = [recorded(incident, NOW), proven(sample, 15 * MINUTE)]
    found = record(fresh(4 * HOUR), Witnesses(late), WEEK, NOW)
    begin = NOW - 6 * HOUR + 15 * MINUTE
    assert found.breaches == (Span(begin, NOW),)
    assert found.missed == NOW - begin


def test_a_change_in_time_proves_nothing() -> None:
    """Nor does one that a clock published before it was seen."""
    in_time = LagSample(1, NAME, "refs", NOW - HOUR, NOW - HOUR + 15 * MINUTE)
    assert proven(in_time, 15 * MINUTE).length == NONE
    jumped = LagSample(1, NAME, "refs", NOW, NOW - HOUR)
    assert proven(jumped, 15 * MINUTE).length == NONE
    assert lasting(fresh(15 * MINUTE), NOW).length == NONE
    assert lasting(fresh(20 * MINUTE), NOW).length == 5 * MINUTE


def test_what_lies_outside_the_period_does_not_count() -> None:
    """A breach is cut to the period, and to the life of the mirror."""
    late = [ago(9 * DAY, 6 * DAY)]
    assert record(fresh(), Witnesses(late), WEEK, NOW).missed == DAY
    young = fresh(added=NOW - 2 * DAY)
    found = record(young, Witnesses([*late, ago(3 * DAY, DAY)]), WEEK, NOW)
    assert (found.counted, found.missed, found.share) == (2 * DAY, DAY, 0.5)


def test_a_period_that_is_over_knows_how_it_is_now() -> None:
    """A mirror that has been late since then was late at its end."""
    over = Span(NOW - 7 * DAY, NOW - 5 * DAY)
    found = record(fresh(6 * DAY + 15 * MINUTE), Witnesses(), over, NOW)
    assert (found.counted, found.missed) == (2 * DAY, DAY)


def test_what_is_paused_counts_neither_way() -> None:
    """Neither as kept nor as missed; read back from how it is now."""
    switches = [(NOW - 5 * DAY, "pause"), (NOW - 4 * DAY, "resume")]
    told = Witnesses([ago(6 * DAY, 3 * DAY)], switches)
    found = record(fresh(), told, WEEK, NOW)
    assert found.counted == 6 * DAY
    assert found.breaches == (ago(6 * DAY, 5 * DAY), ago(4 * DAY, 3 * DAY))


def test_a_mirror_paused_all_along_has_no_share() -> None:
    """Also when no event is left that tells since when."""
    found = record(fresh(9 * DAY, activity=Activity.PAUSED), Witnesses(), WEEK, NOW)
    assert found == Record()
    assert found.share is None


def test_pauses_are_reckoned_from_their_end() -> None:
    """A resumption that comes first says that it was paused before."""
    long_ago = paused(Activity.ACTIVE, [(NOW - DAY, "resume")], NOW)
    assert [span.end for span in long_ago] == [NOW - DAY]
    still = paused(Activity.PAUSED, [(NOW - DAY, "pause")], NOW)
    assert still == [ago(DAY, NONE)]
    assert paused(Activity.ACTIVE, [], NOW) == []


def test_what_is_gone_upstream_is_not_late() -> None:
    """Nor is a mirror that the catalog has not heard of."""
    gone = replace(fresh(9 * DAY, outcome=Outcome.GONE), word=Word.GONE)
    assert record(gone, Witnesses(), WEEK, NOW) == Record()
    assert record(fresh(added=None), Witnesses(), WEEK, NOW) == Record()


def test_a_tier_adds_its_mirrors_up() -> None:
    """Two mirrors that were late at once missed twice as much of twice the time."""
    one = record(fresh(), Witnesses([ago(2 * DAY, DAY)]), WEEK, NOW)
    both = together([one, one])
    assert (both.counted, both.missed, both.share) == (14 * DAY, 2 * DAY, one.share)
    assert together([]).share is None


hours = st.integers(0, 240)
some = st.lists(st.builds(lambda a, b: ago(a * HOUR, b * HOUR), hours, hours))


@given(some, st.lists(hours, max_size=6), st.integers(0, 300), hours)
def test_a_share_is_a_share(
    late: list[Span], switched: list[int], lag: int, age: int
) -> None:
    """Whatever is told, in whatever order, at most the time that counts is missed."""
    at = [NOW - hour * HOUR for hour in sorted(switched, reverse=True)]
    actions = [("pause", "resume")[index % 2] for index in range(len(at))]
    told = Witnesses(late, list(zip(at, actions, strict=True)))
    activity = Activity.PAUSED if len(at) % 2 else Activity.ACTIVE
    mirror = fresh(lag * HOUR, activity=activity, added=NOW - age * HOUR)
    found = record(mirror, told, WEEK, NOW)
    assert NONE <= found.missed <= found.counted <= min(7 * DAY, age * HOUR)
    assert found.share is None or 0 <= found.share <= 1
    again = record(mirror, replace(told, late=late[::-1] * 2), WEEK, NOW)
    assert again == found
