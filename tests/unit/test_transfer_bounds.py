"""What transfers hold to: threads, memory, hosts, time; and how they end."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from syncer.errors import AccessDenied, Interrupted, RateLimited
from syncer.model.lfs import BATCH, LfsState
from syncer.model.names import RepoName
from syncer.sync.transfer import AssetBook
from syncer.sync.transfer.meter import Meter
from tests.fakes import FakeClock
from tests.fakes_blobs import pointer_to
from tests.transfers import LONG, Bench, gated, in_background, until_opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.model.lfs import Grant, LfsEndpoint, LfsPointer
    from syncer.model.runs import Progress

BLOCK = 1 << 16


def bodies(number: int, length: int = 100) -> list[bytes]:
    """Return so many different bodies."""
    return [n.to_bytes(4, "big") * (length // 4) for n in range(number)]


class Slow(list[int]):
    """Takes its time with each block."""

    def __init__(self, pause: float = 0.002) -> None:
        super().__init__()
        self._pause = pause

    def append(self, size: int) -> None:
        """Note a block."""
        super().append(size)
        time.sleep(self._pause)


def test_threads_and_hosts_are_bounded() -> None:
    """Over all runs: so many downloads at once, and so many of one host."""
    with Bench(workers=5, lanes=lambda _: 3) as bench, gated(bench) as gate:
        wanted = [bench.source.add(body) for body in bodies(40)]
        one = RepoName("a.test", "acme", "one")
        first = in_background(lambda: bench.run(*wanted[:20], name=one))
        until_opened(bench, 3)
        assert bench.source.open_now == 3
        two = RepoName("b.test", "acme", "two")
        second = in_background(lambda: bench.run(*wanted[20:], mirror_id=2, name=two))
        until_opened(bench, 5)
        assert bench.source.open_now == 5
        gate.set()
        assert first().tally.fetched == second().tally.fetched == 20
        assert bench.source.most_open == 5


def test_memory_is_bounded() -> None:
    """Objects wait for room; one larger than all of it goes alone."""
    with Bench(workers=8, lanes=lambda _: 8, room=4 * BLOCK) as bench:
        wanted = [bench.source.add(body) for body in bodies(12, BLOCK)]
        with gated(bench) as gate:
            run = in_background(lambda: bench.run(*wanted))
            until_opened(bench, 4)
            assert bench.source.open_now == 4
            gate.set()
            assert run().tally.fetched == 12
        larger = bench.source.add(b"x" * (9 * BLOCK))
        assert bench.run(larger).tally.fetched == 1


def test_two_runs_share_one_download() -> None:
    """What one has in hand the other waits for, without a thread; both link it."""
    with Bench(workers=2, lanes=lambda _: 2) as bench, gated(bench) as gate:
        shared, own = bench.source.add(b"shared"), bench.source.add(b"own")
        fork = RepoName("upstream.test", "acme", "fork")
        first = in_background(lambda: bench.run(shared))
        until_opened(bench, 1)
        second = in_background(lambda: bench.run(shared, own, mirror_id=2, name=fork))
        until_opened(bench, 2)
        gate.set()
        assert first().tally.fetched == 1
        assert (second().tally.fetched, second().tally.linked) == (1, 1)
        assert sorted(oid for oid, _ in bench.source.opened) == sorted(
            [shared.oid, own.oid]
        )
        assert bench.row(shared, 2).state is LfsState.PRESENT


def test_a_run_that_fails_waits_for_no_other() -> None:
    """What another run has in hand is given up with the rest."""
    with Bench() as bench, gated(bench) as gate:
        shared = bench.source.add(b"shared")
        fork = RepoName("upstream.test", "acme", "fork")
        first = in_background(lambda: bench.run(shared))
        until_opened(bench, 1)
        bench.source.batch_errors.append(AccessDenied("no"))
        began = time.monotonic()
        with pytest.raises(AccessDenied):
            bench.run(shared, mirror_id=2, name=fork)
        reports = iter([None, None])

        def broken(_: Progress) -> None:
            bench.clock.advance(timedelta(seconds=1))
            next(reports)

        with pytest.raises(StopIteration):
            bench.run(shared, mirror_id=2, name=fork, sink=broken)
        assert time.monotonic() - began < 2.0
        gate.set()
        assert first().tally.fetched == 1


def test_small_objects_pass_while_a_large_one_is_on_its_way() -> None:
    """A large object takes one lane, not all of them."""
    with Bench(workers=2, lanes=lambda _: 2) as bench:
        large = bench.source.add(b"x" * (40 * BLOCK))
        small = [bench.source.add(body) for body in bodies(50)]
        with gated_one(bench, large) as gate:
            run = in_background(lambda: bench.run(large, *small))
            deadline = time.monotonic() + LONG
            while len(bench.store.called("commit")) < 50:
                assert time.monotonic() < deadline
                time.sleep(0.002)
            gate.set()
            assert run().tally.fetched == 51


@contextmanager
def gated_one(bench: Bench, stuck: LfsPointer) -> Iterator[threading.Event]:
    """Stop the downloads of one object until the event is set."""
    gate, opened = threading.Event(), bench.source.open

    @contextmanager
    def open_late(name: RepoName, grant: Grant, offset: int) -> Iterator[object]:
        with opened(name, grant, offset) as blocks:
            if grant.pointer == stuck:
                gate.wait(2 * LONG)
            yield blocks

    bench.source.open = open_late  # type: ignore[method-assign,assignment] # late
    try:
        yield gate
    finally:
        gate.set()


def test_batches_are_not_asked_far_ahead() -> None:
    """Grants expire: at most two hundred objects are asked for and not yet here."""
    ahead: list[int] = []
    with Bench() as bench:
        bench.pace.paid = Slow()
        batch = bench.source.batch

        def noted(
            name: RepoName, where: LfsEndpoint, wanted: list[LfsPointer]
        ) -> object:
            reply = batch(name, where, wanted)
            asked = sum(map(len, bench.source.batches))
            ahead.append(asked - len(bench.store.called("commit")))
            return reply

        bench.source.batch = noted  # type: ignore[method-assign,assignment] # watched
        wanted = [bench.source.add(body) for body in bodies(500)]
        assert bench.run(*wanted).tally.fetched == 500
    assert len(ahead) == 5
    # Those whose end the calling thread has yet to hear of do not count.
    assert 150 <= max(ahead) <= 2 * BATCH


def test_threads_are_used_again_and_end() -> None:
    """Runs share their threads, which are gone when the engine is closed."""
    before = set(threading.enumerate())
    with Bench(workers=3) as bench:
        assert set(threading.enumerate()) == before
        for number in range(10):
            wanted = [bench.source.add(b"%d %d" % (number, n)) for n in range(20)]
            bench.run(*wanted)
        assert len(set(threading.enumerate()) - before) <= 3
    assert set(threading.enumerate()) <= before


def test_a_stop_keeps_what_is_here() -> None:
    """It ends between two blocks: whole objects are recorded, parts are kept."""
    before = set(threading.enumerate())
    with Bench() as bench:
        large, small = bench.source.add(b"x" * (40 * BLOCK)), bench.source.add(b"small")

        class Stopping(list[int]):
            def append(self, size: int) -> None:
                super().append(size)
                if sum(self) > 8 * BLOCK:
                    bench.stop.set()

        bench.pace.paid = Stopping()
        with pytest.raises(Interrupted):
            bench.run(small, large)
        (part,) = bench.store.leftovers()
        assert part.digest == large.oid
        assert 8 * BLOCK <= part.size < 40 * BLOCK
        assert [each.pointer for each in bench.index.objects(1)] == [small]

        # Another process goes on from there.
        bench.transfers.close()
        bench.stop.clear()
        bench.pace.paid = []
        bench.restart()
        result = bench.run(large)
        assert result.tally.received == 40 * BLOCK - part.size
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("where", ["download", "batch", "store"])
def test_a_stop_does_not_wait_for_a_server(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that says nothing keeps a thread for a while, not the run."""
    gate = threading.Event()
    with Bench() as bench:
        bench.make_real()
        wanted = [bench.source.add(body) for body in bodies(30)]

        def stuck(*_: object) -> object:
            gate.wait(2 * LONG)
            raise Interrupted(where)

        stands = {
            "download": (bench.source, "open"),
            "batch": (bench.source, "batch"),
            "store": (bench.store, "survey"),
        }
        target, method = stands[where]
        setattr(target, method, stuck)
        run = in_background(lambda: bench.run(*wanted))
        time.sleep(0.1)
        began = time.monotonic()
        with caplog.at_level(logging.WARNING):
            bench.stop.set()
            with pytest.raises(Interrupted):
                run()
        assert time.monotonic() - began < 2.5
        assert "still wait for a server" in caplog.text
        gate.set()


