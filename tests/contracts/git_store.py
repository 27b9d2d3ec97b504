"""What every git store does, in memory or with real git."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import pytest

from syncer.errors import (
    Dangerous,
    IntegrityError,
    Locked,
    TooLarge,
    Unavailable,
)
from syncer.model.content import (
    DEFAULT_SCOPE,
    ChangeKind,
    Ref,
    RefSnapshot,
    diff,
    keep_lost,
)
from syncer.model.lfs import LfsPointer
from syncer.model.names import RepoName
from syncer.model.runs import Intent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.model.content import RefChange
    from syncer.model.runs import Incoming, Progress, Receipt
    from syncer.ports import BareRepository, GitStore

NAME = RepoName("upstream.test", "acme", "widget")
PATH = NAME.path
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
TODAY = NOW.date().isoformat()
MAIN = "refs/heads/main"
#: Pointers in the order in which a search returns them.
POINTERS = [LfsPointer(digit * 64, 1000 + n) for n, digit in enumerate("0123abcd")]


class Upstream(Protocol):
    """What the contract does to an upstream, in memory or a real one."""

    def commit(self, branch: str = "main") -> str:
        """Commit to a branch and return the id."""

    def force(self, branch: str = "main") -> str:
        """Replace the last commit of a branch."""

    def branch(self, name: str) -> str:
        """Make a branch where HEAD is."""

    def tag(self, name: str) -> str:
        """Make or move an annotated tag to where HEAD is."""

    def delete(self, ref: str) -> None:
        """Delete a ref by its full name."""

    def rename_head(self, old: str, new: str) -> None:
        """Rename the default branch."""

    def track(self, *pointers: LfsPointer, branch: str = "main") -> str:
        """Commit LFS pointers to a branch."""

    def configure(self, lfs_url: str, branch: str = "main") -> str:
        """Commit a `.lfsconfig` to a branch."""

    def poison(self) -> str:
        """Put content on `main` that fsck refuses; return the object's id."""

    def blemish(self) -> str:
        """Put content on `main` that fsck warns of; return the object's id."""

    def snapshot(self) -> RefSnapshot:
        """Return what a probe of all refs reads."""

    reachable: bool


def fetched(
    repository: BareRepository, target: RefSnapshot, accepted: tuple[str, ...] = ()
) -> Incoming:
    """Bring what `target` needs."""
    return repository.fetch(NAME, target, scope=DEFAULT_SCOPE, accepted=accepted)


def found(
    store: GitStore, target: RefSnapshot, *, everything: bool = False
) -> list[LfsPointer]:
    """Bring what `target` needs, and return the LFS pointers of it."""
    with store.lease(PATH) as repository:
        repository.recover(None)
        incoming = fetched(repository, target)
        return repository.pointers(incoming, everything=everything)


def needed(
    store: GitStore, target: RefSnapshot, asked: Sequence[LfsPointer] = POINTERS
) -> set[LfsPointer]:
    """Bring what `target` needs, and return which of some pointers it reaches."""
    with store.lease(PATH) as repository:
        repository.recover(None)
        oids = {pointer.oid for pointer in asked}
        reached = repository.reachable(fetched(repository, target), oids)
    assert reached <= oids
    return {pointer for pointer in POINTERS if pointer.oid in reached}


def lfs_url(store: GitStore, target: RefSnapshot) -> str | None:
    """Bring what `target` needs, and return where its LFS server is."""
    with store.lease(PATH) as repository:
        return repository.lfs_url(fetched(repository, target))


def changed(
    repository: BareRepository, incoming: Incoming
) -> tuple[list[RefChange], RefSnapshot]:
    """Return what an arrival changes, and the refs to publish for it."""
    published = repository.published()
    changes = repository.classify(
        incoming, diff(published.upstream, incoming.target.refs)
    )
    peeled = repository.peel(incoming, changes)
    kept = keep_lost(published.kept, changes, TODAY)
    return changes, RefSnapshot({**kept, **peeled.refs}, peeled.head)


