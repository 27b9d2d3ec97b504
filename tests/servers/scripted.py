"""An HTTP server on loopback that answers what a test says, path by path."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Script: TypeAlias = "Said | Callable[[Asked], Said]"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came; the names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:  # noqa: ANN401 - any JSON
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Said:
    """One answer; `length` is declared instead of the body's own."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    #: Seconds before it is given.
    after: float = 0.0


def document(value: object, status: int = 200, **headers: str) -> Said:
    """Return an answer in JSON; `retry_after="2"` is the header `Retry-After`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Said(status, json.dumps(value).encode(), kind | named)


def ranged(body: bytes, kind: str = "application/octet-stream") -> Script:
    """Return a script that answers with bytes, and with a rest of them if asked."""

    def answer(asked: Asked) -> Said:
        start = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        if start is None:
            return Said(200, body, {"Content-Type": kind})
        first, size = int(start[1]), len(body)
        span = f"bytes {first}-{size - 1}/{size}"
        return Said(206, body[first:], {"Content-Type": kind, "Content-Range": span})

    return answer


class ScriptedServer:
    """Listens from `with` to its end."""

    def __init__(self) -> None:
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.scripted = self
        self._lock = threading.Lock()
        self._scripts: list[tuple[str, list[Script]]] = []
        self._asked: list[Asked] = []

    def __enter__(self) -> Self:
        run = threading.Thread(
            target=self._listener.serve_forever, args=(0.02,), daemon=True
        )
        run.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    @property
    def authority(self) -> str:
        """The address it listens at, as in a URL."""
        return f"127.0.0.1:{self._listener.server_address[1]}"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://{self.authority}"

    @property
    def asked(self) -> list[Asked]:
        """What was asked so far, oldest first."""
        with self._lock:
            return list(self._asked)

    def on(self, target: str, *answers: Script) -> None:
        """Answer requests for a target so: one after the other, the last for ever."""
        with self._lock:
            self._scripts = [pair for pair in self._scripts if pair[0] != target]
            self._scripts.append((target, list(answers)))

    def answer(self, asked: Asked) -> Said:
        """Return what the script says; 404 where it says nothing."""
        with self._lock:
            self._asked.append(asked)
            script: Script = Said(404)
            for target, answers in self._scripts:
                if target == asked.target:
                    script = answers.pop(0) if len(answers) > 1 else answers[0]
        return script(asked) if callable(script) else script


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    scripted: ScriptedServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_GET  # noqa: N815 - the base's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing; `ScriptedServer.asked` has it all."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        asked = Asked(
            self.command,
            self.path,
            {name.lower(): text for name, text in self.headers.items()},
            self.rfile.read(length),
        )
        said = self.server.scripted.answer(asked)
        time.sleep(said.after)
        # Without the Server and Date that a test may want to say itself.
        self.send_response_only(said.status)
        for name, text in said.headers.items():
            self.send_header(name, text)
        if said.length is not None:
            self.close_connection = True
        size = len(said.body) if said.length is None else said.length
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(said.body)
