"""Transfers that break: what is tried again, what ends a run, what stays."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from syncer.errors import (
    AccessDenied,
    CatalogBusy,
    EgressRefused,
    Expired,
    IntegrityError,
    NoSpace,
    NotFound,
    OverQuota,
    RateLimited,
    Truncated,
    Unavailable,
)
from syncer.model.lfs import Grant, LfsState, Refusal
from tests.fakes_blobs import digest_for
from tests.transfers import NAME, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.errors import SyncerError
    from syncer.model.lfs import BatchReply, LfsPointer

BLOCK = 1 << 16
LARGE = sha256(b"large").digest() * (10 * BLOCK // 32)
LATE = Unavailable("no answer")


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Return an engine whose threads end with the test."""
    with Bench() as bench:
        yield bench


def offsets(bench: Bench, pointer: LfsPointer) -> list[int]:
    """Return where the downloads of an object began."""
    return [offset for oid, offset in bench.source.opened if oid == pointer.oid]


def others(bench: Bench, number: int = 20) -> list[LfsPointer]:
    """Have so many other objects upstream."""
    return [bench.source.add(b"other %d" % n) for n in range(number)]


@pytest.mark.parametrize(
    "error", [LATE, Truncated("cut"), RateLimited("slow", retry_after=None)]
)
def test_a_broken_download_goes_on_where_it_broke(
    bench: Bench, error: SyncerError
) -> None:
    """Nothing is downloaded twice, and the writer is the same one."""
    pointer = bench.source.add(LARGE)
    bench.source.cut(pointer.oid, 3 * BLOCK, error, times=2)

    result = bench.run(pointer)

    assert offsets(bench, pointer) == [0, 3 * BLOCK, 6 * BLOCK]
    assert len(bench.store.called("write")) == 1
    assert result.tally.received == len(LARGE)
    assert bench.store.body(pointer.oid) == LARGE


def test_a_short_answer_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that ends early without an error is no whole object."""
    pointer = bench.source.add(LARGE)
    blocks = bench.source._blocks  # noqa: SLF001 - a server that ends early

    def early(*args: object) -> Iterator[bytes]:
        for number, block in enumerate(blocks(*args)):  # type: ignore[arg-type] # same
            if number == 4:
                return
            yield block

    monkeypatch.setattr(bench.source, "_blocks", early)
    bench.run(pointer)
    assert offsets(bench, pointer) == [0, 4 * BLOCK, 8 * BLOCK]


def test_a_part_of_an_earlier_process_is_continued(bench: Bench) -> None:
    """A killed run's bytes count: only the rest is downloaded."""
    pointer = bench.source.add(LARGE)
    bench.store.disk.parts[pointer.oid] = (LARGE[: 4 * BLOCK], bench.clock.now())
    result = bench.run(pointer)
    assert offsets(bench, pointer) == [4 * BLOCK]
    assert result.tally.received == 6 * BLOCK


def test_a_whole_part_is_stored_without_a_download(bench: Bench) -> None:
    """A run that died before it committed left nothing to ask for."""
    pointer = bench.source.add(LARGE)
    bench.store.disk.parts[pointer.oid] = (LARGE, bench.clock.now())
    assert bench.run(pointer).tally.received == 0
    assert bench.source.opened == []
    assert bench.store.body(pointer.oid) == LARGE


def test_a_stale_part_is_thrown_away(bench: Bench) -> None:
    """Wrong bytes from an earlier process cost one whole download, no more."""
    pointer = bench.source.add(LARGE)
    bench.store.disk.parts[pointer.oid] = (b"\0" * BLOCK, bench.clock.now())
    bench.run(pointer)
    assert offsets(bench, pointer) == [BLOCK, 0]
    assert bench.store.body(pointer.oid) == LARGE


def test_attempts_that_bring_nothing_end(bench: Bench) -> None:
    """Five in a row are enough; what came before stays for the next run."""
    pointer = bench.source.add(LARGE)
    bench.source.cut(pointer.oid, 2 * BLOCK, LATE)
    bench.source.cut(pointer.oid, 0, LATE, times=9)
    with pytest.raises(Unavailable) as caught:
        bench.run(pointer)
    assert caught.value is LATE
    # The first attempt brought something, so that its failure counts anew.
    assert len(offsets(bench, pointer)) == 5
    assert len(bench.store.disk.parts[pointer.oid][0]) == 2 * BLOCK
    assert bench.index.known(1, [pointer.oid]) == {}


