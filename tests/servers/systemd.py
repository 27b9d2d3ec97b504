"""Who stands where systemd would: a socket that hears what services say."""

from __future__ import annotations

import os
import socket
import threading
from typing import Self

_OVER = f"the listener's own {os.getpid()}"


class Manager:
    """Hears a service, at a path or at a name that begins with `@`."""

    def __init__(self, name: str, watchdog: float | None = None) -> None:
        self._address = name.replace("@", "\0", 1)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._address)
        self._messages: list[str] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._listen)
        #: What a service is told of it.
        self.environ = {"NOTIFY_SOCKET": name}
        if watchdog is not None:
            self.environ["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def heard(self) -> list[str]:
        """Return the messages since the last call, all that were sent by now."""
        self._say(f"STATUS={_OVER}")
        with self._changed:
            self._changed.wait_for(lambda: f"STATUS={_OVER}" in self._messages, 10)
            found, self._messages = self._messages, []
        return [each for each in found if _OVER not in each]

    def close(self) -> None:
        """Hear no more."""
        if self._thread.is_alive():
            self._say("")
            self._thread.join()
        self._socket.close()

    def _say(self, text: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), self._address)

    def _listen(self) -> None:
        while message := self._socket.recv(65536):
            with self._changed:
                self._messages.append(message.decode())
                self._changed.notify_all()
