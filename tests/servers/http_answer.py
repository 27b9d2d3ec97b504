"""Sends one answer, right or wrong.

Chunked where its length is not known, so that it streams.
"""

from __future__ import annotations

import itertools
import socket
import struct
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    from tests.servers.http_faults import Fault

#: Close with RST and throw unsent bytes away.
_NO_LINGER = struct.pack("ii", 1, 0)


class Broken(Exception):
    """The connection was broken on purpose."""


@dataclass(slots=True)
class Writer:
    """Writes to one connection, as the fault wants it."""

    connection: socket.socket
    fault: Fault
    stopping: threading.Event
    _framing: str = field(default="chunked", init=False)

    @property
    def ends(self) -> bool:
        """Whether the connection cannot be used again."""
        return self.fault.framing == "close"

    def send(
        self, status: int, headers: list[tuple[str, str]], body: Iterable[bytes]
    ) -> None:
        """Send the whole answer.

        Raises:
            Broken: the fault ended it; the connection is to be closed.
            OSError: the client went away.
        """
        self._framing = self._choose_framing(dict(headers))
        if self.fault.hang == "accept":
            self._hang()
        if self.fault.reset == 0:
            self._reset()
        head = self._head(status, headers)
        if self.fault.hang == "headers":
            self.connection.sendall(head)
            self._hang()
        self._send_body(head, self._spoil(iter(body)))

    def _head(self, status: int, headers: list[tuple[str, str]]) -> bytes:
        fields = dict(headers) | dict(self.fault.headers)
        if self.fault.content_type is not None:
            fields["Content-Type"] = self.fault.content_type
        if self._framing != "length":
            fields.pop("Content-Length", None)
        if self._framing == "close":
            fields["Connection"] = "close"
        elif self._framing == "chunked":
            fields["Transfer-Encoding"] = "chunked"
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {status} {phrase}"]
        lines += [f"{name}: {text}" for name, text in fields.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _choose_framing(self, fields: dict[str, str]) -> str:
        """Return how the body ends: as the fault says, else by a known length."""
        fault = self.fault
        if fault.framing is not None:
            return fault.framing
        other = fault.answers or fault.short is not None or fault.endless is not None
        return "chunked" if other or "Content-Length" not in fields else "length"

    def _send_body(self, head: bytes, body: Iterator[bytes]) -> None:
        """Join the headers and the first block: most answers are one packet."""
        waiting = head
        if self._limit is not None:
            # The headers are not among the bytes that the fault counts.
            self.connection.sendall(head)
            waiting = b""
        for block in body:
            if self._framing == "chunked":
                waiting += b"%x\r\n%b\r\n" % (len(block), block)
            else:
                waiting += block
            self.connection.sendall(waiting)
            waiting = b""
        if self._framing == "chunked":
            waiting += b"0\r\n\r\n"
        self.connection.sendall(waiting)

    def _spoil(self, body: Iterator[bytes]) -> Iterator[bytes]:
        fault = self.fault
        if fault.flip is not None:
            body = _flipped(body, fault.flip)
        if fault.endless is not None:
            more = fault.endless
            data = more.encode() if isinstance(more, str) else more
            body = itertools.chain(body, itertools.repeat(data))
        if fault.short is not None:
            body = _first(body, fault.short)
        if fault.drip is not None:
            body = self._dripping(body, *fault.drip)
        if self._limit is not None:
            body = itertools.chain(_first(body, self._limit), self._stop())
        return body

    @property
    def _limit(self) -> int | None:
        """How many bytes of the body are sent before the fault happens."""
        fault = self.fault
        limits = (fault.truncate, fault.reset, fault.hang)
        return next((limit for limit in limits if isinstance(limit, int)), None)

    def _stop(self) -> Iterator[bytes]:
        if self.fault.hang is not None:
            self._hang()
        if self.fault.reset is not None:
            self._reset()
        raise Broken
        yield b""  # Makes this a generator: it stops when asked for a block.

    def _dripping(
        self, body: Iterator[bytes], size: int, pause: float
    ) -> Iterator[bytes]:
        for block in body:
            for start in range(0, len(block), size):
                yield block[start : start + size]
                if self.stopping.wait(pause):
                    raise Broken

    def _hang(self) -> None:
        self.stopping.wait()
        raise Broken

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        raise Broken


def _first(body: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """Yield the first `limit` bytes, and ask for no byte behind them."""
    while limit > 0:
        block = next(body, b"")
        if not block:
            return
        yield block[:limit]
        limit -= len(block)


def _flipped(body: Iterator[bytes], offset: int) -> Iterator[bytes]:
    for block in body:
        if 0 <= offset < len(block):
            changed = bytearray(block)
            changed[offset] ^= 1
            yield bytes(changed)
        else:
            yield block
        offset -= len(block)
