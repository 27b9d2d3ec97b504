"""What every blob store does with bytes whose digest only they will tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from syncer.errors import IntegrityError, InvalidName
from syncer.model.blobs import Blob, blob_key
from tests.contracts.blob_store import (
    SMALL,
    BlobStoreContract,
    assert_absent,
    blob_of,
    content,
    made,
    sliced,
    stored,
)

if TYPE_CHECKING:
    from syncer.ports import BlobStore
    from syncer.ports.blobs import UnnamedWriter

#: Names of transfers, of the form of digests.
TICKET, OTHER = (sha256(text).hexdigest() for text in (b"asset 1", b"asset 2"))


def filled(writer: UnnamedWriter, body: bytes) -> UnnamedWriter:
    """Write what a writer lacks of some bytes."""
    for block in sliced(body[writer.offset :]):
        writer.write(block)
    return writer


def received(
    store: BlobStore, body: bytes, *, ticket: str = TICKET, size: int | None = None
) -> Blob:
    """Receive some bytes, continuing what is there; say their digest, and commit."""
    with store.receive(ticket, len(body) if size is None else size) as writer:
        digest = filled(writer, body).seal()
        blob = writer.commit()
    assert blob.digest == digest
    return blob


def broken(
    store: BlobStore, size: int, body: bytes, error: Exception, *, seal: bool = False
) -> None:
    """Receive the beginning of `size` bytes, or all, and raise before the commit."""
    with store.receive(TICKET, size) as writer:
        filled(writer, body)
        if seal:
            writer.seal()
        raise error


def dropped(store: BlobStore, size: int, body: bytes, *, seal: bool = False) -> None:
    """Receive the beginning of `size` bytes, or all, and leave without a commit."""
    with pytest.raises(ConnectionResetError):
        broken(store, size, body, ConnectionResetError(), seal=seal)


def assert_nothing_awaited(store: BlobStore, size: int) -> None:
    """Check that nothing lies below the ticket, neither to see nor to continue."""
    assert_absent(store, Blob(TICKET, size))
    assert store.leftovers() == []
    with store.receive(TICKET, size) as writer:
        assert writer.offset == 0


class BlobReceiveContract(BlobStoreContract):
    """Every `BlobStore` passes this too; a subclass gives the same."""

    #: A size of which the store keeps a part without its last seventh.
    lasting: int = 70_000

    @pytest.mark.parametrize("size", [0, 65_536, None])
    def test_what_has_no_name_is_named_by_its_bytes(
        self, store: BlobStore, size: int | None
    ) -> None:
        """Its digest is told before it is visible; then it is there for everybody."""
        body = made(self.lasting if size is None else size)
        blob = blob_of(body)

        with store.receive(TICKET, blob.size) as writer:
            assert writer.offset == 0
            filled(writer, body)
            assert [writer.seal(), writer.seal()] == [blob.digest] * 2
            assert writer.offset == blob.size
            assert_absent(store, blob)
            assert writer.commit() == blob

        for each in (store, self.second(store)):
            assert each.find(blob.digest) == blob
            assert list(each.blobs()) == [blob]
            assert content(each, blob) == body
        assert_nothing_awaited(store, blob.size)

    @pytest.mark.parametrize("is_large", [False, True])
    def test_another_length_is_wrong_without_a_name_too(
        self, store: BlobStore, *, is_large: bool
    ) -> None:
        """With a byte too few there is no digest, one too many is not taken."""
        size = self.lasting if is_large else len(SMALL)

        for length in (size - 1, size + 1):
            with pytest.raises(IntegrityError, match=TICKET):
                received(store, made(length), size=size)

            assert list(store.blobs()) == []
            assert_nothing_awaited(store, size)

    def test_what_went_beyond_has_no_digest(self, store: BlobStore) -> None:
        """Whoever ignores the refusal of a block gets neither digest nor blob."""
        with store.receive(TICKET, len(SMALL)) as writer:
            writer.write(SMALL)
            with pytest.raises(IntegrityError):
                writer.write(b"!")
            with pytest.raises(IntegrityError):
                writer.seal()
            with pytest.raises(IntegrityError):
                writer.commit()

        assert list(store.blobs()) == []
        assert_nothing_awaited(store, len(SMALL))

    @pytest.mark.parametrize("seal", [False, True])
    def test_a_dead_transfer_is_continued_by_its_ticket(
        self, store: BlobStore, *, seal: bool
    ) -> None:
        """What came is hashed again by the next writer, of any process."""
        body = made(self.lasting)
        blob = blob_of(body)
        came = self.lasting if seal else self.lasting - self.lasting // 7
        dropped(store, self.lasting, body[:came], seal=seal)
        assert list(store.blobs()) == []

        later = self.second(store)
        kept = came if seal else came - came % self.part
        with later.receive(TICKET, self.lasting) as writer:
            assert writer.offset == (kept if self.resumes else 0)
            assert filled(writer, body).seal() == blob.digest
            assert writer.commit() == blob

        assert content(store, blob) == body
        assert list(store.blobs()) == [blob]
        assert_nothing_awaited(later, self.lasting)

    def test_what_a_dead_transfer_left_is_listed_and_discarded(
        self, store: BlobStore
    ) -> None:
        """It is known by its ticket, until it is discarded; twice is no error."""
        if not self.resumes:
            pytest.skip("this store keeps nothing of a dead write")
        dropped(store, self.lasting, made(self.lasting - 1))
        other = self.second(store)

        (left,) = other.leftovers()

        assert left.digest == TICKET
        assert 0 < left.size < self.lasting
        assert abs(datetime.now(UTC) - left.since) < timedelta(minutes=1)
        other.discard(left)
        assert_nothing_awaited(store, self.lasting)
        other.discard(left)

    def test_the_same_bytes_may_be_there_already(self, store: BlobStore) -> None:
        """Whoever stored them, and by whichever name they come: there is one blob."""
        body = made(self.lasting)
        blob = stored(store, body)

        assert received(store, body) == blob
        assert received(self.second(store), body, ticket=OTHER) == blob

        assert list(store.blobs()) == [blob]
        assert content(store, blob) == body
        assert store.leftovers() == []

    def test_two_tickets_do_not_meet(self, store: BlobStore) -> None:
        """Equal bytes that come twice at the same time end well twice."""
        blob = blob_of(SMALL)

        with store.receive(TICKET, blob.size) as slow:
            slow.write(SMALL[:100])
            assert received(self.second(store), SMALL, ticket=OTHER) == blob
            filled(slow, SMALL)
            assert slow.commit() == blob

        assert list(store.blobs()) == [blob]
        assert content(store, blob) == SMALL
        assert store.leftovers() == []

    def test_two_writers_of_a_ticket_do_not_mix(self, store: BlobStore) -> None:
        """Each gets the digest of the bytes that it was given itself."""
        bodies = [b"a" * 1000, b"b" * 1000]

        with store.receive(TICKET, 1000) as slow:
            slow.write(bodies[0][:500])
            assert received(self.second(store), bodies[1]) == blob_of(bodies[1])
            filled(slow, bodies[0])
            assert slow.commit() == blob_of(bodies[0])

        assert list(store.blobs()) == sorted(map(blob_of, bodies))
        for body in bodies:
            assert content(store, blob_of(body)) == body
        assert_nothing_awaited(store, 1000)

    @pytest.mark.parametrize("is_large", [False, True])
    def test_wrong_bytes_below_the_digest_are_replaced(
        self, store: BlobStore, *, is_large: bool
    ) -> None:
        """What a foreign program put there does not keep the right ones out."""
        body = made(self.lasting) if is_large else SMALL
        blob = blob_of(body)
        self.plant(store, blob_key(blob.digest), b"!" * blob.size)

        assert received(store, body) == blob

        assert store.find(blob.digest) == blob
        assert content(store, blob) == body

    def test_an_error_of_integrity_ends_a_transfer(self, store: BlobStore) -> None:
        """Whoever else finds the bytes wrong has them thrown away too."""
        error = IntegrityError("upstream sent a page of HTML")

        with pytest.raises(IntegrityError, match="HTML"):
            broken(store, self.lasting, made(self.lasting - 1), error)

        assert_nothing_awaited(store, self.lasting)

    def test_a_ticket_has_the_form_of_a_digest(self, store: BlobStore) -> None:
        """No other text becomes part of a path or a key."""
        for name in ("", "../x", "A" * 64, "a" * 63, "a" * 64 + "\n"):
            with pytest.raises(InvalidName), store.receive(name, 1):
                pass
