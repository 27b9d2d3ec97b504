"""Releases in a run: what becomes visible when, and what failure leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from syncer.errors import (
    CatalogBusy,
    IntegrityError,
    Interrupted,
    NoSpace,
    SyncerError,
    Unavailable,
)
from syncer.model.releases import AssetState, Departure, Proof, ReleaseTally
from syncer.model.runs import Outcome, Trigger
from tests.release_mirrors import DAY, HOUR, MINUTE, WIDGET, Killed, Mirrored

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def mirrored() -> Iterator[Mirrored]:
    """Return a mirror of two releases, synced once."""
    made = Mirrored()
    made.upstream.release("v1").asset("tool.whl", b"one")
    second = made.upstream.release("v2")
    second.asset("tool.whl", b"two")
    second.asset("notes.txt", b"old", digest=False)
    made.syncs()
    yield made
    made.close()


def test_the_first_run_brings_refs_and_releases(mirrored: Mirrored) -> None:
    """One generation: the refs, every release, every asset, verified or pinned."""
    (run,) = mirrored.catalog.runs(None, 9)
    assert (run.generation, run.releases) == (1, ReleaseTally(3, 0, 0, 9, 2))
    assert mirrored.asset("v1", "tool.whl").proof is Proof.VERIFIED
    assert mirrored.asset("v2", "notes.txt").proof is Proof.PINNED
    counts = mirrored.state.releases.counts
    assert (counts.releases, counts.present, counts.total) == (2, 3, 3)
    assert mirrored.events() == []


def test_nothing_changed_makes_no_run(mirrored: Mirrored) -> None:
    """Two questions, both answered 304; the look is noted with the probe."""
    # Every download is counted in the page: the first look reads it again.
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)
    rows, generation = mirrored.rows, mirrored.state.generation

    run = mirrored.syncs(Outcome.UNCHANGED, after=HOUR)

    assert [q.what for q in mirrored.api.asked] == ["describe", "releases"]
    assert all(q.unchanged for q in mirrored.api.asked)
    assert mirrored.api.downloads == []
    assert (mirrored.rows, mirrored.state.generation) == (rows, generation)
    assert mirrored.state.releases.checked == run.started


def test_releases_are_looked_at_when_their_time_has_come(mirrored: Mirrored) -> None:
    """A probe before that asks the API nothing; a person's command always asks."""
    mirrored.syncs(Outcome.UNCHANGED, after=50 * MINUTE)
    assert mirrored.asked() == []
    mirrored.syncs(Outcome.UNCHANGED, after=10 * MINUTE)
    assert mirrored.asked() == ["describe", "releases"]
    mirrored.syncs(Outcome.UNCHANGED, trigger=Trigger.COMMAND)
    assert mirrored.asked() == ["describe", "releases"]


def test_an_asset_added_to_an_old_tag_is_a_run_without_refs(
    mirrored: Mirrored,
) -> None:
    """No ref moved, yet consumers see something new: the generation counts it."""
    fingerprint = mirrored.state.fingerprint
    mirrored.upstream.releases[0].asset("late.whl", b"late")

    run = mirrored.syncs(after=HOUR)

    assert run.generation == mirrored.state.generation == 2
    assert (run.releases.fetched, run.counts) == (1, {})
    assert mirrored.asset("v1", "late.whl").state is AssetState.PRESENT
    assert mirrored.state.fingerprint == fingerprint
    assert [s.component for s in mirrored.catalog.lag_samples(run.started)] == [
        "releases"
    ]
    mirrored.syncs(Outcome.UNCHANGED)
    assert mirrored.state.generation == 2


def test_a_push_and_a_release_are_one_generation(mirrored: Mirrored) -> None:
    """A tag often comes with its release: both are published at once."""
    commit = mirrored.push()
    mirrored.upstream.release("v3").asset("tool.whl", b"three")

    run = mirrored.syncs()

    assert run.generation == mirrored.state.generation == 2
    assert mirrored.head() == commit
    assert mirrored.asset("v3", "tool.whl").state is AssetState.PRESENT


