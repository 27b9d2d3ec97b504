"""What we ask of a forge's API.  Asking changes nothing there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.model.names import RepoName
    from syncer.model.origin import Allowance, Described, Facts, Hint
    from syncer.model.releases import Asset, Listing, Page
    from syncer.ports.transfer import Source


class ForgeApi(Protocol):
    """The API of upstream hosts that have one.

    Errors of every question: `RateLimited` (a limit of the host, or our reserve is
    reached; says when to come back), `Unavailable`, `Truncated`, `AccessDenied`
    (the token; `single sign-on` is named), `ProtocolError` (not the API's answer),
    `EgressRefused`.  Of a repository: `NotFound` (404, 410), `Blocked` (451).
    """

    def serves(self, host: str) -> bool:
        """Return whether a host has an API that is known to us."""

    def is_authorised(self, host: str) -> bool:
        """Return whether we have a token there, so that a 304 costs nothing."""

    def allowances(self, host: str) -> list[Allowance]:
        """Return what the host last said it grants, by resource; asks nobody."""

    def describe(
        self, name: RepoName, *, id_: int | None = None, etag: str | None = None
    ) -> Described:
        """Ask about a repository: by id where that is known, else by name.

        By name, a redirect within the API is followed: a repository that was renamed
        or moved answers with its own id and new name.  With `etag`, an unchanged
        answer has no facts.
        """

    def named(self, name: RepoName) -> Facts:
        """Ask who has a name now, unconditionally; see `describe`."""

    def releases(self, name: RepoName, id_: int, known: Sequence[Page] = ()) -> Listing:
        """List all releases; pages that are as `known` are not read again.

        Raises as all questions do; half a listing is none.
        """

    def release(self, name: RepoName, id_: int, release_id: int) -> bool:
        """Return whether a release is still there: False is a 404 of its own."""

    def assets(
        self,
        name: RepoName,
        wanted: Sequence[tuple[str, Asset]],
        *,
        public: bool = False,
    ) -> Source:
        """Return where a transfer finds the bytes of assets, each below its tag.

        Each is wanted by `asset_pointer`.  What is `public` may be taken by its name,
        where that spares the allowance and a digest proves the bytes.
        """

    def attestations(self, name: RepoName, digest: str) -> bytes | None:
        """Return the attestations of an asset as JSON, None if there are none."""

    def owned(self, host: str, owner: str) -> list[Facts]:
        """List the repositories of an organisation or user that we may see."""

    def sweep(self, host: str, node_ids: Sequence[str]) -> list[Hint]:
        """Ask about at most 100 repositories at once, by GraphQL; needs a token."""
