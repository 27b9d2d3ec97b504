"""An upstream that costs next to nothing: it replays one list of refs.

Answers `GET .../info/refs` and the `ls-refs` of protocol v2 for every
repository alike, over kept-alive HTTP/1.1 connections, with or without TLS.
It runs in a process of its own, so that what a client costs can be measured;
stock git takes its answers for real.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trustme

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

_ROOT = Path(__file__).parents[2]
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


def synthetic(count: int) -> list[tuple[str, str, str | None]]:
    """Return (object id, name, peeled id) of refs as a busy repository has them.

    A third are annotated tags; the objects exist nowhere.
    """
    tags = count // 3
    heads = [(f"{n + 1:040x}", f"refs/heads/topic/{n:05}", None) for n in range(count)]
    heads[0] = ("1" * 40, "refs/heads/main", None)
    marks = [
        (f"{n + 1:039x}a", f"refs/tags/v{n:05}.0", f"{n + 1:039x}b")
        for n in range(tags)
    ]
    return sorted([*heads[: count - tags], *marks], key=lambda ref: ref[1])


def listing(
    refs: Iterable[tuple[str, str, str | None]], head: str = "refs/heads/main"
) -> bytes:
    """Return the reply to `ls-refs` with `peel` and `symrefs`, HEAD first."""
    refs = list(refs)
    tips = {name: oid for oid, name, _ in refs}
    lines = [f"{tips[head]} HEAD symref-target:{head}\n"] if head in tips else []
    for oid, name, peeled in refs:
        lines.append(f"{oid} {name}" + (f" peeled:{peeled}\n" if peeled else "\n"))
    return b"".join(_line(text) for text in lines) + b"0000"


def advertisement() -> bytes:
    """Return the first answer of a server that speaks protocol v2."""
    words = ("version 2", "agent=git/2.39.5", "ls-refs=unborn", "fetch=shallow")
    lines = [_line(f"{word}\n") for word in (*words, "object-format=sha1")]
    return _line("# service=git-upload-pack\n") + b"0000" + b"".join(lines) + b"0000"


def _line(text: str) -> bytes:
    return b"%04x%b" % (len(text.encode()) + 4, text.encode())


class ReplayServer:
    """Runs from `with` to its end; pinned to the processor `core` if given."""

    def __init__(
        self,
        refs: Iterable[tuple[str, str, str | None]],
        *,
        head: str = "refs/heads/main",
        tls: bool = True,
        core: int | None = None,
    ) -> None:
        self._own = tempfile.TemporaryDirectory(prefix="replay-")
        self._script = {
            "listing": b64encode(listing(refs, head)).decode(),
            "pem": str(self._certificate()) if tls else None,
            "core": core,
        }
        self._tls = tls
        self._child: subprocess.Popen[bytes] | None = None
        self.port = 0

    def _certificate(self) -> Path:
        place = Path(self._own.name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(place / "ca.pem")
        leaf = authority.issue_cert("127.0.0.1", "localhost")
        leaf.private_key_and_cert_chain_pem.write_to_path(place / "server.pem")
        return place / "server.pem"

    @property
    def ca_pem(self) -> Path:
        """The certificate authority that signed its certificate, PEM."""
        return Path(self._own.name) / "ca.pem"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.replay"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._child.stdin is None or self._child.stdout is None:
            msg = "the server has no pipes"
            raise RuntimeError(msg)
        self._child.stdin.write(json.dumps(self._script).encode() + b"\n")
        self._child.stdin.flush()
        self.port = int(self._child.stdout.readline())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child is not None:
            # It ends when its input does.
            self._child.communicate()
        self._own.cleanup()


class _Connection(asyncio.Protocol):
    """One kept-alive connection: finds requests in what arrives, answers each."""

    def __init__(self, refs: bytes, first: bytes) -> None:
        self._refs = refs
        self._first = first
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            end += 4
            head = self._received[:end]
            length = _content_length(head)
            if len(self._received) < end + length:
                return
            body = self._received[end : end + length]
            self._received = self._received[end + length :]
            if self._transport is not None:
                self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"POST ") and b"command=ls-refs" in body:
            return self._refs
        if head.startswith(b"GET ") and b"/info/refs?" in head:
            return self._first
        return _BAD_REQUEST


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


def _response(kind: str, body: bytes) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\n"
        f"Content-Type: application/x-git-upload-pack-{kind}\r\n"
        "Cache-Control: no-cache, max-age=0, must-revalidate\r\n"
        "Expires: Fri, 01 Jan 1980 00:00:00 GMT\r\n"
        "Pragma: no-cache\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _serve(script: dict[str, Any]) -> None:
    context = None
    if script["pem"] is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(script["pem"])
    refs = _response("result", b64decode(script["listing"]))
    first = _response("advertisement", advertisement())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(refs, first), "127.0.0.1", 0, ssl=context, backlog=1024
    )
    # The result is a port for whoever started us.
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Serve what standard input describes until it ends."""
    script = json.loads(sys.stdin.readline())
    if script["core"] is not None:
        os.sched_setaffinity(0, {script["core"]})
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(script))


if __name__ == "__main__":
    main()
