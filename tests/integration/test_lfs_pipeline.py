"""LFS in a run: what is there before a ref moves, and what failure leaves."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from syncer.errors import (
    AccessDenied,
    CatalogBusy,
    IntegrityError,
    Interrupted,
    NoSpace,
    NotFound,
    OverQuota,
    RateLimited,
    SyncerError,
    Truncated,
    Unavailable,
)
from syncer.model.lfs import LfsPointer, LfsState, LfsTally, Refusal
from syncer.model.mirrors import Selection
from syncer.model.runs import Outcome, Stage
from tests.fakes_blobs import pointer_to
from tests.lfs_mirrors import MINUTE, NAME, OTHER, Killed, Mirrors
from tests.sandbox import Sandbox
from tests.servers.pointers import pointer_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.git_http import GitServer

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
#: Attempts that a transfer makes when nothing comes.
PATIENCE = 9
LOOKS = {
    *("state", "intent", "abandon_runs", "recover", "published", "counts", "known"),
    *("absent",),
    *("check_space", "stamp"),
}
LFS_CALLS = {"batch", "open", "write", "claim", "find"}


@pytest.fixture
def mirrors() -> Iterator[Mirrors]:
    """Return mirrors, one of them synced once, with one object."""
    made = Mirrors()
    made.offer(b"the first")
    made.syncs()
    yield made
    made.close()


def test_the_order_is_the_promise(mirrors: Mirrors) -> None:
    """The claim first; the bytes before their row, that before the link and the refs.

    Nothing is relied on any more before the lease is given up.
    """
    mirrors.offer(b"the second")

    mirrors.syncs()

    assert [step for step in mirrors.steps.names if step not in LOOKS] == [
        *("lease", "open_run", "accepted_objects", "fetch", "pointers"),
        *("due", "lfs_url", "endpoint"),
        *("claim", "find", "batch", "find", "write", "open"),
        *("block", "commit"),
        *("stored", "link", "release"),
        *("classify", "peel", "intend", "promote", "finish", "let go"),
    ]


def test_refs_move_when_every_pointer_is_accounted_for(mirrors: Mirrors) -> None:
    """Whether an object is fetched, was here, or is missing: its row comes first."""
    (shared,) = mirrors.offer(b"shared", b"unused")[:1]
    mirrors.syncs()
    new = mirrors.offer(*(b"%d" % n for n in range(150)), b"shared")
    lost = pointer_to(b"lost")
    mirrors.upstream.track(lost)
    tip = mirrors.upstream.refs["refs/heads/main"]
    seen: list[list[LfsPointer]] = []

    def look(step: str) -> None:
        if step in {"claim", "intend", "promote"}:
            seen.append(mirrors.unaccounted(NAME, [tip]))

    mirrors.steps.before = look
    run = mirrors.syncs(Outcome.PARTIAL)

    before, intended, promoted = seen
    assert set(before) == {*new, lost} - {shared}
    assert (intended, promoted) == ([], [])
    assert run.lfs == LfsTally(150, 0, 1, sum(p.size for p in new) - shared.size)


def _store_fault(method: str) -> Callable[[Mirrors, SyncerError], None]:
    def spoil(mirrors: Mirrors, error: SyncerError) -> None:
        mirrors.blobs.errors[method] = [error]

    return spoil


def _batch_fault(mirrors: Mirrors, error: SyncerError) -> None:
    mirrors.source.batch_errors.extend([error] * PATIENCE)


def _object_fault(mirrors: Mirrors, error: SyncerError) -> None:
    mirrors.source.cut(pointer_to(b"z").oid, 0, error, PATIENCE)


DOWN = Unavailable("the object store does not answer")
FULL = NoSpace("the object store is full")


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(_store_fault("find"), DOWN, id="store down at a look"),
        pytest.param(_store_fault("write"), DOWN, id="store down at a write"),
        pytest.param(_store_fault("block"), DOWN, id="store down inside an object"),
        pytest.param(_store_fault("commit"), DOWN, id="store down at the end"),
        pytest.param(_store_fault("write"), FULL, id="store full"),
        pytest.param(_store_fault("write"), AccessDenied("no"), id="keys are wrong"),
        pytest.param(_store_fault("write"), NotFound("gone"), id="no bucket"),
        pytest.param(_batch_fault, Unavailable("503"), id="LFS server down"),
        pytest.param(_batch_fault, AccessDenied("403"), id="LFS server refuses us"),
        pytest.param(_batch_fault, NotFound("404"), id="no LFS server"),
        pytest.param(
            _batch_fault, RateLimited("429", retry_after=None), id="rate limit"
        ),
        pytest.param(_object_fault, Unavailable("502"), id="storage down"),
        pytest.param(_object_fault, Truncated("cut"), id="downloads break off"),
    ],
)
def test_what_fails_publishes_nothing(
    mirrors: Mirrors,
    spoil: Callable[[Mirrors, SyncerError], None],
    error: SyncerError,
) -> None:
    """The run is FAILED, refs stay, and the next one brings only the rest."""
    before = mirrors.published()
    mirrors.offer(b"x", b"y", b"z")
    spoil(mirrors, error)

    run = mirrors.syncs(Outcome.FAILED)

    mirrors.fails_with(error, run)
    assert "published refs are unchanged" in str(run.error)
    assert run.stage is Stage.TRANSFER
    assert mirrors.published() == before
    assert (mirrors.state.generation, mirrors.state.failures) == (1, 1)
    mirrors.blobs.errors.clear()
    mirrors.source.batch_errors.clear()
    mirrors.source.cuts.clear()
    arrived = {blob.digest for blob in mirrors.blobs.blobs()}

    mirrors.syncs()

    again = {oid for oid, offset in mirrors.source.opened if offset == 0}
    assert again.isdisjoint(arrived)
    assert mirrors.agrees()
    assert (mirrors.state.generation, mirrors.state.failures) == (2, 0)
    assert mirrors.state.lfs.present == 4
    assert mirrors.syncs(Outcome.UNCHANGED).lfs == LfsTally()


def test_what_arrived_before_a_failure_is_not_downloaded_again(
    mirrors: Mirrors,
) -> None:
    """Nineteen of twenty objects are kept, and the next run brings one."""
    offered = mirrors.offer(*(b"%02d" % n for n in range(20)))
    bad = max(offered)
    mirrors.source.cut(bad.oid, 0, Unavailable("502"), PATIENCE)

    failed = mirrors.syncs(Outcome.FAILED)
    mirrors.source.cuts.clear()
    done = mirrors.syncs()

    assert failed.lfs == LfsTally()
    assert [oid for oid, _ in mirrors.source.opened] == [bad.oid]
    assert done.lfs.fetched == 1
    assert mirrors.state.lfs.present == 21


def test_wrong_bytes_publish_nothing(mirrors: Mirrors) -> None:
    """Upstream sends other bytes: named, not stored, and healed by right ones."""
    good, bad = mirrors.offer(b"good", b"bad!")
    mirrors.source.bodies[bad.oid] = b"evil"

    run = mirrors.syncs(Outcome.FAILED)

    assert run.exit_code == IntegrityError.exit_code
    assert bad.oid in str(run.error)
    assert good.oid not in str(run.error)
    assert "nothing of them was stored" in str(run.error)
    assert mirrors.blobs.find(bad.oid) is None
    assert mirrors.state.generation == 1
    mirrors.source.bodies.clear()
    mirrors.syncs()
    assert [oid for oid, _ in mirrors.source.opened] == [bad.oid]
    assert mirrors.agrees()


@pytest.mark.parametrize(
    "call",
    ["claim", "find", "stored", "link", "known", "absent", "due", "release", "counts"],
)
def test_an_index_that_fails_publishes_nothing(mirrors: Mirrors, call: str) -> None:
    """A busy catalog is a failed run; the next one finds the bytes in the store."""
    before = mirrors.published()
    mirrors.offer(b"x", b"y")
    busy = CatalogBusy("the catalog is busy; nothing was recorded")

    with patch.object(mirrors.index, call, side_effect=busy):
        run = mirrors.run()

    mirrors.fails_with(busy, run)
    assert mirrors.published() == before
    arrived = {blob.digest for blob in mirrors.blobs.blobs()}
    mirrors.syncs()
    assert arrived.isdisjoint(oid for oid, _ in mirrors.source.opened)
    assert mirrors.agrees()


def test_a_stop_publishes_nothing(mirrors: Mirrors) -> None:
    """A signal inside a transfer is no failure; the part is continued."""
    body = bytes(300_000)
    (large,) = mirrors.offer(body)

    def stop(step: str) -> None:
        if step == "block" and mirrors.blobs.called("block").count(large.oid) == 2:
            mirrors.stop.set()

    mirrors.steps.before = stop
    run = mirrors.syncs(Outcome.FAILED)
    assert run.exit_code == Interrupted.exit_code
    assert mirrors.state.failures == 0
    mirrors.restart()

    mirrors.syncs()

    ((oid, offset),) = mirrors.source.opened
    assert oid == large.oid
    assert offset >= 2 * (1 << 16)
    assert mirrors.agrees()


def test_a_missing_object_is_named_and_published(mirrors: Mirrors) -> None:
    """Refs that lead to it are published, PARTIAL, and the run names it."""
    (there,) = mirrors.offer(b"there")
    lost = pointer_to(b"lost")
    mirrors.upstream.track(lost)

    run = mirrors.syncs(Outcome.PARTIAL)

    assert run.notes == (f"missing upstream: {lost.oid} (Object does not exist)",)
    assert run.lfs == LfsTally(1, 0, 1, there.size)
    assert mirrors.agrees()
    assert mirrors.state.generation == 2
    row = mirrors.row(lost)
    assert row is not None
    assert row.state is LfsState.MISSING
    assert row.reason == "Object does not exist"
    assert mirrors.syncs(Outcome.PARTIAL).generation == 2
    assert mirrors.source.batches == []


def test_a_missing_object_is_asked_for_ever_more_rarely(mirrors: Mirrors) -> None:
    """After an hour, then twice as long each time, at most a week; never between."""
    lost = pointer_to(b"lost")
    mirrors.upstream.track(lost)
    mirrors.syncs(Outcome.PARTIAL)
    waits = []

    for tries in range(2, 13):
        row = mirrors.row(lost)
        assert row is not None
        assert row.retry_at is not None
        waits.append(row.retry_at - mirrors.clock.now())
        mirrors.sync(after=waits[-1] - MINUTE)
        assert mirrors.source.batches == []
        run = mirrors.sync(after=MINUTE)
        assert (run.outcome, run.lfs.missing) == (Outcome.PARTIAL, 1)
        assert mirrors.source.batches == [[lost]]
        row = mirrors.row(lost)
        assert row is not None
        assert row.tries == tries

    assert waits[0] == pytest.approx(HOUR, rel=0.11)
    assert waits[1] == pytest.approx(2 * HOUR, rel=0.11)
    assert waits[-1] == pytest.approx(WEEK, rel=0.11)
    assert mirrors.state.generation == 2


def test_a_missing_object_that_comes_back_makes_the_mirror_whole(
    mirrors: Mirrors,
) -> None:
    """CHANGED without a new generation: refs were published before."""
    body = b"lost and found"
    lost = pointer_to(body)
    mirrors.upstream.track(lost)
    mirrors.syncs(Outcome.PARTIAL)
    mirrors.source.add(body)

    run = mirrors.sync(after=2 * HOUR)

    assert (run.outcome, run.generation) == (Outcome.CHANGED, 2)
    assert run.lfs == LfsTally(1, 0, 0, len(body))
    assert not {"fetch", "intend", "promote"} & set(mirrors.steps.names)
    row = mirrors.row(lost)
    assert row is not None
    assert (row.state, row.reason, row.tries) == (LfsState.PRESENT, None, 0)
    assert (mirrors.state.lfs.present, mirrors.state.lfs.missing) == (2, 0)
    mirrors.syncs(Outcome.UNCHANGED)
    mirrors.syncs(Outcome.UNCHANGED)
    assert mirrors.steps.names == ["stamp"]


def test_a_push_does_not_ask_for_missing_objects_before_their_time(
    mirrors: Mirrors,
) -> None:
    """Another commit with the same pointer asks only for what is new."""
    lost = pointer_to(b"lost")
    mirrors.upstream.track(lost)
    mirrors.syncs(Outcome.PARTIAL)
    new = mirrors.source.add(b"new")
    mirrors.upstream.track(lost, new)

    mirrors.syncs(Outcome.PARTIAL)

    assert mirrors.source.batches == [[new]]
    assert mirrors.agrees()


def test_hold_waits_for_all_objects(mirrors: Mirrors) -> None:
    """Refs stay until upstream has the object again; then nobody has to accept."""
    mirrors.select(hold=True)
    before = mirrors.published()
    body = b"late"
    late = pointer_to(body)
    mirrors.upstream.track(late)

    run = mirrors.syncs(Outcome.HELD)

    assert "1 LFS object is missing upstream" in str(run.error)
    assert "what is published is unchanged" in str(run.error)
    assert f"syncer accept {NAME}" in str(run.hint)
    assert late.oid in " ".join(run.notes)
    assert mirrors.published() == before
    held = mirrors.state.held
    assert held is not None
    assert held.missing == (late.oid,)
    assert mirrors.syncs(Outcome.HELD).lfs == LfsTally()
    assert mirrors.state.held == held
    mirrors.source.add(body)
    assert mirrors.sync(after=2 * HOUR).outcome is Outcome.CHANGED
    assert mirrors.state.held is None
    assert mirrors.agrees()


def test_hold_passes_when_accepted(mirrors: Mirrors) -> None:
    """What was accepted is published, and holds nothing later; more does again."""
    mirrors.select(hold=True)
    lost = pointer_to(b"lost")
    mirrors.upstream.track(lost)
    mirrors.syncs(Outcome.HELD)
    mirrors.accept()

    assert mirrors.syncs(Outcome.PARTIAL).generation == 2
    assert mirrors.agrees()

    mirrors.upstream.commit()
    mirrors.offer(b"more")
    assert mirrors.syncs(Outcome.PARTIAL).generation == 3
    assert mirrors.agrees()
    assert mirrors.sync(after=2 * HOUR).outcome is Outcome.PARTIAL
    assert mirrors.state.held is None

    mirrors.upstream.track(pointer_to(b"another"))
    assert mirrors.syncs(Outcome.HELD).error is not None
    assert mirrors.state.generation == 3


def test_more_than_what_was_accepted_holds_again(mirrors: Mirrors) -> None:
    """Objects that went missing since the person looked were not accepted."""
    mirrors.select(hold=True)
    mirrors.upstream.track(pointer_to(b"lost"))
    mirrors.syncs(Outcome.HELD)
    mirrors.accept()
    mirrors.upstream.track(pointer_to(b"another"))

    run = mirrors.syncs(Outcome.HELD)

    assert "2 LFS objects are missing upstream" in str(run.error)
    mirrors.accept()
    mirrors.syncs(Outcome.PARTIAL)
    assert mirrors.agrees()


def _lose(mirrors: Mirrors, body: bytes = b"lost") -> LfsPointer:
    """Publish a commit whose object upstream does not have."""
    lost = pointer_to(body)
    mirrors.upstream.track(lost)
    mirrors.syncs(Outcome.PARTIAL)
    return lost


def test_what_no_ref_needs_any_more_is_not_missing(mirrors: Mirrors) -> None:
    """A forced push takes the commit away: the mirror is whole, and nobody is asked.

    What is known of the object stays; until the refs move, it is missing.
    """
    lost = _lose(mirrors)
    before = mirrors.row(lost)
    assert before is not None
    mirrors.upstream.force()
    seen = []

    def look(step: str) -> None:
        if step in {"promote", "finish"}:
            seen.append(mirrors.row(lost))

    mirrors.steps.before = look
    run = mirrors.syncs()

    given_up = replace(before, state=LfsState.UNREACHED, retry_at=None)
    assert seen == [before, given_up]
    assert run.notes[1:] == ()
    assert "lost" not in " ".join(run.notes)
    assert mirrors.row(lost) == given_up
    assert (mirrors.state.lfs.total, mirrors.state.lfs.retry_at) == (1, None)
    assert mirrors.sync(after=2 * WEEK).outcome is Outcome.UNCHANGED
    assert mirrors.source.batches == []
    mirrors.upstream.commit()
    mirrors.syncs()
    assert mirrors.source.batches == []


def test_what_one_ref_still_needs_is_missing(mirrors: Mirrors) -> None:
    """Another branch, or the past of a tag, is enough; until that goes too."""
    lost = _lose(mirrors)
    mirrors.upstream.tag("v1")
    mirrors.upstream.force()

    mirrors.syncs(Outcome.PARTIAL)

    row = mirrors.row(lost)
    assert row is not None
    assert row.state is LfsState.MISSING
    mirrors.upstream.delete("refs/tags/v1")
    mirrors.syncs()


@pytest.mark.parametrize("found", [True, False], ids=["found", "missing"])
def test_a_ref_that_comes_back_is_published_after_its_object_was_asked_for(
    mirrors: Mirrors, *, found: bool
) -> None:
    """Nothing arrives, since the old commit is kept here: the walk tells."""
    body = b"lost"
    lost = _lose(mirrors, body)
    tip = mirrors.upstream.refs["refs/heads/main"]
    mirrors.upstream.force()
    mirrors.syncs()
    mirrors.upstream.refs["refs/heads/back"] = tip
    if found:
        mirrors.source.add(body)
    seen: list[list[LfsPointer]] = []

    def look(step: str) -> None:
        if step in {"fetch", "intend", "promote"}:
            seen.append(mirrors.unaccounted(NAME, [tip]))

    mirrors.steps.before = look
    run = mirrors.syncs(Outcome.CHANGED if found else Outcome.PARTIAL)

    assert run.objects == 0
    assert mirrors.source.batches == [[lost]]
    assert seen == [[lost], [], []]
    row = mirrors.row(lost)
    assert row is not None
    assert row.state is (LfsState.PRESENT if found else LfsState.MISSING)
    assert row.tries == (0 if found else 2)
    assert mirrors.state.lfs.missing == (not found)


def test_hold_keeps_a_ref_back_that_comes_back(mirrors: Mirrors) -> None:
    """It is as incomplete as at first, though nothing arrives with it."""
    lost = _lose(mirrors)
    tip = mirrors.upstream.refs["refs/heads/main"]
    mirrors.upstream.force()
    mirrors.syncs()
    mirrors.select(hold=True)
    mirrors.upstream.refs["refs/heads/back"] = tip

    mirrors.syncs(Outcome.HELD)

    held = mirrors.state.held
    assert held is not None
    assert held.missing == (lost.oid,)
    assert "refs/heads/back" not in mirrors.published().refs


def test_hold_ends_when_the_commit_is_replaced(mirrors: Mirrors) -> None:
    """By another one, which is published; or by what was there before."""
    mirrors.select(hold=True)
    mirrors.upstream.track(pointer_to(b"lost"))
    mirrors.syncs(Outcome.HELD)
    mirrors.upstream.force()
    assert mirrors.syncs().generation == 2
    assert mirrors.state.held is None
    before = mirrors.upstream.refs["refs/heads/main"]
    mirrors.upstream.track(pointer_to(b"another"))
    mirrors.syncs(Outcome.HELD)
    mirrors.upstream.refs["refs/heads/main"] = before

    mirrors.syncs()

    assert mirrors.state.held is None
    assert (mirrors.state.generation, mirrors.state.lfs.total) == (2, 1)
    mirrors.syncs(Outcome.UNCHANGED)
    mirrors.syncs(Outcome.UNCHANGED)
    assert mirrors.steps.names == ["stamp"]


def test_what_published_refs_need_is_missing_while_others_wait(
    mirrors: Mirrors,
) -> None:
    """Refs that would not need it are held: consumers still see those that do."""
    lost = _lose(mirrors)
    mirrors.upstream.force()
    mirrors.upstream.track(pointer_to(b"another"))
    mirrors.select(hold=True)

    mirrors.syncs(Outcome.HELD)

    row = mirrors.row(lost)
    assert row is not None
    assert row.state is LfsState.MISSING


@pytest.mark.parametrize("error", [Killed, CatalogBusy("nothing was recorded")])
def test_a_run_that_ends_before_it_gives_up_is_made_up_for(
    mirrors: Mirrors, error: BaseException
) -> None:
    """Refs have moved and the object is missing still: the next run ends that."""
    lost = _lose(mirrors)
    mirrors.upstream.force()

    def end(step: str) -> None:
        if step == "link":
            raise error

    mirrors.steps.before = end
    with suppress(Killed):
        assert mirrors.run().outcome is Outcome.FAILED
    assert mirrors.agrees()
    assert mirrors.state.lfs.missing == 1
    mirrors.restart()

    mirrors.syncs()

    assert mirrors.state.generation == 3
    row = mirrors.row(lost)
    assert row is not None
    assert row.state is LfsState.UNREACHED
    mirrors.syncs(Outcome.UNCHANGED)


def test_a_retry_that_falls_due_gives_up_what_no_ref_needs(mirrors: Mirrors) -> None:
    """Refs have not moved since; upstream is asked this once."""
    lost = _lose(mirrors)
    row = mirrors.row(lost)
    assert row is not None
    mirrors.upstream.force()
    mirrors.syncs()
    mirrors.index.link(mirrors.state.id, [row])
    assert mirrors.syncs(Outcome.PARTIAL).id == 0

    run = mirrors.sync(after=2 * HOUR)

    assert run.outcome is Outcome.CHANGED
    assert mirrors.source.batches == [[lost]]
    assert mirrors.state.lfs.total == 1
    assert not {"fetch", "intend", "promote"} & set(mirrors.steps.names)


def test_a_search_of_everything_asks_for_nothing_that_no_ref_needs(
    mirrors: Mirrors,
) -> None:
    """LFS off and on: pointers of commits that we alone keep are found, and known."""
    lost = _lose(mirrors)
    mirrors.upstream.force()
    mirrors.syncs()
    mirrors.select(lfs=False)
    mirrors.upstream.commit()
    mirrors.syncs()
    mirrors.select()

    mirrors.syncs()

    assert mirrors.state.lfs_scanned is not None
    assert mirrors.source.batches == []
    row = mirrors.row(lost)
    assert row is not None
    assert row.state is LfsState.UNREACHED


def test_history_is_walked_only_for_what_is_missing(mirrors: Mirrors) -> None:
    """Once in a run, and in none of a mirror that is whole."""
    mirrors.offer(b"more")
    mirrors.syncs()
    assert "reachable" not in mirrors.steps.names
    first = _lose(mirrors)
    assert mirrors.steps.names.count("reachable") == 1
    mirrors.upstream.force()
    mirrors.syncs()
    _lose(mirrors, b"another")
    mirrors.upstream.track(first)

    mirrors.syncs(Outcome.PARTIAL)

    assert mirrors.steps.names.count("reachable") == 1
    assert mirrors.state.lfs.missing == 2


def test_hold_keeps_a_first_mirror_back() -> None:
    """Without a first generation there is nothing to show; accepted, there is."""
    mirrors = Mirrors()
    mirrors.select(hold=True)
    mirrors.upstream.track(pointer_to(b"lost"))

    mirrors.syncs(Outcome.HELD)

    assert mirrors.published().refs == {}
    mirrors.accept()
    mirrors.syncs(Outcome.PARTIAL)
    assert mirrors.agrees()
    mirrors.close()


@pytest.mark.parametrize("whole_batch", [True, False], ids=["batch", "objects"])
def test_an_allowance_that_is_used_up_is_waited_for(
    mirrors: Mirrors, *, whole_batch: bool
) -> None:
    """Published with the reason, asked for again after hours; then whole."""
    pointers = mirrors.offer(b"x", b"y")
    words = "This repository is over its data quota"
    if whole_batch:
        mirrors.source.batch_errors.append(OverQuota(words))
    else:
        for each in pointers:
            mirrors.source.refusals[each.oid] = Refusal(each, 509, words)

    run = mirrors.syncs(Outcome.PARTIAL)

    assert words in " ".join(run.notes)
    assert run.lfs.missing == 2
    assert mirrors.agrees()
    retry = mirrors.state.lfs.retry_at
    assert retry is not None
    assert retry - mirrors.clock.now() > 5 * HOUR
    mirrors.source.refusals.clear()
    assert mirrors.sync(after=7 * HOUR).outcome is Outcome.CHANGED
    assert mirrors.state.lfs.present == 3


def test_what_another_mirror_brought_is_linked(mirrors: Mirrors) -> None:
    """Upstream of the second mirror grants it too: nothing is downloaded."""
    (shared,) = mirrors.offer(b"shared")
    mirrors.syncs()
    mirrors.upstreams[OTHER].track(shared)

    run = mirrors.sync(OTHER)

    assert (run.outcome, run.lfs) == (Outcome.CHANGED, LfsTally(0, 1, 0, 0))
    assert mirrors.source.batches == [[shared]]
    assert mirrors.source.opened == []
    row = mirrors.row(shared, OTHER)
    assert row is not None
    assert row.state is LfsState.PRESENT


def test_what_its_own_upstream_refuses_is_not_linked(mirrors: Mirrors) -> None:
    """A pointer to somebody else's object gives nothing away, though it is here."""
    (secret,) = mirrors.offer(b"secret")
    mirrors.syncs()
    del mirrors.source.objects[secret.oid]
    mirrors.upstreams[OTHER].track(secret)

    run = mirrors.sync(OTHER)

    assert (run.outcome, run.lfs) == (Outcome.PARTIAL, LfsTally(0, 0, 1, 0))
    row = mirrors.row(secret, OTHER)
    assert row is not None
    assert row.state is LfsState.MISSING
    mine = mirrors.row(secret)
    assert mine is not None
    assert mine.state is LfsState.PRESENT


