"""Kept connections to one server, of the standard library's own client.

urllib3's pool costs as much again for each request (190 us of processor time for
a put of 4 KiB against 90), and small objects are nothing but requests.
"""

from __future__ import annotations

import http.client
import select
import socket
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from syncer.store.s3_address import S3Address

#: Seconds: for a connection, and for the next byte.
CONNECT, READ = 5.0, 60.0
#: Bytes of a body that go out at once.
_SENT = 1 << 20
_KEPT = 64

Connection: TypeAlias = http.client.HTTPConnection


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
            if not _is_dropped(kept):
                return kept
            kept.close()
        return self._fresh()

    def give(self, connection: Connection) -> None:
        """Keep a connection whose last answer was read to its end."""
        with self._lock:
            if connection.sock is not None and len(self._idle) < _KEPT:
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
        if self._trust is None:
            fresh = Connection(self._host, self._port, CONNECT, blocksize=_SENT)
        else:
            fresh = http.client.HTTPSConnection(
                self._host,
                self._port,
                timeout=CONNECT,
                context=self._trust,
                blocksize=_SENT,
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
    first, *rest = tuple(blocks) or (b"",)
    # A server that refuses may answer and hang up in the midst of a body.
    with suppress(BrokenPipeError, ConnectionResetError):
        # What is small goes out in one piece with its headers.
        connection.endheaders(first or None)
        for block in rest:
            connection.send(block)
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