@pytest.mark.parametrize("step", ["migrate", "publish", "finish", "return"])
def test_a_death_between_intent_and_finish_loses_nothing(
    mirrored: Mirrored, step: str
) -> None:
    """Refs and releases are both old or both new, and new after the next run."""
    commit, before = mirrored.push(), mirrored.records()
    mirrored.upstream.release("v3").asset("tool.whl", b"three")
    mirrored.dies_at(step)
    with pytest.raises(Killed):
        mirrored.run()
    mirrored.lives()
    assert mirrored.records() == before

    mirrored.pipeline.recover(mirrored.state)
    both = (mirrored.head() == commit, len(mirrored.records()) == 3)
    assert both in {(True, True), (False, False)}
    mirrored.sync()

    assert mirrored.head() == commit
    assert mirrored.asset("v3", "tool.whl").state is AssetState.PRESENT
    assert mirrored.state.generation == 2
    assert mirrored.catalog.intent(mirrored.state.id) is None
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)


@pytest.mark.parametrize("call", ["open_run", "publish_releases"])
def test_a_catalog_that_fails_publishes_nothing(mirrored: Mirrored, call: str) -> None:
    """The run is FAILED with the reason, and the next one ends the work."""
    before = mirrored.records()
    mirrored.upstream.releases[0].asset("late.whl", b"late")
    busy = CatalogBusy("the catalog is busy; nothing was recorded")

    with patch.object(mirrored.catalog, call, side_effect=busy):
        run = mirrored.syncs(Outcome.FAILED, after=HOUR)

    assert "busy" in str(run.error)
    assert mirrored.records() == before
    mirrored.syncs()
    assert mirrored.asset("v1", "late.whl").state is AssetState.PRESENT
    assert len(mirrored.api.downloads) == (call == "open_run")


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("the object store does not answer"),
        NoSpace("the object store is full"),
        IntegrityError("it is another object"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_store_that_fails_keeps_no_ref_waiting(
    mirrored: Mirrored, error: SyncerError
) -> None:
    """The refs move; the releases come with a later run, and all of them."""
    commit = mirrored.push()
    mirrored.upstream.release("v3").asset("tool.whl", b"three")
    mirrored.blobs.errors["write"] = [error] * 9

    run = mirrored.syncs(Outcome.PARTIAL)

    assert mirrored.head() == commit
    assert run.generation == 2
    shown = [(tag, each.state) for tag, each in mirrored.assets() if tag == "v3"]
    assert shown in ([], [("v3", AssetState.MISSING)])
    mirrored.blobs.errors.clear()
    mirrored.syncs(after=2 * HOUR)
    assert mirrored.asset("v3", "tool.whl").state is AssetState.PRESENT
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)


def test_an_interruption_ends_the_run(mirrored: Mirrored) -> None:
    """A stop says nothing of upstream: nothing is published, nothing counted."""
    before = mirrored.state
    mirrored.upstream.release("v3").asset("tool.whl", b"three")
    stopped = Interrupted("stopped on request")

    with patch.object(mirrored.transfers, "run", side_effect=stopped):
        run = mirrored.syncs(Outcome.FAILED, after=HOUR)

    assert run.exit_code == Interrupted.exit_code
    after = mirrored.state
    assert after.releases.failures == after.failures == 0
    assert after.generation == before.generation
    assert len(mirrored.records()) == 2


