"""What becomes of the LFS objects that a run wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.errors import OverQuota, ProtocolError, Unavailable
from syncer.model.blobs import Blob, StoredBlob
from syncer.model.lfs import BATCH, LfsPointer, LfsState, LfsTally, Refusal
from syncer.model.names import RepoName
from tests.fakes import NOW
from tests.fakes_blobs import digest_for, pointer_to
from tests.transfers import NAME, Bench, in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syncer.sync.transfer import TransferResult

HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Return an engine whose threads end with the test."""
    with Bench() as bench:
        yield bench


def bodies(number: int, length: int = 10) -> list[bytes]:
    """Return so many different bodies."""
    return [n.to_bytes(4, "big") * length for n in range(number)]


def remember(bench: Bench, body: bytes, *, stored: bool = True) -> LfsPointer:
    """Have the index know a blob, and the store hold it."""
    pointer = pointer_to(body)
    if stored:
        bench.store.put(body)
    bench.index.stored([StoredBlob(Blob(*pointer), NOW, NOW, "elsewhere.test/a/b")])
    return pointer


def test_objects_are_fetched_verified_and_recorded(bench: Bench) -> None:
    """What upstream has is in the store afterwards, and both rows say so."""
    wanted = [bench.source.add(body) for body in bodies(3)]

    result = bench.run(*wanted)

    assert result.tally == LfsTally(fetched=3, received=3 * 40)
    assert result.missing == ()
    assert [bench.store.body(p.oid) for p in wanted] == bodies(3)
    for pointer in wanted:
        assert bench.row(pointer).state is LfsState.PRESENT
        assert bench.row(pointer).retry_at is None
        assert bench.blob(pointer).blob == Blob(*pointer)
        assert bench.blob(pointer).provenance == str(NAME)
        assert bench.blob(pointer).verified == bench.blob(pointer).stored
    assert sum(bench.pace.paid) == 3 * 40


def test_nothing_wanted_asks_nobody(bench: Bench) -> None:
    """A run without new pointers costs no request and no row."""
    assert bench.run().tally == LfsTally()
    assert bench.index.calls == []
    assert bench.store.journal == []
    assert bench.source.batches == []


def test_claims_come_before_questions_and_rows_after_bytes(bench: Bench) -> None:
    """A blob is relied on before it is looked for, and linked once it is stored."""
    bench.run(bench.source.add(b"a body"))
    assert bench.index.calls[:4] == ["claim", "find", "stored", "link"]


def test_what_is_known_is_linked_without_a_look(bench: Bench) -> None:
    """A granted object that we hold costs neither a download nor the store's time."""
    wanted = [remember(bench, body) for body in bodies(20)]
    bench.source.objects = {digest_for(body): body for body in bodies(20)}

    result = bench.run(*wanted)

    assert result.tally == LfsTally(linked=20)
    assert bench.store.journal == []
    assert bench.source.opened == []
    assert all(bench.row(p).state is LfsState.PRESENT for p in wanted)
    assert bench.blob(wanted[0]).provenance == "elsewhere.test/a/b"


def test_what_is_not_granted_is_not_linked(bench: Bench) -> None:
    """Naming an object that we hold gains nothing without upstream's leave."""
    pointer = remember(bench, b"another's secret")

    result = bench.run(pointer)

    assert [each.pointer for each in result.missing] == [pointer]
    assert bench.row(pointer).state is LfsState.MISSING


def test_what_the_store_holds_is_adopted(bench: Bench) -> None:
    """What an earlier run stored and did not record is found, not fetched."""
    pointer = bench.source.add(b"stored by a run that was killed")
    bench.store.put(b"stored by a run that was killed")

    result = bench.run(pointer)

    assert result.tally == LfsTally(linked=1)
    assert bench.source.opened == []
    assert bench.row(pointer).state is LfsState.PRESENT
    # Nobody has read it yet: it is among the first that `verify` samples.
    assert bench.blob(pointer).verified == EPOCH


def test_a_survey_spares_questions(bench: Bench) -> None:
    """Of many unknown objects, only those that the survey names are looked for."""
    wanted = [bench.source.add(body) for body in bodies(30)]
    held = bench.store.put(bodies(30)[7])

    result = bench.run(*wanted)

    assert result.tally == LfsTally(fetched=29, linked=1, received=29 * 40)
    assert bench.store.called("find") == [held.digest]


@pytest.mark.parametrize("number", [3, 30])
def test_without_a_survey_each_is_looked_for(bench: Bench, number: int) -> None:
    """A store that cannot tell, or a handful of objects: one question for each."""
    bench.store.surveyed = False
    wanted = [bench.source.add(body) for body in bodies(number)]
    bench.run(*wanted)
    assert sorted(bench.store.called("find")) == sorted(p.oid for p in wanted)
    assert len(bench.store.called("survey")) == (number > 8)


