"""What we ask of upstream hosts.  Asking changes nothing there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from syncer.model.names import RepoName
    from syncer.model.runs import Probe


class PackSource(Protocol):
    """Where the objects of a fetch come from without a git process of its own."""

    def __call__(
        self, want: Sequence[str], have: Sequence[str]
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open a thin pack of what `want` needs beyond `have`, by object id.

        Raises:
            ProtocolError: this host cannot; `git fetch` may.
        """


class Forge(Protocol):
    """An upstream host, asked about refs.  Asking changes nothing."""

    def probe(self, name: RepoName, scope: tuple[str, ...]) -> Probe:
        """Ask which refs below the prefixes in `scope` upstream has.

        Raises:
            NotFound, Moved, AccessDenied: of the git endpoint; proves nothing
                about the repository.
            RateLimited, Unavailable, Truncated: another attempt may succeed.
            ProtocolError: the answer is not git's.
            EgressRefused: policy forbids the address.
        """

    def pack(
        self, name: RepoName, want: Sequence[str], have: Sequence[str]
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open a thin pack, as `PackSource` says; the refs come from a probe."""
