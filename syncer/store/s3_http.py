"""Signed requests on warm connections: what every blob costs, kept small.

boto3 spends four times the processor time on a small object; it does what is
asked once for a large one (`s3_client.py`).
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from syncer import __version__
from syncer.errors import Interrupted
from syncer.store.s3_connections import (
    Connection,
    Connections,
    NotConnected,
    hang_up,
    send,
)
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
    from syncer.store.signing import Keys, Place

#: How often a request is sent, all in all.
ATTEMPTS = 4
#: Seconds before the second attempt; each later wait is four times as long.
FIRST_PAUSE = 0.2
_FAILED = 300
_BLOCK = 1 << 20
_AGENT = f"syncer/{__version__}"
_BREAKS = (NotConnected, HTTPException, OSError)


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
        self._connections = Connections(address)

    def ask(self, request: Request, accept: Collection[int] = ()) -> Answer:
        """Send a request until it is answered; a few times at most.

        Answers with an error come back when their status is in `accept`.

        Raises:
            SyncerError: as `s3_failures.py` maps what came instead.
            Interrupted: we were asked to stop while waiting for another attempt.
        """
        connection, response, body, code = self._answered(request, accept, whole=True)
        self._connections.give(connection)
        return Answer(response.status, _fields(response), body, code)

    @contextmanager
    def stream(
        self, request: Request, accept: Collection[int] = ()
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Send a request and yield the blocks of its answer as they come.

        Raises:
            SyncerError: as `ask`; Truncated also while the blocks are read.
        """
        connection, response, body, code = self._answered(request, accept, whole=False)
        try:
            answer = Answer(response.status, _fields(response), body, code)
            yield answer, iter(()) if body else self._blocks(response)
        finally:
            if response.isclosed():
                self._connections.give(connection)
            else:
                hang_up(connection)  # closing alone would wait for the rest

    def presign(self, key: str, expires: int) -> str:
        """Return an address of a key that is good for `expires` seconds."""
        place = self._address.place(key, public=True)
        scheme = urlsplit(self._address.public_endpoint or self._address.origin).scheme
        target = self._signer.presign(self._keys(), place, expires, self._clock.now())
        return f"{scheme}://{place.host}{target}"

    def close(self) -> None:
        """Close idle connections."""
        self._connections.close()

    def _answered(
        self, request: Request, accept: Collection[int], *, whole: bool
    ) -> tuple[Connection, HTTPResponse, bytes, str]:
        """Return an answer, with its body if `whole` or if it is an error's."""
        for attempt in range(1, ATTEMPTS + 1):
            pause = 0.0
            try:
                connection, response, body = self._sent(request, whole=whole)
            except _BREAKS as exc:
                error = unreachable(self._address, exc)
                if attempt == ATTEMPTS:
                    raise error from exc
            else:
                if response.status < _FAILED:
                    return connection, response, body, ""
                code = code_of(_fields(response), body)
                if response.status in accept:
                    return connection, response, body, code
                self._connections.give(connection)
                again = is_passing(response.status, code)
                error = refusal(self._address, response.status, code)
                if attempt == ATTEMPTS or not again:
                    raise error
                pause = pause_of(_fields(response))
            self._wait(attempt, pause)
        raise AssertionError  # pragma: no cover - the last attempt ends above

    def _sent(
        self, request: Request, *, whole: bool
    ) -> tuple[Connection, HTTPResponse, bytes]:
        connection = self._connections.take()
        try:
            place, headers = self._signed(request)
            response = send(
                connection, request.method, place.target, headers, request.blocks
            )
            body = b""
            if whole or response.status >= _FAILED:
                body = response.read()
        except BaseException:
            hang_up(connection)
            raise
        return connection, response, body

    def _signed(self, request: Request) -> tuple[Place, dict[str, str]]:
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
        return place, headers

    def _blocks(self, response: HTTPResponse) -> Iterator[bytes]:
        """Yield what comes; whether it is all that was declared, the reader counts."""
        try:
            while block := response.read(_BLOCK):
                if self._stop.is_set():
                    raise _stopped()
                yield block
        except _BREAKS as exc:
            raise unreachable(self._address, exc) from exc

    def _wait(self, attempt: int, pause: float) -> None:
        """Stay away a while: longer each time, and not all at the same moment."""
        longest = FIRST_PAUSE * 4 ** (attempt - 1)
        jittered = random.uniform(longest / 2, longest)  # noqa: S311 - no secret
        if self._stop.wait(max(pause, jittered)):
            raise _stopped()


def _fields(response: HTTPResponse) -> dict[str, str]:
    """Return the headers of an answer, their names in lower case."""
    return {name.lower(): value for name, value in response.getheaders()}


def _stopped() -> Interrupted:
    return Interrupted("stopped on request; no blob was changed")
