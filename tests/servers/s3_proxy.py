"""Stands in front of a real S3 server, and goes wrong when told to.

An HTTP/1.1 proxy on loopback.  It hands requests on as they are, `Host`
included, so that their signatures stay right, and keeps a log of them.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from tests.servers.http_faults import Faults
from tests.servers.s3 import connected
from tests.servers.s3_relay import Exchange, Handler

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from mypy_boto3_s3 import S3Client

    from tests.servers.http_faults import Request
    from tests.servers.s3 import S3Server
    from tests.servers.s3_faults import S3Fault


@dataclass
class S3Proxy:
    """Listens from `with` to its end; every connection ends with it."""

    server: S3Server
    faults: Faults = field(default_factory=Faults)
    stopping: threading.Event = field(default_factory=threading.Event)
    _listener: Listener | None = None
    _log: list[Exchange] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _clients: list[S3Client] = field(default_factory=list)

    def __enter__(self) -> Self:
        if self.server.ca is not None:
            msg = "it speaks plain HTTP to both sides"
            raise RuntimeError(msg)
        self._listener = Listener(self)
        run = threading.Thread(
            target=self._listener.serve_forever, args=(0.05,), daemon=True
        )
        run.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.close()
        self.stopping.set()
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener.hang_up()

    @property
    def endpoint(self) -> str:
        """Its address, without a slash at the end."""
        if self._listener is None:
            msg = "the proxy has not been entered"
            raise RuntimeError(msg)
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    @property
    def requests(self) -> list[Exchange]:
        """What was asked so far, oldest first."""
        with self._lock:
            return list(self._log)

    def client(self) -> S3Client:
        """Return a plain client that goes through it."""
        client = connected(self.server, self.endpoint)
        self._clients.append(client)
        return client

    def forget(self) -> None:
        """Empty `requests`."""
        with self._lock:
            self._log.clear()

    def record(self, request: Request) -> Exchange:
        """Append to `requests`; what becomes of it is filled in later."""
        exchange = Exchange(request)
        with self._lock:
            self._log.append(exchange)
        return exchange

    def fault(
        self,
        match: str | Callable[[Request], bool],
        fault: S3Fault,
        times: int | None = None,
        skip: int = 0,
    ) -> None:
        """Spoil requests that match, after the first `skip`, `times` times.

        A string is a regular expression, searched in a line such as
        `PUT /bucket/key?partNumber=1&uploadId=ID`.
        """
        self.faults.add(match, fault, times, skip)

    def heal(self) -> None:
        """Take back every `fault`."""
        self.faults.clear()

    def wait_for(self, count: int, match: str, within: float = 10.0) -> None:
        """Wait until so many requests whose line holds `match` have come.

        Raises:
            TimeoutError: fewer came.
        """
        deadline = time.monotonic() + within
        while sum(match in each.line for each in self.requests) < count:
            if time.monotonic() > deadline:
                msg = f"no {count} requests with {match!r} in {within} s"
                raise TimeoutError(msg)
            time.sleep(0.01)


class Listener(ThreadingHTTPServer):
    """Accepts connections for a proxy."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: S3Proxy) -> None:
        self.proxy = proxy
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    def server_bind(self) -> None:
        """Bind without the name look-up of `HTTPServer`."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base's types
        """Serve one connection to its end."""
        with self._connections_lock:
            self._connections.add(request)
        try:
            # Clients that hang up are part of the tests.
            with contextlib.suppress(OSError):
                super().finish_request(request, client_address)
        finally:
            with self._connections_lock:
                self._connections.discard(request)

    def hang_up(self) -> None:
        """End every connection, whatever its thread is doing."""
        with self._connections_lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
