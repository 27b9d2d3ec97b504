"""What every release index keeps of releases and assets, and what publishes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.errors import PermanentError
from syncer.model.lfs import LfsObject, LfsPointer, LfsState
from syncer.model.mirrors import Held
from syncer.model.origin import Event
from syncer.model.releases import (
    Asset,
    AssetRecord,
    AssetState,
    Author,
    Departure,
    Page,
    Pin,
    Proof,
    Release,
    ReleaseChanges,
    ReleaseCounts,
    ReleaseRecord,
    ReleaseState,
    ReleaseTally,
)
from syncer.model.runs import AuditEvent, LagSample, Outcome, ProbeResult, Stage
from tests.contracts.blob_index import A, B, C, Facts, store
from tests.contracts.catalog import (
    GIT,
    LATIN,
    MINUTE,
    QWEN,
    RECEIPT,
    T0,
    ended,
    event,
    hold,
    intent_of,
    opened,
    published,
)

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.blobs import Blob
    from syncer.model.runs import SyncRun
    from syncer.ports import ReleaseIndex

DAY = timedelta(days=1)
LATER = T0 + DAY
NEWS = Event("asset-replaced", "v1 a.whl: the old bytes are kept", alarming=True)
#: What upstream may write anywhere: no ASCII, a lone escape, a line's end.
WORDS = "caf\N{LATIN SMALL LETTER E WITH ACUTE}\x1b[1m \N{PILE OF POO}\r\n\u2028"
PAGES = (
    Page("https://api.test/r?page=1", 'W/"one"', (2**40, 7), "https://api.test/2", T0),
    Page("https://api.test/2", None, (5,)),
)


@dataclass(frozen=True)
class Shelves(Facts):
    """A catalog with two mirrors, and both indexes that share its database."""

    releases: ReleaseIndex

    @property
    def state(self) -> ReleaseState:
        """What the schedule knows of a mirror's releases."""
        return self.catalog.state(GIT).releases


def asset_of(number: int, **more: object) -> Asset:
    """Return an asset as upstream shows it, another one for each number."""
    shown = Asset(number, f"RA_{number}", f"file-{number}.whl", 100 + number)
    return replace(shown, **more)  # type: ignore[arg-type]  # the fields are the test's


def here(number: int, blob: Blob, **more: object) -> AssetRecord:
    """Return an asset whose bytes are here."""
    shown = asset_of(number, size=blob.size, digest=blob.digest)
    known = AssetRecord(
        shown, AssetState.PRESENT, blob.digest, Proof.VERIFIED, since=T0
    )
    return replace(known, **more)  # type: ignore[arg-type]  # the fields are the test's


def lacking(number: int, retry_at: datetime = LATER) -> AssetRecord:
    """Return an asset that upstream did not give."""
    return AssetRecord(
        asset_of(number),
        AssetState.MISSING,
        reason="404: Not Found",
        since=T0,
        retry_at=retry_at,
        tries=3,
    )


def record_of(
    number: int, *assets: AssetRecord, at: datetime = T0, tag: str = "v1"
) -> ReleaseRecord:
    """Return a release with its assets."""
    shown = Release(number, f"RE_{number}", tag, published=at)
    return ReleaseRecord(shown, assets)


def gone(each: AssetRecord, at: datetime = T0) -> AssetRecord:
    """Return an asset as a tombstone."""
    return replace(each, gone=at, departure=Departure.REPLACED, retry_at=None)


def changes_of(*records: ReleaseRecord, listed: datetime = T0) -> ReleaseChanges:
    """Return what a listing makes of releases."""
    return ReleaseChanges(records, PAGES, "selected", listed)


