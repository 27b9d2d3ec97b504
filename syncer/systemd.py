"""What systemd is told of a service: sd_notify(3), in the standard library.

One datagram a message, to the socket that `$NOTIFY_SOCKET` names: a path, or with
`@` a name in the abstract namespace of unix(7).  Without one nobody is told, and a
socket that is gone never hurts whoever speaks.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATIENCE = 2.0  # seconds that a full queue of systemd's may keep us
_MAX_STATUS = 1000  # characters; a line in `systemctl status`
_USEC = 1_000_000


class Notifier:
    """Speaks to systemd, from any thread; each call is one message."""

    def __init__(self, environ: Mapping[str, str], pid: int | None = None) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        #: Seconds between two signs of life (half of what systemd waits for one),
        #: None when it waits for none of ours.  See sd_watchdog_enabled(3).
        self.watchdog = _interval(environ, os.getpid() if pid is None else pid)

    @property
    def is_heard(self) -> bool:
        """Whether systemd, or who plays its part, wants to be told."""
        return self._address is not None

    def ready(self, status: str) -> None:
        """Say that the start, or a reload, is over."""
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """Say in one line how things are."""
        self._send(_status(text))

    def reloading(self) -> None:
        """Say that a reload begins; `ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str) -> None:
        """Say that the end begins."""
        self._send("STOPPING=1", _status(status))

    def extend(self, seconds: float) -> None:
        """Ask for so much more time, from now, to start or to stop."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * _USEC)}")

    def alive(self) -> None:
        """Give a sign of life."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        message = "\n".join(lines).encode(errors="replace")
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.settimeout(_PATIENCE)
            sender.sendto(message, self._address)


def _address(name: str) -> str | None:
    """Return what a socket of this name is reached at; None if it is not AF_UNIX."""
    if name.startswith("@") and len(name) > 1:
        return f"\0{name[1:]}"
    return name if name.startswith("/") else None


def _status(text: str) -> str:
    """Return the assignment; a line break would begin another one."""
    return f"STATUS={' '.join(text.split())[:_MAX_STATUS]}"


def _interval(environ: Mapping[str, str], pid: int) -> float | None:
    named, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (named.isascii() and named.isdecimal()) or int(named) == 0:
        return None
    if whose and whose != str(pid):
        return None
    return int(named) / _USEC / 2