def test_without_lfs_nobody_is_asked(mirrors: Mirrors) -> None:
    """Pointers alone are mirrored: no search, no batch, no blob."""
    mirrors.select(lfs=False)
    (pointer,) = mirrors.offer(b"unwanted")

    run = mirrors.syncs()

    assert run.lfs == LfsTally()
    assert not LFS_CALLS & set(mirrors.steps.names)
    assert "pointers" not in mirrors.steps.names
    assert mirrors.row(pointer) is None
    assert mirrors.agrees()
    mirrors.syncs(Outcome.UNCHANGED)


def test_a_mirror_from_before_lfs_is_searched_whole() -> None:
    """Switched on later, all of its history is: CHANGED, and no ref has moved."""
    mirrors = Mirrors()
    mirrors.select(lfs=False)
    (old,) = mirrors.offer(b"old")
    mirrors.syncs()
    mirrors.upstream.branch("gone")
    (kept,) = mirrors.offer(b"kept", branch="gone")
    mirrors.syncs()
    mirrors.upstream.delete("refs/heads/gone")
    mirrors.syncs()
    mirrors.select()

    run = mirrors.syncs()

    assert run.generation == mirrors.state.generation == 3
    assert not {"fetch", "intend", "promote"} & set(mirrors.steps.names)
    assert {p for batch in mirrors.source.batches for p in batch} == {old, kept}
    assert mirrors.state.lfs_scanned is not None
    mirrors.syncs(Outcome.UNCHANGED)
    mirrors.syncs(Outcome.UNCHANGED)
    assert mirrors.steps.names == ["stamp"]
    mirrors.close()


