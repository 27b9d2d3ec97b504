"""A smart HTTP git server on loopback, in front of real `git http-backend`.

HTTP/1.1 with kept-alive connections, chunked answers, TLS if asked.  Serves the
bare repositories at `root/OWNER/NAME.git`, records every request, and goes
wrong where `fault` or a repository's `fault.json` says so.  LFS objects are
served beside git.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.servers import http_listener
from tests.servers.http_backend import Answer, Backend
from tests.servers.http_faults import Fault, Faults, Request
from tests.servers.http_listener import Listener
from tests.servers.lfs import STORAGE, TYPE, Lfs
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from tests.servers.http_body import Body


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
        self.faults = Faults()
        self.backend = Backend(self.root, place / "gitconfig")
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        self._ca = place / "ca.pem" if tls else None
        self._context = http_listener.certificates(self._ca) if self._ca else None
        self._listener: Listener | None = None

    def __enter__(self) -> Self:
        self._listener = Listener(self._face, self._context)
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._listener is not None:
            self._listener.stopping.set()
            self.backend.stop()
            self._listener.stop()
        self._own.cleanup()

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._listener is None:
            msg = "the server has not been entered"
            raise RuntimeError(msg)
        return int(self._listener.server_port)

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

    @contextlib.contextmanager
    def _face(self, request: Request, body: Body) -> Iterator[tuple[Answer, Fault]]:
        """Answer one request, and say what goes wrong with the answer."""
        request = replace(request, command=body.command())
        self.record(request)
        fault = self._choose(request)
        if fault.answers:
            # Its own content type, or git's, so that only the bytes are wrong.
            yield Answer(200, _like_git(request), iter(())), fault
        elif self.lfs.serves(request.path):
            owned = request.path.partition("/info/lfs")[0]
            known = self.path(owned.strip("/").removesuffix(".git")).exists()
            yield self.lfs.answer(request, body, self.url, known=known), fault
        else:
            with self.backend.ask(request, body) as answer:
                yield answer, fault

    def _choose(self, request: Request) -> Fault:
        token = self.require_token
        free = request.path.startswith(STORAGE)
        if token is not None and not free and not _proves(request, token):
            return Fault(
                status=401, headers={"WWW-Authenticate": 'Basic realm="GitHub"'}
            )
        parts = request.path.split(".git/", 1)
        repository = self.root / f"{parts[0].strip('/')}.git"
        known = len(parts) > 1 and ".." not in parts[0]
        return self.faults.choose(request, repository if known else None) or Fault()


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
