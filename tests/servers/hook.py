"""A webhook on loopback: it keeps what it is sent, and can refuse or redirect."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.servers.http_backend import Answer
from tests.servers.http_faults import Fault
from tests.servers.http_listener import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.servers.http_body import Body
    from tests.servers.http_faults import Request


@dataclass
class Hook:
    """What it got, and what it answers."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: bytes = b"ok"
    got: list[tuple[Request, bytes]] = field(default_factory=list)

    @contextmanager
    def __call__(self, request: Request, body: Body) -> Iterator[tuple[Answer, Fault]]:
        """Keep a request, and answer it."""
        self.got.append((request, _whole(body)))
        headers = [*self.headers.items(), ("Content-Length", str(len(self.answer)))]
        yield Answer(self.status, headers, iter([self.answer])), Fault()

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Yield the authority at which it listens."""
        listener = Listener(self, None)
        listener.start()
        try:
            yield listener.authority
        finally:
            listener.stop()


def _whole(body: Body) -> bytes:
    blocks = []
    while block := body.read():
        blocks.append(block)
    return b"".join(blocks)