def test_switched_on_with_a_push_it_is_searched_whole() -> None:
    """The run that publishes the push brings what came before it as well."""
    mirrors = Mirrors()
    mirrors.select(lfs=False)
    mirrors.offer(b"old")
    mirrors.syncs()
    mirrors.offer(b"new")
    mirrors.select()

    assert mirrors.syncs().lfs.fetched == 2

    assert mirrors.agrees()
    mirrors.close()


def test_what_was_pushed_while_lfs_was_off_is_found(mirrors: Mirrors) -> None:
    """A search from before says nothing of what arrived unsearched."""
    mirrors.select(lfs=False)
    (unseen,) = mirrors.offer(b"unseen")
    mirrors.syncs()
    mirrors.select()

    mirrors.syncs()

    row = mirrors.row(unseen)
    assert row is not None
    assert row.state is LfsState.PRESENT
    mirrors.syncs(Outcome.UNCHANGED)


def test_what_was_fetched_in_vain_is_found_after_lfs_was_off(mirrors: Mirrors) -> None:
    """A run that failed for LFS, LFS switched off and on: no object is forgotten."""
    (unseen,) = mirrors.offer(b"unseen")
    mirrors.blobs.errors["write"] = [DOWN]
    mirrors.syncs(Outcome.FAILED)
    mirrors.select(lfs=False)
    mirrors.syncs()
    mirrors.select()
    mirrors.upstream.commit()

    mirrors.syncs()

    row = mirrors.row(unseen)
    assert row is not None
    assert row.state is LfsState.PRESENT


