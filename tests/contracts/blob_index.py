"""What every blob index does, in memory or in a database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from syncer.errors import PermanentError
from syncer.model.blobs import REMOVAL, Blob, StoredBlob, Upload
from syncer.model.lfs import LfsCounts, LfsObject, LfsPointer, LfsState
from syncer.model.runs import Outcome, Receipt, SyncRun, Trigger
from tests.contracts.catalog import (
    GIT,
    MINUTE,
    QWEN,
    T0,
    ended,
    event,
    intent_of,
    opened,
)

if TYPE_CHECKING:
    from syncer.ports import BlobIndex, Catalog

HOUR = timedelta(hours=1)
LATER = T0 + 30 * HOUR


@dataclass(frozen=True)
class Facts:
    """A catalog with two mirrors, and the index that shares its database."""

    catalog: Catalog
    index: BlobIndex

    @property
    def git(self) -> int:
        """The id of a mirror."""
        return self.catalog.state(GIT).id

    @property
    def qwen(self) -> int:
        """The id of another mirror."""
        return self.catalog.state(QWEN).id


def blob_of(number: int) -> Blob:
    """Return a blob, another one for each number."""
    return Blob(sha256(str(number).encode()).hexdigest(), 100 + number)


A, B, C = sorted(map(blob_of, range(3)))


def present(blob: Blob) -> LfsObject:
    """Return an object that is here."""
    return LfsObject(LfsPointer(*blob), LfsState.PRESENT, since=T0)


def missing(blob: Blob, *, tries: int = 1) -> LfsObject:
    """Return an object that upstream does not give."""
    pointer = LfsPointer(*blob)
    retry = T0 + tries * HOUR
    return LfsObject(
        pointer, LfsState.MISSING, "Object does not exist", T0, retry, tries
    )


def unreached(each: LfsObject) -> LfsObject:
    """Return a missing object as it is when no ref needs it."""
    return replace(each, state=LfsState.UNREACHED, retry_at=None)


def store(facts: Facts, *blobs: Blob) -> None:
    """Tell the index that blobs are in the store."""
    facts.index.stored(
        [StoredBlob(blob, T0, T0, "github.com/git/git") for blob in blobs]
    )


def hold(facts: Facts, mirror_id: int, *blobs: Blob) -> None:
    """Store blobs and let a mirror need them."""
    store(facts, *blobs)
    facts.index.link(mirror_id, [present(blob) for blob in blobs])


def condemned(facts: Facts, *blobs: Blob) -> None:
    """Store blobs that nothing needs, and condemn them."""
    store(facts, *blobs)
    assert set(facts.index.condemn(T0)) == set(blobs)


def seized(facts: Facts, *blobs: Blob) -> None:
    """Store blobs that nothing needs, and let them be removed at this moment."""
    condemned(facts, *blobs)
    assert set(facts.index.seize(T0, LATER, 99)) == set(blobs)


class StoredContract:
    """What is known of blobs."""

    def test_what_is_stored_is_found(self, facts: Facts) -> None:
        """With its size and all that was said of it; others are not known."""
        stored = StoredBlob(A, T0, T0 + MINUTE, "github.com/git/git")
        facts.index.stored([stored])

        assert facts.index.find([A.digest, B.digest]) == {A.digest: stored}
        assert facts.index.find([]) == {}

    def test_whoever_was_first_stays_named(self, facts: Facts) -> None:
        """A blob that is stored again is as of its first time, and verified anew."""
        first = StoredBlob(A, T0, T0, "")
        named = StoredBlob(A, T0 + MINUTE, T0 + MINUTE, "github.com/git/git")
        other = replace(named, verified=LATER, provenance="ghe.corp/a/b")
        unread = replace(named, verified=datetime(1970, 1, 1, tzinfo=UTC))
        for each in (first, named, other, unread):
            facts.index.stored([each])

        found = facts.index.find([A.digest])[A.digest]
        assert found == replace(named, stored=T0, verified=LATER)

    def test_a_verified_blob_says_when(self, facts: Facts) -> None:
        """Those that are not known are passed over."""
        store(facts, A, B)
        facts.index.verified([A.digest, C.digest], LATER)

        found = facts.index.find([A.digest, B.digest, C.digest])
        assert {d: each.verified for d, each in found.items()} == {
            A.digest: LATER,
            B.digest: T0,
        }

    def test_thousands_are_asked_for_at_once(self, facts: Facts) -> None:
        """No engine's limit of values in a statement shows."""
        blobs = [blob_of(number) for number in range(1203)]
        store(facts, *blobs[:1202])
        facts.index.claim(facts.git, [blob.digest for blob in blobs], T0)
        facts.index.link(facts.git, [present(blob) for blob in blobs[:1201]])
        digests = [blob.digest for blob in blobs]

        assert facts.index.find(digests).keys() == set(digests[:1202])
        assert facts.index.known(facts.git, digests).keys() == set(digests[:1201])
        assert facts.index.claimed(digests) == set(digests)
        assert facts.index.counts(facts.git).present == 1201
        facts.index.release(facts.git)
        assert facts.index.orphans(digests) == {digests[1202]}


