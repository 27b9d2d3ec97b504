"""Where the bytes of a release's assets are, on GitHub and hosts of its kind.

With a token, by id: `GET /repos/{owner}/{repo}/releases/assets/{asset_id}` answers
with the bytes, or redirects to storage that takes a signature for some minutes
(docs.github.com/en/rest/releases/assets).  The token goes to the API alone.
By name, on the host's web address, without a token: the API's anonymous allowance is
sixty requests an hour.  And also what is public and has a digest: that costs nothing of
the allowance, and whatever a name leads to is held against the digest.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from syncer import __version__
from syncer.errors import NotFound, ProtocolError, Unavailable
from syncer.model.lfs import Refusal
from syncer.model.names import shown
from syncer.model.releases import asset_pointer
from syncer.upstream import origins
from syncer.upstream.batches import HttpGrant
from syncer.upstream.channel import Answer
from syncer.upstream.downloads import MOVED, REDIRECTS, USEFUL, Download

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import urllib3

    from syncer.endpoints import Host
    from syncer.model.lfs import BatchReply, Grant, LfsPointer
    from syncer.model.names import RepoName
    from syncer.model.releases import Asset
    from syncer.upstream.downloads import Downloads
    from syncer.upstream.github_failures import ApiLimits
    from syncer.upstream.session import Session

#: GitHub's REST API, as this program knows it.
API_VERSION = "2022-11-28"
_HEADERS = {
    "Accept": "application/octet-stream",
    "User-Agent": f"syncer/{__version__}",
    "X-GitHub-Api-Version": API_VERSION,
}
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_WORDS = 16 * 1024
_NOT_FOUND = 404


class _Wanted(NamedTuple):
    tag: str
    asset: Asset

    @property
    def may_be_page(self) -> bool:
        return _kind(self.asset.content_type) in _PAGES


class AssetSource:
    """The assets of one repository, as a `Source`.  Thread safe.

    A grant is made without asking anybody: its address is the same each time, and
    what it redirects to is asked for anew with every download.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - whose bytes, and by whose leave
        self,
        session: Session,
        downloads: Downloads,
        host: Host,
        name: RepoName,
        wanted: Sequence[tuple[str, Asset]],
        limits: ApiLimits,
        *,
        public: bool = False,
    ) -> None:
        """Take what is `public` by name where its digest proves it."""
        self._session = session
        self._downloads = downloads
        self._host = host
        self._name = name
        self._limits = limits
        self._public = public
        pairs = [_Wanted(tag, asset) for tag, asset in wanted]
        # The same file may be in several releases: the first that is named serves.
        self._wanted = {asset_pointer(pair.asset): pair for pair in reversed(pairs)}

    def batch(self, wanted: Sequence[LfsPointer]) -> BatchReply:
        """Return where each asset is; one that has no address is refused."""
        return [self._answer(pointer) for pointer in wanted]

    @contextmanager
    def open(self, grant: Grant, offset: int) -> Iterator[Iterator[bytes]]:
        """Yield an asset's blocks from `offset` on; see `Source`.

        Raises:
            RateLimited: the API's allowance, or our share of it, is used up.
            Blocked: it may not be given, for legal reasons.
            Unavailable: what came is a page for people.
        """
        wanted = self._wanted.get(grant.pointer)
        if wanted is None:
            raise NotFound(_unknown(grant.pointer))
        what = f"asset {shown(wanted.asset.name)} of {shown(wanted.tag)} ({self._name})"
        first = None
        if self._is_by_id(wanted.asset):
            first = partial(self._first, what, wanted.asset.id)
        download = Download(
            what=what,
            size=grant.pointer.size,
            href=grant.href,
            headers=grant.headers,
            host=self._host,
            giver=None,
            first=first,
            inspect=partial(_refuse_page, what, wanted),
        )
        with self._downloads.open(download, offset) as blocks:
            yield blocks

    def _answer(self, pointer: LfsPointer) -> HttpGrant | Refusal:
        wanted = self._wanted.get(pointer)
        if wanted is None:
            return Refusal(pointer, _NOT_FOUND, _unknown(pointer))
        if self._is_by_id(wanted.asset):
            href = f"{self._host.api_base}{_path(self._name, wanted.asset.id)}"
            return HttpGrant(pointer, href, _HEADERS)
        parts = [quote(part, safe="") for part in (wanted.tag, wanted.asset.name)]
        # Dots alone stay as they are when quoted, and would name another place.
        if any(part in {"", ".", ".."} for part in parts):
            reason = f"{shown(wanted.asset.name)} has no address without a token"
            return Refusal(pointer, _NOT_FOUND, reason)
        place = f"{self._name.owner}/{self._name.name}/releases/download"
        href = f"{origins.web(self._host)}/{place}/{'/'.join(parts)}"
        return HttpGrant(pointer, href, {})

    def _is_by_id(self, asset: Asset) -> bool:
        proven = self._public and asset.digest is not None
        return self._host.is_authorised and not proven

    @contextmanager
    def _first(
        self, what: str, id_: int, headers: Mapping[str, str]
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield what the API says, with our token; it redirects within itself.

        A repository that was renamed meanwhile is found so (301).
        """
        channel = self._session.api(self._host)
        base, path = channel.host.base, _path(self._name, id_)
        for _ in range(REDIRECTS):
            self._limits.check(self._host)
            channel.budget.take()
            with channel.opened("GET", path, headers) as response:
                self._limits.note(self._host, response.headers)
                url = origins.join(
                    f"{base}{path}", response.headers.get("location", "")
                )
                if response.status in MOVED and url.startswith(f"{base}/"):
                    path = url[len(base) :]
                    continue
                if response.status not in USEFUL:
                    answer = Answer(
                        response.status, response.headers, response.read1(_WORDS)
                    )
                    raise self._limits.refusal(self._host, what, answer)
                yield response
                return
        msg = f"upstream redirects {what} more than {REDIRECTS} times"
        raise ProtocolError(msg)


def _path(name: RepoName, id_: int) -> str:
    return f"/repos/{name.owner}/{name.name}/releases/assets/{id_}"


def _unknown(pointer: LfsPointer) -> str:
    return f"upstream's releases name no asset {pointer.oid[:12]}"


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _refuse_page(
    what: str, wanted: _Wanted, response: urllib3.BaseHTTPResponse, expected: int
) -> None:
    """Raise if upstream sends a page for people in place of an asset, as 200.

    Where a digest is known it decides, and a page of another length needs none.
    """
    if wanted.may_be_page:
        return
    if _kind(response.headers.get("content-type", "")) not in _PAGES:
        return
    if wanted.asset.digest is None or response.length_remaining != expected:
        msg = f"upstream sends an HTML page instead of {what}; nothing was kept of it"
        raise Unavailable(msg)