def test_a_branch_that_comes_back_has_its_objects(mirrors: Mirrors) -> None:
    """Deleted, kept, and back where it was, or further: what it needs is here."""
    mirrors.upstream.branch("topic")
    (mine,) = mirrors.offer(b"of the topic", branch="topic")
    mirrors.syncs()
    tip = mirrors.upstream.refs["refs/heads/topic"]
    mirrors.upstream.delete("refs/heads/topic")
    mirrors.syncs()
    mirrors.upstream.refs["refs/heads/topic"] = tip

    mirrors.syncs()

    assert mirrors.source.batches == []
    row = mirrors.row(mine)
    assert row is not None
    assert row.state is LfsState.PRESENT
    mirrors.offer(b"further", branch="topic")
    assert mirrors.syncs().lfs.fetched == 1
    assert mirrors.agrees()


def test_one_digest_has_one_length(mirrors: Mirrors) -> None:
    """Two pointers with one digest: the right one is brought, and it is enough."""
    (right,) = mirrors.offer(b"twelve bytes")
    wrong = LfsPointer(right.oid, right.size + 1)
    mirrors.upstream.track(wrong)

    mirrors.syncs()

    row = mirrors.row(right)
    assert row is not None
    assert (row.state, row.pointer) == (LfsState.PRESENT, right)
    mirrors.syncs(Outcome.UNCHANGED)