class LinkContract:
    """What is known of the objects of a mirror."""

    def test_a_mirror_without_objects_counts_none(self, facts: Facts) -> None:
        """Neither does one that was never heard of."""
        assert facts.index.counts(facts.git) == LfsCounts()
        assert facts.index.counts(4711) == LfsCounts()
        assert facts.index.objects(facts.git) == []
        assert facts.index.due(facts.git, LATER) == []
        assert facts.catalog.state(GIT).lfs == LfsCounts()

    def test_objects_are_read_back_whole(self, facts: Facts) -> None:
        """By oid, each with its state, and only those of the mirror."""
        store(facts, A, B)
        told = [missing(C, tries=3), present(A)]
        facts.index.link(facts.git, told)
        facts.index.link(facts.qwen, [present(B)])

        assert facts.index.objects(facts.git) == told[::-1]
        assert facts.index.known(facts.git, [B.digest, C.digest]) == {C.digest: told[0]}

    def test_the_counts_are_those_of_the_mirror(self, facts: Facts) -> None:
        """With the bytes that are here, and when to ask again."""
        hold(facts, facts.qwen, A)
        hold(facts, facts.git, A, B)
        facts.index.link(facts.git, [missing(C, tries=3)])

        counts = LfsCounts(2, 1, 0, A.size + B.size, T0 + 3 * HOUR)
        assert facts.index.counts(facts.git) == counts
        assert facts.catalog.state(GIT).lfs == counts
        assert facts.catalog.state(QWEN).lfs == LfsCounts(1, 0, 0, A.size)

    def test_what_was_missing_can_come(self, facts: Facts) -> None:
        """Then there is no reason any more, and nothing to ask for."""
        facts.index.link(facts.git, [missing(A)])
        store(facts, A)
        facts.index.link(facts.git, [replace(missing(A), state=LfsState.PRESENT)])

        assert facts.index.objects(facts.git) == [present(A)]
        assert facts.index.counts(facts.git) == LfsCounts(1, 0, 0, A.size)

    def test_what_is_here_stays_here(self, facts: Facts) -> None:
        """Upstream does not take back what it gave."""
        hold(facts, facts.git, A)
        facts.index.link(facts.git, [missing(A)])

        assert facts.index.objects(facts.git) == [present(A)]

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_digest_has_one_length(self, facts: Facts, order: int) -> None:
        """A pointer with another one cannot hide the object that is here."""
        store(facts, A)
        wrong = missing(Blob(A.digest, 7))
        facts.index.link(facts.git, [present(A), wrong][::order])

        assert facts.index.objects(facts.git) == [present(A)]
        facts.index.link(facts.git, [wrong])
        assert facts.index.counts(facts.git) == LfsCounts(1, 0, 0, A.size)

    def test_a_wrong_length_does_not_displace_a_missing_object(
        self, facts: Facts
    ) -> None:
        """It would never be asked for again by its true length."""
        facts.index.link(facts.git, [missing(A)])
        facts.index.link(facts.git, [missing(Blob(A.digest, 7), tries=2)])

        assert facts.index.objects(facts.git) == [missing(A)]

    def test_an_object_tells_since_when(self, facts: Facts) -> None:
        """However often it is asked for in vain, it is missing since the first."""
        facts.index.link(facts.git, [missing(A)])
        again = missing(A, tries=2)
        facts.index.link(facts.git, [replace(again, since=LATER)])

        assert facts.index.objects(facts.git) == [again]

    def test_only_what_falls_due_is_asked_for(self, facts: Facts) -> None:
        """The longest due comes first; what is here is never due."""
        hold(facts, facts.git, A)
        facts.index.link(facts.git, [missing(B, tries=2), missing(C, tries=1)])
        facts.index.link(facts.qwen, [missing(A)])

        due = facts.index.due
        assert due(facts.git, T0 + HOUR - MINUTE) == []
        assert due(facts.git, T0 + HOUR) == [missing(C, tries=1)]
        assert due(facts.git, LATER) == [missing(C, tries=1), missing(B, tries=2)]

    @pytest.mark.parametrize("known", ["unknown", "removing", "damaged"])
    def test_nothing_is_here_without_its_blob(self, facts: Facts, known: str) -> None:
        """The whole call is refused, and the mirror's objects are as they were."""
        if known == "removing":
            seized(facts, B)
        elif known == "damaged":
            store(facts, B)
            facts.index.damaged(B.digest, T0, "rotten")
        store(facts, A)

        with pytest.raises(PermanentError, match=B.digest):
            facts.index.link(facts.git, [present(A), present(B)])
        assert facts.index.objects(facts.git) == []
        assert facts.catalog.state(GIT).lfs == LfsCounts()

    def test_what_is_missing_is_asked_for_again(self, facts: Facts) -> None:
        """An object that nobody would ever ask for is refused."""
        with pytest.raises(PermanentError):
            facts.index.link(facts.git, [replace(missing(A), retry_at=None)])
        assert facts.index.objects(facts.git) == []

    def test_what_no_ref_needs_is_not_counted(self, facts: Facts) -> None:
        """Nor asked for again; what is known of it stays, and it can be missing again.

        Then it is so since the first time.
        """
        hold(facts, facts.git, A)
        facts.index.link(facts.git, [missing(B, tries=2), missing(C)])
        given_up = unreached(missing(B, tries=2))
        facts.index.link(facts.git, [replace(given_up, reason=None, since=LATER)])

        assert facts.index.objects(facts.git) == [present(A), given_up, missing(C)]
        counts = LfsCounts(1, 1, 0, A.size, T0 + HOUR)
        assert facts.index.counts(facts.git) == counts
        assert facts.catalog.state(GIT).lfs == counts
        assert facts.index.due(facts.git, LATER) == [missing(C)]
        facts.index.link(facts.git, [missing(B, tries=3)])
        assert facts.index.known(facts.git, [B.digest]) == {
            B.digest: missing(B, tries=3)
        }
        assert facts.index.counts(facts.git).missing == 2

    def test_what_no_ref_needed_can_come(self, facts: Facts) -> None:
        """Upstream has it again when a ref needs it again."""
        facts.index.link(facts.git, [missing(A)])
        facts.index.link(facts.git, [unreached(missing(A))])
        assert facts.index.counts(facts.git) == LfsCounts()
        hold(facts, facts.git, A)

        assert facts.index.objects(facts.git) == [present(A)]
        assert facts.index.counts(facts.git) == LfsCounts(1, 0, 0, A.size)

    def test_only_what_is_missing_is_given_up(self, facts: Facts) -> None:
        """What is here, or was, is kept whether or not a ref needs it."""
        hold(facts, facts.git, A, B)
        facts.index.damaged(B.digest, LATER, "rotten")
        before = facts.index.objects(facts.git)
        facts.index.link(facts.git, [unreached(missing(A)), unreached(missing(B))])

        assert facts.index.objects(facts.git) == before
        assert facts.index.counts(facts.git) == LfsCounts(1, 0, 1, A.size, LATER)

    def test_what_upstream_does_not_give_is_listed(self, facts: Facts) -> None:
        """Needed or not, by oid, of the one mirror; not what is here or was."""
        store(facts, A)
        hold(facts, facts.qwen, B)
        facts.index.damaged(B.digest, LATER, "rotten")
        facts.index.link(facts.qwen, [missing(A)])
        facts.index.link(facts.git, [present(A), missing(C), missing(B)])
        facts.index.link(facts.git, [unreached(missing(B))])

        absent = [unreached(missing(B)), missing(C)]
        assert facts.index.absent(facts.git) == absent
        assert facts.index.absent(facts.qwen) == [missing(A)]

    def test_any_reason_can_be_recorded(self, facts: Facts) -> None:
        """Upstream's words are upstream's."""
        facts.index.link(facts.git, [replace(missing(A), reason="n\0 \udce9" * 9)])

        (stored,) = facts.index.objects(facts.git)
        assert stored.reason is not None
        assert stored.reason.startswith("n")

    def test_the_search_for_pointers_is_marked(self, facts: Facts) -> None:
        """A mirror tells when all of it was searched, until that is taken back."""
        hold(facts, facts.git, A)
        facts.index.mark_scanned(facts.git, T0)
        assert facts.catalog.state(GIT).lfs_scanned == T0
        assert facts.catalog.state(QWEN).lfs_scanned is None

        facts.index.link(facts.git, [missing(B)])
        assert facts.catalog.state(GIT).lfs_scanned == T0
        facts.index.mark_scanned(facts.git, None)
        state = facts.catalog.state(GIT)
        assert (state.lfs_scanned, state.lfs.total) == (None, 2)

    def test_the_end_of_a_run_changes_no_count(self, facts: Facts) -> None:
        """A run that began before its objects came does not write old counts."""
        run = opened(facts.catalog, facts.catalog.state(GIT))
        hold(facts, facts.git, A)
        intent = intent_of(run)
        facts.catalog.intend(intent)
        receipt = Receipt("1:2:3", "f" * 64, 1)
        facts.catalog.finish(intent, receipt, ended(run, Outcome.CHANGED))

        assert facts.catalog.state(GIT).lfs == LfsCounts(1, 0, 0, A.size)


