"""Where blobs lie: named by their sha256, visible only when whole and right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from syncer.model.blobs import Blob, Leftover, Upload


class BlobWriter(Protocol):
    """One blob on its way into a store; nothing is visible before `commit`."""

    @property
    def offset(self) -> int:
        """Bytes that are here; the next block continues there.

        More than 0 at the beginning when an earlier process left a part.
        """

    def write(self, block: bytes) -> None:
        """Add a block.

        Raises:
            IntegrityError: it goes beyond the declared size; the writer's trace
                is removed when its context ends.
            Unavailable, NoSpace: the store; what it has can be continued.
        """

    def commit(self) -> Blob:
        """Make the blob visible, durably; it is complete and has its digest then.

        Also succeeds when somebody else stored the same blob meanwhile.

        Raises:
            IntegrityError: the length or the digest is wrong; nothing becomes
                visible and nothing of it stays, not even what could be resumed.
        """


class UnnamedWriter(BlobWriter, Protocol):
    """A blob on its way whose digest is not known before its last byte."""

    def seal(self) -> str:
        """Return the digest of what is here, once all bytes are.

        `commit` follows, once the digest is claimed: it makes the blob visible
        below it, and leaves nothing below the ticket.

        Raises:
            IntegrityError: bytes are lacking.
            Unavailable, NoSpace: the store.
        """


class BlobStore(Protocol):
    """Blobs by digest.  Usable from many threads.

    Errors of every method: `Unavailable` (down, slow, 5xx), `AccessDenied`
    (credentials), `NotFound` (no bucket), `NoSpace`, `PermanentError`.
    """

    def check(self) -> None:
        """Raise unless the store can take and give blobs now."""

    def find(self, digest: str) -> Blob | None:
        """Return a blob that is there, None when it certainly is not.

        What lies below a blob's name without having been stored as one (a
        foreign write, another length) counts as absent.
        """

    def survey(self) -> frozenset[str] | None:
        """Return all digests where one cheap request tells, else None.

        A hint: a digest that is not in it may be there all the same.
        """

    def write(
        self, digest: str, size: int, *, replace: bool = False
    ) -> AbstractContextManager[BlobWriter]:
        """Open a writer for a blob of `size` bytes.

        Leaving the context without `commit` keeps what a later writer can
        continue from, unless the bytes were wrong.  With `replace`, what is
        stored below the digest is overwritten, and no part is continued.
        """

    def receive(self, ticket: str, size: int) -> AbstractContextManager[UnnamedWriter]:
        """Open a writer for `size` bytes whose digest only they will tell.

        `ticket` has the form of a digest and names this transfer: a later writer
        with the same ticket and size continues its part.  Nothing becomes visible
        below the ticket.
        """

    def read(
        self, digest: str, *, offset: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open a blob's bytes from `offset` on, as blocks.

        Raises:
            NotFound: it is not there.
            Truncated: less came than the blob has, also while it is read.
        """

    def remove(self, digest: str) -> None:
        """Remove a blob; that it is not there is no error."""

    def blobs(self) -> Iterator[Blob]:
        """Yield every blob that is visible, in the order of the digests."""

    def leftovers(self) -> list[Leftover]:
        """Return the unfinished writes, also those of other processes."""

    def discard(self, leftover: Leftover) -> None:
        """Remove an unfinished write for good; that it has gone is no error."""

    def footprint(self, size: int) -> int:
        """Return the bytes of memory that writing a blob of `size` holds at least."""


class UploadLog(Protocol):
    """Where a store notes what it begins on a server that may not list it."""

    def begin_upload(self, upload: Upload) -> None:
        """Note an upload before it is begun; a known key is dated anew."""

    def end_upload(self, key: str) -> None:
        """Forget an upload: completed, or aborted."""

    def uploads(self) -> list[Upload]:
        """Return the uploads that were not seen to end, oldest first."""