def test_a_wrong_length_alone_is_missing(mirrors: Mirrors) -> None:
    """Until a pointer with the right one arrives."""
    right = mirrors.source.add(b"twelve bytes")
    mirrors.upstream.track(LfsPointer(right.oid, right.size + 1))
    mirrors.syncs(Outcome.PARTIAL)
    assert mirrors.agrees()
    mirrors.upstream.track(right)

    mirrors.syncs()

    row = mirrors.row(right)
    assert row is not None
    assert (row.state, row.pointer) == (LfsState.PRESENT, right)


def test_another_place_that_is_not_asked_is_noted(mirrors: Mirrors) -> None:
    """The note of the source about `.lfsconfig` is the run's."""
    mirrors.upstream.configure("https://lfs.elsewhere.test/acme/widget")
    mirrors.offer(b"x")

    run = mirrors.syncs()

    assert run.notes == ("https://lfs.elsewhere.test/acme/widget is not asked",)


#: What a run that is killed was about to do: a push over everything there is.
def _busy() -> Mirrors:
    mirrors = Mirrors()
    mirrors.offer(b"the first")
    mirrors.syncs()
    (shared,) = mirrors.offer(b"shared")
    mirrors.syncs()
    mirrors.upstreams[OTHER].track(shared)
    mirrors.sync(OTHER)
    mirrors.upstream.branch("topic")
    mirrors.offer(b"one", branch="topic")
    mirrors.offer(b"two" * 50_000)
    mirrors.upstream.track(shared, pointer_to(b"lost"))
    mirrors.upstream.rename_head("main", "trunk")
    return mirrors


