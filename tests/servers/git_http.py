"""A smart HTTP git server on loopback, in front of real `git http-backend`.

HTTP/1.1 with kept-alive connections, chunked answers, TLS if asked.  Serves the
bare repositories at `root/OWNER/NAME.git`, records every request, and goes
wrong where `fault` or a repository's `fault.json` says so.  LFS objects are
served beside git.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
import time
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.servers.http_answer import Broken, Writer
from tests.servers.http_backend import Backend
from tests.servers.http_body import Body
from tests.servers.http_faults import Fault, Faults, Request
from tests.servers.lfs import STORAGE, TYPE, Lfs
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_IDLE = 300.0
_MAX_BACKLOG = 1024


class GitServer:
    """Listens from `with` to its end; every connection and child ends with it."""

    def __init__(
        self,
        root: Path | None = None,
        *,
        tls: bool = False,
        require_token: str | None = None,
        lfs: Lfs | None = None,
    ) -> None:
        self._own = tempfile.TemporaryDirectory(prefix="git-server-")
        place = Path(self._own.name)
        #: Where the repositories lie.
        self.root = root if root is not None else place / "root"
        self.root.mkdir(parents=True, exist_ok=True)
        #: Requests without this token are answered 401; may be changed.
        self.require_token = require_token
        #: The LFS objects; two servers may have the same.
        self.lfs = Lfs() if lfs is None else lfs
        self.stopping = threading.Event()
        self.faults = Faults()
        self.backend = Backend(self.root, place / "gitconfig")
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        self._ca = place / "ca.pem" if tls else None
        self._context = _certificates(self._ca) if self._ca is not None else None
        self._listener: _Listener | None = None

    def __enter__(self) -> Self:
        self._listener = _Listener(self, self._context)
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
        self.stopping.set()
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self.backend.stop()
            self._listener.hang_up()
        self._own.cleanup()

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._listener is None:
            msg = "the server has not been entered"
            raise RuntimeError(msg)
        return int(self._listener.server_address[1])

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    @property
    def ca_pem(self) -> Path:
        """The certificate authority that signed its certificate, PEM."""
        if self._ca is None:
            msg = "the server speaks no TLS"
            raise RuntimeError(msg)
        return self._ca

    @property
    def requests(self) -> list[Request]:
        """What was asked so far, oldest first."""
        with self._lock:
            return list(self._requests)

    def forget(self) -> None:
        """Empty `requests`."""
        with self._lock:
            self._requests.clear()

    def record(self, request: Request) -> None:
        """Append to `requests`."""
        with self._lock:
            self._requests.append(request)

    def fault(
        self,
        match: str | Callable[[Request], bool],
        fault: Fault,
        times: int | None = None,
        skip: int = 0,
    ) -> None:
        """Spoil the requests that match; see `Faults.add`."""
        self.faults.add(match, fault, times, skip)

    def heal(self) -> None:
        """Take back every `fault`."""
        self.faults.clear()

    def repository(self, name: str) -> Repository:
        """Open `OWNER/NAME`, an empty repository if it is not there."""
        return Repository(self.path(name))

    def path(self, name: str) -> Path:
        """Return where `OWNER/NAME` lies."""
        return self.root / f"{name}.git"

    def address(self, name: str) -> str:
        """Return the URL of `OWNER/NAME`."""
        return f"{self.url}/{name}.git"


def _certificates(authority_file: Path) -> ssl.SSLContext:
    """Make an authority and a certificate of it for loopback."""
    import trustme  # noqa: PLC0415  only servers with TLS pay for the import

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])
    authority.cert_pem.write_to_path(str(authority_file))
    return context


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = _MAX_BACKLOG

    def __init__(self, server: GitServer, context: ssl.SSLContext | None) -> None:
        self.git_server = server
        self._context = context
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        """Bind without the name look-up of `HTTPServer`."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base's types
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

    def hang_up(self) -> None:
        """Close every connection, whatever its thread is doing."""
        with self._connections_lock:
            for connection in self._connections:
                # Not the method of TLS sockets, which their own thread may be in.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_GET  # noqa: N815  the base's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Say nothing; `GitServer.requests` has it all."""

    def _answer(self) -> None:
        server = self.server.git_server
        body = Body(self.rfile, self.headers)
        path, _, query = self.path.partition("?")
        request = Request(
            method=self.command,
            path=path,
            query=query,
            headers={name.lower(): text for name, text in self.headers.items()},
            time=time.time(),
            connection=self.client_address[1],
            command=body.command(),
        )
        server.record(request)
        fault = self._choose(server, request)
        writer = Writer(self.connection, fault, server.stopping)
        try:
            if fault.answers:
                # Its own content type, or git's, so that only the bytes are wrong.
                writer.send(fault.status or 200, _like_git(request), [fault.payload])
            elif server.lfs.serves(request.path):
                owned = request.path.partition("/info/lfs")[0]
                known = server.path(owned.strip("/").removesuffix(".git")).exists()
                answer = server.lfs.answer(request, body, server.url, known=known)
                writer.send(answer.status, answer.headers, answer.body)
            else:
                with server.backend.ask(request, body) as answer:
                    writer.send(answer.status, answer.headers, answer.body)
            body.drain()
        except Broken:
            self.close_connection = True
        self.close_connection |= writer.ends

    def _choose(self, server: GitServer, request: Request) -> Fault:
        token = server.require_token
        free = request.path.startswith(STORAGE)
        if token is not None and not free and not _proves(request, token):
            return Fault(
                status=401, headers={"WWW-Authenticate": 'Basic realm="GitHub"'}
            )
        parts = request.path.split(".git/", 1)
        repository = server.root / f"{parts[0].strip('/')}.git"
        known = len(parts) > 1 and ".." not in parts[0]
        return server.faults.choose(request, repository if known else None) or Fault()


def _like_git(request: Request) -> list[tuple[str, str]]:
    if "/info/lfs/" in request.path:
        return [("Content-Type", TYPE)]
    service = request.query.removeprefix("service=") or request.path.rsplit("/", 1)[-1]
    kind = "advertisement" if request.path.endswith("/info/refs") else "result"
    return [("Content-Type", f"application/x-{service}-{kind}")]


def _proves(request: Request, token: str) -> bool:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value == token
    with contextlib.suppress(ValueError):
        return b64decode(value).decode().partition(":")[2] == token
    return False
