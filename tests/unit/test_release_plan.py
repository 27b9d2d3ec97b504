"""What a listing changes of what is known, and which assets it wants."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.model.blobs import Blob
from syncer.model.releases import (
    Asset,
    AssetRecord,
    AssetState,
    Departure,
    Proof,
    Release,
    ReleaseRecord,
    asset_pointer,
)
from syncer.model.selection import ReleaseSelection
from syncer.sync.arrivals import Brought, settled
from syncer.sync.guard import is_mass
from syncer.sync.release_plan import ReleasePlan, plan, vanished

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ALL = ReleaseSelection()
NONE: frozenset[int] = frozenset()


def asset(id_: int, name: str = "a.whl", digest: str | None = "a") -> Asset:
    """Return an asset of 10 bytes; `digest` is one letter."""
    return Asset(id_, f"A_{id_}", name, 10, digest * 64 if digest else None)


def release(id_: int, *assets: Asset, tag: str | None = None) -> Release:
    """Return a release that was published on its id's day."""
    published = datetime(2025, 1, id_, tzinfo=UTC)
    return Release(
        id_, f"R_{id_}", tag or f"v{id_}", published=published, assets=assets
    )


def arrived(drafted: ReleasePlan) -> dict[str, Brought]:
    """Return a transfer that brought everything; unnamed bytes turn out to be `f`s."""
    return {
        asset_pointer(each).oid: Brought(Blob(each.digest or "f" * 64, each.size))
        for _, each in drafted.wanted
    }


def follow(
    stored: list[ReleaseRecord],
    *shown: Release,
    gone: frozenset[int] = NONE,
    selection: ReleaseSelection = ALL,
    now: datetime = NOW,
) -> tuple[list[ReleaseRecord], ReleasePlan]:
    """Return what is known after a visit that brought all it wanted."""
    drafted = plan(stored, shown, gone, selection, now)
    records = settled(drafted.records, arrived(drafted), now)
    known = {each.release.id: each for each in stored} | records
    return list(known.values()), drafted


def only(records: list[ReleaseRecord], release_id: int = 1) -> tuple[AssetRecord, ...]:
    """Return the assets of one release, those that are here last."""
    found = next(each for each in records if each.release.id == release_id)
    return tuple(sorted(found.assets, key=lambda each: each.gone is None))


def actions(drafted: ReleasePlan) -> list[str]:
    """Return what happened, in order."""
    return [event.action for event in drafted.events]


def test_a_new_release_wants_its_assets() -> None:
    """Each that is uploaded and chosen, with its release."""
    half = replace(asset(3, "half.bin"), uploaded=False)
    records, drafted = follow([], release(1, asset(1), asset(2, "b.whl", None), half))
    assert [each.name for _, each in drafted.wanted] == ["a.whl", "b.whl"]
    first, second, third = only(records)
    assert (first.state, first.proof) == (AssetState.PRESENT, Proof.VERIFIED)
    assert (second.blob, second.proof) == ("f" * 64, Proof.PINNED)
    assert (third.state, third.blob) == (AssetState.UNWANTED, None)


def test_the_same_listing_again_changes_nothing() -> None:
    """No record, no download, no event."""
    shown = release(1, asset(1), asset(2, "b.whl", None))
    records, _ = follow([], shown)
    assert not plan(records, [shown], NONE, ALL, LATER)
    assert not plan(records, [], NONE, ALL, LATER)


def test_a_replaced_asset_keeps_the_old_bytes_and_raises_an_event() -> None:
    """Same name, another id: both are known, the new one is current."""
    records, _ = follow([], release(1, asset(1)))
    records, drafted = follow(records, release(1, asset(2, digest="b")), now=LATER)
    old, new = only(records)
    assert (old.blob, old.gone, old.departure) == (
        "a" * 64,
        LATER,
        Departure.REPLACED,
    )
    assert (new.blob, new.state) == ("b" * 64, AssetState.PRESENT)
    assert actions(drafted) == ["asset-replaced"]
    assert drafted.events[0].alarming


def test_another_digest_below_the_same_id_is_a_replacement_too() -> None:
    """Whatever upstream calls it: these are other bytes."""
    records, _ = follow([], release(1, asset(1)))
    records, drafted = follow(records, release(1, asset(1, digest="b")))
    assert [each.blob for each in only(records)] == ["a" * 64, "b" * 64]
    assert actions(drafted) == ["asset-replaced"]


