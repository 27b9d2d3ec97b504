"""The exclusive right to work on one mirror: a `flock` that git inherits.

The kernel gives it back when the last process that has the descriptor is
gone, so a killed daemon's git still holds it.  The file names the holder and
the process groups at work, so that such orphans can be ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncer.durable import make_directories
from syncer.errors import Interrupted, Locked

if TYPE_CHECKING:
    from collections.abc import Iterator

_POLL = 0.1
_ORPHAN_WAIT = 5.0
_HOST = socket.gethostname()


class Lease:
    """A held lock; git's process groups are written into its file."""

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor
        self._note: dict[str, Any] = {
            "pid": os.getpid(),
            "born": born(os.getpid()),
            "host": _HOST,
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        self._write()

    @property
    def fd(self) -> int:
        """The locked descriptor, for children to inherit."""
        return self._fd

    def note(self, process_group: int | None) -> None:
        """Remember the group that works under the lease, None when it ended."""
        if process_group is None:
            self._note.pop("group", None)
        else:
            self._note["group"] = [process_group, born(process_group)]
        self._write()

    def _write(self) -> None:
        text = json.dumps(self._note).encode()
        # A note only: the lock itself needs no room on the disk.
        with suppress(OSError):
            os.pwrite(self._fd, text, 0)
            os.ftruncate(self._fd, len(text))


@dataclass(frozen=True)
class Patience:
    """How long to wait for a lock, and what to tell who did not get it."""

    wait: timedelta = timedelta()
    hint: str = "wait for it, or try again with --wait"
    #: Ends the waiting when it is set.
    stop: threading.Event = field(default_factory=threading.Event)


@contextmanager
def hold(path: Path, what: str, patience: Patience | None = None) -> Iterator[Lease]:
    """Hold the lock file at `path` for the length of a block.

    Raises:
        Locked: another process holds it; the message says which.
        Interrupted: the stop event was set while waiting.
    """
    patience = patience or Patience()
    make_directories(path.parent)
    deadline = time.monotonic() + patience.wait.total_seconds()
    descriptor = _open(path)
    try:
        _wait(descriptor, what, deadline, patience)
        while not _is_at(path, descriptor):
            # Its holder removed the mirror, and this file.
            removed, descriptor = descriptor, _open(path)
            os.close(removed)
            _wait(descriptor, what, deadline, patience)
        # Closing, not unlocking, gives it back: what still runs keeps it.
        yield Lease(descriptor)
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _wait(descriptor: int, what: str, deadline: float, patience: Patience) -> None:
    ended = False
    while not _try(descriptor):
        if not ended and _end_orphans(descriptor):
            # Once: one that the kernel cannot end yet would be waited for for ever.
            ended = True
            deadline = max(deadline, time.monotonic() + _ORPHAN_WAIT)
        if time.monotonic() >= deadline:
            raise _refused(descriptor, what, patience.hint)
        if patience.stop.wait(_POLL):
            msg = f"stopped while {what} was in use; nothing was changed"
            raise Interrupted(msg)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> dict[str, Any]:
    try:
        note = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def _refused(descriptor: int, what: str, hint: str) -> Locked:
    note = _read(descriptor)
    who = f"process {note.get('pid', '?')} on {note.get('host', '?')}"
    since = note.get("since", "an unknown time")
    msg = f"{what} is in use by {who} since {since}; nothing was changed"
    return Locked(msg, hint=hint)


def _end_orphans(descriptor: int) -> bool:
    """Kill the git processes of a holder that is dead; True if there were any."""
    note = _read(descriptor)
    group = note.get("group")
    if note.get("host") != _HOST or not isinstance(group, list):
        return False
    if note.get("born") == born(int(note.get("pid", 0))):
        return False  # the holder lives
    pid, start = int(group[0]), group[1]
    if start is None or born(pid) not in {start, None}:
        return False  # the number belongs to somebody else by now
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def born(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if gone.

    Field 22 of /proc/PID/stat (proc(5)): with it a process id is unique.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])
