"""Listens on loopback, with a thread for each connection and TLS if asked.

What is said is up to a face; connections are kept alive, and all end with it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.servers.http_answer import Broken, Writer
from tests.servers.http_body import Body
from tests.servers.http_faults import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.servers.http_backend import Answer
    from tests.servers.http_faults import Fault

    #: Answers a request, and says what goes wrong with the answer.
    Face: TypeAlias = Callable[
        [Request, Body], AbstractContextManager[tuple[Answer, Fault]]
    ]

_IDLE = 300.0
_MAX_BACKLOG = 1024


def certificates(authority_file: Path) -> ssl.SSLContext:
    """Make an authority, written as PEM, and a certificate of it for loopback."""
    import trustme  # noqa: PLC0415 - only servers with TLS pay for the import

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])
    authority.cert_pem.write_to_path(str(authority_file))
    return context


class Listener(ThreadingHTTPServer):
    """One port; `start` and `stop` once."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = _MAX_BACKLOG

    def __init__(self, face: Face, context: ssl.SSLContext | None) -> None:
        self.face = face
        self.stopping = threading.Event()
        self._context = context
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{'https' if self._context else 'http'}://{self.authority}"

    def start(self) -> None:
        """Serve in a thread of its own."""
        run = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        run.start()

    def stop(self) -> None:
        """End, and every connection with it."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        self._hang_up()

    def server_bind(self) -> None:
        """Bind without the name look-up of `HTTPServer`."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's types
        """Shake hands in the connection's own thread, then serve it."""
        request.settimeout(_IDLE)
        # Clients that hang up, or refuse our certificate, are part of the tests.
        with contextlib.suppress(OSError):
            if self._context is not None:
                request = self._context.wrap_socket(
                    request, server_side=True, do_handshake_on_connect=False
                )
            with self._connections_lock:
                self._connections.add(request)
            try:
                if isinstance(request, ssl.SSLSocket):
                    request.do_handshake()
                super().finish_request(request, client_address)
            finally:
                with self._connections_lock:
                    self._connections.discard(request)
                request.close()

    def _hang_up(self) -> None:
        """Close every connection, whatever its thread is doing."""
        with self._connections_lock:
            for connection in self._connections:
                # Not the method of TLS sockets, which their own thread may be in.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_GET  # noqa: N815 - the base's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing; whoever answers keeps a log."""

    def _answer(self) -> None:
        body = Body(self.rfile, self.headers)
        path, _, query = self.path.partition("?")
        request = Request(
            method=self.command,
            path=path,
            query=query,
            headers={name.lower(): text for name, text in self.headers.items()},
            time=time.time(),
            connection=self.client_address[1],
        )
        try:
            with self.server.face(request, body) as (answer, fault):
                writer = Writer(self.connection, fault, self.server.stopping)
                if fault.answers:
                    writer.send(fault.status or 200, answer.headers, [fault.payload])
                else:
                    writer.send(answer.status, answer.headers, answer.body)
                self.close_connection |= writer.ends
            body.drain()
        except Broken:
            self.close_connection = True