def test_attempts_that_bring_something_do_not_end(bench: Bench) -> None:
    """A server that cuts every answer is put up with while bytes come."""
    pointer = bench.source.add(LARGE)
    bench.source.cut(pointer.oid, BLOCK, LATE, times=9)
    assert bench.run(pointer).tally.received == len(LARGE)


def test_an_expired_grant_is_renewed(bench: Bench) -> None:
    """One object is asked for again, and its download goes on."""
    pointer = bench.source.add(LARGE)
    bench.source.cut(pointer.oid, 5 * BLOCK, Expired("the signature has expired"))
    bench.run(pointer)
    assert bench.source.batches == [[pointer], [pointer]]
    assert offsets(bench, pointer) == [0, 5 * BLOCK]


def test_a_grant_that_has_run_out_is_not_tried(bench: Bench) -> None:
    """What waited too long for its turn is asked for again first."""
    pointer = bench.source.add(LARGE)
    bench.source.lifetime = 0.0
    wait_for = bench.source.batch

    def slowly(*args: object) -> BatchReply:
        reply = wait_for(*args)  # type: ignore[arg-type] # passed on
        bench.source.lifetime = 100.0
        return reply

    bench.source.batch = slowly  # type: ignore[method-assign,assignment] # a slow server
    bench.run(pointer)
    assert len(bench.source.batches) == 2
    assert offsets(bench, pointer) == [0]


def test_grants_that_never_hold_come_to_an_end(bench: Bench) -> None:
    """A server whose grants have all expired is asked a few times, not for ever."""
    pointer = bench.source.add(LARGE)
    bench.source.lifetime = -1.0
    with pytest.raises(Expired):
        bench.run(pointer)
    assert len(bench.source.batches) <= 6


def test_a_lost_object_is_missing(bench: Bench) -> None:
    """The object's own address says 404: it is recorded, and the others go on."""
    pointer, rest = bench.source.add(LARGE), others(bench)
    bench.source.cut(pointer.oid, 0, NotFound("upstream says 404"))
    result = bench.run(pointer, *rest)
    assert [(d.pointer, d.reason) for d in result.missing] == [
        (pointer, "upstream says 404")
    ]
    assert bench.row(pointer).state is LfsState.MISSING
    assert result.tally.fetched == len(rest)


@pytest.mark.parametrize(
    ("code", "hours"), [(410, 1), (509, 6)], ids=["gone", "over quota"]
)
def test_a_refused_renewal_is_missing(bench: Bench, code: int, hours: int) -> None:
    """Upstream may take back what it granted."""
    pointer = bench.source.add(LARGE)
    refusal = Refusal(pointer, code, "not any more")
    batch = bench.source.batch

    def once(*args: object) -> BatchReply:
        reply = batch(*args)  # type: ignore[arg-type] # passed on
        bench.source.refusals[pointer.oid] = refusal
        return reply

    bench.source.batch = once  # type: ignore[method-assign,assignment] # changes its mind
    bench.source.cut(pointer.oid, BLOCK, Expired("expired"))
    now = bench.clock.now()
    result = bench.run(pointer)
    assert result.missing[0].reason == "not any more"
    row = bench.row(pointer)
    assert row.retry_at is not None
    assert row.retry_at - now >= timedelta(hours=0.9 * hours)


def test_a_renewal_over_quota_is_missing(bench: Bench) -> None:
    """The allowance may end in the middle of an object."""
    pointer = bench.source.add(LARGE)
    bench.source.cut(pointer.oid, BLOCK, Expired("expired"))
    bench.source.cut(pointer.oid, 0, OverQuota("over its data quota"))
    assert bench.run(pointer).missing[0].reason == "over its data quota"


def test_a_batch_that_is_gone_is_no_missing_object(bench: Bench) -> None:
    """A 404 of the LFS server itself, also for a renewal, says nothing of objects."""
    pointer = bench.source.add(LARGE)
    gone = NotFound("there is no LFS server")
    bench.source.cut(pointer.oid, BLOCK, Expired("expired"))
    batch = bench.source.batch

    def once(*args: object) -> BatchReply:
        reply = batch(*args)  # type: ignore[arg-type] # passed on
        bench.source.batch_errors.append(gone)
        return reply

    bench.source.batch = once  # type: ignore[method-assign,assignment] # goes away
    with pytest.raises(NotFound, match="no LFS server"):
        bench.run(pointer)
    assert bench.index.known(1, [pointer.oid]) == {}