FULL = ReleaseRecord(
    Release(
        id=2**40,
        node_id="RE_kwDO",
        tag=LATIN.removeprefix("refs/heads/"),
        target="main",
        title=WORDS,
        body=WORDS * 5000,
        author=Author(2**33, "octocat"),
        draft=True,
        prerelease=True,
        immutable=True,
        created=T0,
        published=LATER,
        updated=LATER + MINUTE,
    ),
    (
        AssetRecord(
            asset=Asset(
                id=2**41,
                node_id="RA_kwDO",
                name=WORDS,
                size=2**45,
                digest="c" * 64,
                uploaded=False,
                label="",
                content_type="application/zip",
                created=T0,
                updated=LATER,
                uploader=Author(2**34, "hubot[bot]"),
            ),
            state=AssetState.UNWANTED,
            blob=A.digest,
            proof=Proof.PINNED,
            reason=WORDS,
            since=T0,
            tries=4,
            gone=LATER,
            departure=Departure.DELETED,
            attestation=B.digest,
        ),
    ),
    gone=LATER,
    selected=False,
)


def publish(shelves: Shelves, *records: ReleaseRecord, at: datetime = T0) -> SyncRun:
    """Publish releases of a mirror by a run of their own, with their blobs stored."""
    run = opened(shelves.catalog, shelves.catalog.state(GIT), at, seen=False)
    done = ended(run, Outcome.CHANGED)
    changes = changes_of(*records, listed=at)
    return shelves.catalog.publish_releases(done, changes, [])


class RecordContract:
    """What is published is read as it was."""

    def test_nothing_is_known_at_first(self, shelves: Shelves) -> None:
        """No release, no page, nothing due, and no time of a look."""
        index = shelves.releases
        assert index.releases(shelves.git) == []
        assert index.pages(shelves.git) == []
        assert index.due(shelves.git, LATER) == []
        assert shelves.state == ReleaseState()

    def test_every_field_is_kept(self, shelves: Shelves) -> None:
        """Of releases, assets and pages, whatever upstream wrote into them."""
        store(shelves, A, B)
        publish(shelves, FULL)

        assert shelves.releases.releases(shelves.git) == [FULL]
        assert shelves.releases.pages(shelves.git) == list(PAGES)
        assert shelves.releases.releases(shelves.qwen) == []

    def test_releases_come_newest_first(self, shelves: Shelves) -> None:
        """As published, else created, then by id; assets by id, tombstones first."""
        store(shelves, A, B)
        undated = ReleaseRecord(Release(9, "RE_9", "nightly"))
        drafted = ReleaseRecord(Release(3, "RE_3", "v3", created=LATER + DAY))
        replaced = gone(here(4, A), LATER)
        twice = record_of(
            1, here(8, B), replace(here(4, B), since=LATER), replaced, lacking(2)
        )
        publish(shelves, undated, twice, record_of(2), record_of(4, at=LATER), drafted)

        found = shelves.releases.releases(shelves.git)
        assert [each.release.id for each in found] == [3, 4, 2, 1, 9]
        assert [(a.asset.id, a.gone) for a in found[3].assets] == [
            *[(2, None), (4, LATER), (4, None), (8, None)]
        ]

    def test_a_record_replaces_all_of_its_assets(self, shelves: Shelves) -> None:
        """What has no bytes may be left out; releases not named stay as they were."""
        store(shelves, A, B)
        other = record_of(2, here(20, B))
        publish(shelves, record_of(1, here(10, A), lacking(11)), other)
        again = record_of(1, gone(here(10, A)), lacking(12), tag="v1.1")
        publish(shelves, again, at=LATER)

        assert shelves.releases.releases(shelves.git) == [other, again]

    def test_no_bytes_are_forgotten(self, shelves: Shelves) -> None:
        """A record that does not name an asset with its blob is refused."""
        store(shelves, A, B)
        before = record_of(1, here(10, A))
        publish(shelves, before)
        for bad in (record_of(1), record_of(1, here(10, B)), record_of(1, lacking(10))):
            with pytest.raises(PermanentError, match="does not name asset 10"):
                publish(shelves, bad, at=LATER)

        assert shelves.releases.releases(shelves.git) == [before]
        assert shelves.state.checked == T0

    def test_a_file_that_comes_back_is_no_tombstone(self, shelves: Shelves) -> None:
        """Its bytes have been here all the time."""
        store(shelves, A)
        publish(shelves, record_of(1, gone(here(10, A))))
        publish(shelves, record_of(1, here(10, A)))

        assert shelves.releases.releases(shelves.git) == [record_of(1, here(10, A))]

    def test_what_is_here_or_gone_is_owed_by_nobody(self, shelves: Shelves) -> None:
        """A reason or a time to ask again, told by mistake, is not kept."""
        store(shelves, A)
        told = replace(here(1, A), reason="x", retry_at=LATER, tries=2)
        left = replace(gone(lacking(2)), retry_at=LATER)
        publish(shelves, record_of(1, told, left))

        (found,) = shelves.releases.releases(shelves.git)
        assert found.assets == (here(1, A), gone(lacking(2)))

    @pytest.mark.parametrize(
        "bad",
        [
            replace(lacking(1), retry_at=None),
            replace(lacking(1), blob=A.digest, proof=Proof.PINNED),
            replace(here(1, A), blob=None),
            replace(here(1, A), proof=None),
            replace(here(1, A), gone=T0),
            replace(lacking(1), state=AssetState.UNWANTED),
        ],
        ids=["unowed", "away", "no blob", "unproven", "no departure", "owed"],
    )
    def test_contradictions_are_refused(
        self, shelves: Shelves, bad: AssetRecord
    ) -> None:
        """Nothing of them is stored, and the run is still open."""
        store(shelves, A)
        with pytest.raises(PermanentError):
            publish(shelves, record_of(1, bad))

        assert shelves.releases.releases(shelves.git) == []
        assert shelves.catalog.runs(GIT, 1)[0].outcome is None

    def test_a_release_is_named_once(self, shelves: Shelves) -> None:
        """Which of two would count is nobody's guess."""
        with pytest.raises(PermanentError, match="named twice"):
            publish(shelves, record_of(1), record_of(1))

    def test_a_purged_mirror_leaves_nothing(self, shelves: Shelves) -> None:
        """Neither rows nor a need of blobs."""
        store(shelves, A, B)
        publish(shelves, FULL)
        mirror_id = shelves.git
        shelves.catalog.reconcile([(QWEN, "normal")], T0)
        shelves.catalog.purge(GIT, event("purge"))

        assert shelves.releases.releases(mirror_id) == []
        assert shelves.releases.pages(mirror_id) == []
        assert len(shelves.index.condemn(LATER)) == 2


