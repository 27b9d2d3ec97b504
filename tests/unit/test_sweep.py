"""What leaves the blob store, when, and what never does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from syncer.errors import Interrupted, PermanentError, Unavailable
from syncer.model.blobs import Blob, StoredBlob, blob_key
from syncer.model.lfs import LfsState
from syncer.model.runs import Outcome
from tests.fakes import NOW
from tests.fakes_blobs import digest_for
from tests.fleet import GRACE, ONE, STALE, TWO, Fleet, Killed, Process

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED, OWN = b"shared by both", b"of one alone"
HOUR = timedelta(hours=1)


def blob_of(body: bytes) -> Blob:
    """Return the blob of some bytes."""
    return Blob(digest_for(body), len(body))


def kind(call: str) -> str:
    """Return a call's name without what it is about."""
    return call.partition(" ")[0]


def dies_before(call: str) -> Process:
    """Return a process that dies just before a port call."""

    def meet(process: Process, name: str) -> None:
        process.dead = kind(name) == call

    return Process(meet)


def before(call: str, work: Callable[[], object]) -> Process:
    """Return a process before whose first call of a kind some work happens."""
    waiting = [work]

    def meet(_process: Process, name: str) -> None:
        if kind(name) == call and waiting:
            waiting.pop()()

    return Process(meet)


@pytest.fixture
def fleet() -> Fleet:
    """Return two mirrors that share a blob; the first has another one."""
    made = Fleet()
    made.push(ONE, SHARED, OWN)
    made.push(TWO, SHARED)
    for name in (ONE, TWO):
        assert made.sync(name).outcome is Outcome.CHANGED
    return made


@pytest.fixture
def condemned(fleet: Fleet) -> Fleet:
    """Return them after the first was purged, and its own blob condemned."""
    fleet.purge(ONE)
    assert fleet.sweep().condemned == (blob_of(OWN),)
    return fleet


def test_what_mirrors_need_stays(fleet: Fleet) -> None:
    """However often and late one sweeps."""
    for _ in range(3):
        assert not fleet.sweep()
        fleet.clock.advance(timedelta(days=30))
    assert fleet.stored() == {digest_for(SHARED), digest_for(OWN)}


def test_a_purged_mirror_frees_its_own_blobs(condemned: Fleet) -> None:
    """After the grace period; what another needs as well is not even condemned."""
    condemned.clock.advance(GRACE - timedelta(seconds=1))
    assert not condemned.sweep()
    condemned.clock.advance(timedelta(seconds=1))

    assert condemned.sweep().removed == (blob_of(OWN),)

    assert condemned.stored() == {digest_for(SHARED)}
    assert condemned.index.find([digest_for(OWN)]) == {}
    assert not condemned.sweep()


def test_a_dry_run_changes_nothing(fleet: Fleet) -> None:
    """It tells each step, as often as it is asked, and makes no call that changes."""
    fleet.purge(ONE)
    stray = fleet.disk.bodies.setdefault(blob_key(digest_for(b"stray")), b"stray")
    fleet.disk.parts[digest_for(b"part")] = (b"pa", fleet.clock.now() - STALE)
    calls: list[str] = []
    process = Process(lambda _, call: calls.append(kind(call)))

    for _ in range(2):
        told = fleet.sweep(process, dry_run=True, orphans=True)
        assert told.condemned == (blob_of(OWN),)
        assert told.adopted == (blob_of(stray),)
        assert [each.digest for each in told.aborted] == [digest_for(b"part")]
        assert told.removed == ()

    assert set(calls) == {
        *("blobs", "orphans", "condemn", "condemned", "leftovers", "claimed")
    }
    assert fleet.index.find([digest_for(OWN)])[digest_for(OWN)].condemned is None
    done = fleet.sweep(orphans=True)
    assert (done.condemned, done.adopted) == (told.condemned, told.adopted)
    fleet.clock.advance(GRACE)
    assert set(fleet.sweep(dry_run=True).removed) == {blob_of(OWN), blob_of(stray)}
    assert fleet.stored() == {digest_for(b) for b in (SHARED, OWN, b"stray")}


def test_a_condemned_blob_that_is_needed_again_is_not_fetched(condemned: Fleet) -> None:
    """The run that claims it takes it back, at any time before it is seized."""
    condemned.clock.advance(GRACE)
    condemned.source.opened.clear()

    assert condemned.sync(ONE).outcome is Outcome.CHANGED

    assert condemned.source.opened == []
    assert not condemned.sweep()
    assert digest_for(OWN) in condemned.stored()