class DamageContract:
    """Blobs that turn out to be lost or wrong."""

    def test_damage_is_that_of_all_who_need_it(self, facts: Facts) -> None:
        """Their objects say why and since when, and are due at once."""
        hold(facts, facts.git, A, B)
        hold(facts, facts.qwen, A)
        assert facts.index.damaged(A.digest, LATER, "rotten") == 2

        (damaged,) = facts.index.due(facts.git, LATER)
        assert damaged == LfsObject(
            LfsPointer(*A), LfsState.DAMAGED, "rotten", LATER, LATER
        )
        assert facts.index.find([A.digest])[A.digest].damaged == LATER
        counts = LfsCounts(1, 0, 1, B.size, LATER)
        assert facts.index.counts(facts.git) == counts
        assert facts.catalog.state(GIT).lfs == counts
        assert facts.catalog.state(QWEN).lfs == LfsCounts(0, 0, 1, 0, LATER)

    def test_damage_that_is_found_twice_is_one(self, facts: Facts) -> None:
        """It is as old as when it was first seen, and due at once again."""
        hold(facts, facts.git, A)
        facts.index.damaged(A.digest, T0 + HOUR, "rotten")
        assert facts.index.damaged(A.digest, LATER, "lost") == 1

        (damaged,) = facts.index.objects(facts.git)
        assert (damaged.since, damaged.retry_at) == (T0 + HOUR, LATER)
        assert damaged.reason == "lost"
        assert facts.index.find([A.digest])[A.digest].damaged == T0 + HOUR
        assert facts.index.counts(facts.git).damaged == 1

    def test_nobody_misses_what_nobody_needs(self, facts: Facts) -> None:
        """Damage of a blob without a mirror, or of none, is nobody's."""
        store(facts, A)
        facts.index.link(facts.git, [missing(B)])

        assert facts.index.damaged(A.digest, LATER, "rotten") == 0
        assert facts.index.damaged(B.digest, LATER, "lost") == 0
        assert facts.index.objects(facts.git) == [missing(B)]

    @pytest.mark.parametrize("by", ["stored", "verified"])
    def test_what_is_right_again_is_here_again(self, facts: Facts, by: str) -> None:
        """For every mirror that needs it, whoever brought it back."""
        hold(facts, facts.git, A)
        hold(facts, facts.qwen, A)
        facts.index.damaged(A.digest, T0 + HOUR, "rotten")
        if by == "stored":
            facts.index.stored([StoredBlob(A, LATER, LATER)])
        else:
            facts.index.verified([A.digest], LATER)

        found = facts.index.find([A.digest])[A.digest]
        assert (found.damaged, found.verified) == (None, LATER)
        here = replace(present(A), since=LATER)
        for mirror_id in (facts.git, facts.qwen):
            assert facts.index.objects(mirror_id) == [here]
            assert facts.index.counts(mirror_id) == LfsCounts(1, 0, 0, A.size)

    def test_what_upstream_took_away_and_we_lost_stays_damaged(
        self, facts: Facts
    ) -> None:
        """Upstream gave it once: a copy that somebody kept makes it whole."""
        hold(facts, facts.git, A)
        facts.index.damaged(A.digest, T0, "rotten")
        facts.index.link(facts.git, [missing(A, tries=2)])

        (damaged,) = facts.index.objects(facts.git)
        assert (damaged.state, damaged.reason) == (LfsState.DAMAGED, "rotten")
        assert (damaged.retry_at, damaged.tries) == (T0 + 2 * HOUR, 2)
        assert facts.index.counts(facts.git) == LfsCounts(0, 0, 1, 0, T0 + 2 * HOUR)
        facts.index.verified([A.digest], LATER)
        assert facts.index.objects(facts.git) == [replace(present(A), since=LATER)]

    def test_a_damaged_blob_that_is_needed_is_not_removed(self, facts: Facts) -> None:
        """Some of its bytes may be all there is."""
        hold(facts, facts.git, A)
        facts.index.damaged(A.digest, T0, "rotten")

        assert facts.index.condemn(T0) == []