def test_what_upstream_replaces_or_deletes_is_kept_and_told(
    mirrored: Mirrored,
) -> None:
    """Tombstones with their bytes, and events for a person to read."""
    first, second = mirrored.upstream.releases
    first.assets[0].replace(b"another")
    second.assets[1].delete()

    mirrored.syncs(after=HOUR)

    left = {
        (tag, each.asset.name): each
        for tag, each in mirrored.assets()
        if each.gone is not None
    }
    old = left["v1", "tool.whl"]
    assert old.departure is Departure.REPLACED
    assert mirrored.blobs.body(str(old.blob)) == b"one"
    gone = left["v2", "notes.txt"]
    assert gone.departure is Departure.DELETED
    assert mirrored.blobs.body(str(gone.blob)) == b"old"
    now = mirrored.asset("v1", "tool.whl")
    assert mirrored.blobs.body(str(now.blob)) == b"another"
    assert sorted(mirrored.events()) == ["asset-deleted", "asset-replaced"]
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)
    assert len(mirrored.events()) == 2


def test_a_change_in_an_immutable_release_is_told(mirrored: Mirrored) -> None:
    """Attested bytes that change are an incident; the attestation is kept beside."""
    fixed = mirrored.upstream.release("v3", immutable=True)
    asset = fixed.asset("tool.whl", b"three")
    mirrored.syncs(after=HOUR)
    attestation = mirrored.asset("v3", "tool.whl").attestation
    assert attestation is not None
    assert mirrored.blobs.body(attestation)
    asset.replace(b"forged")

    mirrored.syncs(after=HOUR)

    assert mirrored.events() == ["immutable-release-changed"]
    old = [e for tag, e in mirrored.assets() if tag == "v3" and e.gone]
    assert [e.attestation for e in old] == [attestation]


def test_a_deleted_release_is_asked_for_by_itself(mirrored: Mirrored) -> None:
    """Only its own 404 is evidence; what comes back lifts the tombstone."""
    lost = mirrored.upstream.releases[0]
    lost.delete()
    run = mirrored.syncs(after=HOUR)
    assert mirrored.asked().count("release") == 1
    assert mirrored.events() == ["release-deleted"]
    assert next(r for r in mirrored.records() if r.release.tag == "v1").gone
    assert run.releases.fetched == 0
    # GitHub never does it; a backup that is restored might.
    mirrored.upstream.releases.append(lost)
    mirrored.api.state.assets[lost.assets[0].id] = lost.assets[0]

    mirrored.syncs(after=HOUR)

    assert mirrored.api.downloads == []
    assert mirrored.asset("v1", "tool.whl").state is AssetState.PRESENT


def test_a_release_that_a_shifting_listing_hides_is_kept(mirrored: Mirrored) -> None:
    """A page that was read while the one before it grew shows one less."""
    real = mirrored.api.releases

    def hides(*words: object) -> object:
        listing = real(*words)  # type: ignore[arg-type]  # as it is called
        page = replace(listing.pages[0], ids=listing.pages[0].ids[1:], etag="shift")
        return replace(listing, pages=(page,), releases=listing.releases[1:])

    with patch.object(mirrored.api, "releases", hides):
        mirrored.sync(after=HOUR)

    assert mirrored.asked("describe", "open") == ["releases", "release"]
    assert [r.gone for r in mirrored.records()] == [None, None]
    assert mirrored.events() == []
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)


def test_a_mass_disappearance_waits_for_a_person(mirrored: Mirrored) -> None:
    """HELD: nothing is told gone, and the refs wait too, until it is accepted."""
    for number in range(10):
        mirrored.upstream.release(f"w{number}").asset("x", b"%d" % number)
    mirrored.syncs(after=HOUR)
    before, commit = mirrored.head(), mirrored.push()
    for release in mirrored.upstream.releases[2:]:
        release.delete()

    run = mirrored.syncs(Outcome.HELD, after=HOUR)

    assert "10 of 12 releases are gone upstream at once" in str(run.error)
    assert "syncer accept" in str(run.hint)
    assert [r.gone for r in mirrored.records()] == [None] * 12
    since = mirrored.state.held
    mirrored.syncs(Outcome.HELD, after=HOUR)
    assert mirrored.state.held == since
    assert mirrored.head() == before
    mirrored.accept()
    mirrored.syncs(after=HOUR)
    assert mirrored.head() == commit
    assert sum(r.gone is None for r in mirrored.records()) == 2
    assert mirrored.state.held is None
    assert mirrored.events() == ["release-deleted"] * 10
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)


