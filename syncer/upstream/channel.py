"""What is said to one host, on its own warm connections and within its budget.

Authentication goes out with the first byte, to the host it is for and to no
other.  Redirects are errors, retries are the schedule's business, durations
and sizes are bounded.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from urllib3 import exceptions as http

from syncer import __version__
from syncer.errors import PermanentError, ProtocolError, RateLimited, Unavailable
from syncer.model.names import shown
from syncer.upstream.connections import connect
from syncer.upstream.failures import PAUSE, refusal, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import urllib3

    from syncer.credentials import Secret
    from syncer.endpoints import Host
    from syncer.errors import SyncerError
    from syncer.ports import Clock
    from syncer.upstream.budget import Budget
    from syncer.upstream.connections import Proxy
    from syncer.upstream.egress import Egress, Target

#: Seconds for a whole reply, and for a connection to become free.
WHOLE, FREE = 300.0, 60
#: Bytes of one reply; two million refs need about that many.
LARGEST = 256 << 20
# What a TLS record holds at most; smaller pieces than the second are joined.
_READ, _PIECE = 16 * 1024, 4 * 1024
_STREAMED = 256 * 1024
_ATTEMPTS = 3
# Some hosts answer a git client alone; libgit2 names itself in the same manner.
_HEADERS = {
    "User-Agent": f"git/2.0 (syncer {__version__})",
    "Accept-Encoding": "identity",
}
_OK = 200
# How a connection ends that the server closed while it was idle.
_HUNG_UP = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Answer(NamedTuple):
    """A whole answer of a bounded size."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Channel:
    """The warm connections to one host, its budget, and what we say to it."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that a host is reached by
        self,
        host: Host,
        egress: Egress,
        budget: Budget,
        clock: Clock,
        proxy: Proxy | None,
        authorize: Callable[[], Secret | None],
    ) -> None:
        """Ask `authorize` for the Authorization header of each request."""
        self.host = host
        self.budget = budget
        self._egress = egress
        self._clock = clock
        self._proxy = proxy
        self._base = host.base
        self._prefix = urlsplit(host.base).path
        self._lock = Lock()
        self._held: tuple[Target, urllib3.HTTPConnectionPool] | None = None
        self._authorize = authorize

    def ask(  # noqa: PLR0913 - the parts of one request
        self,
        method: str,
        path: str,
        *,
        what: object,
        expect: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> list[bytes]:
        """Return the body of the answer to one request below the host's base.

        `what` names the repository in errors; `expect` is the content type
        without which an answer is not believed.

        Raises:
            SyncerError: as `failures.py` maps what came instead.
        """
        with self.opened(method, path, headers, body) as response:
            self._check(response, path, what, expect)
            return self._body(response)

    def exchange(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        limit: int,
    ) -> Answer:
        """Return the whole answer, of any status, to one request.

        Raises:
            PermanentError: it has more than `limit` bytes.
            SyncerError: as `translate` maps what came instead of an answer.
        """
        with self.opened(method, path, headers, body) as response:
            blocks = self._body(response, limit)
            return Answer(response.status, response.headers, b"".join(blocks))

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        what: object,
        expect: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Iterator[Iterator[bytes]]:
        """Yield the blocks of the answer to a POST, of any number, as they come.

        The caller bounds how much it takes; silence ends it as everywhere.

        Raises:
            SyncerError: as `ask`, also while the blocks are read.
        """
        with self.opened("POST", path, headers, body) as response:
            self._check(response, path, what, expect)
            yield iter(lambda: response.read1(_STREAMED), b"")

    @contextmanager
    def opened(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield an answer of any status, whose body is still to be read.

        Raises:
            RateLimited: the host asked us to stay away.
            SyncerError: as `translate` maps what came instead, also while the
                body is read.
        """
        self.budget.check()
        try:
            response = self._open(method, path, headers, body)
            try:
                yield response
            except BaseException:
                # Whoever reads may be waiting for a silent server; closing alone
                # would wait with it.
                with suppress(OSError, RuntimeError, ValueError):
                    response.shutdown()
                raise
            finally:
                _release(response)
        except http.HTTPError as exc:
            raise translate(exc, self.host.name) from exc

    def refusal(
        self, what: object, path: str, status: int, headers: Mapping[str, str]
    ) -> SyncerError:
        """Return the error that an answer other than 200 stands for.

        A limit pauses the whole host.
        """
        now = self._clock.now()
        error = refusal(str(what), f"{self._base}{path}", status, headers, now)
        if isinstance(error, RateLimited):
            self.budget.pause(PAUSE if error.retry_after is None else error.retry_after)
        return error

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            if self._held is not None:
                self._held[1].close()
                self._held = None

    def _open(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        """Send a request, once more where no answer to it can have been lost.

        An address that does not take connections gives way to the name's next;
        a kept connection that the server closed gives way to a new one
        (RFC 9112 9.3.1: what is asked here changes nothing).
        """
        hung_up = False
        headers = self._completed(headers)
        for attempt in range(1, _ATTEMPTS + 1):
            target, pool = self._connections()
            url = f"{self._prefix}{path}"
            if self._proxy is not None and target.scheme == "http":
                url = f"{self._base}{path}"
            try:
                return pool.urlopen(
                    method,
                    url,
                    body,
                    {"Host": target.authority, **headers},
                    redirect=False,
                    assert_same_host=False,
                    pool_timeout=FREE,
                    preload_content=False,
                    decode_content=False,
                )
            except http.ConnectTimeoutError:
                other = self._egress.avoid(self.host, target)
                if other is None or attempt == _ATTEMPTS:
                    raise
            except (http.ProtocolError, http.SSLError) as exc:
                if hung_up or not isinstance(exc.args[-1], _HUNG_UP):
                    raise
                hung_up = True
        msg = f"{self.host.name} takes no connection"
        raise Unavailable(msg)

    def _completed(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of a request, with those that it does not bring."""
        found = {**_HEADERS, **headers}
        if "Authorization" not in found:
            authorization = self._authorize()
            if authorization is not None:
                found["Authorization"] = authorization.reveal()
        return found

    def _connections(self) -> tuple[Target, urllib3.HTTPConnectionPool]:
        target = self._egress.target(self.host)
        held = self._held
        if held is not None and held[0] is target:
            return held
        with self._lock:
            held = self._held
            if held is None or held[0].address != target.address:
                # The former pool closes once its last answer has been read.
                host = self.host
                pool = connect(target, host.connections, host.ca, self._proxy)
                held = (target, pool)
            self._held = (target, held[1])
            return self._held

    def _check(
        self, response: urllib3.BaseHTTPResponse, path: str, what: object, expect: str
    ) -> None:
        """Raise unless the answer is a 200 of the right type."""
        if response.status != _OK:
            raise self.refusal(what, path, response.status, response.headers)
        found = response.headers.get("content-type", "")
        if found.partition(";")[0].strip().lower() != expect:
            msg = f"upstream answers {what} with {shown(found)}, which git does not"
            raise ProtocolError(msg)

    def _body(
        self, response: urllib3.BaseHTTPResponse, limit: int | None = None
    ) -> list[bytes]:
        """Return the whole body, in blocks of some size."""
        blocks: list[bytes] = []
        block = bytearray()
        size = 0
        limit = LARGEST if limit is None else limit
        ends = self._clock.monotonic() + WHOLE
        while data := response.read1(_READ):
            size += len(data)
            if size > limit:
                msg = f"{self.host.name} answers with more than {limit >> 20} MiB"
                raise PermanentError(msg)
            if self._clock.monotonic() > ends:
                msg = f"{self.host.name} did not finish its answer in {WHOLE:.0f} s"
                raise Unavailable(msg)
            if not block and len(data) >= _PIECE:
                blocks.append(data)
                continue
            block += data
            if len(block) >= _READ:
                blocks.append(bytes(block))
                block.clear()
        if block:
            blocks.append(bytes(block))
        return blocks


def _release(response: urllib3.BaseHTTPResponse) -> None:
    """Give the connection back: to be used again if all was read, else closed."""
    if not response.closed:
        response.close()
    response.release_conn()
