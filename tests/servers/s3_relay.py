"""One request through the proxy: taken, handed on, answered, or spoiled."""

from __future__ import annotations

import http.client
import socket
import struct
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from tests.servers.http_answer import Broken, Writer
from tests.servers.http_body import Body
from tests.servers.http_faults import Request
from tests.servers.s3_faults import S3Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.servers.s3_proxy import Listener

_BLOCK = 1 << 18
_TIMEOUT = 120.0  # seconds
_NO_LINGER = struct.pack("ii", 1, 0)
#: What concerns one connection alone (RFC 9110 section 7.6.1).
_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}


@dataclass(slots=True)
class Exchange:
    """One request, how much of its body came, and what was answered."""

    request: Request
    #: Bytes of the request's body.
    received: int = 0
    #: None when the connection ended instead.
    status: int | None = None

    @property
    def line(self) -> str:
        """The request in one line; faults are matched with it."""
        return self.request.line

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.method

    @property
    def path(self) -> str:
        """The bucket and key, quoted, with a slash before it."""
        return self.request.path

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.request.query


@dataclass(slots=True)
class _Answer(Writer):
    """Writes the server's answer, or another one, and notes its status."""

    exchange: Exchange

    def _head(self, status: int, headers: list[tuple[str, str]]) -> bytes:
        self.exchange.status = status
        # By its name: a class with slots is not the one that `super()` looks for.
        return Writer._head(self, status, headers)  # noqa: SLF001  its own base


class Handler(BaseHTTPRequestHandler):
    """Serves one connection; every request gets a connection to the server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def do_GET(self) -> None:
        """Answer any method."""
        proxy = self.server.proxy
        request = self._request()
        exchange = proxy.record(request)
        found = proxy.faults.choose(request, None)
        fault = found if isinstance(found, S3Fault) else S3Fault()
        answer = _Answer(self.connection, fault, proxy.stopping, exchange)
        try:
            self._serve(fault, answer, self._body(exchange, fault))
        except (Broken, http.client.HTTPException, OSError):
            self.close_connection = True

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  the base's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Say nothing; `S3Proxy.requests` has it all."""

    def handle_expect_100(self) -> bool:
        """Let the client wait until we want its body."""
        return True

    def _request(self) -> Request:
        path, _, query = self.path.partition("?")
        return Request(
            method=self.command,
            path=path,
            query=query,
            headers={name.lower(): text for name, text in self.headers.items()},
            time=time.time(),
            connection=self.client_address[1],
        )

    def _serve(self, fault: S3Fault, answer: _Answer, body: Iterator[bytes]) -> None:
        if fault.answers and not fault.acts:
            for _ in body:
                pass
            self._replace(fault, answer)
            return
        upstream = http.client.HTTPConnection(
            "127.0.0.1", self.server.proxy.server.place.port, timeout=_TIMEOUT
        )
        try:
            response = self._ask(upstream, body)
            if fault.answers:
                response.read()
                self._replace(fault, answer)
            else:
                self._pass_on(response, fault, answer)
        finally:
            upstream.close()

    def _body(self, exchange: Exchange, fault: S3Fault) -> Iterator[bytes]:
        """Yield the request's body, as far as the fault lets it come."""
        if "Expect" in self.headers:
            self.send_response_only(100)
            self.end_headers()
        body = Body(self.rfile, self.headers)
        left = fault.cut
        while left is None or left > 0:
            block = body.read(_BLOCK if left is None else min(left, _BLOCK))
            if not block:
                return
            exchange.received += len(block)
            left = None if left is None else left - len(block)
            yield block
        linger = (socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.connection.setsockopt(*linger)
        raise Broken

    def _ask(
        self, upstream: http.client.HTTPConnection, body: Iterator[bytes]
    ) -> http.client.HTTPResponse:
        """Send the request on, and return the answer as far as its headers."""
        upstream.putrequest(
            self.command, self.path, skip_host=True, skip_accept_encoding=True
        )
        for name, text in self.headers.items():
            if name.lower() not in _HOP:
                upstream.putheader(name, text)
        chunked = "Transfer-Encoding" in self.headers
        if chunked:
            upstream.putheader("Transfer-Encoding", "chunked")
        upstream.endheaders()
        # A server that refuses may answer before it has read everything.
        refused = False
        for block in body:
            try:
                if not refused:
                    upstream.send(_chunk(block) if chunked else block)
            except OSError:
                refused = True
        if chunked and not refused:
            upstream.send(b"0\r\n\r\n")
        return upstream.getresponse()

    def _pass_on(
        self, response: http.client.HTTPResponse, fault: S3Fault, answer: _Answer
    ) -> None:
        headers = [
            (name, text)
            for name, text in response.getheaders()
            if name.lower() not in _HOP
        ]
        body: Iterable[bytes] = iter(lambda: response.read(_BLOCK), b"")
        if response.getheader("Content-Length") is None and response.status != 204:
            # No object comes so, only short documents.
            whole = response.read()
            headers.append(("Content-Length", str(len(whole))))
            body = [whole]
        self._send(fault, answer, response.status, headers, body)

    def _replace(self, fault: S3Fault, answer: _Answer) -> None:
        payload = fault.payload
        headers = [("Content-Length", str(len(payload)))]
        body = [] if self.command == "HEAD" else [payload]
        self._send(fault, answer, fault.status or 200, headers, body)

    def _send(
        self,
        fault: S3Fault,
        answer: _Answer,
        status: int,
        headers: list[tuple[str, str]],
        body: Iterable[bytes],
    ) -> None:
        if self.server.proxy.stopping.wait(fault.delay):
            raise Broken
        answer.send(status, headers, body)


def _chunk(block: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(block), block)