class PublishContract:
    """`publish_releases`, and `finish` with releases."""

    def test_releases_alone_end_a_run(self, shelves: Shelves) -> None:
        """A generation more, and what is known of the refs stays."""
        first = published(shelves.catalog, shelves.catalog.state(GIT))
        before = shelves.catalog.state(GIT)
        store(shelves, A)
        run = opened(shelves.catalog, before, LATER, seen=False)
        tally = ReleaseTally(1, 2, 3, 2**40, 5)
        told = replace(ended(run, Outcome.CHANGED), releases=tally)
        shelves.index.claim(shelves.git, [A.digest], LATER)
        changes = changes_of(record_of(1, here(1, A)), listed=LATER)
        done = shelves.catalog.publish_releases(told, changes, [NEWS])

        state = shelves.catalog.state(GIT)
        assert (done.generation, done.stage) == (first.generation + 1, Stage.RECORD)
        assert state == replace(
            before,
            generation=2,
            outcome=Outcome.CHANGED,
            last_attempt=LATER,
            last_success=LATER,
            releases=ReleaseState(
                checked=LATER,
                asked="selected",
                counts=ReleaseCounts(1, size=A.size, releases=1),
            ),
        )
        assert shelves.catalog.runs(GIT, 1) == [done]
        assert shelves.catalog.unfinished() == []
        assert shelves.index.claimed([A.digest]) == frozenset()
        assert shelves.catalog.audit_events(1) == [
            AuditEvent(
                *(done.ended or T0, "upstream", NEWS.action, "git/git", NEWS.detail),
                alarming=NEWS.alarming,
            )
        ]

    def test_releases_have_a_lag_of_their_own(self, shelves: Shelves) -> None:
        """From the first sight of the change, and after the look before it."""
        publish(shelves, record_of(1))
        shelves.releases.observe(shelves.git, LATER - MINUTE)
        shelves.releases.observe(shelves.git, LATER)
        assert shelves.state.behind_since == LATER - MINUTE
        publish(shelves, record_of(2), at=LATER)

        assert shelves.state.behind_since is None
        assert shelves.catalog.lag_samples(T0) == [
            LagSample(shelves.git, GIT, "releases", T0, T0 + 2 * MINUTE),
            LagSample(
                *(shelves.git, GIT, "releases", LATER - MINUTE, LATER + 2 * MINUTE),
                not_before=T0,
            ),
        ]

    def test_a_publication_is_recorded_once(self, shelves: Shelves) -> None:
        """Who lost the answer asks again, and hears the same."""
        run = ended(
            opened(shelves.catalog, shelves.catalog.state(GIT)), Outcome.CHANGED
        )
        changes = changes_of(record_of(1))
        once = shelves.catalog.publish_releases(run, changes, [NEWS])
        again = shelves.catalog.publish_releases(run, changes, [NEWS])

        assert again.generation == once.generation == 1
        assert len(shelves.catalog.lag_samples(T0)) == 1
        assert len(shelves.catalog.audit_events(9)) == 1

    def test_a_run_that_is_over_publishes_nothing(self, shelves: Shelves) -> None:
        """Another process took it for dead, or it never began."""
        run = opened(shelves.catalog, shelves.catalog.state(GIT))
        shelves.catalog.abandon_runs(shelves.git, T0, "died")
        for dead in (run, replace(run, id=run.id + 99)):
            with pytest.raises(PermanentError, match="not open"):
                shelves.catalog.publish_releases(
                    ended(dead, Outcome.CHANGED), changes_of(record_of(1)), []
                )
        assert shelves.releases.releases(shelves.git) == []

    def test_missing_assets_keep_no_ref_waiting(self, shelves: Shelves) -> None:
        """PARTIAL, and yet the refs' digest counts: the next probe is a probe."""
        published(shelves.catalog, shelves.catalog.state(GIT))
        before = shelves.catalog.state(GIT)
        run = ended(opened(shelves.catalog, before, LATER, seen=False), Outcome.PARTIAL)
        changes = changes_of(record_of(1, lacking(1)))
        shelves.catalog.publish_releases(run, changes, [])

        after = shelves.catalog.state(GIT)
        assert (after.outcome, after.fingerprint) == (
            Outcome.PARTIAL,
            before.fingerprint,
        )
        assert after.releases.counts == ReleaseCounts(
            missing=1, retry_at=LATER, releases=1
        )

    def test_what_holds_the_refs_stays(self, shelves: Shelves) -> None:
        """Releases are published beside it; the person is still asked."""
        held = Held("refs vanished", T0)
        hold(shelves.catalog, shelves.catalog.state(GIT), held)
        run = ended(opened(shelves.catalog, shelves.catalog.state(GIT)), Outcome.HELD)
        shelves.catalog.publish_releases(run, changes_of(record_of(1)), [])

        assert shelves.catalog.state(GIT).held == held

    @pytest.mark.parametrize("state", ["unknown", "damaged", "seized"])
    @pytest.mark.parametrize("of", ["bytes", "attestation"])
    def test_what_is_not_in_the_store_is_not_published(
        self, shelves: Shelves, state: str, of: str
    ) -> None:
        """Neither an asset without its bytes, nor one without its attestation."""
        store(shelves, A)
        if state != "unknown":
            store(shelves, B)
        if state == "damaged":
            shelves.index.damaged(B.digest, T0, "lost")
        if state == "seized":
            shelves.index.condemn(T0 - DAY)
            assert B in shelves.index.seize(T0, T0, 9)
            store(shelves, A)
        attested = here(1, A, attestation=B.digest)
        bad = here(1, B) if of == "bytes" else attested
        with pytest.raises(PermanentError, match="not known to be stored"):
            publish(shelves, record_of(1, bad))

        assert shelves.releases.releases(shelves.git) == []
        assert shelves.state == ReleaseState()
        assert shelves.catalog.state(GIT).generation == 0

    def test_a_lost_attestation_keeps_no_release_back(self, shelves: Shelves) -> None:
        """The one that an asset has is carried on, until it is found again."""
        store(shelves, A, B)
        attested = here(1, A, attestation=B.digest)
        publish(shelves, record_of(1, attested))
        shelves.index.damaged(B.digest, T0, "lost")
        publish(shelves, record_of(1, attested, lacking(2)))

        (found,) = shelves.releases.releases(shelves.git)
        assert found.assets[0] == attested

    def test_releases_move_with_the_refs(self, shelves: Shelves) -> None:
        """One transaction, one generation, and a lag sample each."""
        store(shelves, A)
        run = opened(shelves.catalog, shelves.catalog.state(GIT))
        changes = changes_of(record_of(1, here(1, A)))
        intent = replace(intent_of(run), releases=changes, events=(NEWS,))
        shelves.catalog.intend(intent)
        assert shelves.catalog.intent(shelves.git) == intent
        assert shelves.releases.releases(shelves.git) == []
        done = shelves.catalog.finish(intent, RECEIPT, ended(run, Outcome.CHANGED))
        shelves.catalog.finish(intent, RECEIPT, ended(run, Outcome.CHANGED))

        assert done.generation == 1
        assert shelves.releases.releases(shelves.git) == [record_of(1, here(1, A))]
        assert shelves.releases.pages(shelves.git) == list(PAGES)
        assert shelves.state.counts == ReleaseCounts(1, size=A.size, releases=1)
        assert shelves.state.checked == T0
        samples = shelves.catalog.lag_samples(T0)
        assert {each.component for each in samples} == {"refs", "releases"}
        assert len(shelves.catalog.audit_events(9)) == 1

    def test_no_ref_moves_for_what_cannot_be_published(self, shelves: Shelves) -> None:
        """The intent is refused, so that nobody has to take a rename back."""
        run = opened(shelves.catalog, shelves.catalog.state(GIT))
        bad = changes_of(record_of(1, here(1, A)))
        with pytest.raises(PermanentError, match="not known to be stored"):
            shelves.catalog.intend(replace(intent_of(run), releases=bad))

        assert shelves.catalog.intent(shelves.git) is None

    def test_refs_that_moved_are_recorded_whatever_was_lost(
        self, shelves: Shelves
    ) -> None:
        """An asset that was damaged since the intent is due, and keeps none back."""
        store(shelves, A, B)
        run = opened(shelves.catalog, shelves.catalog.state(GIT))
        attested = here(1, A, attestation=B.digest)
        changes = changes_of(record_of(1, attested, gone(here(2, A))))
        intent = replace(intent_of(run), releases=changes)
        shelves.catalog.intend(intent)
        shelves.index.damaged(A.digest, T0, "lost")
        done = ended(run, Outcome.CHANGED)
        shelves.catalog.finish(intent, RECEIPT, done)

        (found,) = shelves.releases.releases(shelves.git)
        one, two = found.assets
        assert (one.state, one.retry_at) == (AssetState.DAMAGED, done.ended)
        assert (one.blob, one.attestation) == (A.digest, B.digest)
        assert (two.state, two.retry_at) == (AssetState.DAMAGED, None)
        assert shelves.state.counts.damaged == 1

    def test_a_finish_without_releases_leaves_them(self, shelves: Shelves) -> None:
        """As they were, with what is known of the listing."""
        publish(shelves, record_of(1))
        before = shelves.state
        published(shelves.catalog, shelves.catalog.state(GIT), LATER)

        assert shelves.state == before
        assert shelves.releases.releases(shelves.git) == [record_of(1)]

    def test_what_no_listing_showed_says_nothing_of_it(self, shelves: Shelves) -> None:
        """Pages, times and lag stay; the assets are what is told."""
        store(shelves, A)
        publish(shelves, record_of(1, lacking(1)))
        run = ended(
            opened(shelves.catalog, shelves.catalog.state(GIT)), Outcome.CHANGED
        )
        unlisted = ReleaseChanges((record_of(1, here(1, A)),))
        shelves.catalog.publish_releases(run, unlisted, [])

        assert shelves.releases.pages(shelves.git) == list(PAGES)
        assert (shelves.state.checked, shelves.state.asked) == (T0, "selected")
        assert shelves.state.counts.present == 1
        assert len(shelves.catalog.lag_samples(T0)) == 1


