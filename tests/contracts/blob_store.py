"""What every blob store does, in memory, in a directory or on S3."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING

import pytest

from syncer.errors import IntegrityError, InvalidName, NotFound
from syncer.model.blobs import Blob, blob_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.ports import BlobStore

SMALL = b"a blob of no particular content\n" * 100
_BLOCK = 1 << 20


def blob_of(body: bytes) -> Blob:
    """Return the blob that some bytes are."""
    return Blob(sha256(body).hexdigest(), len(body))


def made(size: int, seed: int = 1) -> bytes:
    """Return bytes that do not repeat, the same for the same arguments."""
    return Random(seed).randbytes(size)  # noqa: S311 - no secret


def sliced(body: bytes, step: int = _BLOCK) -> Iterator[bytes]:
    """Yield some bytes as blocks."""
    for begin in range(0, len(body), step):
        yield body[begin : begin + step]


def sent(store: BlobStore, blob: Blob, body: bytes, *, replace: bool = False) -> Blob:
    """Send some bytes as a blob, continuing what is there, and commit them."""
    with store.write(blob.digest, blob.size, replace=replace) as writer:
        for block in sliced(body[writer.offset :]):
            writer.write(block)
        return writer.commit()


def stored(store: BlobStore, body: bytes, *, replace: bool = False) -> Blob:
    """Store some bytes as the blob that they are."""
    return sent(store, blob_of(body), body, replace=replace)


def broken(store: BlobStore, blob: Blob, body: bytes, error: Exception) -> None:
    """Write the beginning of a blob, and raise."""
    with store.write(blob.digest, blob.size) as writer:
        for block in sliced(body[writer.offset :]):
            writer.write(block)
        raise error


def begun(store: BlobStore, blob: Blob, body: bytes) -> None:
    """Write the beginning of a blob, and leave it without a commit."""
    with pytest.raises(ConnectionResetError):
        broken(store, blob, body, ConnectionResetError())


def content(store: BlobStore, blob: Blob, offset: int = 0) -> bytes:
    """Read a blob."""
    with store.read(blob.digest, offset=offset) as blocks:
        return b"".join(blocks)


def assert_absent(store: BlobStore, blob: Blob) -> None:
    """Check that a reader sees nothing of a blob, whichever way it looks."""
    assert store.find(blob.digest) is None
    assert blob.digest not in [each.digest for each in store.blobs()]
    assert blob.digest not in (store.survey() or ())
    with pytest.raises(NotFound), store.read(blob.digest) as blocks:
        b"".join(blocks)


def assert_traceless(store: BlobStore, blob: Blob) -> None:
    """Check that nothing is left of a write, neither to see nor to continue."""
    assert_absent(store, blob)
    assert store.leftovers() == []
    with store.write(blob.digest, blob.size) as writer:
        assert writer.offset == 0


class BlobStoreContract:
    """Every `BlobStore` passes; a subclass gives `store`, `plant` and `second`.

    The store is empty, and each test has its own.
    """

    #: Whether a writer continues what a dead one left of a large blob.
    resumes: bool = True
    #: A size that the store treats as large: what it resumes is longer than it.
    large: int = 300_000
    #: What it resumes is a multiple of this.
    part: int = 1

    def plant(self, store: BlobStore, key: str, body: bytes) -> None:
        """Put bytes below a key, as a foreign program would, behind its back."""
        raise NotImplementedError

    def second(self, store: BlobStore) -> BlobStore:
        """Return another store on the same bytes, as another process opens it."""
        raise NotImplementedError

    def test_there_is_nothing_at_first(self, store: BlobStore) -> None:
        """A new store is sound, and has no blob and no leftover."""
        store.check()

        assert_absent(store, blob_of(SMALL))
        assert list(store.blobs()) == []
        assert store.leftovers() == []

    @pytest.mark.parametrize("size", [0, 1, 65_536, None])
    def test_what_was_committed_is_there(
        self, store: BlobStore, size: int | None
    ) -> None:
        """It is found, listed, and read as it was written, by everybody."""
        body = made(self.large if size is None else size)
        blob = blob_of(body)

        assert stored(store, body) == blob

        for each in (store, self.second(store)):
            assert each.find(blob.digest) == blob
            assert list(each.blobs()) == [blob]
            assert content(each, blob) == body
            each.check()
        assert store.leftovers() == []

    @pytest.mark.parametrize("step", [1, 7, 4096, 1 << 22])
    def test_blocks_may_have_any_length(self, store: BlobStore, step: int) -> None:
        """How the bytes are cut into blocks makes no difference."""
        blob = blob_of(SMALL)

        with store.write(*blob) as writer:
            for block in sliced(SMALL, step):
                before = writer.offset
                writer.write(block)
                assert writer.offset == before + len(block)
            writer.write(b"")
            writer.commit()

        assert content(store, blob) == SMALL

    @pytest.mark.parametrize("is_large", [False, True])
    def test_bytes_are_invisible_until_commit(
        self, store: BlobStore, *, is_large: bool
    ) -> None:
        """Nobody sees a blob that is still arriving, though all of it is here."""
        body = made(self.large) if is_large else SMALL
        blob = blob_of(body)

        with store.write(*blob) as writer:
            for block in sliced(body):
                writer.write(block)
            assert_absent(store, blob)
            assert_absent(self.second(store), blob)
            writer.commit()
            assert store.find(blob.digest) == blob

    @pytest.mark.parametrize("is_large", [False, True])
    def test_wrong_bytes_leave_no_trace(
        self, store: BlobStore, *, is_large: bool
    ) -> None:
        """One bit makes the difference: nothing is seen, nothing is continued."""
        body = made(self.large) if is_large else SMALL
        blob = blob_of(body)
        wrong = body[:-1] + bytes([body[-1] ^ 1])

        with pytest.raises(IntegrityError, match=blob.digest):
            sent(store, blob, wrong)

        assert_traceless(store, blob)
        assert stored(store, body) == blob

    @pytest.mark.parametrize("is_large", [False, True])
    def test_too_few_bytes_are_wrong(self, store: BlobStore, *, is_large: bool) -> None:
        """A blob that is declared complete, and is not, leaves no trace."""
        body = made(self.large) if is_large else SMALL
        blob = blob_of(body)

        with pytest.raises(IntegrityError):
            sent(store, blob, body[:-1])

        assert_traceless(store, blob)

    def test_another_size_is_wrong(self, store: BlobStore) -> None:
        """Bytes with the right digest are refused when their length is not."""
        digest, size = blob_of(SMALL)

        with pytest.raises(IntegrityError):
            sent(store, Blob(digest, size + 1), SMALL)

        assert_traceless(store, blob_of(SMALL))

    @pytest.mark.parametrize("is_large", [False, True])
    def test_too_many_bytes_are_refused(
        self, store: BlobStore, *, is_large: bool
    ) -> None:
        """The block that goes beyond the size is not taken; no trace is left."""
        body = made(self.large) if is_large else SMALL
        blob = blob_of(body)

        with pytest.raises(IntegrityError):
            sent(store, blob, body + b"!")

        assert_traceless(store, blob)

    def test_what_went_beyond_cannot_be_committed(self, store: BlobStore) -> None:
        """Whoever ignores the refusal of a block gets no blob."""
        blob = blob_of(SMALL)

        with store.write(*blob) as writer:
            writer.write(SMALL)
            with pytest.raises(IntegrityError):
                writer.write(b"!")
            with pytest.raises(IntegrityError):
                writer.commit()

        assert_traceless(store, blob)

    @pytest.mark.parametrize("after", [0, 1, 2, 3])
    def test_a_broken_transfer_is_invisible(self, store: BlobStore, after: int) -> None:
        """A stream that dies at any byte shows nothing; the next one succeeds."""
        blob = blob_of(b"abc")

        begun(store, blob, b"abc"[:after])

        assert_absent(store, blob)
        assert stored(store, b"abc") == blob
        assert content(store, blob) == b"abc"
        assert store.leftovers() == []

    @pytest.mark.parametrize("by_another", [False, True])
    def test_a_dead_write_is_continued(
        self, store: BlobStore, *, by_another: bool
    ) -> None:
        """What came of a large blob is used by the next writer of any process."""
        body = made(self.large)
        blob = blob_of(body)
        came = self.large - self.large // 7
        begun(store, blob, body[:came])

        later = self.second(store) if by_another else store
        with later.write(*blob) as writer:
            assert writer.offset == (came - came % self.part if self.resumes else 0)
            for block in sliced(body[writer.offset :]):
                writer.write(block)
            assert writer.commit() == blob

        assert content(store, blob) == body
        assert list(store.blobs()) == [blob]
        assert later.leftovers() == []

    def test_a_write_may_die_again_and_again(self, store: BlobStore) -> None:
        """Each writer begins where the one before it ended, up to the last byte."""
        body = made(self.large)
        blob = blob_of(body)
        offsets = []

        for came in (self.large // 2, self.large // 2, self.large - 1, self.large):
            begun(store, blob, body[:came])
            with store.write(*blob) as writer:
                offsets.append(writer.offset)

        assert offsets == sorted(offsets)
        assert stored(store, body) == blob
        assert content(store, blob) == body

    def test_a_wrong_beginning_is_noticed(self, store: BlobStore) -> None:
        """What a dead writer left is hashed again, and thrown away when it is bad."""
        body = made(self.large)
        blob = blob_of(body)
        begun(store, blob, b"!" + body[1:-1])
        again = self.second(store)

        if self.resumes:
            with pytest.raises(IntegrityError):
                stored(again, body)
            assert_traceless(again, blob)

        assert stored(again, body) == blob
        assert content(store, blob) == body

    def test_a_part_of_another_size_is_not_continued(self, store: BlobStore) -> None:
        """A beginning that is longer than the blob is none of it."""
        digest, size = blob_of(SMALL)
        begun(store, Blob(digest, size + self.large), made(size + self.large - 1))

        with store.write(digest, size) as writer:
            assert writer.offset == 0
            writer.write(SMALL)
            writer.commit()

        assert content(store, blob_of(SMALL)) == SMALL

    def test_an_error_of_integrity_keeps_nothing(self, store: BlobStore) -> None:
        """Whoever else finds the bytes wrong has them thrown away too."""
        body = made(self.large)
        blob = blob_of(body)

        with pytest.raises(IntegrityError, match="upstream"):
            broken(store, blob, body[:-1], IntegrityError("upstream sent more"))

        assert_traceless(store, blob)

    @pytest.mark.parametrize("is_large", [False, True])
    def test_storing_twice_is_no_error(
        self, store: BlobStore, *, is_large: bool
    ) -> None:
        """The second writer ends as well as the first."""
        body = made(self.large) if is_large else SMALL

        assert stored(store, body) == stored(self.second(store), body)

        assert list(store.blobs()) == [blob_of(body)]
        assert content(store, blob_of(body)) == body
        assert store.leftovers() == []

    @pytest.mark.parametrize("is_large", [False, True])
    def test_another_writer_may_be_faster(
        self, store: BlobStore, *, is_large: bool
    ) -> None:
        """Two writers of one blob do not meet; both end well."""
        body = made(self.large) if is_large else SMALL
        blob = blob_of(body)

        with store.write(*blob) as slow:
            slow.write(body[: len(body) // 2])
            assert stored(self.second(store), body) == blob
            slow.write(body[len(body) // 2 :])
            assert slow.commit() == blob

        assert content(store, blob) == body
        assert list(store.blobs()) == [blob]
        assert store.leftovers() == []

    def test_a_wrong_writer_does_no_harm_to_another(self, store: BlobStore) -> None:
        """Wrong bytes end one of two writers of a blob; the other ends well."""
        blob = blob_of(SMALL)

        with store.write(*blob) as right:
            right.write(SMALL[:100])
            with pytest.raises(IntegrityError):
                sent(store, blob, b"!" * blob.size)
            right.write(SMALL[100:])
            right.commit()

        assert content(store, blob) == SMALL

    def test_many_threads_store_at_the_same_time(self, store: BlobStore) -> None:
        """Different blobs, and the same ones, from eight threads."""
        bodies = [made(2000 + number % 10, number % 10) for number in range(40)]

        with ThreadPoolExecutor(8) as threads:
            blobs = list(threads.map(lambda body: stored(store, body), bodies))

        assert list(store.blobs()) == sorted(set(blobs))
        for body, blob in zip(bodies, blobs, strict=True):
            assert content(store, blob) == body
        assert store.leftovers() == []

    def test_what_was_replaced_is_new(self, store: BlobStore) -> None:
        """Replacing takes no part, and overwrites what is visible."""
        body = made(self.large)
        blob = blob_of(body)
        self.plant(store, blob_key(blob.digest), b"!" * blob.size)
        begun(store, blob, body[:-1])

        with store.write(*blob, replace=True) as writer:
            assert writer.offset == 0
            for block in sliced(body):
                writer.write(block)
            writer.commit()

        assert store.find(blob.digest) == blob
        assert content(store, blob) == body
        assert store.leftovers() == []

    @pytest.mark.parametrize("planted", [b"", b"short", b"!" * len(SMALL)])
    @pytest.mark.parametrize("replace", [False, True])
    def test_a_foreign_write_is_overwritten(
        self, store: BlobStore, planted: bytes, *, replace: bool
    ) -> None:
        """Wrong bytes below a blob's name do not keep the right ones out."""
        blob = blob_of(SMALL)
        self.plant(store, blob_key(blob.digest), planted)

        assert stored(store, SMALL, replace=replace) == blob

        assert store.find(blob.digest) == blob
        assert content(store, blob) == SMALL

    @pytest.mark.parametrize("planted", [b"", b"short", SMALL + b"!"])
    def test_a_foreign_write_of_another_length_is_not_the_blob(
        self, store: BlobStore, planted: bytes
    ) -> None:
        """What lies below a blob's name is never found at the blob's size."""
        blob = blob_of(SMALL)

        self.plant(store, blob_key(blob.digest), planted)

        assert store.find(blob.digest) != blob

    @pytest.mark.parametrize(
        "key", ["README", "ab/notes", "AB/CD/" + "E" * 60, "ab/cd/" + "e" * 59]
    )
    def test_foreign_names_are_left_alone(self, store: BlobStore, key: str) -> None:
        """What is not named like a blob is not listed."""
        self.plant(store, key, b"foreign")
        blob = stored(store, SMALL)

        assert list(store.blobs()) == [blob]
        assert store.survey() in (None, {blob.digest})

    def test_blobs_come_in_order(self, store: BlobStore) -> None:
        """All of them, by digest, with their sizes."""
        bodies = [made(size) for size in range(1, 30)]
        expected = sorted(stored(store, body) for body in bodies)

        assert list(store.blobs()) == expected
        survey = store.survey()
        assert survey is None or survey == {blob.digest for blob in expected}

    def test_a_removed_blob_is_gone(self, store: BlobStore) -> None:
        """Others stay; removing it again is no error; it can be stored again."""
        blob, other = stored(store, SMALL), stored(store, b"other")

        for _ in range(2):
            store.remove(blob.digest)
            assert_absent(store, blob)
            assert list(store.blobs()) == [other]

        assert stored(store, SMALL) == blob
        assert content(store, blob) == SMALL

    @pytest.mark.parametrize("offset", [0, 1, 1000, len(SMALL) - 1, len(SMALL)])
    def test_a_blob_is_read_from_anywhere(self, store: BlobStore, offset: int) -> None:
        """The bytes from an offset on; none from the end on."""
        blob = stored(store, SMALL)

        assert content(store, blob, offset) == SMALL[offset:]

    def test_a_reader_may_leave_early(self, store: BlobStore) -> None:
        """Not all of a large blob has to be read."""
        body = made(self.large)
        blob = stored(store, body)

        with store.read(blob.digest) as blocks:
            assert body.startswith(next(blocks))

        assert content(store, blob) == body

    def test_what_is_left_is_listed_and_discarded(self, store: BlobStore) -> None:
        """A dead write has a leftover, until it is discarded; twice is no error."""
        if not self.resumes:
            pytest.skip("this store keeps nothing of a dead write")
        body = made(self.large)
        blob = blob_of(body)
        begun(store, blob, body[:-1])
        other = self.second(store)

        (left,) = other.leftovers()

        assert left.digest == blob.digest
        assert 0 < left.size < blob.size
        assert abs(datetime.now(UTC) - left.since) < timedelta(minutes=1)
        other.discard(left)
        assert_traceless(store, blob)
        other.discard(left)

    @pytest.mark.parametrize("name", ["", "../x", "A" * 64, "a" * 63, "a" * 64 + "\n"])
    def test_a_name_is_a_digest(self, store: BlobStore, name: str) -> None:
        """No other text becomes part of a path or a key."""
        with pytest.raises(InvalidName):
            store.find(name)
        with pytest.raises(InvalidName):
            store.remove(name)
        with pytest.raises(InvalidName), store.read(name):
            pass
        with pytest.raises(InvalidName), store.write(name, 1):
            pass

    def test_memory_is_bounded(self, store: BlobStore) -> None:
        """A writer's footprint grows with the size, up to a bound of its own."""
        sizes = [0, 1, 1 << 10, 1 << 20, 1 << 30, 1 << 40]

        prints = [store.footprint(size) for size in sizes]

        assert prints == sorted(prints)
        assert all(0 <= each <= 1 << 30 for each in prints)
