"""When releases are looked at: limits, failures, hints, and what an API allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.errors import RateLimited, Unavailable
from syncer.model.mirrors import Selection
from syncer.model.names import GITHUB, OwnerName, RepoName
from syncer.model.origin import Allowance
from syncer.model.runs import Outcome, Trigger, Word
from syncer.schedule.lag import word
from syncer.sync.cadence import Cadence
from syncer.sync.discovery import Discoverer
from syncer.sync.hints import HintSweep
from tests.release_mirrors import DAY, HOUR, MINUTE, WIDGET, Mirrored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.model.runs import SyncRun

OTHER = RepoName.parse("acme/gadget")
DOWN = Unavailable("upstream answers 503")


@dataclass(frozen=True)
class Tier:
    """How often, and how fresh."""

    interval: timedelta = MINUTE
    target: timedelta = 2 * HOUR


@pytest.fixture
def mirrored() -> Iterator[Mirrored]:
    """Return two mirrors of one release each, synced once."""
    made = Mirrored("acme/gadget")
    for found in list(made.api.state.repositories.values()):
        found.release("v1").asset("tool.whl", found.name.encode())
    for name in (WIDGET, OTHER):
        made.syncs(name=name)
    yield made
    made.close()


def spoken(mirrored: Mirrored) -> Word:
    """Return the word that a person sees."""
    now = mirrored.clock.now()
    return word(mirrored.state, Tier(), now, releases=True)


def test_a_limit_makes_late_and_no_failure(mirrored: Mirrored) -> None:
    """It is waited for as long as upstream says, and then all is as it was."""
    limited = RateLimited("the limit is reached", retry_after=3 * HOUR)
    mirrored.api.fail("releases", limited)
    run = mirrored.syncs(Outcome.PARTIAL, after=HOUR)
    assert run.exit_code == RateLimited.exit_code
    known = mirrored.state.releases
    assert known.failures == mirrored.state.failures == 0
    assert known.not_before == mirrored.clock.now() + 3 * HOUR
    assert "the limit is reached" in str(known.error)

    mirrored.syncs(Outcome.UNCHANGED, after=2 * HOUR)
    assert mirrored.asked() == []
    assert spoken(mirrored) is Word.LATE
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)

    assert spoken(mirrored) is Word.OK
    known = mirrored.state.releases
    assert (known.error, known.not_before) == (None, None)


def test_a_limit_that_costs_no_turn_is_not_told(mirrored: Mirrored) -> None:
    """A push lets the releases be looked at early; that it cannot be harms nobody."""
    limited = RateLimited("the limit is reached", retry_after=MINUTE)
    mirrored.api.fail("releases", limited)
    commit = mirrored.push()

    run = mirrored.syncs()

    assert mirrored.head() == commit
    assert "limit" not in str(run.error)
    assert mirrored.state.releases.error is None


def test_failures_are_counted_and_asked_later_each_time(mirrored: Mirrored) -> None:
    """Git stays fresh; the backoff doubles, and a person is told."""
    mirrored.api.fail("releases", DOWN, times=99)
    waits = []
    for count in range(1, 4):
        run = mirrored.syncs(Outcome.PARTIAL, after=HOUR)
        known = mirrored.state.releases
        assert (known.failures, mirrored.state.failures) == (count, 0)
        assert known.not_before is not None
        waits.append(known.not_before - mirrored.clock.now())
        assert mirrored.state.last_success == run.started
    assert timedelta() < waits[0] < waits[1] < waits[2] < HOUR
    assert spoken(mirrored) is Word.PARTIAL
    mirrored.syncs(Outcome.UNCHANGED)
    assert mirrored.asked() == []
    mirrored.syncs(Outcome.PARTIAL, trigger=Trigger.COMMAND)
    assert "releases" in mirrored.asked()

    mirrored.api.heal()
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)

    assert mirrored.state.releases.failures == 0
    assert spoken(mirrored) is Word.OK


def test_a_listing_that_fails_keeps_no_ref_waiting(mirrored: Mirrored) -> None:
    """The push is published; what is known of the releases stays."""
    mirrored.api.fail("releases", DOWN)
    records, commit = mirrored.records(), mirrored.push()

    run = mirrored.syncs(Outcome.PARTIAL, after=HOUR)

    assert mirrored.head() == commit
    assert "releases: upstream answers 503" in str(run.error)
    assert mirrored.records() == records
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)
    assert mirrored.state.releases.failures == 0


@pytest.mark.parametrize("page", [1, 2, 3])
def test_half_a_listing_is_none(mirrored: Mirrored, page: int) -> None:
    """Whichever page fails: nothing is new, nothing is gone."""
    for number in range(250):
        mirrored.upstream.release(f"w{number}")
    mirrored.syncs(after=HOUR)
    records = mirrored.records()
    for release in mirrored.upstream.releases[50:60]:
        release.delete()
    mirrored.upstream.release("new")
    mirrored.api.fail("releases", DOWN, page=page)

    mirrored.syncs(Outcome.PARTIAL, after=HOUR)

    assert mirrored.records() == records
    mirrored.syncs(after=HOUR)
    gone = [r for r in mirrored.records() if r.gone is not None]
    assert len(gone) == 10


def test_without_a_token_a_push_costs_no_listing(mirrored: Mirrored) -> None:
    """Sixty requests an hour are for the looks that are due."""
    mirrored.api.authorised = False
    mirrored.push()
    mirrored.syncs()
    assert mirrored.asked() == ["describe"]
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)
    assert mirrored.asked() == ["describe", "releases"]


def test_a_hint_makes_due_and_proves_nothing(mirrored: Mirrored) -> None:
    """A new release is looked at before its time, and only where there is one."""
    sweep = HintSweep(mirrored.world)
    states = mirrored.catalog.states()
    assert sweep.sweep(states) == set()
    assert sweep.sweep(states) == set()
    mirrored.upstream.release("v2").asset("tool.whl", b"two")

    assert sweep.sweep(states) == mirrored.world.hinted == {mirrored.state.id}

    mirrored.api.fail("releases", DOWN)
    mirrored.syncs(Outcome.PARTIAL)
    assert mirrored.world.hinted == {mirrored.state.id}
    mirrored.syncs()
    assert mirrored.asset("v2", "tool.whl").blob is not None
    assert mirrored.world.hinted == set()
    mirrored.syncs(Outcome.UNCHANGED, name=OTHER)
    assert mirrored.asked() == []


def test_a_push_is_a_hint_for_git_alone(mirrored: Mirrored) -> None:
    """The probe is made due; releases keep their own time."""
    sweep, states = HintSweep(mirrored.world), mirrored.catalog.states()
    sweep.sweep(states)
    mirrored.clock.advance(MINUTE)
    mirrored.upstream.push()

    assert sweep.sweep(states) == {mirrored.state.id}
    assert mirrored.world.hinted == set()


def test_a_sweep_that_fails_leaves_the_clock(mirrored: Mirrored) -> None:
    """Nothing is due by it, nothing is forgotten; nobody asks without a token."""
    sweep, states = HintSweep(mirrored.world), mirrored.catalog.states()
    sweep.sweep(states)
    mirrored.upstream.release("v2")
    mirrored.api.fail("sweep", DOWN)
    assert sweep.sweep(states) == set()
    mirrored.api.authorised = False
    mirrored.api.forget()
    assert sweep.sweep(states) == set()
    assert mirrored.asked() == []
    mirrored.api.authorised = True
    assert sweep.sweep(states) == {mirrored.state.id}


def cadence(mirrored: Mirrored) -> Cadence:
    """Return what reckons intervals; nine tenths of the allowance are ours."""
    return Cadence(
        mirrored.catalog,
        mirrored.api,
        mirrored.clock,
        {"normal": Tier()},
        lambda name: mirrored.selections.get(name.identity, Selection()),
        lambda _: 0.1,
    )


def test_the_anonymous_budget_stretches_every_interval(mirrored: Mirrored) -> None:
    """Two mirrors of two requests a minute take 240 an hour of the 54 there are."""
    mirrored.api.authorised = False
    anonymous = cadence(mirrored)
    load = anonymous.load(GITHUB)
    assert (load.needed, load.allowed, load.authorised) == (240.0, 54.0, False)
    assert anonymous.every(mirrored.state) == MINUTE * (240 / 54)
    mirrored.select(wanted=False, name=OTHER)
    assert anonymous.load(GITHUB) == load
    mirrored.clock.advance(HOUR)
    assert anonymous.load(GITHUB).needed == 120.0

    mirrored.api.authorised = True

    authorised = cadence(mirrored)
    assert authorised.every(mirrored.state) == MINUTE
    assert authorised.load(GITHUB).allowed == 4500.0
    # What the host itself says counts more than what it documents.
    mirrored.api.granted.append(
        Allowance("core", 50, 50, mirrored.clock.now() + HOUR, authorised=True)
    )
    assert cadence(mirrored).load(GITHUB).allowed == 45.0


def test_what_is_archived_is_looked_at_daily(mirrored: Mirrored) -> None:
    """Nothing changes there any more."""
    mirrored.upstream.archived = True
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)
    assert cadence(mirrored).every(mirrored.state) == DAY


def test_an_owner_gets_a_new_repository(mirrored: Mirrored) -> None:
    """It is known with the next look; a look that fails forgets nothing."""
    owner = OwnerName.parse("acme")
    discoverer = Discoverer(mirrored.world)
    assert discoverer.look([owner])
    assert not discoverer.look([owner])
    mirrored.create("acme/third")
    mirrored.api.fail("owned", DOWN)
    assert not discoverer.look([owner])
    assert len(mirrored.releases.discoveries()) == 2

    assert discoverer.look([owner])

    names = [str(each.facts.name) for each in mirrored.releases.discoveries()]
    assert names == ["acme/gadget", "acme/third", "acme/widget"]
    assert mirrored.events().count("discovered") == 3


def test_a_run_says_what_it_brought(mirrored: Mirrored) -> None:
    """What other releases have already is not downloaded again."""
    mirrored.upstream.release("v2").asset("same.whl", b"widget")
    run: SyncRun = mirrored.syncs(after=HOUR)
    assert mirrored.api.downloads == []
    assert (run.releases.fetched, run.releases.linked) == (0, 1)