def _kill(mirrors: Mirrors, number: int) -> bool:
    """Run and die before call `number`; whether there was such a call."""
    calls = 0

    def count(_: str) -> None:
        nonlocal calls
        calls += 1
        if calls > number:
            raise Killed

    mirrors.steps.before = count
    try:
        mirrors.sync()
    except Killed:
        return True
    return False


def test_dying_before_any_call_breaks_no_promise() -> None:
    """Refs reach what is stored or known missing, and the next process ends it."""
    number, killed = 0, True
    while killed:
        mirrors = _busy()
        killed = _kill(mirrors, number)
        mirrors.restart()
        assert mirrors.lacking() == [], number
        arrived = {blob.digest for blob in mirrors.blobs.blobs()}

        mirrors.sync()

        assert mirrors.agrees(), number
        assert mirrors.state.generation == 3, number
        assert arrived.isdisjoint(oid for oid, _ in mirrors.source.opened), number
        assert mirrors.state.lfs.present == 4, number
        assert mirrors.state.lfs.missing == 1, number
        assert mirrors.syncs(Outcome.PARTIAL).lfs == LfsTally(), number
        mirrors.close()
        number += 1
    assert number > 40


def test_the_check_sees_a_ref_without_its_object(mirrors: Mirrors) -> None:
    """What the tests above rely on: a row that is not there is noticed."""
    (pointer,) = mirrors.offer(b"x")
    mirrors.syncs()

    mirrors.forget_row(pointer)

    assert mirrors.lacking() == [pointer]