class ListingContract:
    """What the schedule knows: looks, failures, and what is due."""

    def test_a_look_that_finds_nothing_new_says_when(self, shelves: Shelves) -> None:
        """Nothing fails or is behind any more, and the pages are the latest."""
        index, mirror_id = shelves.releases, shelves.git
        index.failed(mirror_id, "down", not_before=LATER)
        index.observe(mirror_id, T0)
        index.listed(mirror_id, PAGES, LATER, "all")

        assert shelves.state == ReleaseState(checked=LATER, asked="all")
        assert index.pages(mirror_id) == list(PAGES)
        index.listed(mirror_id, PAGES[1:], LATER, "all")
        assert index.pages(mirror_id) == list(PAGES[1:])

    def test_a_late_answer_takes_nothing_back(self, shelves: Shelves) -> None:
        """Neither the later look, nor a change that was seen after it."""
        index, mirror_id = shelves.releases, shelves.git
        index.listed(mirror_id, PAGES, LATER, "all")
        index.observe(mirror_id, LATER + MINUTE)
        index.listed(mirror_id, PAGES, T0, "all")

        assert shelves.state.checked == LATER
        assert shelves.state.behind_since == LATER + MINUTE

    def test_failures_count_in_a_row(self, shelves: Shelves) -> None:
        """A limit is none of them, and says when to come back."""
        index, mirror_id = shelves.releases, shelves.git
        index.failed(mirror_id, "502", not_before=None)
        index.failed(mirror_id, "503", not_before=None)
        index.failed(mirror_id, "rate limited", not_before=LATER, counts=False)

        known = shelves.state
        assert (known.failures, known.error) == (2, "rate limited")
        assert known.not_before == LATER

    def test_a_look_is_flushed_with_its_probe(self, shelves: Shelves) -> None:
        """Times move forward; a mirror whose releases were not listed keeps its."""
        ids = (shelves.git, shelves.qwen)
        for mirror_id in ids:
            shelves.releases.failed(mirror_id, "down", not_before=LATER)
            shelves.releases.observe(mirror_id, T0)
        unlisted = shelves.catalog.state(QWEN).releases
        shelves.catalog.flush_probes(
            [ProbeResult(ids[0], T0, LATER), ProbeResult(ids[1], T0)]
        )
        shelves.releases.observe(ids[0], LATER + MINUTE)
        shelves.releases.failed(ids[0], "down again", not_before=None)
        shelves.catalog.flush_probes([ProbeResult(ids[0], LATER, T0)])

        assert shelves.state == ReleaseState(
            checked=LATER, behind_since=LATER + MINUTE, failures=1, error="down again"
        )
        assert shelves.catalog.state(QWEN).releases == unlisted
        assert shelves.catalog.state(GIT).last_success == LATER

    def test_what_is_not_here_falls_due(self, shelves: Shelves) -> None:
        """The longest due first; no tombstone, and nothing of a release that left."""
        store(shelves, A)
        left = replace(record_of(2, lacking(9, T0)), gone=T0)
        first, second = lacking(5, T0), lacking(4, T0 + MINUTE)
        whole = record_of(1, here(1, A), second, first, lacking(3, LATER + DAY))
        publish(shelves, whole, left)

        assert shelves.releases.due(shelves.git, LATER) == [(1, first), (1, second)]
        assert shelves.releases.due(shelves.qwen, LATER) == []
        assert shelves.state.counts == ReleaseCounts(
            1, missing=3, size=A.size, retry_at=T0, releases=1
        )

    def test_counts_are_of_what_is_wanted(self, shelves: Shelves) -> None:
        """Not of what the selection leaves out, nor of tombstones."""
        store(shelves, A, B, C)
        unwanted = replace(here(2, B), state=AssetState.UNWANTED)
        unselected = replace(record_of(2), selected=False)
        publish(
            shelves, record_of(1, here(1, A), unwanted, gone(here(3, C))), unselected
        )

        assert shelves.state.counts == ReleaseCounts(1, size=A.size, releases=1)


