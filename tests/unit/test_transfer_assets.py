"""Assets: brought by digest or by ticket, and handed back."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.errors import (
    IntegrityError,
    Unavailable,
)
from syncer.model.blobs import Blob, StoredBlob
from syncer.model.lfs import LfsPointer, LfsTally
from syncer.model.names import RepoName
from tests.fakes import NOW
from tests.fakes_blobs import digest_for, pointer_to
from tests.transfers import LONG, NAME, Bench, gated, in_background, until_opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from syncer.model.runs import Progress

BLOCK = 1 << 16
LARGE = b"large one" * (10 * BLOCK // 9)
LATE = Unavailable("no answer")
HOUR = timedelta(hours=1)
FORK = RepoName("upstream.test", "acme", "fork")


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Return an engine whose threads end with the test."""
    with Bench() as bench:
        yield bench


def bodies(number: int) -> list[bytes]:
    """Return so many different bodies."""
    return [b"body %4d" % n for n in range(number)]


def offsets(bench: Bench, pointer: LfsPointer) -> list[int]:
    """Return where the downloads of an asset began."""
    return [offset for oid, offset in bench.source.opened if oid == pointer.oid]


def test_an_asset_with_a_digest_is_handed_back(bench: Bench) -> None:
    """The caller is told its blob, which is recorded; no LFS row is linked."""
    pointer = bench.source.add(b"a wheel")

    result = bench.bring(pointer)

    assert result.arrived == {pointer.oid: Blob(*pointer)}
    assert result.tally == LfsTally(fetched=1, received=7)
    assert (result.missing, result.failed) == ((), {})
    assert bench.blob(pointer).provenance == str(NAME)
    assert bench.blob(pointer).verified > NOW - HOUR
    assert bench.index.objects(1) == []
    assert "link" not in bench.index.calls


def test_an_asset_without_a_digest_gets_its_own(bench: Bench) -> None:
    """It is stored and recorded as what it is; its ticket is no digest anywhere."""
    ticket = bench.ticket(b"an old wheel")
    right = pointer_to(b"an old wheel")

    result = bench.bring(ticket, unnamed=[ticket])

    assert result.arrived == {ticket.oid: Blob(*right)}
    assert bench.store.body(right.oid) == b"an old wheel"
    assert bench.blob(right).provenance == str(NAME)
    assert bench.index.find([ticket.oid]) == {}
    assert bench.index.claimed([ticket.oid, right.oid]) == {right.oid}
    assert bench.store.find(ticket.oid) is None
    assert bench.store.leftovers() == []


def test_a_digest_is_claimed_before_it_is_visible(bench: Bench) -> None:
    """What arrives under a ticket is relied on before a sweep could see it."""
    ticket = bench.ticket(b"an old wheel")
    right = digest_for(b"an old wheel")
    seen: list[bool] = []
    claim = bench.index.claim

    def noted(mirror_id: int, digests: Iterable[str], now: object) -> frozenset[str]:
        seen.append(any(blob.digest == right for blob in bench.store.blobs()))
        return claim(mirror_id, digests, now)  # type: ignore[arg-type] # passed on

    bench.index.claim = noted  # type: ignore[method-assign] # watched
    bench.bring(ticket, unnamed=[ticket])
    assert seen == [False]
    assert bench.store.body(right) == b"an old wheel"


def test_many_of_both_kinds(bench: Bench) -> None:
    """Each oid is answered for by the blob that is behind it."""
    named = [bench.source.add(body) for body in bodies(150)]
    tickets = [bench.ticket(b"old " + body) for body in bodies(150)]
    mixed = [p for pair in zip(named, tickets, strict=True) for p in pair]

    result = bench.bring(*mixed, unnamed=tickets)

    assert result.tally.fetched == 300
    expected = {p.oid: Blob(*p) for p in named} | {
        p.oid: Blob(*pointer_to(b"old " + body))
        for p, body in zip(tickets, bodies(150), strict=True)
    }
    assert result.arrived == expected
    assert bench.index.find([b.digest for b in expected.values()]).keys() == {
        b.digest for b in expected.values()
    }


