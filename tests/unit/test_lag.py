"""How far behind a mirror is, and the word for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.model.lfs import LfsCounts
from syncer.model.mirrors import Activity, Held, RepoState
from syncer.model.names import RepoName
from syncer.model.origin import Standing
from syncer.model.releases import ReleaseCounts, ReleaseState
from syncer.model.runs import LagSample, Outcome, Word
from syncer.schedule.lag import (
    ComponentLag,
    Freshness,
    Summary,
    attainment,
    behind,
    delay,
    freshness,
    lag,
    percentile,
    staleness,
    summarise,
    word,
    worst_first,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NONE = timedelta()


@dataclass(frozen=True)
class Tier:
    """A tier, as lag sees one."""

    target: timedelta = 15 * MINUTE


def mirror(name: str = "name", **changes: object) -> RepoState:
    """Return a mirror that is fresh."""
    state = RepoState(
        id=1,
        name=RepoName("github.com", "owner", name),
        path=f"github.com/owner/{name}.git",
        tier="core",
        outcome=Outcome.UNCHANGED,
        generation=3,
        last_attempt=NOW,
        last_success=NOW - MINUTE,
        added=NOW - 1000 * MINUTE,
    )
    return replace(state, **changes)  # type: ignore[arg-type]  # each field's own type


def sample(minutes: int, mirror_id: int = 1) -> LagSample:
    """Return a change that took so many minutes to be published."""
    name = RepoName("github.com", "owner", "name")
    return LagSample(mirror_id, name, "refs", NOW, NOW + minutes * MINUTE)


def test_an_equal_mirror_is_behind_by_nothing() -> None:
    """Without an unpublished change, lag is what we cannot know."""
    assert behind(mirror(), NOW) == NONE
    assert lag(mirror(), NOW) == staleness(mirror(), NOW) == MINUTE


def test_lag_is_the_worse_of_the_two() -> None:
    """A change that waits counts from the moment we saw it."""
    waiting = mirror(behind_since=NOW - 9 * MINUTE)
    assert lag(waiting, NOW) == behind(waiting, NOW) == 9 * MINUTE
    unreachable = mirror(last_success=NOW - 99 * MINUTE, behind_since=NOW - MINUTE)
    assert lag(unreachable, NOW) == 99 * MINUTE


def test_a_mirror_that_never_was_equal_is_stale_since_it_was_added() -> None:
    """A first mirror that does not come about is lag as well."""
    assert staleness(mirror(last_success=None), NOW) == 1000 * MINUTE
    assert staleness(mirror(last_success=None, added=None), NOW) == NONE


@given(st.none() | st.datetimes(timezones=st.just(UTC)))
def test_lag_is_never_negative(instant: datetime | None) -> None:
    """A clock that went back makes nobody early."""
    state = mirror(last_success=instant, behind_since=instant)
    assert lag(state, NOW) >= NONE


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (mirror(), Word.OK),
        (mirror(last_success=NOW - 15 * MINUTE), Word.OK),
        (mirror(last_success=NOW - 16 * MINUTE), Word.LATE),
        (mirror(behind_since=NOW - 16 * MINUTE), Word.LATE),
        (mirror(last_success=None, outcome=None), Word.NEW),
        (mirror(last_success=None, outcome=Outcome.FAILED, failures=1), Word.FAIL),
        (mirror(outcome=Outcome.FAILED, failures=1), Word.FAIL),
        (mirror(outcome=Outcome.PARTIAL), Word.PARTIAL),
        (mirror(lfs=LfsCounts(present=3, missing=1)), Word.PARTIAL),
        (mirror(lfs=LfsCounts(present=3, damaged=1)), Word.PARTIAL),
        (mirror(lfs=LfsCounts(present=3)), Word.OK),
        (mirror(lfs=LfsCounts(missing=1), failures=1), Word.FAIL),
        (mirror(outcome=Outcome.GONE), Word.GONE),
        (mirror(outcome=Outcome.HELD, held=Held("x", NOW)), Word.HELD),
        (mirror(held=Held("x", NOW, accepted=True)), Word.OK),
        (mirror(activity=Activity.PAUSED, failures=9), Word.PAUSED),
    ],
)
def test_a_mirror_has_one_word(state: RepoState, expected: Word) -> None:
    """The first that holds, of those that matter most to a person."""
    assert word(state, Tier(), NOW) is expected


def test_the_worst_mirrors_come_first() -> None:
    """What needs a person, then the lag in shares of its target."""
    found = [
        freshness(mirror("ok"), Tier(), NOW),
        freshness(mirror("paused", activity=Activity.PAUSED), Tier(), NOW),
        freshness(mirror("held", held=Held("x", NOW)), Tier(), NOW),
        freshness(mirror("late", last_success=NOW - 60 * MINUTE), Tier(), NOW),
        freshness(mirror("later", last_success=NOW - 50 * MINUTE), Tier(MINUTE), NOW),
        freshness(mirror("fail", failures=1), Tier(), NOW),
    ]
    names = [each.state.name.name for each in worst_first(found)]
    assert names == ["held", "fail", "later", "late", "ok", "paused"]


def test_freshness_holds_both_numbers() -> None:
    """`status --json` shows what the word was made from."""
    state = mirror(behind_since=NOW - 5 * MINUTE)
    found = freshness(state, Tier(), NOW)
    refs = ComponentLag("refs", 5 * MINUTE, MINUTE)
    wanted = Freshness(state, Word.OK, 5 * MINUTE, MINUTE, 15 * MINUTE, (refs,))
    assert found == wanted
    assert found.lag == 5 * MINUTE


def test_releases_have_a_lag_of_their_own() -> None:
    """An asset that is added to an old tag moves no ref."""
    seen = ReleaseState(checked=NOW - 40 * MINUTE, behind_since=NOW - 2 * MINUTE)
    found = freshness(mirror(releases=seen), Tier(), NOW, releases=True)
    assert found.components == (
        ComponentLag("refs", NONE, MINUTE),
        ComponentLag("releases", 2 * MINUTE, 40 * MINUTE),
    )
    assert found.lag == 40 * MINUTE
    assert found.word is Word.LATE


def test_releases_that_are_not_mirrored_are_never_late() -> None:
    """What was listed once and is switched off says nothing."""
    seen = ReleaseState(checked=NOW - 4000 * MINUTE, failures=3)
    assert freshness(mirror(releases=seen), Tier(), NOW).word is Word.OK


@pytest.mark.parametrize(
    "seen",
    [
        ReleaseState(checked=NOW, failures=1, error="releases: down"),
        ReleaseState(
            checked=NOW, counts=ReleaseCounts(present=2, missing=1, releases=1)
        ),
        ReleaseState(
            checked=NOW, counts=ReleaseCounts(present=2, damaged=1, releases=1)
        ),
    ],
)
def test_a_mirror_whose_releases_lack_something_is_partial(seen: ReleaseState) -> None:
    """Its refs are whole, which is not all of it."""
    assert word(mirror(releases=seen), Tier(), NOW, releases=True) is Word.PARTIAL


def test_what_is_archived_is_not_late_after_an_hour() -> None:
    """Nothing changes there, so it is looked at once a day."""
    state = mirror(standing=Standing.ARCHIVED, last_success=NOW - 600 * MINUTE)
    assert word(state, Tier(), NOW) is Word.OK
    older = mirror(standing=Standing.ARCHIVED, last_success=NOW - 6000 * MINUTE)
    assert word(older, Tier(), NOW) is Word.LATE


@pytest.mark.parametrize(
    ("share", "minutes"), [(0.05, 15), (0.3, 20), (0.4, 20), (0.5, 35), (1.0, 50)]
)
def test_percentiles_are_by_nearest_rank(share: float, minutes: int) -> None:
    """The textbook's five values give the textbook's answers."""
    values = [minutes * MINUTE for minutes in (15, 20, 35, 40, 50)]
    assert percentile(values, share) == minutes * MINUTE


@pytest.mark.parametrize(("count", "share"), [(0, 0.5), (3, 0.0), (3, 1.1)])
def test_a_percentile_of_nothing_is_an_error(count: int, share: float) -> None:
    """There is no honest answer, so none is made up."""
    with pytest.raises(ValueError, match="percentile needs values"):
        percentile([MINUTE] * count, share)


@given(st.lists(st.timedeltas(NONE, 99 * MINUTE), min_size=1), st.floats(0.001, 1))
def test_a_percentile_covers_its_share(values: list[timedelta], share: float) -> None:
    """At least the share does not exceed it, and less than the share is below it."""
    values.sort()
    found = percentile(values, share)
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_attainment_is_held_against_each_mirrors_target() -> None:
    """A target met to the minute is met; mirrors without a target do not count."""
    targets = {1: 15 * MINUTE, 2: 60 * MINUTE}
    samples = [sample(15), sample(16), sample(16, 2), sample(61, 2), sample(1, 3)]
    assert attainment(samples, targets) == pytest.approx(0.5)
    assert attainment([sample(1, 3)], targets) is None


def test_a_summary_tells_the_spread() -> None:
    """A hundred changes of 1 to 100 minutes have their percentiles."""
    found = summarise(map(sample, range(100, 0, -1)), {1: 15 * MINUTE})
    shares = (50 * MINUTE, 90 * MINUTE, 99 * MINUTE, 100 * MINUTE)
    assert (found.median, found.p90, found.p99, found.worst) == shares
    assert found.count == 100
    assert found.attained == pytest.approx(0.15)
    assert summarise([], {}) == Summary(0)


def test_a_delay_is_never_negative() -> None:
    """A clock that went back between the two instants publishes nothing early."""
    assert delay(sample(-5)) == NONE
