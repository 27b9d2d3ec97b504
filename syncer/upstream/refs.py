"""The cheap probe: which refs a repository has, by one request.

A probe is one `ls-refs` of protocol v2, sent without asking first what the
server can do: that is known per host.  Its reply is not parsed but digested;
`Probe.read` parses it when somebody wants to know what changed.  Any surprise
leads to the full handshake, and from there to `git ls-remote`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import (
    AccessDenied,
    Moved,
    NotFound,
    ProtocolError,
    Truncated,
    Unavailable,
)
from syncer.model.runs import Probe
from syncer.upstream import packs
from syncer.upstream.capabilities import Capabilities
from syncer.upstream.listing import read_advertisement, read_ls_remote, read_v2
from syncer.upstream.pktline import FLUSH, ls_refs, refuse_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from syncer.endpoints import Host
    from syncer.model.content import RefSnapshot
    from syncer.model.names import RepoName
    from syncer.ports import Clock
    from syncer.upstream.capabilities import CapabilityStore
    from syncer.upstream.channel import Channel
    from syncer.upstream.session import Session

_SERVICE = "git-upload-pack"
_ADVERTISEMENT = f"application/x-{_SERVICE}-advertisement"
_RESULT = f"application/x-{_SERVICE}-result"
_V2 = {"Git-Protocol": "version=2"}
_POST = {
    **_V2,
    "Content-Type": f"application/x-{_SERVICE}-request",
    "Accept": _RESULT,
}
# Raised with every change to what a digest covers: it makes stored ones void.
_FORMAT = b"1"
# What an answer to the handshake proves; nothing else is tried after it.
_FINAL = (NotFound, Moved, AccessDenied)


class _Visit(NamedTuple):
    """One probe under way: whom we ask, what for, and since when."""

    channel: Channel
    name: RepoName
    scope: tuple[str, ...]
    started: datetime


class _Question(NamedTuple):
    """What is sent, and what names it."""

    body: bytes
    asked: str


class HttpForge:
    """Any host that serves git by https; `ssh` hosts are left to git itself.

    `capabilities` keeps what is known of each host between processes.
    """

    def __init__(
        self,
        hosts: Callable[[str], Host],
        session: Session,
        *,
        ls_remote: Callable[[RepoName], bytes],
        capabilities: CapabilityStore,
        clock: Clock,
    ) -> None:
        self._hosts = hosts
        self._session = session
        self._ls_remote = ls_remote
        self._store = capabilities
        self._stored: dict[str, str] | None = None
        self._clock = clock
        self._known: dict[str, Capabilities] = {}

    def probe(self, name: RepoName, scope: tuple[str, ...]) -> Probe:
        """Ask which refs below the prefixes in `scope` upstream has; see `Forge`."""
        channel = self._session.channel(self._hosts(name.host))
        channel.budget.take()
        visit = _Visit(channel, name, scope, self._clock.now())
        if channel.host.protocol == "ssh":
            return self._by_git(visit)
        known = self._recall(visit)
        if known is not None and known.v2:
            try:
                return self._by_post(visit, known)
            except (ProtocolError, *_FINAL):
                pass  # The handshake tells what is true of it.
        return self._by_handshake(visit)

    @contextmanager
    def pack(
        self, name: RepoName, want: Sequence[str], have: Sequence[str]
    ) -> Iterator[Iterator[bytes]]:
        """Yield the bytes of a thin pack, on a connection that a probe warmed."""
        channel = self._session.channel(self._hosts(name.host))
        known = self._known.get(name.host)
        if channel.host.protocol == "ssh" or known is None or not known.v2:
            msg = f"{name.host} is not known to speak protocol v2"
            raise ProtocolError(msg)
        with channel.stream(
            f"/{name.owner}/{name.name}.git/{_SERVICE}",
            what=name,
            expect=_RESULT,
            headers=_POST,
            body=packs.request(want, have, known.announced),
        ) as blocks:
            yield packs.pack(blocks)

    def _by_post(self, visit: _Visit, known: Capabilities) -> Probe:
        """Probe by `ls-refs` alone."""
        question = _question(visit.scope, known)
        digest, reply = self._posted(visit, question)
        read = partial(self._read, visit, question, digest, reply)
        return Probe(digest, question.asked, visit.started, read)

    def _posted(self, visit: _Visit, question: _Question) -> tuple[str, list[bytes]]:
        name = visit.name
        reply = visit.channel.ask(
            "POST",
            f"/{name.owner}/{name.name}.git/{_SERVICE}",
            what=name,
            expect=_RESULT,
            headers=_POST,
            body=question.body,
        )
        hasher = sha256()
        for chunk in reply:
            hasher.update(chunk)
        # An answer without a length may have been cut unnoticed.
        if not _tail(reply).endswith(FLUSH):
            read_v2(reply, visit.scope)
            msg = f"the list of refs of {name} ended early; nothing was changed"
            raise Truncated(msg)
        if reply[0].startswith(b"ERR ", 4):
            refuse_error(reply[0][4:])
        return hasher.hexdigest(), reply

    def _read(
        self, visit: _Visit, question: _Question, digest: str, reply: list[bytes]
    ) -> RefSnapshot:
        """Parse a reply; what we cannot read, git may.

        Its answer stands for the digest only if the reply is the same before
        and after.
        """
        try:
            return read_v2(reply, visit.scope)
        except ProtocolError:
            snapshot, _ = read_ls_remote(self._ls_remote(visit.name), visit.scope)
            again, _ = self._posted(visit, question)
            if again != digest:
                msg = f"the refs of {visit.name} changed while they were read"
                raise Unavailable(msg) from None
            return snapshot

    def _by_handshake(self, visit: _Visit) -> Probe:
        """Probe as a git client does that knows nothing of the server."""
        try:
            answer = self._first_answer(visit)
            known = Capabilities.read(answer, visit.started)
            self._remember(visit, known)
            if known.v2:
                return self._by_post(visit, known)
            snapshot, symref_known = read_advertisement(answer, visit.scope)
        except ProtocolError:
            return self._by_git(visit)
        return _parsed("advertisement", visit, snapshot, symref_known=symref_known)

    def _first_answer(self, visit: _Visit) -> bytes:
        name = visit.name
        chunks = visit.channel.ask(
            "GET",
            f"/{name.owner}/{name.name}.git/info/refs?service={_SERVICE}",
            what=name,
            expect=_ADVERTISEMENT,
            headers=_V2,
        )
        return b"".join(chunks)

    def _by_git(self, visit: _Visit) -> Probe:
        """Probe by `git ls-remote`: slow, and it knows every server."""
        text = self._ls_remote(visit.name)
        snapshot, symref_known = read_ls_remote(text, visit.scope)
        if not text.strip() and visit.channel.host.protocol != "ssh":
            # git takes any page for the list of a server without the protocol.
            msg = f"upstream answers {visit.name} with nothing that git understands"
            raise ProtocolError(msg)
        return _parsed("ls-remote", visit, snapshot, symref_known=symref_known)

    def _recall(self, visit: _Visit) -> Capabilities | None:
        """Return what is known of the host, None if it must be asked (again)."""
        host, now = visit.name.host, visit.started
        known = self._known.get(host)
        if known is None:
            if self._stored is None:
                self._stored = self._store.host_capabilities()
            known = Capabilities.parse(self._stored.get(host), now)
            if known is not None:
                self._known[host] = known
        return known if known is not None and known.is_fresh(now) else None

    def _remember(self, visit: _Visit, known: Capabilities) -> None:
        """Keep what a host can do, for a day and for the next process."""
        host = visit.name.host
        before = self._recall(visit)
        if before is None or replace(before, at=known.at) != known:
            self._known[host] = known
            self._store.store_capabilities(host, known.render(), known.at)


@lru_cache(maxsize=1024)
def _question(scope: tuple[str, ...], known: Capabilities) -> _Question:
    body = ls_refs(scope, announced=known.announced, unborn=known.unborn)
    return _Question(body, _asked("post", body))


def _asked(path: str, body: bytes) -> str:
    """Return what names a question: how it was put, its text, what we make of it."""
    return sha256(b"\0".join((_FORMAT, path.encode(), body))).hexdigest()[:24]


def _parsed(
    path: str, visit: _Visit, snapshot: RefSnapshot, *, symref_known: bool
) -> Probe:
    """Return a probe whose answer is read already; its digest is of the refs.

    Such answers carry what changes without the refs: session ids, versions.
    """
    state = f"{snapshot.fingerprint} {snapshot.head} {symref_known}"
    return Probe(
        digest=sha256(state.encode("utf-8", "surrogateescape")).hexdigest(),
        asked=_asked(path, "\n".join(visit.scope).encode()),
        started=visit.started,
        read=lambda: snapshot,
        symref_known=symref_known,
    )


def _tail(reply: list[bytes]) -> bytes:
    """Return the end of a reply, whatever pieces it came in."""
    return b"".join(reply[-2:])[-len(FLUSH) :]