def mirrored(
    store: GitStore, target: RefSnapshot, accepted: tuple[str, ...] = ()
) -> tuple[list[RefChange], Receipt]:
    """Fetch and publish `target` as a run does, but for the catalog."""
    with store.lease(PATH) as repository:
        repository.recover(None)
        incoming = fetched(repository, target, accepted)
        changes, refs = changed(repository, incoming)
        head = repository.published().head
        lost = head in repository.published().refs and head not in refs.refs
        beside = None
        if lost and head is not None:
            both = {**refs.refs, head: repository.published().refs[head]}
            beside = RefSnapshot(both, head)
        return changes, repository.promote(incoming, beside=beside, target=refs)


def published(store: GitStore) -> RefSnapshot:
    """Return the refs consumers see."""
    with store.lease(PATH) as repository:
        return repository.published()


def intent_of(
    old: RefSnapshot, new: RefSnapshot, beside: RefSnapshot | None = None
) -> Intent:
    """Return the intent of publishing `new` over `old`."""
    return Intent(
        run_id=1,
        mirror_id=1,
        old=old.fingerprint,
        beside=None if beside is None else beside.fingerprint,
        new=new.fingerprint,
        head=new.head,
        changes=tuple(diff(old.upstream, new.upstream)),
        fingerprint="digest",
        asked="asked",
        observed=NOW,
        probed=NOW,
        ref_count=len(new.upstream),
        first=False,
    )


