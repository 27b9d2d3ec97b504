"""A request's body: by length or in chunks, looked at and still whole.

Implements the two framings of RFC 9112 section 6 that clients of git use.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from email.message import Message

_PEEK = 1 << 16
#: The first line of a protocol v2 request.
_COMMAND = re.compile(rb"[0-9a-f]{4}command=([a-z-]+)")
_LONGEST_LINE = 1024


class Readable(Protocol):
    """Where bytes come from; none at the end."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes."""

    def readline(self, size: int, /) -> bytes:
        """Return at most `size` bytes, up to a newline."""


class Body:
    """What the client sends after its headers, without the framing."""

    def __init__(self, stream: Readable, headers: Message) -> None:
        self._stream = stream
        self._encoding = headers.get("Content-Encoding", "")
        self._chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        #: Bytes left of the body, or of the chunk.
        self._left = 0 if self._chunked else int(headers.get("Content-Length") or 0)
        self._over = not self._chunked and self._left == 0
        self._seen = b""

    def command(self) -> str:
        """Return the protocol v2 command that the body begins with, or nothing."""
        if not self._over:
            self._seen = self._take(_PEEK)
        head = self._seen
        if self._encoding == "gzip":
            try:
                head = zlib.decompressobj(wbits=31).decompress(head, 256)
            except zlib.error:
                return ""
        match = _COMMAND.match(head)
        return match[1].decode() if match else ""

    def read(self, size: int = _PEEK) -> bytes:
        """Return at most `size` bytes, none at the end."""
        if self._seen:
            block, self._seen = self._seen, b""
            return block
        return self._take(size)

    def drain(self) -> None:
        """Read what the answer did not need; the next request follows it."""
        while self.read(_PEEK):
            pass

    def _take(self, size: int) -> bytes:
        if self._over:
            return b""
        if self._chunked and self._left == 0 and not self._next_chunk():
            return b""
        block = self._stream.read(min(size, self._left))
        self._left -= len(block)
        if not block:
            self._over = True
        elif self._left == 0:
            self._end_of_part()
        return block

    def _end_of_part(self) -> None:
        if self._chunked:
            self._stream.readline(_LONGEST_LINE)
        else:
            self._over = True

    def _next_chunk(self) -> bool:
        line = self._stream.readline(_LONGEST_LINE)
        self._left = int(line.split(b";")[0].strip() or b"0", 16)
        if self._left == 0:
            self._over = True
            # Trailers, up to the empty line.
            while self._stream.readline(_LONGEST_LINE).strip():
                pass
        return self._left > 0