def test_a_change_in_an_immutable_release_is_an_incident() -> None:
    """Upstream promised that this cannot happen."""
    fixed = replace(release(1, asset(1)), immutable=True)
    records, _ = follow([], fixed)
    changed = replace(release(1, asset(2, digest="b")), immutable=True)
    _, drafted = follow(records, changed)
    assert actions(drafted) == ["immutable-release-changed"]
    _, drafted = follow(records, replace(fixed, immutable=False, tag="v9"))
    assert actions(drafted) == ["immutable-release-changed"] * 2
    assert all(event.alarming for event in drafted.events)


def test_a_deleted_asset_becomes_a_tombstone() -> None:
    """Its bytes stay until retention gives them up."""
    records, _ = follow([], release(1, asset(1), asset(2, "b.whl", "b")))
    records, drafted = follow(records, release(1, asset(1)), now=LATER)
    lost = only(records)[0]
    assert (lost.blob, lost.gone, lost.departure) == (
        "b" * 64,
        LATER,
        Departure.DELETED,
    )
    assert actions(drafted) == ["asset-deleted"]


def test_a_deleted_asset_that_comes_back_is_not_downloaded_again() -> None:
    """The tombstone is lifted: it is the same file."""
    both = release(1, asset(1), asset(2, "b.whl", "b"))
    records, _ = follow([], both)
    records, _ = follow(records, release(1, asset(1)), now=LATER)
    records, drafted = follow(records, both, now=LATER)
    assert drafted.wanted == ()
    assert [each.gone for each in only(records)] == [None, None]


def test_a_release_that_upstream_denies_keeps_its_bytes() -> None:
    """Only positive evidence makes the tombstone; nothing is unlinked."""
    records, _ = follow([], release(1, asset(1)), release(2, asset(2, digest="b")))
    assert [each.release.id for each in vanished(records, frozenset({2}))] == [1]
    records, drafted = follow(records, gone=frozenset({1}), now=LATER)
    lost = next(each for each in records if each.release.id == 1)
    assert lost.gone == LATER
    assert [each.blob for each in lost.assets] == ["a" * 64]
    assert actions(drafted) == ["release-deleted"]
    assert not plan(records, [], NONE, ALL, LATER)


def test_a_digest_that_comes_later_proves_what_was_pinned() -> None:
    """Equal: verified. Another: these are not the bytes, and both are kept."""
    records, _ = follow([], release(1, asset(1, digest=None)))
    again, drafted = follow(records, release(1, asset(1, digest="f")))
    assert only(again)[0].proof is Proof.VERIFIED
    assert drafted.wanted == ()
    wrong, drafted = follow(records, release(1, asset(1, digest="b")))
    assert [each.blob for each in only(wrong)] == ["f" * 64, "b" * 64]
    assert actions(drafted) == ["asset-replaced"]


def test_latest_takes_the_newest_and_keeps_the_bytes_of_the_rest() -> None:
    """An older release falls out of the selection, not out of the store."""
    one = ReleaseSelection(latest=1)
    records, drafted = follow([], release(1, asset(1)), selection=one)
    assert len(drafted.wanted) == 1
    newer = release(2, asset(2, digest="b"))
    records, drafted = follow(records, newer, selection=one, now=LATER)
    assert [each.id for _, each in drafted.wanted] == [2]
    old = only(records, 1)[0]
    assert (old.state, old.blob) == (AssetState.UNWANTED, "a" * 64)
    assert old.since == LATER
    back, drafted = follow(records, selection=ALL, now=LATER)
    assert drafted.wanted == ()
    assert only(back, 1)[0].state is AssetState.PRESENT


def test_what_is_missing_is_wanted_again_when_its_time_has_come() -> None:
    """Not before; and its record stays as it is until then."""
    first = plan([], [release(1, asset(1))], NONE, ALL, NOW)
    refused = {"a" * 64: Brought(reason="404")}
    stored = list(settled(first.records, refused, NOW).values())
    waiting = only(stored)[0]
    assert (waiting.state, waiting.tries) == (AssetState.MISSING, 1)
    assert waiting.retry_at is not None
    assert not plan(stored, [], NONE, ALL, NOW)
    due = plan(stored, [], NONE, ALL, waiting.retry_at)
    assert [each.id for _, each in due.wanted] == [1]