@pytest.mark.parametrize("errors", [1, 4])
def test_a_batch_is_asked_again(bench: Bench, errors: int) -> None:
    """A server that is away for a moment is asked once more, not given up."""
    bench.source.batch_errors.extend([LATE] * errors)
    assert bench.run(*others(bench)).tally.fetched == 20
    assert len(bench.source.batches) == 1 + errors


def test_a_batch_waits_as_long_as_it_is_asked_to(bench: Bench) -> None:
    """`Retry-After` is taken at its word."""
    before = bench.clock.now()
    limited = RateLimited("slow down", retry_after=timedelta(seconds=50))
    bench.source.batch_errors.extend([limited] * 2)
    bench.run(*others(bench))
    assert (
        timedelta(0)
        <= bench.clock.now() - before - timedelta(seconds=100)
        < timedelta(seconds=2)
    )


@pytest.mark.parametrize(
    "error",
    [
        LATE,
        RateLimited("come back later", retry_after=timedelta(hours=1)),
        AccessDenied("bad credentials"),
        NotFound("no LFS server"),
        EgressRefused("not allowed"),
    ],
)
def test_a_batch_that_fails_fails_the_run(bench: Bench, error: SyncerError) -> None:
    """What was granted before is brought all the same, and recorded."""
    wanted = others(bench, 150)
    batch = bench.source.batch

    def first_only(*args: object) -> BatchReply:
        reply = batch(*args)  # type: ignore[arg-type] # passed on
        bench.source.batch_errors.extend([error] * 9)
        return reply

    bench.source.batch = first_only  # type: ignore[method-assign,assignment] # fails later
    with pytest.raises(type(error)) as caught:
        bench.run(*wanted)
    assert caught.value is error
    assert bench.index.counts(1).present == 100
    assert bench.index.counts(1).missing == 0


def test_one_object_that_fails_does_not_keep_others(bench: Bench) -> None:
    """The run fails, but only that object is left for the next one."""
    pointer, rest = bench.source.add(LARGE), others(bench, 150)
    refused = EgressRefused("a private address")
    bench.source.cut(pointer.oid, 0, refused)
    with pytest.raises(EgressRefused) as caught:
        bench.run(pointer, *rest)
    assert caught.value is refused
    assert bench.index.counts(1).present == 150


def test_many_failing_objects_end_the_run(bench: Bench) -> None:
    """A host that is down is not asked for each of a thousand objects."""
    wanted = others(bench, 190)
    for pointer in wanted:
        bench.source.cut(pointer.oid, 0, LATE, times=5)
    with pytest.raises(Unavailable):
        bench.run(*wanted)
    assert len(bench.source.opened) <= 10 * 5


def test_wrong_bytes_once_are_fetched_again(bench: Bench) -> None:
    """One more download, from the first byte on, may be right."""
    pointer = bench.source.add(LARGE)
    bench.source.bodies[pointer.oid] = b"\0" * len(LARGE)
    commit_failed: list[str] = []
    opened = bench.source.open

    def second_right(*args: object) -> object:
        if commit_failed:
            bench.source.bodies.clear()
        commit_failed.append("seen")
        return opened(*args)  # type: ignore[arg-type] # passed on

    bench.source.open = second_right  # type: ignore[method-assign,assignment] # heals
    result = bench.run(pointer)
    assert offsets(bench, pointer) == [0, 0]
    assert bench.store.body(pointer.oid) == LARGE
    assert result.tally.received == 2 * len(LARGE)