@pytest.fixture
def box(git_server: GitServer, tmp_path: Path) -> Iterator[Sandbox]:
    """Return a mirror with real git on both sides, whose upstream has a commit."""
    made = Sandbox(git_server, tmp_path / "git")
    made.upstream.commit()
    yield made
    made.lfs.transfers.close()


def _commit(box: Sandbox, branch: str, *bodies: bytes) -> str:
    """Commit pointers to objects that upstream has, and return the id."""
    files = {
        f"{number}.bin": pointer_file(box.lfs.source.add(body))
        for number, body in enumerate(bodies)
    }
    return box.upstream.commit(branch, files)


def _here(box: Sandbox) -> set[str]:
    return {each.pointer.oid for each in box.lfs.index.objects(box.state.id)}


def _states(box: Sandbox) -> dict[str, LfsState]:
    return {o.pointer.oid: o.state for o in box.lfs.index.objects(box.state.id)}


def _oids(*bodies: bytes) -> set[str]:
    return {pointer_to(body).oid for body in bodies}


def test_pointers_of_every_ref_and_of_all_history_count(box: Sandbox) -> None:
    """Real pointer files, of commits long past, of branches and of tags."""
    _commit(box, "main", b"old", b"both")
    _commit(box, "main", b"new", b"both")
    _commit(box, "topic", b"topic")
    _commit(box, "tagged", b"tagged")
    box.upstream.tag("v1", "refs/heads/tagged")
    box.upstream.delete("refs/heads/tagged")

    assert box.sync().lfs.fetched == 5
    assert _here(box) == _oids(b"old", b"new", b"both", b"topic", b"tagged")
    assert box.agrees()

    box.upstream.branch("later", "main~1")
    _commit(box, "later", b"later")
    assert box.sync().lfs.fetched == 1
    assert box.sync().outcome is Outcome.UNCHANGED
    assert box.agrees()


