"""A forge's API in memory, over the same state as the GitHub on loopback."""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from syncer.errors import AccessDenied, Blocked, NotFound
from syncer.model.names import GITHUB
from syncer.model.origin import Allowance, Described, Hint
from syncer.model.releases import PAGE, Listing, Page
from tests.fakes_assets import FakeAssets
from tests.servers.github_faults import ContentFaults
from tests.servers.github_state import GitHubState
from tests.values_of_github import attestations_of, facts_of, release_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.model.lfs import LfsPointer
    from syncer.model.names import RepoName
    from syncer.model.origin import Facts
    from syncer.model.releases import Asset, Release
    from syncer.ports import Clock
    from tests.servers.github_releases import GitHubRelease
    from tests.servers.github_state import GitHubRepository

#: What GitHub says a listing is at most: 10,000 results.
_MOST_PAGES = 100


class Question(NamedTuple):
    """One request that the real API would have been sent."""

    what: str
    subject: str
    page: int = 1
    conditional: bool = False
    #: Whether the answer was 304.
    unchanged: bool = False


class _Failing(NamedTuple):
    what: str
    page: int | None
    error: Exception


class FakeApi:
    """`ForgeApi` without a wire; `state` is what upstream holds.

    `asked` tells every request in order; `fail` lets the next ones raise.
    Private repositories are shown while `authorised`.
    """

    def __init__(self, clock: Clock, host: str = GITHUB) -> None:
        self.state = GitHubState(clock)
        self.repository, self.account = self.state.repository, self.state.account
        self.host = host
        self.authorised = True
        self.granted: list[Allowance] = []
        self.asked: list[Question] = []
        #: Downloads, in order: what was wanted, and from which byte on.
        self.downloads: list[tuple[LfsPointer, int]] = []
        #: Counts what the assets' own bytes let go wrong.
        self.faults = ContentFaults()
        self._clock = clock
        self._failing: deque[_Failing] = deque()
        self._lock = Lock()

    def fail(
        self, what: str, error: Exception, *, page: int | None = None, times: int = 1
    ) -> None:
        """Let the next calls raise; `what` is a method's name, "*" any.

        A page is one of a listing; "open" is a download.
        """
        with self._lock:
            self._failing.extend([_Failing(what, page, error)] * times)

    def heal(self) -> None:
        """Take back every `fail`."""
        with self._lock:
            self._failing.clear()

    def forget(self) -> None:
        """Empty `asked`."""
        with self._lock:
            self.asked.clear()

    def ask(self, question: Question) -> None:
        """Count one request, and raise what it was told to fail with."""
        with self._lock:
            self.asked.append(question)
            for each in self._failing:
                named = each.what in {question.what, "*"}
                if named and each.page in {None, question.page}:
                    self._failing.remove(each)
                    raise each.error

    def opened(self, pointer: LfsPointer, offset: int) -> None:
        """Count a download that begins."""
        self.ask(Question("open", pointer.oid))
        with self._lock:
            self.downloads.append((pointer, offset))

    def serves(self, host: str) -> bool:
        """Return whether it is the one host."""
        return host == self.host

    def is_authorised(self, host: str) -> bool:
        """Return whether there is a token."""
        return self.serves(host) and self.authorised

    def allowances(self, host: str) -> list[Allowance]:
        """Return `granted`."""
        return list(self.granted) if self.serves(host) else []

    def describe(
        self, name: RepoName, *, id_: int | None = None, etag: str | None = None
    ) -> Described:
        """Answer with facts, or without them if they are as `etag` says."""
        subject = str(name) if id_ is None else str(id_)
        try:
            facts = facts_of(self._find(name, id_), self.host)
        except (NotFound, Blocked):
            self.ask(Question("describe", subject, conditional=etag is not None))
            raise
        seen = _etag(facts)
        same = seen == etag
        self.ask(Question("describe", subject, 1, etag is not None, same))
        return Described(None if same else facts, seen)

    def named(self, name: RepoName) -> Facts:
        """Answer who has a name."""
        self.ask(Question("named", str(name)))
        return facts_of(self._find(name, None), self.host)

    def releases(self, name: RepoName, id_: int, known: Sequence[Page] = ()) -> Listing:
        """List all pages; those that are as `known` have no releases."""
        started = self._clock.now()
        old = {page.url: page for page in known}
        pages: list[Page] = []
        fresh: list[Release] = []
        number = 1
        while number <= _MOST_PAGES:
            shown = self._page(self._find(name, id_), number, old)
            pages.append(shown[0])
            fresh += shown[1]
            if pages[-1].next is None:
                break
            number += 1
        return Listing(tuple(pages), tuple(fresh), started, len(pages))

    def _page(
        self, found: GitHubRepository, number: int, old: dict[str, Page]
    ) -> tuple[Page, list[Release]]:
        url = self._page_url(found, number)
        with self.state.lock:
            listed = found.listed(drafts=self.authorised)
            held = listed[(number - 1) * PAGE : number * PAGE]
            shown = [release_of(each) for each in held]
            etag = _etag((shown, _downloads(held), len(listed)))
        more = len(listed) > number * PAGE
        following = self._page_url(found, number + 1) if more else None
        stored = old.get(url)
        same = stored is not None and stored.etag == etag
        question = Question("releases", str(found.id), number, stored is not None, same)
        self.ask(question)
        if stored is not None and same:
            return stored, []
        ids = tuple(each.id for each in shown)
        return Page(url, etag, ids, following, self._clock.now()), shown

    def _page_url(self, found: GitHubRepository, number: int) -> str:
        base = f"https://api.{self.host}/repositories/{found.id}/releases?per_page=100"
        return base if number == 1 else f"{base}&page={number}"

    def release(self, name: RepoName, id_: int, release_id: int) -> bool:
        """Return whether there is such a release."""
        self.ask(Question("release", str(release_id)))
        found = self._find(name, id_).listed(drafts=self.authorised)
        return any(each.id == release_id for each in found)

    def assets(
        self,
        name: RepoName,
        wanted: Sequence[tuple[str, Asset]],
        *,
        public: bool = False,
    ) -> FakeAssets:
        """Return a source of assets."""
        del name, public  # An asset's id is all that is asked for.
        return FakeAssets(self, wanted)

    def attestations(self, name: RepoName, digest: str) -> bytes | None:
        """Return what was attested of a digest."""
        self.ask(Question("attestations", digest))
        return attestations_of(self._find(name, None), digest)

    def owned(self, host: str, owner: str) -> list[Facts]:
        """List an owner's repositories, the private ones if authorised."""
        self.ask(Question("owned", owner))
        account = self.state.accounts.get(owner.lower())
        if account is None or not self.serves(host):
            msg = f"{host} has no owner {owner}"
            raise NotFound(msg)
        found = self.state.owned(account)
        seen = [each for each in found if self.authorised or not each.private]
        return [facts_of(each, self.host) for each in seen]

    def sweep(self, host: str, node_ids: Sequence[str]) -> list[Hint]:
        """Answer a hint for each id, in their order."""
        assert 0 < len(node_ids) <= PAGE
        self.ask(Question("sweep", str(len(node_ids))))
        if not self.is_authorised(host):
            msg = f"{host} answers this to nobody without a token"
            raise AccessDenied(msg)
        with self.state.lock:
            known = {each.node_id: each for each in self.state.repositories.values()}
        return [_hint(node_id, known.get(node_id)) for node_id in node_ids]

    def _find(self, name: RepoName, id_: int | None) -> GitHubRepository:
        wanted = f"{name.owner}/{name.name}"
        with self.state.lock:
            if id_ is None:
                found = self.state.named(wanted) or self.state.formerly(wanted)
            else:
                found = self.state.repositories.get(id_)
        if found is None or (found.private and not self.authorised):
            msg = f"upstream answers 404 for {name}: kept as it is"
            raise NotFound(msg)
        if found.blocked is not None:
            msg = f"upstream may not give {name} ({found.blocked.reason})"
            raise Blocked(msg, notice=found.blocked.html_url)
        return found


def _hint(node_id: str, found: GitHubRepository | None) -> Hint:
    if found is None:
        return Hint(node_id, absent=True)
    listed = found.listed()
    newest = (listed[0].tag, listed[0].updated) if listed else None
    release = _etag((len(listed), newest))
    return Hint(node_id, pushed=found.pushed, release=release)


def _downloads(releases: Sequence[GitHubRelease]) -> list[int]:
    """Return what changes a page without changing any value in it."""
    return [asset.download_count for each in releases for asset in each.assets]


def _etag(value: Any) -> str:  # noqa: ANN401 - whatever has a repr of its own
    return f'W/"{sha256(repr(value).encode()).hexdigest()}"'