def damaged(records: list[ReleaseRecord]) -> list[ReleaseRecord]:
    """Return the records with every asset's bytes found wrong."""
    return [
        replace(
            record,
            assets=tuple(
                replace(each, state=AssetState.DAMAGED, retry_at=NOW)
                for each in record.assets
            ),
        )
        for record in records
    ]


def test_a_pinned_asset_that_is_lost_is_held_to_its_pin() -> None:
    """Other bytes than those that were seen first are not taken in their place."""
    records, _ = follow([], release(1, asset(1, digest=None)))
    drafted = plan(damaged(records), [], NONE, ALL, NOW)
    assert [each.digest for _, each in drafted.wanted] == ["f" * 64]
    good = {"f" * 64: Brought(Blob("f" * 64, 10))}
    found = settled({1: damaged(records)[0]}, good, NOW)[1].assets[0]
    assert (found.state, found.proof) == (AssetState.PRESENT, Proof.PINNED)
    assert found.asset.digest is None
    other = {"f" * 64: Brought(Blob("e" * 64, 10))}
    found = settled({1: damaged(records)[0]}, other, NOW)[1].assets[0]
    assert (found.state, found.blob) == (AssetState.DAMAGED, "f" * 64)


def test_damaged_bytes_that_nobody_wants_are_no_bytes() -> None:
    """Wanted again, the asset is downloaded, not believed."""
    records, _ = follow([], release(1, asset(1)))
    off = ReleaseSelection(assets=("none",))
    records, _ = follow(damaged(records), selection=off)
    assert [each.blob for each in only(records)] == [None]
    _, drafted = follow(records)
    assert [each.id for _, each in drafted.wanted] == [1]


def test_an_edited_note_is_a_change_without_downloads() -> None:
    """The release's words are mirrored as well."""
    records, _ = follow([], release(1, asset(1)))
    edited = replace(release(1, asset(1)), body="new notes")
    records, drafted = follow(records, edited)
    assert drafted.wanted == ()
    assert records[0].release.body == "new notes"


@pytest.mark.parametrize(
    ("gone", "total", "mass"),
    [(9, 9, False), (10, 199, True), (10, 200, False), (11, 200, True), (0, 0, False)],
)
def test_a_mass_disappearance_is_not_believed(
    gone: int, total: int, *, mass: bool
) -> None:
    """Over 5 % and at least 10 at once wait for a person."""
    assert is_mass(gone, total) is mass


ASSETS = st.builds(
    asset,
    st.integers(1, 4),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([None, "a", "b", "c"]),
)
RELEASES = st.builds(
    lambda id_, assets: release(id_, *{a.id: a for a in assets}.values()),
    st.integers(1, 3),
    st.lists(ASSETS, max_size=3),
)
VISITS = st.lists(
    st.tuples(
        st.lists(RELEASES, max_size=3, unique_by=lambda each: each.id),
        st.sampled_from(
            [ALL, ReleaseSelection(latest=1), ReleaseSelection(assets=("a",))]
        ),
        st.frozensets(st.integers(1, 3), max_size=2),
    ),
    max_size=5,
)


@given(VISITS)
def test_no_listing_ever_gives_up_bytes(
    visits: list[tuple[list[Release], ReleaseSelection, frozenset[int]]],
) -> None:
    """Promise 5: whatever upstream shows, every blob stays referred to."""
    records: list[ReleaseRecord] = []
    for count, (shown, selection, denied) in enumerate(visits):
        now = NOW + timedelta(hours=count)
        gone = denied - {each.id for each in shown}
        before = blobs(records)
        records, _ = follow(records, *shown, gone=gone, selection=selection, now=now)
        assert before <= blobs(records)
        states = {
            (each.state, each.blob is not None)
            for record in records
            for each in record.assets
        }
        assert (AssetState.PRESENT, False) not in states
        assert (AssetState.MISSING, True) not in states
        again = plan(records, shown, NONE, selection, now)
        assert not again


def blobs(records: list[ReleaseRecord]) -> set[str]:
    """Return every blob that some asset refers to."""
    return {
        each.blob
        for record in records
        for each in record.assets
        if each.blob is not None
    }