def test_a_damaged_blob_is_replaced(bench: Bench) -> None:
    """What is known to be bad is neither linked nor adopted, but overwritten."""
    pointer = remember(bench, b"the right bytes")
    bench.source.add(b"the right bytes")
    bench.index.damaged(pointer.oid, NOW, "bit rot")

    assert bench.run(pointer).tally == LfsTally(fetched=1, received=pointer.size)
    assert bench.store.called("find") == []
    assert bench.blob(pointer).damaged is None
    assert bench.row(pointer).state is LfsState.PRESENT


def test_refused_objects_are_recorded_as_missing(bench: Bench) -> None:
    """Upstream's words and the time of the next question are kept; others go on."""
    there, gone = bench.source.add(b"there"), pointer_to(b"gone")

    result = bench.run(gone, there)

    assert result.tally == LfsTally(fetched=1, missing=1, received=5)
    assert [(d.pointer, d.reason) for d in result.missing] == [
        (gone, "Object does not exist")
    ]
    row = bench.row(gone)
    assert (row.state, row.tries, row.since) == (LfsState.MISSING, 1, NOW)
    assert row.reason == "Object does not exist"
    assert row.retry_at is not None
    assert 0.9 * HOUR <= row.retry_at - NOW <= 1.1 * HOUR


def test_a_second_refusal_waits_longer(bench: Bench) -> None:
    """The tries are counted; since when it is missing does not change."""
    gone = pointer_to(b"gone")
    bench.run(gone)
    bench.clock.advance(2 * HOUR)
    now = bench.clock.now()

    bench.run(gone)

    row = bench.row(gone)
    assert (row.tries, row.since) == (2, NOW)
    assert row.retry_at is not None
    assert 1.8 * HOUR <= row.retry_at - now <= 2.2 * HOUR


def test_what_upstream_has_again_is_present(bench: Bench) -> None:
    """A missing object that is granted later leaves the register."""
    gone = pointer_to(b"gone")
    bench.run(gone)
    bench.source.add(b"gone")
    assert bench.run(gone).tally.fetched == 1
    assert bench.row(gone).state is LfsState.PRESENT
    assert bench.row(gone).reason is None


def test_a_spent_allowance_ends_the_questions(bench: Bench) -> None:
    """The rest is missing with upstream's words, and is asked for hours later."""
    wanted = [bench.source.add(body) for body in bodies(3 * BATCH)]
    bench.source.batch_errors.append(OverQuota("over its data quota"))

    result = bench.run(*wanted)

    assert len(bench.source.batches) == 1
    assert result.tally == LfsTally(missing=3 * BATCH)
    assert {each.reason for each in result.missing} == {"over its data quota"}
    row = bench.row(wanted[-1])
    assert row.retry_at is not None
    assert 5.4 * HOUR <= row.retry_at - NOW <= 6.6 * HOUR


@pytest.mark.parametrize("code", [507, 509])
def test_an_object_over_quota_is_asked_for_late(bench: Bench, code: int) -> None:
    """A refusal for the allowance's sake has the slow retry too."""
    pointer = bench.source.add(b"too much")
    bench.source.refusals[pointer.oid] = Refusal(pointer, code, "quota")
    bench.run(pointer)
    row = bench.row(pointer)
    assert row.retry_at is not None
    assert row.retry_at - NOW >= 5.4 * HOUR


def test_batches_are_bounded(bench: Bench) -> None:
    """Objects are asked for in hundreds, each once, in the order given."""
    wanted = [bench.source.add(body) for body in bodies(250)]
    bench.run(*wanted, *wanted)
    assert [len(batch) for batch in bench.source.batches] == [100, 100, 50]
    assert [p for batch in bench.source.batches for p in batch] == wanted


def test_of_two_lengths_one_is_right(bench: Bench) -> None:
    """The second is asked for when the first is refused, and nothing is missing."""
    right = bench.source.add(b"so many bytes")
    wrong = LfsPointer(right.oid, right.size + 1)

    result = bench.run(wrong, right)

    assert bench.source.batches == [[wrong], [right]]
    assert result.tally == LfsTally(fetched=1, received=right.size)
    assert result.missing == ()
    assert bench.row(right).pointer == right


def test_a_second_length_is_not_asked_for_in_vain(bench: Bench) -> None:
    """Once the bytes are here, another length cannot be right."""
    right = bench.source.add(b"so many bytes")
    result = bench.run(right, LfsPointer(right.oid, 1))
    assert bench.source.batches == [[right]]
    assert result.tally.fetched == 1
    assert bench.row(right).state is LfsState.PRESENT


