"""GitHub's API, and that of hosts of its kind (GitHub Enterprise).

docs.github.com/en/rest, version 2022-11-28, which stays until March 2028 at least.
A repository is asked for by its id once that is known, since names change hands.
"""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import quote

from syncer.errors import EgressRefused, NotFound, ProtocolError
from syncer.model.origin import Described
from syncer.upstream import github_documents as documents
from syncer.upstream.allowance import GRAPHQL, Allowances
from syncer.upstream.downloads import Downloads
from syncer.upstream.github_assets import AssetSource
from syncer.upstream.github_failures import ApiLimits
from syncer.upstream.github_pages import Releases
from syncer.upstream.github_rest import Question, Rest
from syncer.upstream.github_sweep import Sweeper
from syncer.upstream.json_documents import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from syncer.endpoints import Host
    from syncer.model.names import RepoName
    from syncer.model.origin import Allowance, Facts, Hint
    from syncer.model.releases import Asset, Listing, Page
    from syncer.ports import Clock
    from syncer.upstream.github_rest import Reply
    from syncer.upstream.session import Session

#: Pages of an owner's repositories, and of one asset's attestations.
OWNED, ATTESTED = 100, 10
#: Bytes of an asset's attestations.
ATTESTATIONS = 4 << 20


class GitHubApi:
    """A `ForgeApi` for every host that has one; safe to use from many threads."""

    def __init__(
        self,
        hosts: Callable[[str], Host],
        session: Session,
        *,
        clock: Clock,
        stop: Event | None = None,
    ) -> None:
        stop = Event() if stop is None else stop
        self._hosts = hosts
        self._session = session
        self._clock = clock
        self._allowances = Allowances(clock)
        self._limits = ApiLimits(self._allowances, clock)
        self._rest = Rest(session, self._limits, stop)
        graphql = ApiLimits(self._allowances, clock, GRAPHQL)
        self._sweeper = Sweeper(session, graphql)
        self._downloads = Downloads(session, lambda _, host: host, clock, stop)

    def close(self) -> None:
        """End what looks after downloads; the session is not ours to close."""
        self._downloads.close()

    def serves(self, host: str) -> bool:
        """Return whether a host has an API that is known to us."""
        return self._hosts(host).api_base is not None

    def is_authorised(self, host: str) -> bool:
        """Return whether we have a token there."""
        entry = self._hosts(host)
        return entry.api_base is not None and entry.is_authorised

    def allowances(self, host: str) -> list[Allowance]:
        """Return what the host last said it grants, by resource; asks nobody."""
        return self._allowances.of(self._hosts(host))

    def describe(
        self, name: RepoName, *, id_: int | None = None, etag: str | None = None
    ) -> Described:
        """Ask about a repository; see `ForgeApi.describe`."""
        path = _named(name) if id_ is None else f"/repositories/{id_}"
        reply = self._get(name, f"{name}", path, etag=etag)
        if reply.is_unchanged:
            return Described(None, reply.etag or etag)
        facts = documents.read_repository(parse(reply.body, f"{name}"), name.host)
        if id_ is not None and facts.id != id_:
            msg = f"upstream answers for repository {id_} with {facts.id}"
            raise ProtocolError(msg)
        return Described(facts, reply.etag)

    def named(self, name: RepoName) -> Facts:
        """Ask who has a name now."""
        reply = self._get(name, f"{name}", _named(name))
        return documents.read_repository(parse(reply.body, f"{name}"), name.host)

    def releases(self, name: RepoName, id_: int, known: Sequence[Page] = ()) -> Listing:
        """List all releases; pages that are as `known` are not read again."""
        host = self._host(name.host)
        return Releases(self._rest, self._clock, host, name).read(id_, known)

    def release(self, name: RepoName, id_: int, release_id: int) -> bool:
        """Return whether a release is still there: False is a 404 of its own."""
        what = f"release {release_id} of {name}"
        path = f"/repositories/{id_}/releases/{release_id}"
        reply = self._get(name, what, path, may_be_absent=True)
        if not reply.is_there:
            return False
        found = documents.read_id(parse(reply.body, what), what)
        if found != release_id:
            msg = f"upstream answers for {what} with release {found}"
            raise ProtocolError(msg)
        return True

    def assets(
        self,
        name: RepoName,
        wanted: Sequence[tuple[str, Asset]],
        *,
        public: bool = False,
    ) -> AssetSource:
        """Return where a transfer finds the bytes of assets; asks nobody."""
        return AssetSource(
            self._session,
            self._downloads,
            self._host(name.host),
            name,
            wanted,
            self._limits,
            public=public,
        )

    def attestations(self, name: RepoName, digest: str) -> bytes | None:
        """Return the attestations of an asset as JSON, None if there are none.

        Those of its release (docs.github.com/en/rest/repos/attestations), from all
        pages.

        Raises:
            ProtocolError: they have more than 4 MiB together.
        """
        what = f"the attestations of {digest[:12]} ({name})"
        path = f"{_named(name)}/attestations/sha256:{digest}"
        query = f"per_page={documents.PAGE}&predicate_type=release"
        question = Question(
            self._host(name.host),
            what,
            f"{path}?{query}",
            may_be_absent=True,
            limit=ATTESTATIONS,
        )
        found: list[object] = []
        size = 0
        for reply in self._rest.each(question, ATTESTED):
            if not reply.is_there:
                break
            size += len(reply.body)
            if size > ATTESTATIONS:
                msg = f"{what} have more than {ATTESTATIONS >> 20} MiB: none is kept"
                raise ProtocolError(msg)
            found += documents.read_attestations(reply.body, what)
        return documents.write_attestations(found) if found else None

    def owned(self, host: str, owner: str) -> list[Facts]:
        """List the repositories of an organisation or user that we may see.

        One that moved between two pages while they were read is there once.
        """
        who = quote(owner, safe="")
        try:
            pages = list(self._owned(host, owner, f"/orgs/{who}/repos?type=all"))
        except NotFound:
            # An organisation has another address than a user.
            pages = list(self._owned(host, owner, f"/users/{who}/repos?type=owner"))
        found = {facts.id: facts for page in pages for facts in page}
        return list(found.values())

    def sweep(self, host: str, node_ids: Sequence[str]) -> list[Hint]:
        """Ask about at most 100 repositories at once; see `ForgeApi.sweep`."""
        return self._sweeper.sweep(self._host(host), node_ids)

    def _owned(self, host: str, owner: str, path: str) -> Iterator[list[Facts]]:
        what = f"the repositories of {owner}"
        path = f"{path}&per_page={documents.PAGE}"
        for reply in self._rest.each(Question(self._host(host), what, path), OWNED):
            yield documents.read_repositories(parse(reply.body, what), host)

    def _get(
        self,
        name: RepoName,
        what: str,
        path: str,
        *,
        etag: str | None = None,
        may_be_absent: bool = False,
    ) -> Reply:
        host = self._host(name.host)
        return self._rest.get(Question(host, what, path, etag, may_be_absent))

    def _host(self, name: str) -> Host:
        """Return how to reach a host that has an API.

        Raises:
            EgressRefused: it has none that we know.
        """
        host = self._hosts(name)
        if host.api_base is None:
            msg = f"{name} has no API that is known to us"
            raise EgressRefused(msg, hint=f'name it: [host."{name}"] api = "..."')
        return host


def _named(name: RepoName) -> str:
    return f"/repos/{name.owner}/{name.name}"
