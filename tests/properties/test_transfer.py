"""What holds after every transfer, whatever upstream and the store do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.errors import (
    Expired,
    IntegrityError,
    NotFound,
    OverQuota,
    ProtocolError,
    RateLimited,
    SyncerError,
    Truncated,
    Unavailable,
)
from syncer.model.blobs import Blob, StoredBlob
from syncer.model.lfs import LfsPointer, LfsState
from tests.fakes import NOW
from tests.fakes_blobs import digest_for, pointer_to
from tests.transfers import Bench

if TYPE_CHECKING:
    from syncer.errors import TransientError

BLOCK = 1 << 16

FAULTS: list[SyncerError] = [
    Unavailable("no answer"),
    Truncated("cut"),
    Expired("expired"),
    RateLimited("slow down", retry_after=None),
    RateLimited("slow down", retry_after=timedelta(seconds=3)),
    NotFound("404"),
]
BATCH_FAULTS: list[TransientError] = [
    Unavailable("no answer"),
    RateLimited("slow down", retry_after=timedelta(seconds=3)),
    OverQuota("over its data quota"),
]
STORE_FAULTS = Unavailable("the store is down")

cuts = st.lists(
    st.tuples(st.sampled_from([0, 1, 100, BLOCK, 3 * BLOCK]), st.sampled_from(FAULTS)),
    max_size=7,
)


@dataclass(frozen=True)
class Subject:
    """One object, and what upstream, the store and the index have of it."""

    body: bytes
    upstream: bool
    poisoned: bool
    stored: bool
    indexed: bool
    damaged: bool
    part: int
    stale: bool
    wrong_length: bool
    cuts: list[tuple[int, SyncerError]]

    @property
    def pointers(self) -> list[LfsPointer]:
        """What the repository says of it."""
        right = pointer_to(self.body)
        if self.wrong_length:
            return [right._replace(size=right.size + 1), right]
        return [right]


subjects = st.builds(
    Subject,
    st.builds(
        lambda number, length: number.to_bytes(4, "big") * length,
        st.integers(0, 2**32 - 1),
        st.sampled_from([1, 10, BLOCK, 70_000]),
    ),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([False, False, True]),
    st.sampled_from([0, 0, 1, BLOCK]),
    st.booleans(),
    st.sampled_from([False, False, True]),
    cuts,
)


def prepare(bench: Bench, subject: Subject) -> None:
    """Put everything where the subject says."""
    pointer = pointer_to(subject.body)
    if subject.upstream:
        bench.source.add(subject.body)
    if subject.poisoned:
        bench.source.bodies[pointer.oid] = b"?" * pointer.size
    for after, error in subject.cuts:
        bench.source.cut(pointer.oid, after, error)
    if subject.stored or subject.indexed:
        bench.store.put(subject.body)
    if subject.indexed:
        bench.index.stored([StoredBlob(Blob(*pointer), NOW, NOW)])
        if subject.damaged:
            bench.index.damaged(pointer.oid, NOW, "bit rot")
    if subject.part:
        part = subject.body[: subject.part]
        kept = b"!" * len(part) if subject.stale else part
        bench.store.disk.parts[pointer.oid] = (kept, NOW)


def check(bench: Bench, everyone: list[Subject], error: SyncerError | None) -> None:
    """Compare what is recorded with what is there and what upstream allowed."""
    rows = {each.pointer.oid: each for each in bench.index.objects(1)}
    for subject in everyone:
        oid = digest_for(subject.body)
        row = rows.get(oid)
        if row is None:
            assert error is not None, "an object is forgotten by a run that went well"
        elif row.state is LfsState.PRESENT:
            assert subject.upstream, "linked without leave"
            assert bench.store.body(oid) == subject.body
            assert bench.blob(row.pointer).blob == Blob(oid, len(subject.body))
        else:
            assert row.reason
            assert row.retry_at is not None
            assert row.retry_at > NOW
    for blob in bench.store.blobs():
        assert digest_for(bench.store.body(blob.digest)) == blob.digest
    if isinstance(error, IntegrityError):
        guilty = {digest_for(s.body) for s in everyone if s.poisoned}
        assert any(oid in str(error) for oid in guilty)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(subjects, max_size=12, unique_by=lambda subject: subject.body),
    st.lists(st.sampled_from(BATCH_FAULTS), max_size=3),
    st.sampled_from([None, None, None, "find", "write", "block", "commit"]),
    st.booleans(),
    st.sampled_from([1, 4]),
)
def test_every_object_is_accounted_for(
    everyone: list[Subject],
    batch_errors: list[SyncerError],
    failing: str | None,
    surveyed: bool,  # noqa: FBT001 - drawn
    workers: int,
) -> None:
    """Present and right, missing with a reason, or the run says what went wrong.

    Nothing is linked without upstream's leave, nothing wrong is visible, and a
    second run with a healthy world makes everything whole.
    """
    wanted = [pointer for subject in everyone for pointer in subject.pointers]
    with Bench(workers=workers) as bench:
        for subject in everyone:
            prepare(bench, subject)
        bench.source.batch_errors.extend(batch_errors)
        bench.store.surveyed = surveyed
        if failing is not None:
            bench.store.errors[failing] = [STORE_FAULTS]
        error = None
        try:
            result = bench.run(*wanted)
        except SyncerError as exc:
            error = exc
        else:
            tally = result.tally
            assert tally.fetched + tally.linked + tally.missing == len(everyone)
            assert len(result.missing) == tally.missing
        check(bench, everyone, error)
        bench.index.release(1)

        bench.source.bodies.clear()
        bench.source.cuts.clear()
        bench.source.batch_errors.clear()
        bench.store.errors.clear()
        for subject in everyone:
            bench.source.add(subject.body)
        bench.run(*wanted)
        assert bench.index.counts(1).present == len(everyone)
        # Where there was nothing to download, an old part waits for `gc`.
        held = {digest_for(s.body) for s in everyone if s.stored or s.indexed}
        assert {each.digest for each in bench.store.leftovers()} <= held


ASSET_FAULTS: list[SyncerError] = [
    *FAULTS,
    ProtocolError("a page of HTML"),
    RateLimited("come back later", retry_after=timedelta(hours=1)),
]


@dataclass(frozen=True)
class File:
    """One asset: whether its digest is known, and what befalls its download."""

    body: bytes
    named: bool
    upstream: bool
    poisoned: bool
    stored: bool
    cuts: list[tuple[int, SyncerError]]


files = st.builds(
    File,
    st.builds(
        lambda number, length: number.to_bytes(4, "big") * length,
        st.integers(0, 2**32 - 1),
        st.sampled_from([0, 1, 10, 70_000]),
    ),
    st.booleans(),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([False, False, True]),
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, BLOCK, 3 * BLOCK]), st.sampled_from(ASSET_FAULTS)
        ),
        max_size=6,
    ),
)


def published(bench: Bench, number: int, file: File) -> LfsPointer:
    """Have an asset upstream, with all that befalls it, and name it."""
    if file.named:
        pointer = bench.source.add(file.body)
    else:
        pointer = bench.ticket(file.body, number)
    if not file.upstream:
        del bench.source.objects[pointer.oid]
    if file.poisoned:
        bench.source.bodies[pointer.oid] = file.body + b"?"
    if file.stored:
        bench.store.put(file.body)
    for after, error in file.cuts:
        bench.source.cut(pointer.oid, after, error)
    return pointer


@settings(max_examples=80, deadline=None)
@given(
    st.lists(files, max_size=12, unique_by=lambda file: file.body),
    st.lists(st.sampled_from(BATCH_FAULTS), max_size=3),
    st.sampled_from([1, 4]),
)
def test_every_asset_is_answered_for(
    everyone: list[File], batch_errors: list[SyncerError], workers: int
) -> None:
    """Each is right, or missing with a reason, or failed with an error: one of them.

    Only right bytes are visible, below their own digest, claimed and recorded; and
    with a healthy upstream a second run brings all.
    """
    with Bench(workers=workers) as bench:
        wanted = {published(bench, n, f): f for n, f in enumerate(everyone)}
        tickets = [pointer for pointer, file in wanted.items() if not file.named]
        bench.source.batch_errors.extend(batch_errors)

        result = bench.bring(*wanted, unnamed=tickets)

        refused = {each.pointer.oid for each in result.missing}
        ended = [*result.arrived, *refused, *result.failed]
        assert sorted(ended) == sorted(pointer.oid for pointer in wanted)
        assert result.untried <= result.failed.keys()
        assert result.over_quota <= refused
        for pointer, file in wanted.items():
            if pointer.oid in result.arrived:
                assert result.arrived[pointer.oid] == Blob(*pointer_to(file.body))
        digests = {blob.digest for blob in result.arrived.values()}
        assert bench.index.find(digests).keys() == digests
        assert bench.index.claimed(digests) == digests
        stored = {digest_for(file.body) for file in everyone if file.stored}
        assert {blob.digest for blob in bench.store.blobs()} == digests | stored

        bench.source.bodies.clear()
        bench.source.cuts.clear()
        bench.source.batch_errors.clear()
        for pointer, file in wanted.items():
            bench.source.objects[pointer.oid] = file.body
        again = bench.bring(*wanted, unnamed=tickets)
        assert again.arrived == {
            pointer.oid: Blob(*pointer_to(file.body))
            for pointer, file in wanted.items()
        }
        assert (again.missing, again.failed) == ((), {})
