"""Packs by `fetch` of protocol v2, on the connection that the probe used.

One request, one round trip: we know what we want from the probe and offer what
we have, and say `done`, so that the server answers with the pack at once
(gitprotocol-v2(5), `fetch`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.errors import ProtocolError, Truncated
from syncer.model.names import shown
from syncer.upstream.pktline import DELIMITER, FLUSH, LONGEST, line, refuse_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_HEADER = 4
_PACK, _PROGRESS, _FATAL = 1, 2, 3


def request(
    want: Sequence[str], have: Sequence[str], announced: Iterable[bytes]
) -> bytes:
    """Return a request for the objects of `want`, given those of `have`."""
    return b"".join(
        (
            line(b"command=fetch\n"),
            *(line(capability + b"\n") for capability in announced),
            DELIMITER,
            line(b"thin-pack\n"),
            line(b"ofs-delta\n"),
            line(b"no-progress\n"),
            *(line(b"want %b\n" % oid.encode()) for oid in want),
            *(line(b"have %b\n" % oid.encode()) for oid in have),
            line(b"done\n"),
            FLUSH,
        )
    )


def pack(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of the pack from the blocks of an answer, as they come.

    Raises:
        ProtocolError: the answer is not a pack, or the server reports an error.
        Truncated: it ended before its flush.
    """
    lines = _lines(blocks)
    first = next(lines, None)
    if first is None or bytes(first).rstrip(b"\n") != b"packfile":
        msg = f"the answer to a fetch begins with {bytes(first or b'')[:40]!r}"
        raise ProtocolError(msg)
    for payload in lines:
        if payload is None:
            return
        band = payload[0] if payload else 0
        if band == _PACK:
            yield payload[1:]
        elif band == _FATAL:
            words = payload[1:].decode("utf-8", "replace").strip()
            msg = f"upstream's git gave up: {shown(words)}"
            raise ProtocolError(msg)
        elif band != _PROGRESS:
            msg = f"the answer to a fetch has an unknown band: {band}"
            raise ProtocolError(msg)
    msg = "the pack ended early; published refs are unchanged"
    raise Truncated(msg)


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes | None]:
    """Yield each payload, None for a flush, from blocks of any size."""
    buffer = bytearray()
    for block in blocks:
        buffer += block
        start = 0
        while len(buffer) - start >= _HEADER:
            length = _length(bytes(buffer[start : start + _HEADER]))
            if length == 0:
                # Read to the end of the body, so that the connection stays warm.
                next(iter(blocks), None)
                yield None
                return
            if len(buffer) - start < length:
                break
            payload = bytes(buffer[start + _HEADER : start + length])
            refuse_error(payload)
            yield payload
            start += length
        del buffer[:start]
    if buffer:
        msg = "the answer ended in the middle of a line"
        raise Truncated(msg)


def _length(header: bytes) -> int:
    try:
        length = int(header, 16)
    except ValueError:
        length = -1
    if length != 0 and not _HEADER < length <= LONGEST:
        msg = f"the answer is not git's: a line begins with {header!r}"
        raise ProtocolError(msg)
    return length