def test_a_blob_that_is_claimed_is_not_condemned(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """A run may rely on it before any row says so; nor is it seized."""
    fleet.purge(ONE)
    state = fleet.state(ONE)
    with fleet.store.lease(state.path):  # Whose claims these are is at work.
        fleet.index.claim(state.id, [digest_for(OWN)], fleet.clock.now())
        assert not fleet.sweep()
        fleet.index.release(state.id)
        assert fleet.sweep().condemned == (blob_of(OWN),)
        fleet.index.claim(state.id, [digest_for(OWN)], fleet.clock.now())
        fleet.clock.advance(GRACE)
        assert not fleet.sweep()
    assert digest_for(OWN) in fleet.stored()
    assert "settled" not in caplog.text  # A run at work is nothing to tell of.


def test_a_sweep_looks_again_before_it_removes(condemned: Fleet) -> None:
    """A run between the condemnation and the removal saves what it links."""
    condemned.clock.advance(GRACE)
    gc = before("seize", lambda: condemned.sync(ONE))

    assert condemned.sweep(gc).removed == ()

    assert digest_for(OWN) in condemned.stored()
    assert condemned.objects(ONE)[digest_for(OWN)].state is LfsState.PRESENT


@pytest.mark.parametrize("call", ["remove", "removed"])
def test_a_run_waits_for_a_removal(condemned: Fleet, call: str) -> None:
    """What is being removed is not linked; the next run fetches it anew."""
    condemned.clock.advance(GRACE)
    runs = []
    gc = before(call, lambda: runs.append(condemned.sync(ONE)))

    assert condemned.sweep(gc).removed == (blob_of(OWN),)

    assert runs[0].outcome is Outcome.FAILED
    assert "being removed by `gc`" in str(runs[0].error)
    assert condemned.objects(ONE) == {}
    assert condemned.sync(ONE).outcome is Outcome.CHANGED
    assert digest_for(OWN) in condemned.stored()


@pytest.mark.parametrize("call", ["remove", "removed"])
def test_a_dead_removal_is_taken_over(condemned: Fleet, call: str) -> None:
    """An hour later, by a sweep or by a run that wants the blob."""
    condemned.clock.advance(GRACE)
    with pytest.raises(Killed):
        condemned.sweep(dies_before(call))
    assert condemned.sweep().removed == ()  # It may still be at work.
    condemned.clock.advance(HOUR)

    assert condemned.sweep().removed == (blob_of(OWN),)

    assert condemned.stored() == {digest_for(SHARED)}
    assert condemned.index.find([digest_for(OWN)]) == {}


@pytest.mark.parametrize("call", ["remove", "removed"])
def test_a_run_takes_back_what_a_dead_removal_left(condemned: Fleet, call: str) -> None:
    """It asks the store, since nobody knows how far that came."""
    condemned.clock.advance(GRACE)
    with pytest.raises(Killed):
        condemned.sweep(dies_before(call))
    condemned.clock.advance(HOUR)

    assert condemned.sync(ONE).outcome is Outcome.CHANGED

    assert digest_for(OWN) in condemned.stored()
    assert not condemned.sweep()


def test_what_left_is_recorded_when_the_store_fails(condemned: Fleet) -> None:
    """The rest goes with a later sweep."""
    condemned.purge(TWO)
    condemned.sweep()
    condemned.clock.advance(GRACE)
    down = Unavailable("the store is down")
    removals: list[str] = []

    def meet(_process: Process, call: str) -> None:
        if kind(call) == "remove":
            if removals:
                raise down
            removals.append(call)

    with pytest.raises(Unavailable):
        condemned.sweep(Process(meet))
    (left,) = condemned.stored()
    gone = {digest_for(SHARED), digest_for(OWN)} - {left}
    assert condemned.index.orphans([left, *gone]) == gone
    condemned.clock.advance(HOUR)

    assert [blob.digest for blob in condemned.sweep().removed] == [left]


def test_a_sweep_ends_when_it_is_asked_to(condemned: Fleet) -> None:
    """Between two removals; what has left is recorded."""
    condemned.purge(TWO)
    condemned.sweep()
    condemned.clock.advance(GRACE)
    with pytest.raises(Interrupted):
        condemned.sweep(before("remove", condemned.stop.set))
    assert len(condemned.stored()) == 1
    condemned.stop.clear()
    condemned.clock.advance(HOUR)

    assert len(condemned.sweep().removed) == 1


def test_a_removal_that_takes_too_long_is_left_to_the_next_sweep(
    condemned: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody may take it for dead: from then on it touches nothing."""
    condemned.purge(TWO)
    condemned.sweep()
    condemned.clock.advance(GRACE)
    slow = before("remove", lambda: condemned.clock.advance(HOUR / 2))

    assert condemned.sweep(slow).removed == ()

    assert "takes too long" in caplog.text
    assert len(condemned.stored()) == 1
    condemned.clock.advance(HOUR)
    assert len(condemned.sweep().removed) == 2
    assert condemned.stored() == set()


def test_a_long_sweep_seizes_as_of_now(condemned: Fleet) -> None:
    """What it seizes late is as fresh as what it seized first."""
    for number in range(101):
        body = b"stray %d" % number
        condemned.disk.bodies[blob_key(digest_for(body))] = body
    condemned.sweep(orphans=True)
    condemned.clock.advance(GRACE)

    def meet(_process: Process, call: str) -> None:
        if call == "removed":
            condemned.clock.advance(timedelta(minutes=14))

    with patch("syncer.sync.sweep._BATCH", 15):
        assert len(condemned.sweep(Process(meet)).removed) == 102


@pytest.mark.parametrize("call", ["stored", "link", "release"])
def test_claims_of_the_dead_protect_nothing(fleet: Fleet, call: str) -> None:
    """Their runs are closed first, by the mirrors' leases."""
    fleet.push(ONE, b"half-way")
    with pytest.raises(Killed):
        fleet.sync(ONE, dies_before(call))
    digest = digest_for(b"half-way")
    assert fleet.index.claimed([digest]) == {digest}
    assert len(fleet.catalog.unfinished()) == 1

    fleet.sweep()

    assert fleet.index.claimed([digest]) == frozenset()
    assert fleet.catalog.unfinished() == []


def test_a_mirror_that_cannot_be_settled_stops_no_sweep(
    condemned: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """What it claims stays claimed, and everything else goes."""
    condemned.clock.advance(GRACE)
    condemned.push(TWO, b"new")
    with pytest.raises(Killed):
        condemned.sync(TWO, dies_before("stored"))
    broken = PermanentError("`packed-refs` is damaged")

    with patch("tests.fakes_git.FakeRepository.recover", side_effect=broken):
        assert condemned.sweep().removed == (blob_of(OWN),)

    assert "could not be settled" in caplog.text
    assert condemned.index.claimed([digest_for(b"new")])


@pytest.mark.parametrize("live", [True, False])
def test_a_part_of_a_live_run_stays(fleet: Fleet, live: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """However old; that of a dead one goes after `stale`."""
    digest = digest_for(b"large")
    fleet.disk.parts[digest] = (b"lar", fleet.clock.now())
    state = fleet.state(ONE)
    fleet.index.claim(state.id, [digest], fleet.clock.now())
    fleet.clock.advance(STALE - timedelta(seconds=1))
    assert not fleet.sweep()
    if live:
        fleet.index.claim(state.id, [digest], fleet.clock.now())
        fleet.clock.advance(timedelta(days=9))
        with fleet.store.lease(state.path):
            assert not fleet.sweep()
        assert digest in fleet.disk.parts
        return
    fleet.clock.advance(timedelta(seconds=1))
    assert [left.digest for left in fleet.sweep().aborted] == [digest]
    assert fleet.disk.parts == {}


def test_a_run_that_begins_during_a_sweep_keeps_its_part(fleet: Fleet) -> None:
    """Whether it is claimed is asked at the last moment."""
    first, second = sorted([digest_for(b"first"), digest_for(b"second")])
    fleet.disk.parts |= dict.fromkeys([first, second], (b"p", NOW - 9 * STALE))
    mirror = fleet.state(ONE).id
    late = before("discard", lambda: fleet.index.claim(mirror, [second], NOW))

    assert [left.digest for left in fleet.sweep(late).aborted] == [first]

    assert set(fleet.disk.parts) == {second}


def test_what_nobody_recorded_is_left_alone(fleet: Fleet) -> None:
    """It may be somebody else's; with the flag it waits out its grace as well."""
    stray = b"of another program"
    fleet.disk.bodies[blob_key(digest_for(stray))] = stray
    fleet.clock.advance(GRACE)
    assert not fleet.sweep()
    swept = fleet.sweep(orphans=True)
    assert (swept.adopted, swept.condemned) == ((blob_of(stray),), ())
    assert not fleet.sweep(orphans=True)
    fleet.clock.advance(GRACE)
    assert fleet.sweep().removed == (blob_of(stray),)


@pytest.mark.parametrize("there", [True, False])
def test_what_was_only_listed_is_not_believed(fleet: Fleet, there: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A run asks the store for it, which another sweep may have emptied since."""
    stray = b"seen in the list"
    digest = digest_for(stray)
    fleet.index.stored([StoredBlob(blob_of(b"x"), NOW, NOW)])
    fleet.disk.bodies[blob_key(digest)] = stray
    fleet.sweep(orphans=True)
    if not there:
        del fleet.disk.bodies[blob_key(digest)]
    fleet.source.opened.clear()
    fleet.push(TWO, stray)

    assert fleet.sync(TWO).outcome is Outcome.CHANGED

    assert digest in fleet.stored()
    assert [oid for oid, _ in fleet.source.opened] == ([] if there else [digest])


@pytest.mark.parametrize("call", ["condemn", "seize", "remove", "removed"])
def test_two_sweeps_do_each_thing_once(condemned: Fleet, call: str) -> None:
    """What one has seized is not the other's, wherever they meet."""
    condemned.purge(TWO)
    condemned.sweep()
    condemned.clock.advance(GRACE)
    others: list[Blob] = []
    gc = before(call, lambda: others.extend(condemned.sweep().removed))

    mine = condemned.sweep(gc).removed

    assert sorted([*mine, *others]) == sorted([blob_of(SHARED), blob_of(OWN)])
    assert condemned.stored() == set()
