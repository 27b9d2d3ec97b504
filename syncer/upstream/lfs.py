"""The LFS servers of upstream hosts: who is asked, and what for.

The batch API is git-lfs's docs/api/batch.md, the transfer its `basic` one.  Our
token goes to a repository's own address and to no other: a `.lfsconfig` that
names somebody else's repository must not gain what only we may read there.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import NotFound, ProtocolError
from syncer.model.lfs import LfsEndpoint
from syncer.model.names import shown
from syncer.upstream import batches, origins
from syncer.upstream.batches import HttpGrant
from syncer.upstream.downloads import Download, Downloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from syncer.endpoints import Host
    from syncer.model.lfs import BatchReply, Grant, LfsPointer
    from syncer.model.names import RepoName
    from syncer.ports import Clock
    from syncer.upstream.channel import Answer, Channel
    from syncer.upstream.origins import Origin
    from syncer.upstream.session import Session

_HEADERS = {"Accept": batches.TYPE, "Content-Type": batches.TYPE}
# Nothing in it may mean another path to somebody else.
_PLAIN = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~+@:-]+)*")
_OK, _TOO_LARGE, _UNPROCESSABLE = 200, 413, 422
_NO_SERVER = frozenset({404, 410, 451})
_CLIENT = range(400, 500)
_TOLD = frozenset({401, 403, 407, 429})  # statuses that have errors of their own


class _Server(NamedTuple):
    """Where batch requests of a repository go."""

    origin: Origin
    channel: Channel
    path: str


class HttpLfs:
    """An `LfsSource` for every host; safe to use from many threads.

    `configured` are the hosts with an entry of their own: what they allow holds
    for them, and a `.lfsconfig` may name them.
    """

    def __init__(
        self,
        hosts: Callable[[str], Host],
        session: Session,
        *,
        configured: frozenset[str] = frozenset(),
        clock: Clock,
        stop: Event | None = None,
    ) -> None:
        self._hosts = hosts
        self._session = session
        self._configured = configured
        self._clock = clock
        self._downloads = Downloads(
            session, self._entry, clock, Event() if stop is None else stop
        )

    def close(self) -> None:
        """End what looks after downloads; the session is not ours to close."""
        self._downloads.close()

    def endpoint(self, name: RepoName, configured: str | None) -> LfsEndpoint:
        """Return where a repository's batch requests go; see `LfsSource`."""
        host = self._hosts(name.host)
        default = f"{origins.web(host)}/{name.owner}/{name.name}.git/info/lfs"
        url = (configured or "").strip().rstrip("/")
        if not url or url == default:
            return LfsEndpoint(default)
        parts = origins.split(url)
        if parts is None or _PLAIN.fullmatch(parts[1].rstrip("/")) is None:
            note = f"the .lfsconfig of {name} names no https address, and is ignored"
            return LfsEndpoint(default, note)
        if self._may_ask(parts[0], host):
            return LfsEndpoint(url)
        where = parts[0].authority
        note = (
            f"the .lfsconfig of {name} names {shown(where)}, which is not asked; allow "
            f'it with downloads = ["{where}"] below [host."{host.name}"]'
        )
        return LfsEndpoint(default, note)

    def batch(
        self, name: RepoName, endpoint: LfsEndpoint, wanted: Sequence[LfsPointer]
    ) -> BatchReply:
        """Ask for objects; a server that takes fewer is asked for halves."""
        server = self._server(name, endpoint)
        answer = server.channel.exchange(
            "POST",
            f"{server.path}/objects/batch",
            headers=_HEADERS,
            body=batches.request(wanted),
            limit=batches.LARGEST,
        )
        if answer.status == _TOO_LARGE and len(wanted) > 1:
            half = len(wanted) // 2
            first = self.batch(name, endpoint, wanted[:half])
            return first + self.batch(name, endpoint, wanted[half:])
        self._check(name, server, answer)
        now, monotonic = self._clock.now(), self._clock.monotonic()
        asked = batches.Asked(server.origin, now, monotonic)
        return batches.read_reply(answer.body, wanted, asked)

    @contextmanager
    def open(
        self, name: RepoName, grant: Grant, offset: int
    ) -> Iterator[Iterator[bytes]]:
        """Yield an object's blocks from `offset` on; see `LfsSource`."""
        pointer = grant.pointer
        wanted = Download(
            what=f"LFS object {pointer.oid[:12]} of {name}",
            size=pointer.size,
            href=grant.href,
            headers=grant.headers,
            host=self._hosts(name.host),
            giver=grant.giver if isinstance(grant, HttpGrant) else None,
        )
        with self._downloads.open(wanted, offset) as blocks:
            yield blocks

    def _may_ask(self, origin: Origin, host: Host) -> bool:
        """Return whether batch requests may go to an origin."""
        if origins.may_serve(origin, host):
            return True
        if origin.authority not in self._configured:
            return False
        return origin == origins.home(self._hosts(origin.authority))

    def _entry(self, origin: Origin, host: Host) -> Host:
        """Return the entry whose permissions hold for an origin."""
        if origin.authority == host.name or origin.authority not in self._configured:
            return host
        entry = self._hosts(origin.authority)
        if entry.transfers >= host.transfers:
            return entry
        # As many as are on their way for `host` find a connection.
        return entry.model_copy(update={"transfers": host.transfers})

    def _server(self, name: RepoName, endpoint: LfsEndpoint) -> _Server:
        host = self._hosts(name.host)
        parts = origins.split(endpoint.url)
        what = f"the LFS server of {name}"
        if parts is None or not self._may_ask(parts[0], host):
            raise origins.refused(what, endpoint.url, host)
        origin, path = parts[0], parts[1].rstrip("/")
        base = origins.web(host)
        own = f"{base}/{name.owner}/{name.name}".lower()
        below = re.match(rf"{re.escape(own)}(?:\.git)?(?:/|$)", endpoint.url.lower())
        if below is None or _PLAIN.fullmatch(path) is None:
            channel = self._session.aside(origin, self._entry(origin, host))
        elif host.base == base:
            channel = self._session.channel(host)
            path = endpoint.url.rstrip("/")[len(base) :]
        else:
            channel = self._session.aside(origin, host, known=True)
        return _Server(origin, channel, path)

    def _check(self, name: RepoName, server: _Server, answer: Answer) -> None:
        """Raise unless an answer is one of the batch API.

        None of these errors says anything about a single object.
        """
        status, what = answer.status, f"the LFS objects of {name}"
        if status == _OK:
            kind = answer.headers.get("content-type", "").partition(";")[0]
            if kind.strip().lower() not in batches.TYPES:
                msg = f"upstream answers {what} with {shown(kind)}, which LFS does not"
                raise ProtocolError(msg)
            return
        message = batches.said(answer.body)
        if batches.is_over_quota(status, message):
            raise batches.over_quota(what, message)
        if status in _NO_SERVER:
            msg = f"upstream answers {status} for {what}: it has no LFS server there"
            hint = "set `lfs = false` for this repository if it has no LFS server"
            raise NotFound(msg, hint=hint)
        if status in _CLIENT and status not in _TOLD:
            words = f": {message}" if message else ""
            msg = f"the LFS server answers {status} for {what}{words}"
            raise ProtocolError(msg)
        raise server.channel.refusal(what, server.path, status, answer.headers)
