"""The listing of a repository's releases: all of its pages, or an error.

docs.github.com/en/rest/releases/releases, "List releases".  Each page has an etag of
its own, and a 304 proves that page and no other: page 1 unchanged says nothing of an
asset that was added to an old release on page 3.  So every page is asked for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import Unavailable
from syncer.model.releases import Listing, Page
from syncer.upstream.github_documents import PAGE, read_releases
from syncer.upstream.github_links import below
from syncer.upstream.github_rest import Question, Reply, TooLong, strange
from syncer.upstream.json_documents import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from syncer.endpoints import Host
    from syncer.model.names import RepoName
    from syncer.model.releases import Release
    from syncer.ports import Clock
    from syncer.upstream.github_rest import Rest

#: "Only the first 10000 results are available", says GitHub.
REACHABLE = 10_000
#: Releases in a page: as many as there may be, and fewer where theirs have so many
#: assets that a page is too long for us.
SIZES = (PAGE, 30, 10, 3)
#: Bytes of one page.
LARGEST = 16 << 20
#: How long a full last page is believed to be the last.
BELIEVED = timedelta(days=1)
_LONGEST = 2048


class _Shifted(Exception):
    """Releases came or went between two pages."""


class _Read(NamedTuple):
    """One page, its releases if it was read anew, and what it cost."""

    page: Page
    releases: list[Release]
    requests: int


class Releases:
    """Reads the listing of one repository."""

    def __init__(self, rest: Rest, clock: Clock, host: Host, name: RepoName) -> None:
        self._rest = rest
        self._clock = clock
        self._host = host
        self._name = name
        self._base = (host.api_base or "").rstrip("/")

    def read(self, id_: int, known: Sequence[Page]) -> Listing:
        """Return all pages; of those that are as `known`, no releases.

        Raises:
            Unavailable: it changed while it was read, twice.
            SyncerError: as `ForgeApi` says; half a listing is none.
        """
        begun = self._begun(id_, known)
        for size in SIZES[begun:]:
            try:
                return self._settled(id_, size, known)
            except TooLong:
                if size == SIZES[-1]:
                    raise
        raise AssertionError  # pragma: no cover - the last size returns or raises

    def _begun(self, id_: int, known: Sequence[Page]) -> int:
        """Return which of `SIZES` fitted the last time."""
        urls = [self._url(id_, size) for size in SIZES]
        return urls.index(known[0].url) if known and known[0].url in urls else 0

    def _url(self, id_: int, size: int) -> str:
        return f"{self._base}/repositories/{id_}/releases?per_page={size}"

    def _settled(self, id_: int, size: int, known: Sequence[Page]) -> Listing:
        """Return a listing whose pages fit together; once more if they do not."""
        started, spent = self._clock.now(), 0
        for pages in (known, ()):
            found: list[_Read] = []
            try:
                for read in self._chain(id_, size, pages):
                    found.append(read)
                    spent += read.requests
                    _check_apart(found)
            except _Shifted:
                started = self._clock.now()
                continue
            shown = [release for read in found for release in read.releases]
            whole = tuple(read.page for read in found)
            return Listing(whole, tuple(shown), started, spent)
        msg = f"the list of releases of {self._name} changed while it was read, twice"
        raise Unavailable(msg, hint="nothing was changed; it is read again later")

    def _chain(self, id_: int, size: int, known: Sequence[Page]) -> Iterator[_Read]:
        """Yield the pages as each names the next."""
        url: str | None = self._url(id_, size)
        urls: set[str] = set()
        # GitHub gives no more pages; the last of them may well name another.
        for number in range(-(-REACHABLE // size)):
            if url is None:
                return
            if url in urls:
                raise strange(self._question(id_, url))
            urls.add(url)
            stored = known[number] if number < len(known) else None
            usable = stored is not None and self._is_usable(stored, id_, url)
            found = self._page(id_, url, stored if usable else None, size)
            yield found
            url = found.page.next

    def _page(self, id_: int, url: str, stored: Page | None, size: int) -> _Read:
        now = self._clock.now()
        etag = None
        if stored is not None and not _is_doubtful(stored, size, now):
            etag = stored.etag
        question = self._question(id_, url, etag)
        reply = self._rest.get(question)
        if not self._is_own(reply.path, id_):
            raise strange(question)
        if stored is not None and reply.is_unchanged:
            # A page that begins to follow is in the header, maybe not in the etag.
            if "link" in reply.headers:
                stored = replace(stored, next=self._next(id_, question, reply))
            return _Read(stored, [], reply.requests)
        document = parse(reply.body, question.what)
        releases = read_releases(document, str(self._name))
        ids = tuple(release.id for release in releases)
        following = self._next(id_, question, reply)
        page = Page(url, reply.etag, ids, following, now)
        return _Read(page, releases, reply.requests)

    def _question(self, id_: int, url: str, etag: str | None = None) -> Question:
        what = f"the releases of {self._name}"
        path = below(self._base, url)
        if path is None or not self._is_own(path, id_):
            raise strange(Question(self._host, what, ""))
        return Question(self._host, what, path, etag, limit=LARGEST)

    def _next(self, id_: int, question: Question, reply: Reply) -> str | None:
        """Return the address of the page after this one."""
        path = self._rest.next(question, reply)
        if path is None:
            return None
        url = f"{self._base}{path}"
        if not self._is_own(path, id_) or len(url) > _LONGEST:
            raise strange(question)
        return url

    def _is_usable(self, page: Page, id_: int, url: str) -> bool:
        """Return whether a stored page is one of this chain.

        One that names the next by the repository's former name is not.
        """
        if page.url != url or page.next is None:
            return page.url == url
        path = below(self._base, page.next)
        return path is not None and self._is_own(path, id_)

    def _is_own(self, path: str, id_: int) -> bool:
        """Return whether a path is this listing's, by id or by name."""
        place = path.partition("?")[0].lower()
        named = f"/repos/{self._name.owner}/{self._name.name}/releases".lower()
        return place in {f"/repositories/{id_}/releases", named}


def _check_apart(found: Sequence[_Read]) -> None:
    """Raise `_Shifted` if a release of the last page was seen before."""
    ids = [id_ for read in found for id_ in read.page.ids]
    if len(set(ids)) < len(ids):
        raise _Shifted


def _is_doubtful(page: Page, size: int, now: datetime) -> bool:
    """Return whether a page is asked for as a whole, whatever its etag.

    An etag speaks of a body.  A release that joins behind a full last page (one for
    an old commit, since GitHub sorts by that) changes no body: only the `Link`
    header names the page that it is on, and a 304 need not have that header.
    """
    if page.next is not None or len(page.ids) < size:
        return False
    return page.read is None or now - page.read > BELIEVED
