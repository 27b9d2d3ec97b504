"""What upstream's answers about a repository mean for its mirror."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from syncer.model.names import RepoName
from syncer.model.origin import UNKNOWN, Described, Facts, Origin, Standing
from syncer.sync.judgement import absent, blocked, confirmed

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FACTS = Facts(7, "R_7", RepoName.parse("acme/tool"), licence="MIT")
KNOWN = Origin(FACTS, described=NOW - HOUR, since=NOW - 99 * HOUR, etag='W/"1"')


def actions(events: object) -> list[str]:
    """Return what happened, in order."""
    assert isinstance(events, tuple)
    return [event.action for event in events]


def test_the_first_sight_is_no_event() -> None:
    """What was never seen did not change."""
    verdict = confirmed(UNKNOWN, Described(FACTS, 'W/"1"'), NOW)
    assert verdict.origin.facts == FACTS
    assert (verdict.origin.described, verdict.origin.etag) == (NOW, 'W/"1"')
    assert verdict.events == ()
    assert verdict.freeze is None


def test_an_unchanged_answer_keeps_what_is_known() -> None:
    """A 304 confirms it all, and dates it."""
    verdict = confirmed(KNOWN, Described(None), NOW)
    assert verdict.origin == replace(KNOWN, described=NOW)
    assert verdict.events == ()


def test_a_rename_is_news_and_the_name_follows() -> None:
    """The id is the key: the same repository has another name."""
    moved = replace(FACTS, name=RepoName.parse("other/tool2"))
    verdict = confirmed(KNOWN, Described(moved), NOW)
    assert actions(verdict.events) == ["renamed"]
    assert "other/tool2" in verdict.events[0].detail
    assert verdict.origin.facts == moved
    assert verdict.freeze is None


def test_another_id_under_the_name_freezes_the_mirror() -> None:
    """Repo-jacking: somebody registered the old name again."""
    verdict = confirmed(KNOWN, Described(replace(FACTS, id=8, node_id="R_8")), NOW)
    assert verdict.freeze is not None
    assert "id 8" in verdict.freeze
    assert verdict.events[0].alarming


def test_a_change_of_licence_asks_for_a_person() -> None:
    """Whoever depends on the code wants to know."""
    verdict = confirmed(KNOWN, Described(replace(FACTS, licence="BUSL-1.1")), NOW)
    assert actions(verdict.events) == ["licence"]
    assert verdict.events[0].alarming
    assert verdict.events[0].detail == "was MIT, is BUSL-1.1"


@pytest.mark.parametrize(
    ("changes", "standing", "alarming"),
    [
        ({"archived": True}, Standing.ARCHIVED, False),
        ({"disabled": True}, Standing.DISABLED, True),
    ],
)
def test_a_new_standing_is_told_once(
    changes: dict[str, bool], standing: Standing, *, alarming: bool
) -> None:
    """The second answer of the same kind is no news."""
    answer = Described(replace(FACTS, **changes))  # type: ignore[arg-type]  # two flags
    first = confirmed(KNOWN, answer, NOW)
    assert first.origin.standing is standing
    assert [event.alarming for event in first.events] == [alarming]
    again = confirmed(first.origin, answer, NOW + HOUR)
    assert again.events == ()
    assert again.origin.since == NOW


def test_made_private_is_news() -> None:
    """A token that may see it still mirrors it."""
    verdict = confirmed(KNOWN, Described(replace(FACTS, private=True)), NOW)
    assert actions(verdict.events) == ["visibility"]


def test_a_block_names_where_upstream_explains_it() -> None:
    """451 is no deletion: the notice says why."""
    verdict = blocked(KNOWN, "https://github.com/github/dmca/x", NOW)
    assert verdict.origin.standing is Standing.BLOCKED
    assert verdict.origin.facts == FACTS
    assert "https://github.com/github/dmca/x" in verdict.events[0].detail
    assert blocked(verdict.origin, verdict.origin.notice, NOW + HOUR).events == ()


def test_absence_counts_only_after_a_day_and_often() -> None:
    """Ten answers in an hour prove no more than one does."""
    origin = KNOWN
    for minute in range(10):
        moment = NOW + timedelta(minutes=minute)
        origin = absent(origin, moment, believed=True).origin
    assert origin.standing is Standing.ABSENT
    assert origin.since == NOW
    late = absent(origin, NOW + 24 * HOUR, believed=True)
    assert late.origin.standing is Standing.GONE
    assert late.events[0].alarming
    assert late.origin.facts == FACTS


def test_two_sightings_a_day_apart_are_not_enough() -> None:
    """A token can be wrong twice."""
    first = absent(KNOWN, NOW, believed=True).origin
    second = absent(first, NOW + 30 * HOUR, believed=True).origin
    assert second.standing is Standing.ABSENT


def test_one_of_many_at_once_is_not_believed_to_be_gone() -> None:
    """A token that lost its scope loses all repositories together."""
    origin = KNOWN
    for hour in (0, 12, 25, 50):
        origin = absent(origin, NOW + hour * HOUR, believed=False).origin
    assert origin.standing is Standing.ABSENT
    assert origin.sightings == 4


def test_what_comes_back_is_as_it_was() -> None:
    """A repository that answers again is neither absent nor gone."""
    gone = replace(KNOWN, standing=Standing.GONE, sightings=5)
    verdict = confirmed(gone, Described(FACTS), NOW)
    assert verdict.origin.standing is Standing.NORMAL
    assert verdict.origin.sightings == 0
    assert actions(verdict.events) == ["standing"]
