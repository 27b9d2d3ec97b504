"""Signed requests on warm connections: what every blob costs, kept small.

boto3 spends four times the processor time on a small object; it does what is
asked once for a large one (`s3_client.py`).
"""

from __future__ import annotations

import random
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import urllib3
from urllib3 import exceptions as http

from syncer import __version__
from syncer.errors import Interrupted
from syncer.store.s3_failures import (
    code_of,
    is_passing,
    pause_of,
    refusal,
    unreachable,
)
from syncer.store.signing import EMPTY, Signer

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from syncer.ports import Clock
    from syncer.store.s3_address import S3Address
    from syncer.store.signing import Keys

#: Seconds: for a connection, and for the next byte.
CONNECT, READ = 5.0, 60.0
#: How often a request is sent, all in all.
ATTEMPTS = 4
_KEPT = 64  # warm connections
#: Seconds before the second attempt; each later wait is four times as long.
FIRST_PAUSE = 0.2
_FAILED = 300
_BLOCK = 1 << 20
_AGENT = f"syncer/{__version__}"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    code: str = ""


class Request(NamedTuple):
    """One request for a key, or for the bucket when the key is empty.

    `digest` is that of the body, or says that it is not signed.
    """

    method: str
    key: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}
    blocks: Sequence[bytes] = ()
    size: int = 0
    digest: str = EMPTY


class Wire:
    """The connections to one object store."""

    def __init__(
        self,
        address: S3Address,
        keys: Callable[[], Keys],
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._address = address
        self._keys = keys
        self._clock = clock
        self._stop = stop
        self._signer = Signer(address.region)
        self._pool = _pool(address)

    def ask(self, request: Request, accept: Collection[int] = ()) -> Answer:
        """Send a request until it is answered; a few times at most.

        Answers with an error come back when their status is in `accept`.

        Raises:
            SyncerError: as `s3_failures.py` maps what came instead.
            Interrupted: we were asked to stop while waiting for another attempt.
        """
        response, code = self._answered(request, accept, whole=True)
        return Answer(response.status, response.headers, response.data, code)

    @contextmanager
    def stream(
        self, request: Request, accept: Collection[int] = ()
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Send a request and yield the blocks of its answer as they come.

        Raises:
            SyncerError: as `ask`; Truncated also while the blocks are read.
        """
        response, code = self._answered(request, accept, whole=False)
        try:
            answer = Answer(response.status, response.headers, b"", code)
            yield answer, self._blocks(response)
        except BaseException:
            with suppress(OSError, RuntimeError, ValueError):
                response.shutdown()  # closing alone would wait for the rest
            raise
        finally:
            if not response.closed:
                response.close()
            response.release_conn()

    def presign(self, key: str, expires: int) -> str:
        """Return an address of a key that is good for `expires` seconds."""
        place = self._address.place(key, public=True)
        scheme = urlsplit(self._address.public_endpoint or self._address.origin).scheme
        target = self._signer.presign(self._keys(), place, expires, self._clock.now())
        return f"{scheme}://{place.host}{target}"

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def _answered(
        self, request: Request, accept: Collection[int], *, whole: bool
    ) -> tuple[urllib3.BaseHTTPResponse, str]:
        for attempt in range(1, ATTEMPTS + 1):
            pause = 0.0
            try:
                response = self._send(request, whole=whole)
                if response.status < _FAILED:
                    return response, ""
                code = code_of(response.headers, response.data)
            except http.HTTPError as exc:
                error = unreachable(self._address, exc)
                if attempt == ATTEMPTS:
                    raise error from exc
            else:
                if response.status in accept:
                    return response, code
                again = is_passing(response.status, code)
                error = refusal(self._address, response.status, code)
                if attempt == ATTEMPTS or not again:
                    raise error
                pause = pause_of(response.headers)
            self._wait(attempt, pause)
        raise AssertionError  # pragma: no cover - the last attempt ends above

    def _send(self, request: Request, *, whole: bool) -> urllib3.BaseHTTPResponse:
        place = self._address.place(request.key, request.query)
        headers = self._signer.sign(
            self._keys(),
            request.method,
            place,
            request.headers,
            request.digest,
            self._clock.now(),
        )
        headers |= {"user-agent": _AGENT, "accept-encoding": "identity"}
        if request.method == "PUT":
            headers["content-length"] = str(request.size)
        return self._pool.urlopen(
            request.method,
            place.target,
            request.blocks or None,  # as they are: nothing is joined
            headers,
            redirect=False,
            assert_same_host=False,
            preload_content=whole,
            decode_content=False,
        )

    def _blocks(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """Yield what the answer declared, whole."""
        try:
            while block := response.read(_BLOCK):
                if self._stop.is_set():
                    raise _stopped()
                yield block
        except http.HTTPError as exc:
            raise unreachable(self._address, exc) from exc

    def _wait(self, attempt: int, pause: float) -> None:
        """Stay away a while: longer each time, and not all at the same moment."""
        longest = FIRST_PAUSE * 4 ** (attempt - 1)
        jittered = random.uniform(longest / 2, longest)  # noqa: S311 - no secret
        if self._stop.wait(max(pause, jittered)):
            raise _stopped()


def _stopped() -> Interrupted:
    return Interrupted("stopped on request; no blob was changed")


def _pool(address: S3Address) -> urllib3.HTTPConnectionPool:
    parts = urlsplit(address.origin)
    timeout = urllib3.Timeout(connect=CONNECT, read=READ)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return urllib3.HTTPConnectionPool(
            host, parts.port, maxsize=_KEPT, timeout=timeout, retries=False
        )
    return urllib3.HTTPSConnectionPool(
        host,
        parts.port,
        maxsize=_KEPT,
        timeout=timeout,
        retries=False,
        ssl_context=address.trust(),
    )