def test_a_changed_selection_is_a_look_of_its_own(mirrored: Mirrored) -> None:
    """`latest:N`, globs, off, and on again: bytes that are here stay here."""
    mirrored.select(latest=1)
    mirrored.syncs()
    assert mirrored.asset("v1", "tool.whl").state is AssetState.UNWANTED
    assert mirrored.state.releases.counts.total == 2
    mirrored.select(assets=("*.whl",))
    mirrored.syncs()
    assert mirrored.asset("v1", "tool.whl").state is AssetState.PRESENT
    assert mirrored.asset("v2", "notes.txt").state is AssetState.UNWANTED
    mirrored.select(wanted=False)
    mirrored.upstream.release("v3").asset("tool.whl", b"three")
    mirrored.syncs(Outcome.UNCHANGED, after=DAY)
    assert "releases" not in mirrored.asked()
    mirrored.select()
    mirrored.syncs()
    assert [pointer.size for pointer, _ in mirrored.api.downloads] == [5]
    assert mirrored.state.releases.counts.present == 4
    mirrored.syncs(Outcome.UNCHANGED)


def test_an_asset_that_upstream_refuses_is_missing_and_asked_for_again(
    mirrored: Mirrored,
) -> None:
    """The rest is published; the retry is a look, though the page says 304."""
    lost = mirrored.upstream.release("v3").asset("tool.whl", b"three")
    kept = mirrored.upstream.releases[2].asset("other.whl", b"other")
    del mirrored.api.state.assets[lost.id]
    run = mirrored.syncs(Outcome.PARTIAL, after=HOUR)
    assert "v3/tool.whl" in " ".join(run.notes)
    assert mirrored.asset("v3", kept.name).state is AssetState.PRESENT
    missing = mirrored.asset("v3", "tool.whl")
    assert (missing.state, missing.tries) == (AssetState.MISSING, 1)
    assert missing.retry_at is not None
    mirrored.syncs(Outcome.PARTIAL)
    assert mirrored.asked() == []
    mirrored.api.state.assets[lost.id] = lost

    run = mirrored.syncs(after=missing.retry_at - mirrored.clock.now())

    assert mirrored.asset("v3", "tool.whl").state is AssetState.PRESENT
    assert run.generation == mirrored.state.generation
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)


def test_a_dead_run_whose_assets_are_missing_is_partial(mirrored: Mirrored) -> None:
    """Who finishes it later tells the same of it."""
    mirrored.push()
    lost = mirrored.upstream.release("v3").asset("tool.whl", b"three")
    del mirrored.api.state.assets[lost.id]
    mirrored.dies_at("finish")
    with pytest.raises(Killed):
        mirrored.run()
    mirrored.lives()

    mirrored.pipeline.recover(mirrored.state)

    assert mirrored.asset("v3", "tool.whl").state is AssetState.MISSING
    (run,) = mirrored.catalog.runs(None, 1)
    assert (run.outcome, run.generation) == (Outcome.PARTIAL, 2)


def test_an_upload_that_has_not_ended_is_left_alone(mirrored: Mirrored) -> None:
    """Its state is `open`: it is no asset yet, and missing to nobody."""
    half = mirrored.upstream.release("v3").asset("tool.whl", b"three", state="open")
    mirrored.syncs(after=HOUR)
    assert mirrored.api.downloads == []
    assert mirrored.state.releases.counts.total == 3
    half.state = "uploaded"
    mirrored.syncs(after=HOUR)
    assert mirrored.asset("v3", "tool.whl").state is AssetState.PRESENT
    assert mirrored.catalog.state(WIDGET).releases.counts.total == 4