class RemovalContract:
    """How a blob that nothing needs leaves the store."""

    def test_what_nothing_needs_is_condemned_once(self, facts: Facts) -> None:
        """A mirror's need and a run's claim save it; a dry run only tells."""
        hold(facts, facts.git, A)
        store(facts, B, C)
        facts.index.claim(facts.git, [B.digest], T0)

        assert facts.index.condemn(T0, dry_run=True) == [C]
        assert facts.index.find([C.digest])[C.digest].condemned is None
        assert facts.index.condemn(T0) == [C]
        assert facts.index.find([C.digest])[C.digest].condemned == T0
        assert facts.index.condemn(LATER) == []
        assert facts.index.condemn(LATER, dry_run=True) == []

    def test_a_condemned_blob_waits_out_its_time(self, facts: Facts) -> None:
        """Only then it is seized, and once; then the index forgets it."""
        condemned(facts, A, B)
        early = T0 - MINUTE
        assert facts.index.condemned(early) == []
        assert facts.index.seize(early, LATER, 99) == []

        assert facts.index.condemned(T0) == [A, B]
        assert facts.index.seize(T0, LATER, 1) == [A]
        assert facts.index.seize(T0, LATER, 9) == [B]
        assert facts.index.seize(T0, LATER, 9) == []
        facts.index.removed([A.digest])
        assert facts.index.orphans([A.digest, B.digest]) == {A.digest}

    def test_what_waits_longest_is_seized_first(self, facts: Facts) -> None:
        """However its digest sorts."""
        condemned(facts, B)
        store(facts, A)
        facts.index.condemn(T0 + MINUTE)

        assert facts.index.condemned(LATER) == [B, A]
        assert facts.index.seize(LATER, LATER, 1) == [B]

    def test_a_blob_that_is_being_removed_is_not_found(self, facts: Facts) -> None:
        """Nobody can rely on it any more."""
        seized(facts, A)

        assert facts.index.find([A.digest]) == {}
        assert facts.index.orphans([A.digest]) == frozenset()

    def test_a_claim_takes_a_condemned_blob_back(self, facts: Facts) -> None:
        """It starts to wait anew when it is condemned again."""
        condemned(facts, A)
        assert facts.index.claim(facts.git, [A.digest], T0) == frozenset()
        assert facts.index.seize(LATER, LATER, 9) == []
        facts.index.release(facts.git)

        assert facts.index.seize(LATER, LATER, 9) == []
        assert facts.index.condemn(LATER) == [A]
        assert facts.index.condemned(LATER - MINUTE) == []

    def test_a_need_takes_a_condemned_blob_back(self, facts: Facts) -> None:
        """It is looked at again before it is seized, and waits anew afterwards."""
        condemned(facts, A)
        facts.index.link(facts.git, [present(A)])
        assert facts.index.condemned(LATER) == []
        assert facts.index.seize(LATER, LATER, 9) == []
        assert facts.index.condemn(LATER) == []

        assert facts.index.find([A.digest])[A.digest].condemned is None

    def test_storing_a_blob_takes_it_back(self, facts: Facts) -> None:
        """Somebody just brought it, whatever was meant to become of it."""
        condemned(facts, A)
        store(facts, A)

        assert facts.index.seize(LATER, LATER, 9) == []
        assert facts.index.condemn(LATER) == [A]

    def test_a_blob_that_is_being_removed_cannot_be_claimed(self, facts: Facts) -> None:
        """Others of the same call are; it can be once it has gone."""
        seized(facts, A)
        claim = facts.index.claim

        assert claim(facts.git, [A.digest, B.digest], LATER) == {A.digest}
        assert facts.index.claimed([A.digest, B.digest, C.digest]) == {B.digest}
        facts.index.removed([A.digest])
        assert claim(facts.git, [A.digest, B.digest], LATER) == frozenset()
        assert facts.index.claimed([A.digest, B.digest]) == {A.digest, B.digest}

    def test_a_claim_takes_over_from_a_dead_removal(self, facts: Facts) -> None:
        """Whether its bytes are there nobody knows: the index forgets the blob."""
        seized(facts, A)
        soon = LATER + REMOVAL - MINUTE
        assert facts.index.claim(facts.git, [A.digest], soon) == {A.digest}
        assert facts.index.claim(facts.git, [A.digest], LATER + REMOVAL) == frozenset()

        assert facts.index.find([A.digest]) == {}
        store(facts, A)
        facts.index.removed([A.digest])  # The dead one was slow.
        assert A.digest in facts.index.find([A.digest])

    def test_a_dead_removal_is_done_again(self, facts: Facts) -> None:
        """Even when what is condemned waits longer by now."""
        seized(facts, A)
        early = T0 - MINUTE

        assert facts.index.seize(early, LATER + REMOVAL - MINUTE, 9) == []
        assert facts.index.seize(early, LATER + REMOVAL, 9) == [A]
        assert facts.index.seize(early, LATER + REMOVAL, 9) == []

    def test_only_what_is_being_removed_is_forgotten(self, facts: Facts) -> None:
        """A call that comes too late takes nothing from anybody."""
        hold(facts, facts.git, A)
        store(facts, B)
        facts.index.removed([A.digest, B.digest, C.digest])

        assert facts.index.find([A.digest, B.digest]).keys() == {A.digest, B.digest}

    def test_an_orphan_is_nobodys(self, facts: Facts) -> None:
        """Neither known nor claimed: what is needed is always known."""
        store(facts, A)
        facts.index.claim(facts.git, [B.digest], T0)

        digests = [A.digest, B.digest, C.digest]
        assert facts.index.orphans(digests) == {C.digest}
        assert facts.index.orphans([]) == frozenset()


