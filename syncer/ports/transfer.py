"""Where a transfer finds the bytes of what is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from syncer.model.lfs import BatchReply, Grant, LfsPointer


class Source(Protocol):
    """One repository's bytes upstream: LFS objects, or assets.  Thread safe.

    Errors are those of `LfsSource`.
    """

    def batch(self, wanted: Sequence[LfsPointer]) -> BatchReply:
        """Ask for at most `BATCH` of them; one answer for each, in their order."""

    def open(
        self, grant: Grant, offset: int
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open the bytes of one from `offset` on, as blocks."""