def test_a_length_that_cannot_be_is_missing(bench: Bench) -> None:
    """What we know to have another length is not downloaded to find out."""
    right = remember(bench, b"so many bytes")
    wrong = LfsPointer(right.oid, right.size + 1)
    # A server that does not compare the lengths grants it.
    bench.source.objects[right.oid] = b"so many bytes!"

    result = bench.run(wrong)

    assert bench.source.opened == []
    assert [d.pointer for d in result.missing] == [wrong]
    assert "13 bytes" in (result.missing[0].reason or "")


def test_the_empty_object_is_an_object(bench: Bench) -> None:
    """Zero bytes need no download, only a grant."""
    pointer = bench.source.add(b"")
    assert bench.run(pointer).tally == LfsTally(fetched=1)
    assert bench.store.body(pointer.oid) == b""


def test_an_unanswered_object_is_a_protocol_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No object is forgotten because a reply leaves it out; the others are here."""
    wanted = [bench.source.add(body) for body in bodies(3)]
    whole = bench.source.batch
    monkeypatch.setattr(bench.source, "batch", lambda *a: whole(*a)[:-1])
    with pytest.raises(ProtocolError, match="1 LFS object"):
        bench.run(*wanted)
    assert bench.row(wanted[0]).state is LfsState.PRESENT
    assert bench.index.known(1, [wanted[-1].oid]) == {}


def test_rows_are_written_while_objects_arrive(bench: Bench) -> None:
    """A run that is killed keeps all but the last six hundred."""
    wanted = [bench.source.add(body) for body in bodies(700)]
    bench.source.cut(wanted[-1].oid, 0, Unavailable("no"), times=5)
    with pytest.raises(Unavailable):
        bench.run(*wanted)
    assert bench.index.calls.count("link") >= 2
    assert bench.index.counts(1).present == 699


def test_blobs_that_are_being_removed_are_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is looked for before the removal has ended; then it is fetched anew."""
    pointer = remember(bench, b"condemned")
    bench.source.add(b"condemned")
    bench.index.condemn(NOW - HOUR)
    assert bench.index.seize(NOW, bench.clock.now(), 10) == [Blob(*pointer)]
    wait = bench.stop.wait

    def remove_after_a_second(timeout: float | None = None) -> bool:
        if bench.clock.now() >= NOW + timedelta(seconds=1):
            bench.store.remove(pointer.oid)
            bench.index.removed([pointer.oid])
        return wait(timeout)

    monkeypatch.setattr(bench.stop, "wait", remove_after_a_second)

    assert bench.run(pointer).tally.fetched == 1
    assert timedelta(seconds=1) <= bench.clock.now() - NOW <= timedelta(seconds=2)


def test_a_removal_that_does_not_end_fails_the_run(bench: Bench) -> None:
    """After half a minute the next run has to take them; nobody was asked."""
    pointer = remember(bench, b"condemned")
    bench.index.condemn(NOW - HOUR)
    bench.index.seize(NOW, bench.clock.now(), 10)
    with pytest.raises(Unavailable, match="being removed"):
        bench.run(pointer)
    assert timedelta(seconds=30) <= bench.clock.now() - NOW < timedelta(seconds=31)
    assert bench.source.batches == []


def test_two_runs_download_an_object_once(bench: Bench) -> None:
    """The second waits for the first and links; both mirrors have it."""
    shared = [bench.source.add(body * 50) for body in bodies(40)]
    fork = RepoName("upstream.test", "acme", "fork")
    other = in_background(lambda: bench.run(*shared, mirror_id=2, name=fork))

    first = bench.run(*shared)
    second = other()

    assert len(bench.source.opened) == 40
    assert first.tally.fetched + second.tally.fetched == 40
    assert first.tally.linked + second.tally.linked == 40
    assert bench.index.counts(1).present == bench.index.counts(2).present == 40


def test_what_fails_for_one_run_the_other_tries_itself(bench: Bench) -> None:
    """A run that waited for another's download does not inherit its failure."""
    pointer = bench.source.add(b"shared")
    bench.source.cut(pointer.oid, 0, Unavailable("no"), times=5)
    fork = RepoName("upstream.test", "acme", "fork")
    other = in_background(lambda: bench.run(pointer, mirror_id=2, name=fork))
    outcomes: list[int] = []
    runs: tuple[Callable[[], TransferResult], ...] = (lambda: bench.run(pointer), other)
    for run in runs:
        try:
            outcomes.append(run().tally.fetched)
        except Unavailable:
            outcomes.append(-1)
    assert sorted(outcomes) == [-1, 1]