def test_what_the_index_or_the_store_has_is_not_downloaded(bench: Bench) -> None:
    """The same wheel in two releases, or in another mirror, costs nothing."""
    known, held = bench.source.add(b"known"), bench.source.add(b"held")
    bench.store.put(b"known")
    bench.index.stored([StoredBlob(Blob(*known), NOW, NOW, "elsewhere.test/a/b")])
    bench.store.put(b"held")

    result = bench.bring(known, held)

    assert result.arrived == {p.oid: Blob(*p) for p in (known, held)}
    assert result.tally == LfsTally(linked=2)
    assert bench.source.opened == []


def test_two_tickets_may_be_the_same_bytes(bench: Bench) -> None:
    """Each is downloaded, since nobody can know; there is one blob."""
    one, two = bench.ticket(b"same", 1), bench.ticket(b"same", 2)
    result = bench.bring(one, two, unnamed=[one, two])
    right = Blob(*pointer_to(b"same"))
    assert result.arrived == {one.oid: right, two.oid: right}
    assert list(bench.store.blobs()) == [right]


def test_an_empty_asset_has_a_digest(bench: Bench) -> None:
    """Zero bytes are not downloaded, and are a blob all the same."""
    ticket = bench.ticket(b"")
    result = bench.bring(ticket, unnamed=[ticket])
    assert result.arrived == {ticket.oid: Blob(digest_for(b""), 0)}
    assert bench.store.body(digest_for(b"")) == b""


def test_two_runs_download_a_ticket_once() -> None:
    """The second waits, claims the digest for its own mirror, and links it."""
    with Bench(workers=2, lanes=lambda _: 2) as bench, gated(bench) as gate:
        ticket, own = bench.ticket(b"an old wheel"), bench.source.add(b"own")
        right = Blob(*pointer_to(b"an old wheel"))
        first = in_background(lambda: bench.bring(ticket, unnamed=[ticket]))
        until_opened(bench, 1)
        second = in_background(
            lambda: bench.bring(ticket, own, unnamed=[ticket], mirror_id=2, name=FORK)
        )
        until_opened(bench, 2)
        gate.set()
        assert first().arrived == {ticket.oid: right}
        assert second().arrived == {ticket.oid: right, own.oid: Blob(*own)}
        assert (second().tally.fetched, second().tally.linked) == (1, 1)
        assert len(offsets(bench, ticket)) == 1
        bench.index.release(1)
        assert bench.index.claimed([right.digest]) == {right.digest}


def test_a_ticket_is_not_taken_for_a_digest() -> None:
    """A pointer that names a digest like a ticket in hand gets nothing of it."""
    with Bench(workers=2, lanes=lambda _: 2) as bench, gated(bench) as gate:
        ticket = bench.ticket(b"an old wheel")
        first = in_background(lambda: bench.bring(ticket, unnamed=[ticket]))
        until_opened(bench, 1)
        second = in_background(lambda: bench.run(ticket, mirror_id=2, name=FORK))
        until_opened(bench, 2)
        gate.set()
        assert first().tally.fetched == 1
        with pytest.raises(IntegrityError, match=ticket.oid):
            second()
        assert bench.index.objects(2) == []


def test_a_damaged_blob_is_brought_anew(bench: Bench) -> None:
    """An asset whose bytes were lost is downloaded over what is left of them."""
    pointer = bench.source.add(b"a wheel")
    bench.index.stored([StoredBlob(Blob(*pointer), NOW, NOW)])
    bench.index.damaged(pointer.oid, NOW, "bit rot")
    assert bench.bring(pointer).tally.fetched == 1
    assert bench.blob(pointer).damaged is None


def test_an_asset_of_another_length_is_missing(bench: Bench) -> None:
    """What we know to have another length is not taken for it."""
    pointer = bench.source.add(b"a wheel")
    bench.bring(pointer)
    longer = pointer._replace(size=pointer.size + 1)
    bench.source.objects[pointer.oid] = b"a wheel!"
    result = bench.bring(longer)
    assert [d.pointer for d in result.missing] == [longer]
    assert result.arrived == {}


def test_a_ticket_is_continued_within_a_run(bench: Bench) -> None:
    """A broken download goes on where it broke."""
    ticket = bench.ticket(LARGE)
    bench.source.cut(ticket.oid, 3 * BLOCK, LATE, times=2)
    result = bench.bring(ticket, unnamed=[ticket])
    assert offsets(bench, ticket) == [0, 3 * BLOCK, 6 * BLOCK]
    assert result.tally.received == len(LARGE)
    assert result.arrived[ticket.oid] == Blob(*pointer_to(LARGE))