class NeedContract:
    """Which blobs releases keep in the store."""

    def test_assets_and_attestations_are_needed(self, shelves: Shelves) -> None:
        """Also those of tombstones: nothing of them is condemned or orphaned."""
        store(shelves, A, B, C)
        one = here(1, A, attestation=B.digest)
        publish(shelves, record_of(1, one, gone(here(2, C))))

        assert shelves.index.asset_blobs(shelves.git) == [A, B, C]
        assert shelves.index.asset_blobs(shelves.qwen) == []
        assert shelves.index.condemn(T0) == []
        assert shelves.index.condemn(T0, dry_run=True) == []
        assert shelves.index.condemned(LATER) == []
        assert shelves.index.seize(LATER, LATER, 9) == []

    def test_a_condemned_blob_that_is_published_stays(self, shelves: Shelves) -> None:
        """Seizing looks again, and the next look takes the mark back."""
        store(shelves, A, B)
        shelves.index.condemn(T0)
        shelves.index.claim(shelves.git, [A.digest, B.digest], T0)
        shelves.index.release(shelves.git)
        shelves.index.condemn(T0)
        publish(shelves, record_of(1, here(1, A, attestation=B.digest)))

        assert shelves.index.seize(LATER, LATER, 9) == []
        shelves.index.condemn(LATER)
        found = shelves.index.find([A.digest, B.digest]).values()
        assert [each.condemned for each in found] == [None, None]

    def test_damage_reaches_assets(self, shelves: Shelves) -> None:
        """They are due at once; tombstones are damaged too, and asked of nobody."""
        store(shelves, A, B)
        unwanted = replace(here(4, A), state=AssetState.UNWANTED)
        whole = record_of(1, here(1, A), gone(here(2, A)), here(3, B), unwanted)
        publish(shelves, whole)
        assert shelves.index.damaged(A.digest, LATER, "wrong bytes") == 1
        assert shelves.index.damaged(A.digest, LATER + MINUTE, "absent") == 1

        (found,) = shelves.releases.releases(shelves.git)
        lost = replace(
            here(1, A), state=AssetState.DAMAGED, reason="absent", since=LATER
        )
        due = replace(lost, retry_at=LATER + MINUTE)
        assert found.assets[0] == due
        assert found.assets[1].state is AssetState.DAMAGED
        assert found.assets[1].retry_at is None
        assert found.assets[2:] == whole.assets[2:]
        assert shelves.state.counts == ReleaseCounts(
            1, damaged=1, size=B.size, retry_at=LATER + MINUTE, releases=1
        )

    @pytest.mark.parametrize("how", ["stored", "verified"])
    def test_what_is_right_again_is_present(self, shelves: Shelves, how: str) -> None:
        """Tombstones too; a blob that was right all the time changes nothing."""
        store(shelves, A, B)
        whole = record_of(1, here(1, A), gone(here(2, A)), here(3, B))
        publish(shelves, whole)
        shelves.index.damaged(A.digest, LATER, "wrong bytes")
        if how == "stored":
            store(shelves, A, B)
        else:
            shelves.index.verified([A.digest, B.digest], LATER)

        at = T0 if how == "stored" else LATER
        (found,) = shelves.releases.releases(shelves.git)
        assert found.assets == (
            *(replace(each, since=at) for each in whole.assets[:2]),
            whole.assets[2],
        )
        assert shelves.state.counts.damaged == 0

    def test_each_mirror_that_needs_a_blob_counts_once(self, shelves: Shelves) -> None:
        """By LFS, by an asset, by an attestation, or by several of them."""
        store(shelves, A, B)
        lfs = LfsObject(LfsPointer(*A), LfsState.PRESENT, since=T0)
        shelves.index.link(shelves.git, [lfs])
        shelves.index.link(shelves.qwen, [lfs])
        publish(shelves, record_of(1, here(1, A), here(2, B, attestation=A.digest)))

        assert shelves.index.damaged(A.digest, T0, "lost") == 2
        assert shelves.index.damaged(B.digest, T0, "lost") == 1
        assert shelves.index.damaged(C.digest, T0, "lost") == 0

    def test_an_attestation_is_needed_by_itself(self, shelves: Shelves) -> None:
        """Its loss is told, and makes no asset damaged."""
        store(shelves, A, B)
        publish(shelves, record_of(1, here(1, A, attestation=B.digest)))

        assert shelves.index.damaged(B.digest, T0, "lost") == 1
        assert shelves.state.counts == ReleaseCounts(1, size=A.size, releases=1)


