"""The side of the filter that is asked: counts calls, and stops at one.

Implements `seccomp_unotify(2)`.  A call that is counted has not happened yet
when it is asked about, so stopping at N leaves N - 1 calls done.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.crash.calls import BY_NUMBER, Call

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_CONTINUE = 1
#: The call was given up, or its process died, before the answer.
_GONE = (errno.ENOENT, errno.EINPROGRESS, errno.EINTR)
_LONGEST_NAME = 4096


@dataclass(frozen=True, slots=True)
class Notice:
    """One call that waits for an answer."""

    identity: int
    pid: int
    call: Call
    args: tuple[int, ...]

    def changes(self, ignored: tuple[int, int] | None) -> bool:
        """Tell whether it changes a file; `ignored` is the device and inode of one.

        Writing to a pipe, a socket or a terminal changes none.
        """
        if self.call.fd is None:
            return True
        with contextlib.suppress(OSError):
            found = self._descriptor(self.call.fd).stat()
            identity = (found.st_dev, found.st_ino)
            return stat.S_ISREG(found.st_mode) and identity != ignored
        return False

    def describe(self) -> str:
        """Return its name and the files it was about, for people."""
        words = [self._name(self.args[index]) for index in self.call.paths]
        if not words and self.call.name not in {"sync", "msync"}:
            with contextlib.suppress(OSError):
                words = [str(self._descriptor(self.call.fd or 0).readlink())]
        return " ".join([self.call.name, *words])

    def _descriptor(self, index: int) -> Path:
        return Path(f"/proc/{self.pid}/fd/{self.args[index] & 0xFFFFFFFF}")

    def _name(self, address: int) -> str:
        """Read a C string from the caller's memory."""
        try:
            memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY)
        except OSError:
            return "?"
        try:
            # A read across the end of a mapping fails whole; pages are 4096 bytes.
            first = _LONGEST_NAME - address % _LONGEST_NAME
            data = os.pread(memory, first, address)
            if b"\0" not in data:
                data += os.pread(memory, _LONGEST_NAME, address + first)
            return os.fsdecode(data.split(b"\0", 1)[0])
        except OSError:
            return "?"
        finally:
            os.close(memory)


@dataclass(frozen=True, slots=True)
class Listener:
    """The descriptor of one filter."""

    descriptor: int

    def notices(self, ended: int, milliseconds: int) -> Iterator[Notice | None]:
        """Yield each call that waits, None whenever none did for so long.

        Ends when the descriptor `ended` becomes readable or no process is left.
        """
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        poll.register(ended, select.POLLIN)
        while True:
            ready = dict(poll.poll(milliseconds))
            if ended in ready or ready.get(self.descriptor, 0) & select.POLLHUP:
                return
            if not ready:
                yield None
            elif (notice := self._receive()) is not None:
                yield notice

    def _receive(self) -> Notice | None:
        data = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(self.descriptor, _RECEIVE, data)
        except OSError as exc:
            if exc.errno in _GONE:
                return None
            raise
        identity, pid, _, number, _, _, *args = _NOTICE.unpack(data)
        return Notice(identity, pid, BY_NUMBER[number], tuple(args))

    def allow(self, notice: Notice) -> None:
        """Let the call happen."""
        self._answer(_ANSWER.pack(notice.identity, 0, 0, _CONTINUE))

    def refuse(self, notice: Notice, number: int) -> None:
        """Let the call fail with the errno `number`, without happening."""
        self._answer(_ANSWER.pack(notice.identity, 0, -number, 0))

    def _answer(self, data: bytes) -> None:
        try:
            fcntl.ioctl(self.descriptor, _SEND, data)
        except OSError as exc:
            if exc.errno not in _GONE:
                raise