class GitStoreContract:
    """Every `GitStore` passes; a subclass gives `store` and `upstream`.

    `upstream` has one commit on `main`, and is what the store knows as `NAME`.
    """

    def test_there_is_nothing_before_the_first_mirror(self, store: GitStore) -> None:
        """A new mirror has no refs and no stamp, and leasing it makes none."""
        assert published(store) == RefSnapshot()
        assert store.stamp(PATH) is None

    def test_a_first_mirror_publishes_what_upstream_has(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Branches, tags with what they peel to, and HEAD are upstream's."""
        upstream.tag("v1")
        upstream.branch("topic")

        mirrored(store, upstream.snapshot())

        assert dict(published(store).refs) == dict(upstream.snapshot().refs)
        assert published(store).head == MAIN

    def test_a_fetch_moves_nothing(self, store: GitStore, upstream: Upstream) -> None:
        """What has arrived is not published, at first or later."""
        with store.lease(PATH) as repository:
            assert fetched(repository, upstream.snapshot()).first
            assert store.stamp(PATH) is None
        mirrored(store, upstream.snapshot())
        before, stamp = published(store), store.stamp(PATH)
        upstream.commit()

        with store.lease(PATH) as repository:
            incoming = fetched(repository, upstream.snapshot())

        assert not incoming.first
        assert incoming.objects > 0
        assert incoming.received > 0
        assert published(store) == before
        assert store.stamp(PATH) == stamp

    def test_a_receipt_is_of_what_was_published(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Its stamp is the store's, its fingerprint that of the refs."""
        receipts = []
        for _ in range(2):
            receipts.append(mirrored(store, upstream.snapshot())[1])
            assert receipts[-1].stamp == store.stamp(PATH)
            assert receipts[-1].fingerprint == published(store).fingerprint
            with store.lease(PATH) as repository:
                assert receipts[-1].size == repository.size() > 0
            upstream.commit()

        assert receipts[0].stamp != receipts[1].stamp

    def test_what_a_clone_shows_is_read_without_a_lease(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """A line for each ref by name, tags unpeeled, none of those that we keep."""
        assert store.show_refs(PATH) == b""
        upstream.commit()
        upstream.tag("v1")
        mirrored(store, upstream.snapshot())
        upstream.force()
        mirrored(store, upstream.snapshot())
        refs = published(store)
        assert refs.kept
        shown = sorted(f"{ref.oid} {name}\n" for name, ref in refs.upstream.items())
        with store.lease(PATH):
            lines = store.show_refs(PATH).decode().splitlines(keepends=True)
        assert sorted(lines) == shown
        assert [line[41:] for line in lines] == sorted(line[41:] for line in lines)

    def test_a_first_mirror_may_see_newer_refs(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """It brings what upstream has by now, and says that it is not exact."""
        seen = upstream.snapshot()
        newest = upstream.commit()

        with store.lease(PATH) as repository:
            incoming = fetched(repository, seen)

        assert not incoming.exact
        assert incoming.target.refs[MAIN].oid == newest

    def test_a_first_mirror_brings_the_scope_alone(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Refs outside of what was asked for are not published."""
        upstream.tag("v1")

        with store.lease(PATH) as repository:
            incoming = repository.fetch(
                NAME, upstream.snapshot(), scope=("refs/heads/",)
            )

        assert list(incoming.target.refs) == [MAIN]

    def test_what_is_larger_than_there_is_room_is_refused(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """A first mirror and a later one; with more room it is brought."""
        for room in (1 << 20, None):
            upstream.commit()
            with store.lease(PATH) as repository:
                shown = upstream.snapshot()
                with pytest.raises(TooLarge) as caught:
                    repository.fetch(NAME, shown, scope=DEFAULT_SCOPE, room=1)
                assert caught.value.size > 1
                incoming = repository.fetch(NAME, shown, scope=DEFAULT_SCOPE, room=room)
                repository.promote(incoming, beside=None, target=shown)
                assert repository.published() == shown

    def test_changes_are_told_apart(self, store: GitStore, upstream: Upstream) -> None:
        """Created, moved, rewound and deleted; a moved tag is only moved."""
        upstream.commit()
        upstream.branch("straight")
        upstream.branch("gone")
        upstream.tag("v1")
        mirrored(store, upstream.snapshot())
        upstream.commit("straight")
        upstream.force("main")
        upstream.delete("refs/heads/gone")
        upstream.tag("v1")
        upstream.branch("new")

        changes, _ = mirrored(store, upstream.snapshot())

        assert {change.ref: change.kind for change in changes} == {
            MAIN: ChangeKind.REWOUND,
            "refs/heads/straight": ChangeKind.MOVED,
            "refs/heads/gone": ChangeKind.DELETED,
            "refs/heads/new": ChangeKind.CREATED,
            "refs/tags/v1": ChangeKind.MOVED,
        }

    def test_old_tips_are_kept(self, store: GitStore, upstream: Upstream) -> None:
        """What a forced push or a moved tag replaced stays under a ref of ours."""
        upstream.commit()
        upstream.tag("v1")
        before = upstream.snapshot().refs
        mirrored(store, upstream.snapshot())
        upstream.force("main")
        upstream.tag("v1")

        mirrored(store, upstream.snapshot())

        assert set(published(store).kept) == {
            f"refs/syncer/keep/{TODAY}/{before[MAIN].oid}",
            f"refs/syncer/keep/tags/{before['refs/tags/v1'].oid}",
        }

    def test_the_objects_say_what_a_tag_peels_to(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Upstream's own word for it is not passed on."""
        mirrored(store, upstream.snapshot())
        upstream.tag("v1")
        told = dict(upstream.snapshot().refs)
        right = told["refs/tags/v1"]
        told["refs/tags/v1"] = Ref(right.oid, "f" * 40)

        mirrored(store, RefSnapshot(told, MAIN))

        assert published(store).refs["refs/tags/v1"] == right

    def test_a_branch_is_a_commit(self, store: GitStore, upstream: Upstream) -> None:
        """A branch that names a tag object is refused."""
        mirrored(store, upstream.snapshot())
        upstream.commit()
        tag = upstream.tag("v1")
        told = RefSnapshot({**upstream.snapshot().refs, MAIN: Ref(tag)}, MAIN)
        before = published(store)

        with store.lease(PATH) as repository:
            incoming = fetched(repository, told)
            with pytest.raises(IntegrityError, match="published refs are unchanged"):
                changed(repository, incoming)

        assert published(store) == before

    def test_dangerous_content_is_refused(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Nothing of it is published until a person accepts the object."""
        mirrored(store, upstream.snapshot())
        before = published(store)
        bad = upstream.poison()

        with pytest.raises(Dangerous) as caught:
            mirrored(store, upstream.snapshot())

        assert caught.value.oid == bad
        assert published(store) == before
        mirrored(store, upstream.snapshot(), accepted=(bad,))
        assert dict(published(store).upstream) == dict(upstream.snapshot().refs)

    def test_a_dangerous_first_mirror_is_refused(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """There is no repository until a person accepts the object."""
        bad = upstream.poison()

        with pytest.raises(Dangerous) as caught:
            mirrored(store, upstream.snapshot())

        assert caught.value.oid == bad
        assert store.stamp(PATH) is None
        mirrored(store, upstream.snapshot(), accepted=(bad,))
        assert dict(published(store).refs) == dict(upstream.snapshot().refs)

    def test_blemishes_are_told(self, store: GitStore, upstream: Upstream) -> None:
        """What fsck only warns of is mirrored, and is among the findings."""
        mirrored(store, upstream.snapshot())
        oid = upstream.blemish()

        with store.lease(PATH) as repository:
            incoming = fetched(repository, upstream.snapshot())

        assert [(f.oid, f.check) for f in incoming.findings] == [(oid, "badTimezone")]

    def test_what_was_checked_is_used_again(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """A run that failed after its fetch leaves nothing to fetch again."""
        mirrored(store, upstream.snapshot())
        upstream.commit()
        with store.lease(PATH) as repository:
            fetched(repository, upstream.snapshot())
        upstream.reachable = False

        with store.lease(PATH) as repository:
            repository.recover(None)
        mirrored(store, upstream.snapshot())

        assert dict(published(store).refs) == dict(upstream.snapshot().refs)

    def test_an_upstream_that_fails_changes_nothing(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """The refs stay, and the next run reaches upstream's state."""
        mirrored(store, upstream.snapshot())
        before = published(store)
        upstream.commit()
        upstream.reachable = False

        with pytest.raises(Unavailable):
            mirrored(store, upstream.snapshot())

        assert published(store) == before
        upstream.reachable = True
        mirrored(store, upstream.snapshot())
        assert dict(published(store).refs) == dict(upstream.snapshot().refs)

    def test_a_first_mirror_s_pointers_are_those_of_all_refs(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Of branches beside HEAD's and of the past, each once, in order."""
        upstream.track(*POINTERS[3:])
        upstream.branch("topic")
        upstream.track(*POINTERS[:2], branch="topic")
        upstream.track(POINTERS[2], POINTERS[4])

        assert found(store, upstream.snapshot()) == POINTERS

    def test_only_what_arrived_is_searched(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """What is published has been searched before; nothing arrived, nothing found.

        With `everything` all of it counts, also what no ref reaches any more.
        """
        upstream.track(POINTERS[0])
        mirrored(store, upstream.snapshot())
        upstream.track(POINTERS[1])
        mirrored(store, upstream.snapshot())
        assert found(store, upstream.snapshot()) == []
        upstream.force()
        upstream.track(POINTERS[2])

        assert found(store, upstream.snapshot()) == [POINTERS[2]]
        assert found(store, upstream.snapshot(), everything=True) == POINTERS[:3]
        mirrored(store, upstream.snapshot())
        assert found(store, upstream.snapshot(), everything=True) == POINTERS[:3]

    def test_a_quarantine_that_is_used_again_is_searched_again(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """A run that failed before it had the objects leaves its pointers to find."""
        mirrored(store, upstream.snapshot())
        upstream.track(POINTERS[0])
        target = upstream.snapshot()
        found(store, target)
        upstream.reachable = False

        assert found(store, target) == [POINTERS[0]]

    def test_what_the_new_refs_need_is_told(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Of the objects asked about those in any history of theirs, published or not.

        Not what only published refs, those that we keep, or nothing reaches.
        """
        upstream.track(POINTERS[0])
        upstream.tag("v1")
        upstream.track(POINTERS[1])
        upstream.branch("gone")
        upstream.track(POINTERS[2], branch="gone")
        upstream.track(POINTERS[3])
        assert needed(store, upstream.snapshot()) == set(POINTERS[:4])
        mirrored(store, upstream.snapshot())
        upstream.force()
        upstream.delete("refs/heads/gone")
        upstream.track(POINTERS[4])
        found(store, upstream.snapshot())
        upstream.force()
        upstream.track(POINTERS[5])
        target = upstream.snapshot()

        expected = {*POINTERS[:2], POINTERS[5]}
        assert needed(store, target) == expected
        assert needed(store, target, POINTERS[1:3]) == {POINTERS[1]}
        mirrored(store, target)
        assert needed(store, target) == expected
        assert needed(store, published(store)) == expected
        with store.lease(PATH) as repository:
            repository.maintain(now=NOW)
        assert needed(store, target) == expected
        upstream.track(POINTERS[6])
        assert needed(store, upstream.snapshot()) == {*expected, POINTERS[6]}
        assert needed(store, RefSnapshot()) == set()

    def test_the_new_head_says_where_its_lfs_server_is(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Its `.lfsconfig` counts, before and after it is published, no other."""
        upstream.branch("topic")
        upstream.configure("https://elsewhere.test/topic", branch="topic")
        assert lfs_url(store, upstream.snapshot()) is None
        mirrored(store, upstream.snapshot())
        upstream.configure("https://lfs.test/one")
        mirrored(store, upstream.snapshot())

        assert lfs_url(store, upstream.snapshot()) == "https://lfs.test/one"
        upstream.configure("https://lfs.test/two")
        assert lfs_url(store, upstream.snapshot()) == "https://lfs.test/two"
        told = RefSnapshot(upstream.snapshot().refs)
        assert lfs_url(store, told) is None

    def test_progress_is_told(self, store: GitStore, upstream: Upstream) -> None:
        """Somebody who asks hears how many objects arrive."""
        heard: list[Progress] = []

        with store.lease(PATH) as repository:
            repository.fetch(
                NAME, upstream.snapshot(), scope=DEFAULT_SCOPE, progress=heard.append
            )

        arrived = [p for p in heard if p.step == "receiving objects"]
        assert arrived
        assert arrived[-1].done == arrived[-1].total > 0

    def test_head_follows_a_renamed_branch(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """HEAD names the new branch, and the old one is gone."""
        mirrored(store, upstream.snapshot())
        upstream.rename_head("main", "trunk")

        mirrored(store, upstream.snapshot())

        assert published(store).head == "refs/heads/trunk"
        assert set(published(store).upstream) == {"refs/heads/trunk"}

    def test_a_promotion_that_never_began_is_forgotten(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Recovery finds the old refs, and leaves them."""
        mirrored(store, upstream.snapshot())
        old = published(store)
        upstream.commit()

        with store.lease(PATH) as repository:
            incoming = fetched(repository, upstream.snapshot())
            _, new = changed(repository, incoming)
        with store.lease(PATH) as repository:
            found = repository.recover(intent_of(old, new))

        assert found.finished is None
        assert published(store) == old

    def test_a_promotion_that_happened_is_found(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Recovery finds the new refs, and gives the receipt nobody recorded."""
        mirrored(store, upstream.snapshot())
        old = published(store)
        upstream.commit()
        _, receipt = mirrored(store, upstream.snapshot())
        new = published(store)

        with store.lease(PATH) as repository:
            found = repository.recover(intent_of(old, new))

        assert found.finished == receipt
        assert published(store) == new

    def test_a_promotion_cut_in_two_is_completed(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """From both names of a renamed default branch, recovery goes on to one."""
        mirrored(store, upstream.snapshot())
        old = published(store)
        upstream.rename_head("main", "trunk")
        with store.lease(PATH) as repository:
            incoming = fetched(repository, upstream.snapshot())
            _, new = changed(repository, incoming)
            both = RefSnapshot({**new.refs, MAIN: old.refs[MAIN]}, MAIN)
            repository.promote(incoming, beside=None, target=both)

        with store.lease(PATH) as repository:
            found = repository.recover(intent_of(old, new, both))

        assert found.finished is not None
        assert found.finished.fingerprint == new.fingerprint
        assert found.finished.stamp == store.stamp(PATH)
        assert published(store) == new

    def test_one_hand_holds_a_mirror(self, store: GitStore) -> None:
        """A second lease is refused while there is one, and not after."""
        with (
            store.lease(PATH),
            pytest.raises(Locked, match="nothing was changed"),
            store.lease(PATH),
        ):
            pytest.fail("two leases of one mirror")

        with store.lease(PATH), store.lease("upstream.test/acme/other.git"):
            pass

    def test_a_lease_ends_with_an_exception(self, store: GitStore) -> None:
        """A run that raises gives its mirror back."""
        with pytest.raises(ZeroDivisionError), store.lease(PATH):
            raise ZeroDivisionError

        with store.lease(PATH):
            pass

    def test_maintenance_is_due_when_packs_pile_up(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """One pack needs nothing but, when there is time, its index."""
        with store.lease(PATH) as repository:
            assert not repository.needs_maintenance(idle=True)
        mirrored(store, upstream.snapshot())

        with store.lease(PATH) as repository:
            assert not repository.needs_maintenance()
            assert repository.needs_maintenance(idle=True)
            repository.maintain(now=NOW)
            assert not repository.needs_maintenance(idle=True)

    def test_maintenance_moves_no_ref(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Refs and stamp are the same before and after."""
        for _ in range(3):
            mirrored(store, upstream.snapshot())
            upstream.commit()
        before, stamp = published(store), store.stamp(PATH)

        with store.lease(PATH) as repository:
            repository.maintain(now=NOW)

        assert published(store) == before
        assert store.stamp(PATH) == stamp

    def test_replaced_packs_go_after_their_grace(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Not before, and not in a dry run."""
        for _ in range(3):
            mirrored(store, upstream.snapshot())
            upstream.commit()
        year, later = timedelta(days=365), NOW + timedelta(days=1)

        with store.lease(PATH) as repository:
            repository.maintain(now=NOW)
            assert repository.drop_expired(NOW, year, dry_run=False) == []
            listed = repository.drop_expired(later, year, dry_run=True)
            assert listed
            assert repository.drop_expired(later, year, dry_run=False) == listed
            assert repository.drop_expired(later, year, dry_run=False) == []

    def test_kept_tips_expire_but_not_those_of_tags(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Past their retention they go; a replaced tag stays for ever."""
        upstream.commit()
        tag = upstream.tag("v1")
        mirrored(store, upstream.snapshot())
        upstream.force("main")
        upstream.tag("v1")
        mirrored(store, upstream.snapshot())
        keep, day = timedelta(days=90), timedelta(days=1)

        with store.lease(PATH) as repository:
            assert repository.drop_expired(NOW + keep, keep, dry_run=False) == []
            late = NOW + keep + day
            listed = repository.drop_expired(late, keep, dry_run=True)
            assert len(repository.published().kept) == 2
            assert repository.drop_expired(late, keep, dry_run=False) == listed

        assert list(published(store).kept) == [f"refs/syncer/keep/tags/{tag}"]
        assert dict(published(store).upstream) == dict(upstream.snapshot().refs)

    def test_a_discarded_mirror_is_gone(
        self, store: GitStore, upstream: Upstream
    ) -> None:
        """Nothing of it is left, and it can be mirrored again."""
        mirrored(store, upstream.snapshot())

        store.discard(PATH)

        assert store.stamp(PATH) is None
        assert published(store) == RefSnapshot()
        mirrored(store, upstream.snapshot())
        assert dict(published(store).refs) == dict(upstream.snapshot().refs)

    def test_there_is_room(self, store: GitStore) -> None:
        """A store above its floor lets work start."""
        store.check_space()
