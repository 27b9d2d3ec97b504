"""Kept connections to one server, of the standard library's own client.

urllib3's pool costs as much again for each request (190 us of processor time for
a put of 4 KiB against 90), and small objects are nothing but requests.
"""

from __future__ import annotations

import http.client
import select
import socket
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from syncer.store.s3_address import S3Address

#: Seconds: for a connection, and for the next byte.
CONNECT, READ = 5.0, 60.0
#: Bytes of a body that go out at once.
_SENT = 1 << 20
_KEPT = 64

#: A connection that was used so many seconds ago is not looked at before it is
#: used again: that the server closed it meanwhile would be rare, and is noticed.
_FRESH = 1.0
#: Bodies up to so many bytes go out in one piece with their headers.
_JOINED = 256 * 1024


class _Plain(http.client.HTTPConnection):
    """A connection that can hold what is to be sent until it is complete.

    The standard library sends headers and body apart, and wakes the server twice.
    """

    held: list[bytes] | None = None
    used = 0.0

    def send(self, data: Any) -> None:  # noqa: ANN401 - the base class's signature
        """Send now, or with what follows."""
        if self.held is None:
            super().send(data)
        else:
            self.held.append(data)

    def flush(self) -> None:
        """Send what was held."""
        held, self.held = self.held, None
        if held:
            self.send(b"".join(held))


class _Secure(_Plain, http.client.HTTPSConnection):
    """The same over TLS."""


Connection: TypeAlias = _Plain


class NotConnected(Exception):
    """No connection was made; `__cause__` tells why."""


class Connections:
    """Connections that are used again, the latest first."""

    def __init__(self, address: S3Address) -> None:
        parts = urlsplit(address.origin)
        self._host, self._port = parts.hostname or "", parts.port
        self._trust = address.trust() if parts.scheme == "https" else None
        self._idle: list[Connection] = []
        self._lock = Lock()

    def take(self) -> Connection:
        """Return a connection that is open; `give` it back, or close it.

        Raises:
            NotConnected: the server takes none.
        """
        while (kept := self._pop()) is not None:
            if time.monotonic() - kept.used < _FRESH or not _is_dropped(kept):
                return kept
            kept.close()
        return self._fresh()

    def give(self, connection: Connection) -> None:
        """Keep a connection whose last answer was read to its end."""
        with self._lock:
            if connection.sock is not None and len(self._idle) < _KEPT:
                connection.used = time.monotonic()
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close what is idle."""
        while (kept := self._pop()) is not None:
            kept.close()

    def _pop(self) -> Connection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _fresh(self) -> Connection:
        fresh: Connection
        where = (self._host, self._port)
        if self._trust is None:
            fresh = _Plain(*where, timeout=CONNECT, blocksize=_SENT)
        else:
            fresh = _Secure(
                *where, timeout=CONNECT, context=self._trust, blocksize=_SENT
            )
        try:
            fresh.connect()
        except (OSError, http.client.HTTPException) as exc:
            fresh.close()
            raise NotConnected from exc
        fresh.sock.settimeout(READ)
        return fresh


def send(
    connection: Connection,
    method: str,
    target: str,
    headers: Mapping[str, str],
    blocks: Iterable[bytes],
) -> http.client.HTTPResponse:
    """Send a request with all of its headers, and return what begins to come.

    Raises:
        OSError, HTTPException: what broke; the connection is of no more use.
    """
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    pieces = tuple(blocks)
    if sum(map(len, pieces)) <= _JOINED:
        connection.held = []
    # A server that refuses may answer and hang up in the midst of a body.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.endheaders()
        for piece in pieces:
            connection.send(piece)
        connection.flush()
    return connection.getresponse()


def hang_up(connection: Connection) -> None:
    """End a connection without waiting for what is still to come."""
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()


def _is_dropped(connection: Connection) -> bool:
    """Return whether the server has closed an idle connection, or talks on it."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