def test_a_stop_ends_a_pause() -> None:
    """Nobody sleeps through it, neither before a batch nor within an object."""
    with Bench() as bench:
        bench.make_real()
        pointer = bench.source.add(b"x" * BLOCK)
        limited = RateLimited("later", retry_after=timedelta(seconds=60))
        bench.source.cut(pointer.oid, 0, limited)
        run = in_background(lambda: bench.run(pointer))
        time.sleep(0.1)
        bench.stop.set()
        began = time.monotonic()
        with pytest.raises(Interrupted):
            run()
        assert time.monotonic() - began < 1.0


def test_a_stopped_process_begins_nothing() -> None:
    """A run that comes too late neither asks nor downloads."""
    with Bench() as bench:
        bench.stop.set()
        with pytest.raises(Interrupted):
            bench.run(bench.source.add(b"late"))
        assert bench.source.batches == []
        assert bench.source.opened == []


def test_a_closed_engine_begins_nothing() -> None:
    """After the end of its threads a run is told so instead of waiting for them."""
    bench = Bench()
    bench.transfers.close()
    with pytest.raises(Interrupted):
        bench.run(bench.source.add(b"late"))


def test_progress_adds_up() -> None:
    """The last report has everything, in bytes and in objects."""
    told: list[Progress] = []
    with Bench() as bench:
        wanted = [bench.source.add(body) for body in bodies(30)]
        gone = pointer_to(b"gone")
        bench.run(*wanted, gone, sink=told.append)
    assert {each.step for each in told} == {"LFS objects"}
    assert {each.total for each in told} == {30 * 100 + 4}
    assert (told[-1].done, told[-1].items) == (30 * 100 + 4, (31, 31))
    assert told[-1].received == 30 * 100
    assert told[-1].current is None


