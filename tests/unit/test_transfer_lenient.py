"""Lenient transfers: what upstream does wrong with one asset concerns no other."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.errors import (
    AccessDenied,
    CatalogBusy,
    EgressRefused,
    Expired,
    IntegrityError,
    Interrupted,
    NoSpace,
    NotFound,
    OverQuota,
    ProtocolError,
    RateLimited,
    Truncated,
    Unavailable,
)
from syncer.model.blobs import Blob
from syncer.model.lfs import BATCH
from tests.fakes_blobs import pointer_to
from tests.transfers import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.errors import SyncerError

BLOCK = 1 << 16
LARGE = b"large one" * (10 * BLOCK // 9)
LATE = Unavailable("no answer")
HOUR = timedelta(hours=1)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Return an engine whose threads end with the test."""
    with Bench() as bench:
        yield bench


def bodies(number: int) -> list[bytes]:
    """Return so many different bodies."""
    return [b"body %4d" % n for n in range(number)]


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (LATE, 5),
        (Truncated("cut"), 5),
        (Expired("expired"), 9),
        (ProtocolError("a page of HTML"), 1),
        (EgressRefused("a private address"), 1),
        (AccessDenied("not yours"), 1),
    ],
)
def test_one_asset_that_fails_does_not_fail_the_run(
    bench: Bench, error: SyncerError, times: int
) -> None:
    """It is left behind with its error; all others arrive."""
    bad = bench.source.add(b"bad")
    rest = [bench.source.add(body) for body in bodies(150)]
    bench.source.cut(bad.oid, 0, error, times=times)

    result = bench.bring(bad, *rest)

    assert result.failed == {bad.oid: error}
    assert result.untried == frozenset()
    assert result.arrived.keys() == {p.oid for p in rest}
    assert bench.store.find(bad.oid) is None


def test_what_its_address_denies_is_missing(bench: Bench) -> None:
    """A 404 is upstream's word, not a failure."""
    gone, rest = bench.source.add(b"gone"), bench.source.add(b"here")
    bench.source.cut(gone.oid, 0, NotFound("upstream says 404"))
    result = bench.bring(gone, rest)
    assert [(d.pointer, d.reason) for d in result.missing] == [
        (gone, "upstream says 404")
    ]
    assert (result.failed, result.over_quota) == ({}, frozenset())
    assert result.arrived.keys() == {rest.oid}


def test_a_spent_allowance_is_told_apart(bench: Bench) -> None:
    """The caller learns for which assets it is of no use to come back soon."""
    full, gone = bench.source.add(b"full"), pointer_to(b"gone")
    bench.source.cut(full.oid, 0, Expired("expired"))
    bench.source.cut(full.oid, 0, OverQuota("over its data quota"))
    result = bench.bring(full, gone)
    assert {d.pointer for d in result.missing} == {full, gone}
    assert result.over_quota == {full.oid}


