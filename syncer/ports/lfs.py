"""What we ask of an upstream's LFS server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from syncer.model.lfs import BatchReply, Grant, LfsEndpoint, LfsPointer
    from syncer.model.names import RepoName


class LfsSource(Protocol):
    """The LFS servers of upstream hosts.  Asking changes nothing there."""

    def endpoint(self, name: RepoName, configured: str | None) -> LfsEndpoint:
        """Return where a repository's batch requests go.

        `configured` is what its `.lfsconfig` names; a place that the policy
        does not allow is not asked, and the note says so.
        """

    def batch(
        self, name: RepoName, endpoint: LfsEndpoint, wanted: Sequence[LfsPointer]
    ) -> BatchReply:
        """Ask for at most `BATCH` objects; one answer for each, in their order.

        Raises:
            AccessDenied, NotFound, Moved: of the batch itself; says nothing
                about any object.
            OverQuota: the owner's allowance is used up.
            RateLimited, Unavailable, Truncated: another attempt may succeed.
            ProtocolError: the answer is not the batch API's.
            EgressRefused: policy forbids the address.
        """

    def open(
        self, name: RepoName, grant: Grant, offset: int
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open an object's bytes from `offset` on, as blocks.

        Raises:
            Expired: the grant no longer counts; ask again.
            NotFound: the object's own address says 404 or 410.
            Truncated: less came than was declared, also while it is read.
            IntegrityError: more came than was declared.
            RateLimited, Unavailable, ProtocolError, EgressRefused: as `batch`.
        """
