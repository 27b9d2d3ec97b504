"""How often releases are looked at, and what that costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from syncer.model.mirrors import RepoState
from syncer.model.names import RepoName
from syncer.model.origin import Standing
from syncer.model.releases import ReleaseCounts, ReleaseState
from syncer.model.selection import ReleaseSelection
from syncer.schedule.releases import QUIET, cost, need, stretched, tier_interval
from syncer.sync.releases import is_due

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SELECTION = ReleaseSelection()


def mirror(**known: object) -> RepoState:
    """Return a mirror whose releases were looked at ten minutes ago."""
    seen = ReleaseState(checked=NOW - 10 * MINUTE, asked=SELECTION.key)
    seen = replace(seen, **known)  # type: ignore[arg-type]  # each field's own type
    name = RepoName.parse("acme/tool")
    return RepoState(1, name, name.path, "core", releases=seen)


@pytest.mark.parametrize(
    ("releases", "anonymous", "authorised"),
    [(0, 2, 1), (1, 2, 1), (100, 2, 1), (101, 3, 2), (300, 4, 3)],
)
def test_a_look_costs_a_request_for_each_page(
    releases: int, anonymous: int, authorised: int
) -> None:
    """And one for the repository, which a token has for nothing."""
    state = mirror(counts=ReleaseCounts(releases=releases))
    assert cost(state, authorised=False) == anonymous
    assert cost(state, authorised=True) == authorised


def test_the_allowance_stretches_all_intervals_alike() -> None:
    """Ten mirrors every five minutes need 240 requests an hour; 48 are allowed."""
    needed = need([(2, 5 * MINUTE)] * 10)
    assert needed == 240
    assert stretched(5 * MINUTE, needed, 48) == 25 * MINUTE
    assert stretched(30 * MINUTE, needed, 480) == 30 * MINUTE


def test_no_allowance_means_a_look_a_day() -> None:
    """Even then releases are not forgotten."""
    assert stretched(5 * MINUTE, 1e6, 1) == QUIET
    assert stretched(5 * MINUTE, 1.0, 0) == QUIET


def test_what_is_archived_is_looked_at_daily() -> None:
    """Upstream takes no release for it."""
    state = replace(mirror(), standing=Standing.ARCHIVED)
    assert tier_interval(state, 5 * MINUTE) == QUIET
    assert tier_interval(mirror(), 5 * MINUTE) == 5 * MINUTE


@pytest.mark.parametrize(
    ("known", "due"),
    [
        ({}, False),
        ({"checked": NOW - 30 * MINUTE}, True),
        ({"checked": NOW - 27 * MINUTE}, True),  # the next visit may come late
        ({"checked": NOW - 26 * MINUTE}, False),
        ({"checked": None}, True),
        ({"asked": "another selection"}, True),
        ({"checked": None, "not_before": NOW + MINUTE}, False),
        ({"not_before": NOW - MINUTE, "checked": None}, True),
        ({"counts": ReleaseCounts(missing=1, retry_at=NOW, releases=1)}, True),
        (
            {"counts": ReleaseCounts(missing=1, retry_at=NOW + MINUTE, releases=1)},
            False,
        ),
    ],
)
def test_when_releases_are_due(known: dict[str, object], *, due: bool) -> None:
    """By time, by what is owed, and never against upstream's wish."""
    assert is_due(mirror(**known), SELECTION, 30 * MINUTE, NOW) is due
