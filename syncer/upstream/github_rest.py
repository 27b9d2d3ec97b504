"""One question to GitHub's REST API, and its answer.

Redirects are followed within the API alone: there the token goes anyway.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from syncer import __version__
from syncer.errors import (
    EgressRefused,
    NotFound,
    PermanentError,
    ProtocolError,
    Unavailable,
)
from syncer.model.names import shown
from syncer.upstream import origins
from syncer.upstream.github_failures import MOVED
from syncer.upstream.github_links import below, following
from syncer.upstream.watch import interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from threading import Event

    from syncer.endpoints import Host
    from syncer.upstream.channel import Answer
    from syncer.upstream.github_failures import ApiLimits
    from syncer.upstream.session import Session

#: Redirects that are followed.
REDIRECTS = 3
#: Bytes of an answer, unless the question says otherwise.
LARGEST = 16 << 20
_HEADERS = {
    "Accept": "application/vnd.github+json",
    "User-Agent": f"syncer/{__version__}",
    "X-GitHub-Api-Version": "2022-11-28",
}
_OK, _UNCHANGED, _ABSENT = 200, 304, 404
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json")
_ETAG = re.compile(r"(?:W/)?\"[!#-~]{0,255}\"")


class TooLong(PermanentError):
    """An answer of more bytes than we take."""


class Question(NamedTuple):
    """A GET; `what` is what is asked for, in words."""

    host: Host
    what: str
    #: Below the base of the API.
    path: str
    #: The validator of what we have already.
    etag: str | None = None
    #: Whether 404 is an answer like others, not an error.
    may_be_absent: bool = False
    #: The largest answer, in bytes.
    limit: int = LARGEST


class Reply(NamedTuple):
    """A believable answer: 200, 304 if there was an etag, 404 if it may be."""

    status: int
    #: Whence it came in the end, below the base of the API.
    path: str
    headers: Mapping[str, str]
    body: bytes
    #: Requests that it took.
    requests: int = 1

    @property
    def is_unchanged(self) -> bool:
        """Whether it is as the etag says."""
        return self.status == _UNCHANGED

    @property
    def is_there(self) -> bool:
        """Whether there is a document."""
        return self.status == _OK

    @property
    def etag(self) -> str | None:
        """Its validator (RFC 9110 8.8.3); None for one that cannot be sent back."""
        etag = self.headers.get("etag", "").strip()
        return etag if _ETAG.fullmatch(etag) else None


class Rest:
    """Asks the REST APIs of hosts that have one.  Thread safe."""

    def __init__(self, session: Session, limits: ApiLimits, stop: Event) -> None:
        self._session = session
        self._limits = limits
        self._stop = stop

    def get(self, question: Question) -> Reply:
        """Return the answer to a question, which redirects may lead to.

        Raises:
            TooLong: it has more bytes than the question takes.
            Moved: there are too many redirects.
            EgressRefused: one of them leads out of the API.
            SyncerError: as `ForgeApi` says of every question.
        """
        channel = self._session.api(question.host)
        base, path = channel.host.base, question.path
        for hop in range(REDIRECTS + 1):
            answer = self._ask(question, path)
            if answer.status in MOVED and hop < REDIRECTS:
                path = _elsewhere(question.what, base, path, answer.headers)
                continue
            self._check(question, answer)
            return Reply(answer.status, path, answer.headers, answer.body, hop + 1)
        raise AssertionError  # pragma: no cover - the last hop returns or raises

    def each(self, question: Question, pages: int) -> Iterator[Reply]:
        """Yield the answers that a listing consists of, by their `Link` headers.

        At most so many pages; the question's limit counts for each of them.
        """
        seen: set[str] = set()
        for _ in range(pages):
            seen.add(question.path)
            reply = self.get(question)
            yield reply
            path = self.next(question, reply)
            if path is None:
                return
            if path in seen:
                raise strange(question)
            question = question._replace(path=path)

    def next(self, question: Question, reply: Reply) -> str | None:
        """Return the path of the page after a reply, None at the end.

        Raises:
            ProtocolError: the header cannot be understood, or leads out of the API.
        """
        target = following(reply.headers.get("link", ""))
        if target is None:
            return None
        base = self._session.api(question.host).host.base
        path = below(base, origins.join(f"{base}{reply.path}", target))
        if path is None:
            raise strange(question)
        return path

    def _ask(self, question: Question, path: str) -> Answer:
        """Send one request, if our allowance has room for it."""
        if self._stop.is_set():
            raise interrupted()
        host = question.host
        headers = dict(_HEADERS)
        if question.etag is not None:
            headers["If-None-Match"] = question.etag
        # Unchanged, it costs nothing to who is known; a 200 is news, and is paid for.
        self._limits.check(host, free=bool(question.etag) and host.is_authorised)
        channel = self._session.api(host)
        channel.budget.take()
        try:
            answer = channel.exchange(
                "GET", path, headers=headers, limit=question.limit
            )
        except PermanentError as exc:
            # The channel's own word for it has no class of its own.
            if type(exc) is PermanentError:
                msg = f"{exc} for {question.what}"
                raise TooLong(msg) from exc
            raise
        self._limits.note(host, answer.headers)
        return answer

    def _check(self, question: Question, answer: Answer) -> None:
        """Raise unless an answer is one of the API to this question."""
        status, what = answer.status, question.what
        if status == _UNCHANGED and question.etag is not None:
            return
        if status == _OK:
            kind = answer.headers.get("content-type", "").partition(";")[0]
            kind = kind.strip().lower()
            if kind in _PAGES:
                msg = f"upstream answers for {what} with a page for people"
                raise Unavailable(msg)
            if _JSON.fullmatch(kind) is None:
                msg = f"upstream answers for {what} with {shown(kind)}, not with JSON"
                raise ProtocolError(msg)
            return
        error = self._limits.refusal(question.host, what, answer)
        absent = status == _ABSENT and isinstance(error, NotFound)
        if not (absent and question.may_be_absent):
            raise error


def _elsewhere(what: str, base: str, path: str, headers: Mapping[str, str]) -> str:
    """Return the path that a redirect leads to."""
    target = origins.join(f"{base}{path}", headers.get("location", ""))
    found = below(base, target)
    if found is None:
        msg = f"upstream redirects {what} out of its API: not followed"
        raise EgressRefused(msg)
    return found


def strange(question: Question) -> ProtocolError:
    """Return the error of a page that leads out of its listing, or in a circle."""
    msg = f"upstream's pages for {question.what} lead where they must not"
    return ProtocolError(msg)