class ExpireContract:
    """What retention gives up."""

    def test_what_left_long_ago_is_given_up(self, shelves: Shelves) -> None:
        """Deleted, replaced, left out or of a release that left; not what is here."""
        store(shelves, A, B, C)
        attested = gone(here(1, A, attestation=B.digest), T0)
        unwanted = replace(here(2, A), state=AssetState.UNWANTED)
        recent = gone(here(3, C), LATER)
        first = record_of(1, attested, unwanted, recent, here(4, C), lacking(5))
        second = replace(record_of(2, here(6, A), tag="v2"), gone=T0)
        publish(shelves, first, second)
        expected = [("v1", attested), ("v1", unwanted), ("v2", here(6, A))]
        index, mirror_id = shelves.releases, shelves.git

        assert index.expire(mirror_id, LATER, LATER, dry_run=True) == expected
        assert shelves.index.condemn(LATER, dry_run=True) == []
        assert index.expire(mirror_id, LATER, LATER) == expected
        assert index.expire(mirror_id, LATER, LATER) == []

        _, found = index.releases(mirror_id)
        assert found.assets[0] == replace(
            attested,
            state=AssetState.EXPIRED,
            blob=None,
            proof=None,
            attestation=None,
            since=LATER,
        )
        assert shelves.index.asset_blobs(mirror_id) == [C]
        assert set(shelves.index.condemn(LATER)) == {A, B}
        assert shelves.state.counts == ReleaseCounts(
            1, missing=1, size=C.size, retry_at=LATER, releases=1
        )

    def test_a_pin_follows_a_release_to_its_new_tag(self, shelves: Shelves) -> None:
        """Upstream moves the release, and the bytes that were pinned with it."""
        store(shelves, A)
        publish(shelves, record_of(1, here(1, A), tag="v1"))
        index, mirror_id = shelves.releases, shelves.git
        index.pin(mirror_id, Pin("v1", T0, "tester"), event("pin"))
        publish(shelves, record_of(1, gone(here(1, A)), tag="v1x"), at=LATER)

        assert [each.tag for each in index.pins(mirror_id)] == ["v1", "v1x"]
        assert index.expire(mirror_id, LATER + MINUTE, LATER) == []

    def test_pinned_tags_are_kept(self, shelves: Shelves) -> None:
        """All of their assets, for as long as the pin is there."""
        store(shelves, A, B)
        pinned = record_of(1, gone(here(1, A)), tag=LATIN)
        other = record_of(2, gone(here(2, B)), tag="v2")
        publish(shelves, pinned, other)
        index, mirror_id = shelves.releases, shelves.git
        index.pin(mirror_id, Pin(LATIN, T0, "tester"), event("pin"))

        assert index.expire(mirror_id, LATER, LATER) == [("v2", other.assets[0])]
        assert index.unpin(mirror_id, LATIN, event("unpin"))
        assert index.expire(mirror_id, LATER, LATER) == [(LATIN, pinned.assets[0])]


class ReleaseIndexContract(
    RecordContract, PublishContract, ListingContract, NeedContract, ExpireContract
):
    """All that is kept of releases."""