def test_what_was_fetched_and_checked_is_not_fetched_again(box: Sandbox) -> None:
    """The blob store is down, then not: the second run takes the first one's pack."""
    box.sync()
    published = box.published()
    _commit(box, "main", b"one", b"two")
    box.lfs.blobs.errors["write"] = [DOWN]

    failed = box.sync()

    assert failed.outcome is Outcome.FAILED
    assert failed.objects == 4
    assert box.published() == published
    asked = len(box.server.requests)
    assert box.sync().outcome is Outcome.CHANGED
    packs = [r for r in box.server.requests[asked:] if r.command == "fetch"]
    assert packs == []
    assert box.state.lfs.present == 2
    assert box.agrees()
    assert box.remains() == []


def test_a_push_upon_what_failed_brings_both(box: Sandbox) -> None:
    """More arrives before the store is back: no pointer of either push is lost."""
    box.sync()
    _commit(box, "main", b"one")
    box.lfs.blobs.errors["write"] = [DOWN]
    assert box.sync().outcome is Outcome.FAILED
    _commit(box, "main", b"two")
    _commit(box, "topic", b"three")

    assert box.sync().lfs.fetched == 3

    assert _here(box) == _oids(b"one", b"two", b"three")
    assert box.agrees()


def test_a_held_push_is_published_from_its_quarantine(box: Sandbox) -> None:
    """Accepted, what was fetched is published as it is, without the object."""
    box.select(Selection(hold_missing=True))
    box.sync()
    _commit(box, "main", b"there")
    lost = pointer_to(b"lost")
    box.upstream.commit("main", {"lost.bin": pointer_file(lost)})
    assert box.sync().outcome is Outcome.HELD
    assert box.sync().outcome is Outcome.HELD
    box.accept()
    asked = len(box.server.requests)

    assert box.sync().outcome is Outcome.PARTIAL

    assert [r for r in box.server.requests[asked:] if r.command == "fetch"] == []
    assert box.agrees()
    assert (box.state.lfs.present, box.state.lfs.missing) == (1, 1)


def test_what_was_taken_back_holds_nothing(box: Sandbox) -> None:
    """A held commit that is replaced, in its quarantine: its successor passes alone."""
    box.select(Selection(hold_missing=True))
    box.sync()
    lost = pointer_to(b"lost")
    box.upstream.commit("main", {"lost.bin": pointer_file(lost)})
    assert box.sync().outcome is Outcome.HELD
    box.upstream.force("main")

    assert box.sync().outcome is Outcome.CHANGED

    assert box.agrees()
    assert box.state.held is None
    assert _states(box) == {lost.oid: LfsState.UNREACHED}
    assert box.sync().outcome is Outcome.UNCHANGED


def test_what_a_forced_push_took_away_is_asked_for_when_it_is_back(
    box: Sandbox,
) -> None:
    """By real git, with the old commit here all the time: PARTIAL, whole, PARTIAL."""
    _commit(box, "main", b"there")
    box.sync()
    lost = pointer_to(b"lost")
    tip = box.upstream.commit("main", {"lost.bin": pointer_file(lost)})
    assert box.sync().outcome is Outcome.PARTIAL
    box.upstream.force("main")
    assert box.sync().outcome is Outcome.CHANGED
    assert (box.state.lfs.present, box.state.lfs.total) == (1, 1)
    assert _states(box)[lost.oid] is LfsState.UNREACHED
    asked = len(box.server.requests)
    box.upstream.branch("back", tip)

    run = box.sync()

    assert [r for r in box.server.requests[asked:] if r.command == "fetch"] == []
    assert (run.outcome, run.lfs.missing) == (Outcome.PARTIAL, 1)
    assert _states(box)[lost.oid] is LfsState.MISSING
    assert box.agrees()


def test_an_old_mirror_is_searched_by_git_once(box: Sandbox) -> None:
    """Pointers of a deleted branch too: its old tip is still readable."""
    box.select(Selection(lfs=False))
    _commit(box, "main", b"one")
    _commit(box, "topic", b"two")
    box.sync()
    box.upstream.delete("topic")
    box.sync()
    generation = box.state.generation
    box.select(Selection())

    run = box.sync()

    assert (run.outcome, run.generation) == (Outcome.CHANGED, generation)
    assert _here(box) == _oids(b"one", b"two")
    started = box.git.started
    assert box.sync().outcome is Outcome.UNCHANGED
    assert box.git.started == started