class ClaimContract:
    """How long a run's claims last."""

    def test_a_claim_lasts_until_it_is_released(self, facts: Facts) -> None:
        """By its own mirror; claiming twice is claiming once."""
        for mirror_id in (facts.git, facts.qwen, facts.git):
            facts.index.claim(mirror_id, [A.digest], T0)
        facts.index.release(facts.git)
        assert facts.index.claimed([A.digest]) == {A.digest}

        facts.index.release(facts.qwen)
        assert facts.index.claimed([A.digest]) == frozenset()

    @pytest.mark.parametrize("how", ["close", "finish", "abandon"])
    def test_a_claim_ends_with_its_run(self, facts: Facts, how: str) -> None:
        """However the run ends, and only those of its mirror."""
        run = opened(facts.catalog, facts.catalog.state(GIT))
        facts.index.claim(facts.git, [A.digest, B.digest], T0)
        facts.index.claim(facts.qwen, [B.digest], T0)
        if how == "close":
            facts.catalog.close_run(ended(run, Outcome.FAILED))
        elif how == "finish":
            intent = intent_of(run)
            facts.catalog.intend(intent)
            receipt = Receipt("1:2:3", "f" * 64, 1)
            facts.catalog.finish(intent, receipt, ended(run, Outcome.CHANGED))
        else:
            facts.catalog.abandon_runs(facts.git, T0, "the process died")

        assert facts.index.claimed([A.digest, B.digest]) == {B.digest}

    def test_a_run_that_never_was_ends_no_claim(self, facts: Facts) -> None:
        """A probe failed while another process transfers for the same mirror."""
        facts.index.claim(facts.git, [A.digest], T0)
        failed = SyncRun(0, facts.git, GIT, Trigger.SCHEDULE, T0)
        facts.catalog.close_run(ended(failed, Outcome.FAILED, "no such host"))

        assert facts.index.claimed([A.digest]) == {A.digest}

    def test_a_mirror_with_claims_is_unfinished(self, facts: Facts) -> None:
        """Whoever claimed them without a run may have died; recovery ends them."""
        facts.index.claim(facts.git, [A.digest], T0)
        assert [state.name for state in facts.catalog.unfinished()] == [GIT]

        facts.catalog.abandon_runs(facts.git, T0, "the process died")
        assert facts.catalog.unfinished() == []
        assert facts.index.claimed([A.digest]) == frozenset()

    def test_a_purged_mirror_needs_nothing(self, facts: Facts) -> None:
        """Its objects and claims go with it; what others need stays."""
        hold(facts, facts.git, A, B)
        hold(facts, facts.qwen, B)
        facts.index.claim(facts.git, [C.digest], T0)
        git = facts.git
        facts.catalog.reconcile([(QWEN, "normal")], T0)
        assert facts.index.condemn(T0, dry_run=True) == []
        facts.catalog.purge(GIT, event("purge"))

        assert facts.index.objects(git) == []
        assert facts.index.claimed([C.digest]) == frozenset()
        assert facts.index.condemn(T0) == [A]


class UploadContract:
    """What a store notes of its uploads."""

    def test_uploads_are_noted_until_they_end(self, facts: Facts) -> None:
        """Oldest first; one that is begun anew is as young as that."""
        one = Upload("blobs/ab", A.digest, A.size, T0)
        two = Upload("blobs/cd", B.digest, 20 * 2**30, T0 + MINUTE)
        facts.index.begin_upload(two)
        facts.index.begin_upload(one)
        assert facts.index.uploads() == [one, two]

        anew = replace(one, started=LATER)
        facts.index.begin_upload(anew)
        assert facts.index.uploads() == [two, anew]
        facts.index.end_upload(two.key)
        facts.index.end_upload("blobs/never")
        assert facts.index.uploads() == [anew]


class BlobIndexContract(
    StoredContract,
    LinkContract,
    DamageContract,
    RemovalContract,
    ClaimContract,
    UploadContract,
):
    """Every index must pass; subclass it and provide a `facts` fixture."""