@pytest.mark.parametrize(
    "wrong",
    [b"\0" * len(LARGE), LARGE + b"!", LARGE[:-1] + b"?"],
    ids=["other", "too long", "last byte"],
)
def test_wrong_bytes_twice_are_an_integrity_error(bench: Bench, wrong: bytes) -> None:
    """Nothing of the object stays; the others are here; the message names it."""
    pointer, rest = bench.source.add(LARGE), others(bench)
    bench.source.bodies[pointer.oid] = wrong

    with pytest.raises(IntegrityError) as caught:
        bench.run(pointer, *rest)

    assert pointer.oid in str(caught.value)
    assert NAME.host in str(caught.value)
    assert caught.value.exit_code == 7
    assert len(offsets(bench, pointer)) == 2
    assert bench.store.find(pointer.oid) is None
    assert bench.store.leftovers() == []
    assert bench.index.known(1, [pointer.oid]) == {}
    assert bench.index.counts(1).present == len(rest)


def test_a_second_length_saves_a_poisoned_pointer(bench: Bench) -> None:
    """A server that grants wrong lengths too does not hold up the right one."""
    right = bench.source.add(LARGE)
    wrong = right._replace(size=right.size - BLOCK)
    grant_all = bench.source._answer  # noqa: SLF001 - a server that compares nothing

    def careless(pointer: LfsPointer) -> Grant:
        assert isinstance(grant_all(right), Grant)
        return Grant(pointer, "https://objects.test/", {})

    bench.source._answer = careless  # type: ignore[method-assign] # noqa: SLF001 - as above
    result = bench.run(wrong, right)
    assert bench.row(right).state is LfsState.PRESENT
    assert result.missing == ()


@pytest.mark.parametrize("method", ["survey", "find", "write", "block", "commit"])
@pytest.mark.parametrize(
    "error",
    [
        Unavailable("the store is down"),
        NotFound("there is no bucket"),
        NoSpace("full"),
    ],
)
def test_a_store_that_fails_ends_the_run(
    bench: Bench, method: str, error: SyncerError
) -> None:
    """The first error is raised, no object is called missing, little is downloaded."""
    bench.store.surveyed = method == "survey"
    wanted = others(bench, 150)
    bench.store.errors[method] = [error] * 1000

    with pytest.raises(type(error)) as caught:
        bench.run(*wanted)

    assert caught.value is error
    assert len(bench.source.opened) <= 10
    assert bench.index.counts(1).total == 0


def test_a_store_that_fails_once_keeps_what_is_under_way(bench: Bench) -> None:
    """The others that have begun come to their end and are recorded."""
    wanted = others(bench, 50)
    bench.store.errors["commit"] = [Unavailable("the store is down")]
    with pytest.raises(Unavailable):
        bench.run(*wanted)
    stored = {blob.digest for blob in bench.store.blobs()}
    linked = {each.pointer.oid for each in bench.index.objects(1)}
    assert linked == stored
    # The next run takes the rest.
    tally = bench.run(*wanted).tally
    assert tally.fetched + tally.linked == 50
    assert tally.linked == len(stored)


def test_a_catalog_that_fails_ends_the_run(bench: Bench) -> None:
    """What is stored and not recorded is found in the store by the next run."""
    wanted = others(bench, 150)
    bench.index.error = CatalogBusy("the database is locked")
    with pytest.raises(CatalogBusy):
        bench.run(*wanted)
    bench.index.error = None
    downloaded = len(bench.source.opened)

    tally = bench.run(*wanted).tally

    assert tally.fetched + tally.linked == 150
    assert len(bench.source.opened) - downloaded == tally.fetched < 150


@pytest.mark.parametrize("where", ["open", "batch", "find"])
def test_a_defect_is_not_lost(
    bench: Bench, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a thread raises, the run raises."""

    def broken(*_: object) -> object:
        raise ZeroDivisionError(where)

    monkeypatch.setattr(bench.store if where == "find" else bench.source, where, broken)
    with pytest.raises(ZeroDivisionError, match=where):
        bench.run(bench.source.add(LARGE))


def test_a_reporter_that_fails_ends_the_run(bench: Bench) -> None:
    """An error of the caller's own sink comes back to it, and no thread hangs."""

    def broken(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.run(*others(bench, 150), sink=broken)
    assert bench.run(*others(bench, 150)).tally.missing == 0


def test_the_digest_decides(bench: Bench) -> None:
    """What was stored is what the pointer names, whatever upstream sent first."""
    wanted = others(bench, 30)
    for pointer in wanted[::3]:
        bench.source.cut(pointer.oid, 3, LATE)
    bench.run(*wanted)
    assert {digest_for(bench.store.body(p.oid)) for p in wanted} == {
        p.oid for p in wanted
    }