def test_wrong_bytes_fail_one_asset(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Twice wrong: nothing of it stays, the log names it, the others arrive."""
    bad = bench.source.add(LARGE)
    bench.source.bodies[bad.oid] = b"?" * len(LARGE)
    rest = [bench.source.add(body) for body in bodies(20)]

    result = bench.bring(bad, *rest, labels={bad.oid: "v1.0/model.bin"})

    assert isinstance(result.failed[bad.oid], IntegrityError)
    assert result.failed.keys() == {bad.oid}
    assert result.arrived.keys() == {p.oid for p in rest}
    assert [oid for oid, _ in bench.source.opened].count(bad.oid) == 2
    assert bench.store.leftovers() == []
    assert "wrong bytes for the asset v1.0/model.bin" in caplog.text


def test_more_bytes_than_declared_fail_a_ticket(bench: Bench) -> None:
    """The length is all that a ticket promises, and it is held to it."""
    ticket = bench.ticket(b"so many bytes")
    bench.source.bodies[ticket.oid] = b"so many bytes, and more"
    result = bench.bring(ticket, unnamed=[ticket])
    assert isinstance(result.failed[ticket.oid], IntegrityError)
    assert list(bench.store.blobs()) == []
    assert bench.store.leftovers() == []


def test_many_that_fail_keep_no_other() -> None:
    """A third of all assets fails, never five in a row; the others all arrive."""
    with Bench(workers=1) as bench:
        wanted = [bench.source.add(body) for body in bodies(60)]
        for pointer in wanted[::3]:
            bench.source.cut(pointer.oid, 0, ProtocolError("a page of HTML"))
        result = bench.bring(*wanted)
    assert result.failed.keys() == {p.oid for p in wanted[::3]}
    assert len(result.arrived) == 40
    assert result.untried == frozenset()


def test_wrong_bytes_do_not_look_like_a_host_that_is_down() -> None:
    """A server that answers is asked on, however wrong its answers are."""
    with Bench(workers=1) as bench:
        wanted = [bench.source.add(body) for body in bodies(40)]
        for number, pointer in enumerate(wanted[:30]):
            if 4 <= number < 20 or number in {24, 29}:
                bench.source.bodies[pointer.oid] = b"?" * pointer.size
            else:
                bench.source.cut(pointer.oid, 0, ProtocolError("a page of HTML"))
        result = bench.bring(*wanted)
    # Of the others that fail, no more than four are in a row.
    assert result.failed.keys() == {p.oid for p in wanted[:30]}
    assert len(result.arrived) == 10


def test_a_host_that_is_down_is_left_alone(bench: Bench) -> None:
    """After five in a row nothing more is begun; the rest has the error, untried."""
    wanted = [bench.source.add(body) for body in bodies(250)]
    for pointer in wanted[20:]:
        bench.source.cut(pointer.oid, 0, LATE, times=5)

    result = bench.bring(*wanted)

    assert result.arrived.keys() == {p.oid for p in wanted[:20]}
    assert result.failed == {p.oid: LATE for p in wanted[20:]}
    tried = {oid for oid, _ in bench.source.opened}
    assert len(tried) <= 20 + 9
    assert result.untried == {p.oid for p in wanted} - tried
    assert result.missing == ()


def test_a_limit_ends_the_run_at_once() -> None:
    """Whoever is told to come back in an hour asks for nothing more."""
    limited = RateLimited("come back later", retry_after=HOUR)
    with Bench(workers=1) as bench:
        wanted = [bench.source.add(body) for body in bodies(30)]
        bench.source.cut(wanted[10].oid, 0, limited)
        result = bench.bring(*wanted)
        assert len(bench.source.opened) == 11
    assert result.arrived.keys() == {p.oid for p in wanted[:10]}
    assert result.failed == {p.oid: limited for p in wanted[10:]}
    assert result.untried == {p.oid for p in wanted[11:]}


@pytest.mark.parametrize(
    "error",
    [LATE, RateLimited("later", retry_after=HOUR), AccessDenied("bad credentials")],
)
def test_a_batch_that_fails_leaves_the_rest(bench: Bench, error: SyncerError) -> None:
    """What was granted before may arrive; nothing is lost without its error."""
    wanted = [bench.source.add(body) for body in bodies(150)]
    batch = bench.source.batch

    def first_only(*args: object) -> object:
        reply = batch(*args)  # type: ignore[arg-type] # passed on
        bench.source.batch_errors.extend([error] * 9)
        return reply

    bench.source.batch = first_only  # type: ignore[method-assign,assignment] # fails later
    result = bench.bring(*wanted)
    assert set(result.failed.values()) == {error}
    assert result.arrived.keys() | result.failed.keys() == {p.oid for p in wanted}
    assert {p.oid for p in wanted[BATCH:]} <= result.untried


def test_an_unanswered_asset_fails(bench: Bench) -> None:
    """A reply that leaves one out is a protocol error of that one."""
    wanted = [bench.source.add(body) for body in bodies(3)]
    batch = bench.source.batch
    bench.source.batch = lambda *a: batch(*a)[:-1]  # type: ignore[method-assign] # short
    result = bench.bring(*wanted)
    assert result.arrived.keys() == {p.oid for p in wanted[:2]}
    error = result.failed[wanted[2].oid]
    assert isinstance(error, ProtocolError)
    assert "1 assets" in str(error)


@pytest.mark.parametrize(
    ("method", "named"),
    [("find", True), *((m, n) for m in ("block", "commit") for n in (True, False))],
)
def test_a_store_that_fails_ends_a_lenient_run_too(
    bench: Bench,
    method: str,
    named: bool,  # noqa: FBT001 - drawn
) -> None:
    """Every asset would meet it: the caller is told, and nothing is half recorded."""
    full = NoSpace("full")
    add = bench.source.add if named else bench.ticket
    wanted = [add(body) for body in bodies(60)]
    bench.store.surveyed = False
    bench.store.errors[method] = [full] * 1000
    with pytest.raises(NoSpace) as caught:
        bench.bring(*wanted, unnamed=() if named else wanted)
    assert caught.value is full
    assert len(bench.source.opened) <= 10
    assert list(bench.store.blobs()) == []


def test_an_index_that_fails_to_claim_ends_the_run(bench: Bench) -> None:
    """A digest that cannot be claimed is not made visible, and the error is ours."""
    tickets = [bench.ticket(body) for body in bodies(30)]

    def busy(*_: object) -> frozenset[str]:
        msg = "the database is locked"
        raise CatalogBusy(msg)

    bench.index.claim = busy  # type: ignore[method-assign,assignment] # is locked
    with pytest.raises(CatalogBusy):
        bench.bring(*tickets, unnamed=tickets)
    with pytest.raises(CatalogBusy):
        bench.bring(bench.source.add(b"named"))
    assert list(bench.store.blobs()) == []


def test_a_defect_is_not_left_behind(bench: Bench) -> None:
    """Lenience is for upstream, not for us."""

    def broken(*_: object) -> object:
        raise ZeroDivisionError

    bench.source.open = broken  # type: ignore[method-assign,assignment] # a defect
    with pytest.raises(ZeroDivisionError):
        bench.bring(bench.source.add(b"a wheel"))


def test_a_stop_ends_a_lenient_run(bench: Bench) -> None:
    """It is no failure of any asset; the part of a ticket is kept."""
    ticket = bench.ticket(LARGE)

    class Stopping(list[int]):
        def append(self, size: int) -> None:
            super().append(size)
            bench.stop.set()

    bench.pace.paid = Stopping()
    with pytest.raises(Interrupted):
        bench.bring(ticket, unnamed=[ticket])
    bench.transfers.close()
    bench.stop.clear()
    bench.pace.paid = []
    bench.restart()
    result = bench.bring(ticket, unnamed=[ticket])
    assert result.arrived == {ticket.oid: Blob(*pointer_to(LARGE))}
    assert 0 < result.tally.received < len(LARGE)


def test_a_strict_job_of_assets_raises(bench: Bench) -> None:
    """Without lenience a failure is the run's, in words that fit assets."""
    bad = bench.source.add(LARGE)
    bench.source.bodies[bad.oid] = b"?" * len(LARGE)
    with pytest.raises(IntegrityError, match=r"bytes for assets, .*: v1/model\.bin;"):
        bench.bring(bad, labels={bad.oid: "v1/model.bin"}, lenient=False)
    assert bench.store.find(bad.oid) is None
