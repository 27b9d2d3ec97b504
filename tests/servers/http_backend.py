"""`git http-backend` as a child: CGI (RFC 3875), streaming, killed when told.

The only module here that starts git for a server.  The child has a process
group of its own, so that its own children end with it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.servers.repositories import git_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.http_body import Body
    from tests.servers.http_faults import Request

BLOCK = 1 << 16
_LONGEST_HEAD = 1 << 16
#: What GitHub allows: any reachable object by id, and filters.
_CONFIG = """\
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
[safe]
\tdirectory = *
[gc]
\tauto = 0
"""


@functools.cache
def _program() -> str:
    found = subprocess.run(
        ["git", "--exec-path"],
        check=True,
        capture_output=True,
        text=True,
    )
    return str(Path(found.stdout.strip()) / "git-http-backend")


@dataclass(slots=True)
class Answer:
    """A CGI answer whose body is still to be read, once."""

    status: int
    headers: list[tuple[str, str]]
    body: Iterator[bytes]


@dataclass(slots=True)
class Backend:
    """Starts children for the repositories below `root`."""

    root: Path
    config: Path
    _children: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def __post_init__(self) -> None:
        self.config.write_text(_CONFIG)

    @contextlib.contextmanager
    def ask(self, request: Request, body: Body) -> Iterator[Answer]:
        """Run one request; the child has ended when this does."""
        feeder = None
        try:
            with self._started(request) as child:
                feeder = _feed(child, body, request)
                yield _read_head(child)
        finally:
            # Nobody else may read the connection before it has stopped.
            if feeder is not None:
                feeder.join()

    def stop(self) -> None:
        """Kill the children that are left; none starts any more."""
        with self._lock:
            self._stopped = True
            for child in self._children:
                _kill(child)

    @contextlib.contextmanager
    def _started(self, request: Request) -> Iterator[subprocess.Popen[bytes]]:
        with self._lock:
            if self._stopped:
                msg = "the server was stopped"
                raise ConnectionAbortedError(msg)
            child = subprocess.Popen(
                [_program()],
                env=self._environment(request),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
            self._children.add(child)
        try:
            yield child
        finally:
            self._finish(child)

    def _finish(self, child: subprocess.Popen[bytes]) -> None:
        # Not reaped yet, so the number is still its own.
        with self._lock:
            _kill(child)
            self._children.discard(child)
        if child.stdout is not None:
            child.stdout.close()
        child.wait()

    def _environment(self, request: Request) -> dict[str, str]:
        headers = request.headers
        given = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": str(self.config),
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query,
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": headers.get("content-length", ""),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
            "GIT_PROTOCOL": headers.get("git-protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        return git_environment() | {name: text for name, text in given.items() if text}


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _feed(
    child: subprocess.Popen[bytes], body: Body, request: Request
) -> threading.Thread | None:
    """Give the child its input; by a thread when a pipe may not hold it."""
    chunked = "transfer-encoding" in request.headers
    if not chunked and int(request.headers.get("content-length", "0")) <= BLOCK:
        _pour(body, child.stdin)
        return None
    feeder = threading.Thread(target=_pour, args=(body, child.stdin), daemon=True)
    feeder.start()
    return feeder


def _pour(body: Body, pipe: IO[bytes] | None) -> None:
    # A child that had enough, or a client that went away, is no error here.
    with contextlib.suppress(OSError, ValueError):
        while pipe is not None and (block := body.read(BLOCK)):
            pipe.write(block)
    with contextlib.suppress(OSError, ValueError):
        if pipe is not None:
            pipe.close()


def _read_head(child: subprocess.Popen[bytes]) -> Answer:
    """Read the CGI header; what was read beyond it begins the body."""
    output = child.stdout.fileno() if child.stdout else -1
    data = b""
    while b"\r\n\r\n" not in data and len(data) < _LONGEST_HEAD:
        if not (block := os.read(output, BLOCK)):
            break
        data += block
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines if ": " in line]
    status = next((text for name, text in pairs if name == "Status"), "200")
    headers = [(name, text) for name, text in pairs if name != "Status"]
    if not headers:
        return Answer(500, [], iter(()))
    return Answer(int(status.split()[0]), headers, _blocks(rest, output))


def _blocks(first: bytes, output: int) -> Iterator[bytes]:
    if first:
        yield first
    while block := os.read(output, BLOCK):
        yield block