def test_a_ticket_is_continued_by_the_next_run(bench: Bench) -> None:
    """What came before patience ended is kept below the ticket, unseen."""
    ticket = bench.ticket(LARGE)
    bench.source.cut(ticket.oid, 2 * BLOCK, LATE)
    bench.source.cut(ticket.oid, 0, LATE, times=4)

    first = bench.bring(ticket, unnamed=[ticket])
    assert first.failed == {ticket.oid: LATE}
    assert list(bench.store.blobs()) == []

    second = bench.bring(ticket, unnamed=[ticket])
    assert second.arrived == {ticket.oid: Blob(*pointer_to(LARGE))}
    assert second.tally.received == len(LARGE) - 2 * BLOCK


def test_a_ticket_whose_digest_is_being_removed_waits(bench: Bench) -> None:
    """It becomes visible after the removal has ended, never before."""
    ticket, right = bench.ticket(b"condemned"), pointer_to(b"condemned")
    seize(bench, b"condemned")
    wait = bench.stop.wait

    def remove_after_a_second(timeout: float | None = None) -> bool:
        if bench.clock.now() >= NOW + timedelta(seconds=1):
            bench.store.remove(right.oid)
            bench.index.removed([right.oid])
        return wait(timeout)

    bench.stop.wait = remove_after_a_second  # type: ignore[method-assign] # removes
    result = bench.bring(ticket, unnamed=[ticket])
    assert result.arrived == {ticket.oid: Blob(*right)}
    assert bench.store.body(right.oid) == b"condemned"
    assert timedelta(seconds=1) <= bench.clock.now() - NOW <= timedelta(seconds=3)


def test_a_removal_that_does_not_end_fails_one_asset(bench: Bench) -> None:
    """The part is kept for the next run, which downloads nothing."""
    ticket, other = bench.ticket(b"condemned"), bench.source.add(b"other")
    right = seize(bench, b"condemned")

    result = bench.bring(ticket, other, unnamed=[ticket])

    assert isinstance(result.failed[ticket.oid], Unavailable)
    assert "being removed" in str(result.failed[ticket.oid])
    assert result.arrived == {other.oid: Blob(*other)}
    bench.store.remove(right.digest)
    bench.index.removed([right.digest])
    again = bench.bring(ticket, unnamed=[ticket])
    assert (again.arrived, again.tally.received) == ({ticket.oid: right}, 0)


def seize(bench: Bench, body: bytes) -> Blob:
    """Have a stored blob that nobody needs removed at this moment."""
    blob = bench.store.put(body)
    bench.index.stored([StoredBlob(blob, NOW, NOW)])
    bench.index.condemn(NOW - HOUR)
    assert bench.index.seize(NOW, bench.clock.now(), 10) == [blob]
    return blob


def test_progress_names_assets() -> None:
    """The step is theirs, and the largest is shown by its tag and name."""
    told: list[Progress] = []
    with Bench() as bench:
        large, gate = bench.ticket(LARGE), threading.Event()

        class Late(list[int]):
            def append(self, size: int) -> None:
                super().append(size)
                bench.clock.advance(timedelta(seconds=1))
                gate.wait(LONG)

        def sink(progress: Progress) -> None:
            told.append(progress)
            if progress.current is not None:
                gate.set()

        bench.pace.paid = Late()
        labels = {large.oid: "v1.0/model.bin"}
        bench.bring(large, unnamed=[large], labels=labels, sink=sink)
    assert {each.step for each in told} == {"assets"}
    assert "v1.0/model.bin" in {each.current[0] for each in told if each.current}
    assert (told[-1].done, told[-1].items) == (len(LARGE), (1, 1))


def test_a_short_answer_is_told_by_name(bench: Bench) -> None:
    """The message of what is left behind says which asset it is about."""
    pointer = bench.source.add(b"a wheel")
    blocks = bench.source._blocks  # noqa: SLF001 - a server that ends early
    bench.source._blocks = lambda *_: iter(())  # type: ignore[method-assign] # noqa: SLF001 - as above
    result = bench.bring(pointer, labels={pointer.oid: "v1.0/a.whl"})
    assert "sent 0 of 7 bytes of the asset v1.0/a.whl" in str(
        result.failed[pointer.oid]
    )
    bench.source._blocks = blocks  # type: ignore[method-assign] # noqa: SLF001 - as above
    assert bench.bring(pointer).arrived.keys() == {pointer.oid}