def test_progress_is_told_a_few_times_a_second() -> None:
    """Five times a second at most; the largest object under way is named."""
    told: list[tuple[float, Progress]] = []
    with Bench() as bench:
        bench.make_real()
        large = bench.source.add(b"x" * (20 * BLOCK))
        small = [bench.source.add(body) for body in bodies(10)]
        bench.pace.paid = Slow(0.04)
        bench.run(*small, large, sink=lambda p: told.append((time.monotonic(), p)))
    times = [when for when, _ in told]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps[:-1]) >= 0.19
    assert 3 <= len(told) <= 12
    assert any(p.current and p.current[0] == large.oid[:10] for _, p in told)
    assert any(p.rate > BLOCK for _, p in told)
    done = [p.done for _, p in told]
    assert done == sorted(done)


def test_a_rate_is_that_of_late() -> None:
    """What came long ago does not count."""
    told: list[Progress] = []
    clock = FakeClock()
    meter = Meter(told.append, clock, AssetBook({}), [pointer_to(b"x" * 1000)])
    for _ in range(10):
        meter.receive(500)
        meter.tell(())
        clock.advance(timedelta(seconds=1))
    for _ in range(10):
        meter.tell(())
        clock.advance(timedelta(seconds=1))
    assert 400 <= told[9].rate <= 500
    assert told[-1].rate == 0.0
