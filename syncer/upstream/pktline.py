"""The framing of git's wire protocol: lines that begin with their own length.

gitprotocol-common(5): four hexadecimal digits that count themselves, then the
payload; `0000` ends a list, `0001` divides one, `0002` ends a reply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.errors import ProtocolError, Truncated
from syncer.model.names import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FLUSH = b"0000"
DELIMITER = b"0001"
#: Length of the longest line, its four digits included.
LONGEST = 65520
_DIGITS = frozenset(b"0123456789abcdefABCDEF")
_HEADER = 4


def line(payload: bytes) -> bytes:
    """Return `payload` as one line.

    Raises:
        ValueError: it does not fit into one.
    """
    length = len(payload) + _HEADER
    if length > LONGEST:
        msg = f"a line of {length} bytes is longer than git allows"
        raise ValueError(msg)
    return b"%04x%b" % (length, payload)


def ls_refs(
    prefixes: Iterable[str], *, announced: Iterable[bytes] = (), unborn: bool = False
) -> bytes:
    """Return a request for refs (gitprotocol-v2(5), `ls-refs`).

    HEAD is asked for beside the prefixes.  `announced` are the capabilities to
    send along; a server refuses any that it did not offer.
    """
    return b"".join(
        (
            line(b"command=ls-refs\n"),
            *(line(capability + b"\n") for capability in announced),
            DELIMITER,
            line(b"peel\n"),
            line(b"symrefs\n"),
            line(b"unborn\n") if unborn else b"",
            line(b"ref-prefix HEAD\n"),
            *(line(b"ref-prefix %b\n" % prefix.encode()) for prefix in prefixes),
            FLUSH,
        )
    )


def packets(data: bytes) -> Iterator[bytes | None]:
    """Yield each payload without its final LF, and None for a flush.

    Raises:
        ProtocolError: something is not a line, or the server reports an error.
        Truncated: the last line is not complete.
    """
    position, end = 0, len(data)
    while position < end:
        header = data[position : position + _HEADER]
        length = _length(header)
        if length is None:
            yield None
            position += _HEADER
            continue
        payload = data[position + _HEADER : position + length]
        if len(payload) != length - _HEADER:
            msg = "the reply ended in the middle of a line"
            raise Truncated(msg)
        refuse_error(payload)
        yield payload.removesuffix(b"\n")
        position += length


def refuse_error(payload: bytes) -> None:
    """Raise what the server reports in place of an answer.

    Raises:
        ProtocolError: the payload is an error line.
    """
    if payload.startswith(b"ERR "):
        words = payload[4:].decode("utf-8", "replace").strip()
        msg = f"upstream's git reports an error: {shown(words)}"
        raise ProtocolError(msg)


def _length(header: bytes) -> int | None:
    """Return the length a line begins with, None for a flush."""
    if len(header) < _HEADER:
        msg = "the reply ended in the middle of a line"
        raise Truncated(msg)
    if header == FLUSH:
        return None
    length = int(header, 16) if _DIGITS.issuperset(header) else 0
    if not _HEADER < length <= LONGEST:
        msg = f"the reply is not git's: a line begins with {header!r}"
        raise ProtocolError(msg)
    return length
