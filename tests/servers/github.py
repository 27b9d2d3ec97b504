"""A GitHub on loopback: git, REST and GraphQL, and a second host for assets.

Shapes, statuses and header names are those of the public API description
(docs.github.com/en/rest, version 2022-11-28); every answer is held against the
JSON Schemas in `tests/schemas`.  What it holds is arranged through `repository`.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from tests.servers import http_listener
from tests.servers.github_answers import Answers
from tests.servers.github_calls import Calls
from tests.servers.github_documents import Documents
from tests.servers.github_faults import Failure, Failures
from tests.servers.github_git import GitHosting
from tests.servers.github_limits import Limits
from tests.servers.github_state import GitHubState
from tests.servers.github_storage import Storage
from tests.servers.http_faults import Fault, Faults
from tests.servers.http_listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from types import TracebackType

    from tests.servers.github_faults import How
    from tests.servers.github_state import Clock
    from tests.servers.http_backend import Answer
    from tests.servers.http_body import Body
    from tests.servers.http_faults import Request


class Seen(NamedTuple):
    """One request, and what became of it; `host` is "api", "git" or "assets"."""

    host: str
    method: str
    path: str
    query: str
    status: int
    authorised: bool
    conditional: bool
    headers: Mapping[str, str]


class GitHubServer:
    """Listens from `with` to its end.

    `clock` decides when windows, tokens and signed addresses end; `enterprise`
    puts the API below `/api/v3`, as GitHub Enterprise Server does.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        tls: bool = False,
        enterprise: bool = False,
        validate: bool = True,
    ) -> None:
        self.state = GitHubState(clock)
        self.repository, self.account = self.state.repository, self.state.account
        self.limits = Limits(self._now)
        self.token, self.app = self.limits.token, self.limits.app
        self.storage = Storage(self.state)
        self.failures = Failures()
        self.faults = Faults()
        #: Changes the `Link` header of a page before it is sent.
        self.rewrite_link: Callable[[str], str] = lambda link: link
        #: Whether a 304 repeats the `Link` header of the page.
        self.links_in_304 = True
        #: Whether answers are held against the schemas.
        self.validate = validate
        self._own = tempfile.TemporaryDirectory(prefix="github-")
        place = Path(self._own.name)
        #: The repositories themselves, and their LFS objects.
        self.git = GitHosting(self.state, self.limits, place)
        self._ca = place / "ca.pem" if tls else None
        context = http_listener.certificates(self._ca) if self._ca else None
        self._front = Listener(self._api_face, context)
        self._store = Listener(self._storage_face, context)
        #: The address of the web, and of git: `[host."NAME"] git`.
        self.url = self._front.url
        #: The base address of the API, without a slash at the end.
        self.api = f"{self.url}/api/v3" if enterprise else self.url
        #: Host and port that signed addresses of assets have.
        self.assets_host = self._store.authority
        self.calls = Calls(self.state, Documents(self.api, self.url))
        self._answers = Answers(self, enterprise=enterprise)
        self._seen: list[Seen] = []

    def __enter__(self) -> Self:
        self._front.start()
        self._store.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.git.stop()
        self._front.stop()
        self._store.stop()
        self._own.cleanup()

    @property
    def ca_pem(self) -> Path:
        """The certificate authority of both listeners, PEM."""
        assert self._ca is not None, "the server speaks no TLS"
        return self._ca

    @property
    def assets_url(self) -> str:
        """The second host's address."""
        return self._store.url

    @property
    def requests(self) -> list[Seen]:
        """What was asked so far, oldest first."""
        return list(self._seen)

    def forget(self) -> None:
        """Empty `requests`."""
        self._seen.clear()

    def fail(  # noqa: PLR0913 - each says one thing about the failure
        self,
        what: str,
        *,
        status: int = 500,
        how: How | None = None,
        page: int | None = None,
        times: int | None = 1,
        skip: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Let calls fail: with a status and GitHub's words, or as `how` says.

        `what` is "repository", "releases", "release", "latest", "tag", "assets",
        "asset", "attestations", "owned", "rate_limit", "access_tokens",
        "graphql", "web", or "*" for all.  `how`: "primary" and "secondary" are
        limits (429 unless `status` is 403), "html" a page for people, "json"
        half a document, "cut" an answer that breaks off, "reset" no answer.
        """
        said = dict(headers or {})
        self.failures.add(Failure(what, page, status, how, said, times, skip))

    def fault(
        self,
        match: str | Callable[[Request], bool],
        fault: Fault,
        times: int | None = None,
        skip: int = 0,
    ) -> None:
        """Spoil requests to either host that match; see `Faults.add`."""
        self.faults.add(match, fault, times, skip)

    def heal(self) -> None:
        """Take back every `fail` and `fault`."""
        self.failures.clear()
        self.faults.clear()

    def _now(self) -> datetime:
        return self.state.clock.now()

    @contextmanager
    def _api_face(self, request: Request, body: Body) -> Iterator[tuple[Answer, Fault]]:
        if self.git.serves(request.path):
            with self.git.answer(request, body, self.url) as (answer, fault):
                authorised = "authorization" in request.headers
                yield answer, self._noted("git", request, answer, fault, authorised)
            return
        answer, fault, authorised = self._answers.answer(request, body)
        yield answer, self._noted("api", request, answer, fault, authorised)

    @contextmanager
    def _storage_face(
        self, request: Request, _body: Body
    ) -> Iterator[tuple[Answer, Fault]]:
        answer, fault = self.storage.answer(request)
        authorised = "authorization" in request.headers
        yield answer, self._noted("assets", request, answer, fault, authorised)

    def _noted(
        self,
        host: str,
        request: Request,
        answer: Answer,
        fault: Fault,
        authorised: bool,  # noqa: FBT001 - a column of `Seen`
    ) -> Fault:
        """Keep what was asked, before the client can see the answer."""
        fault = self.faults.choose(request, None) or fault
        conditional = "if-none-match" in request.headers
        status = fault.status or answer.status
        asked = (request.method, request.path, request.query)
        seen = Seen(host, *asked, status, authorised, conditional, request.headers)
        self._seen.append(seen)
        return fault
