"""The few kernel interfaces that Python does not offer, by ctypes.

The only module here that speaks to libc.  Every function raises `OSError` with
the kernel's errno.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from pathlib import Path

from tests.crash import calls

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

_SECCOMP = 317
_SET_MODE_FILTER = 1
_NEW_LISTENER = 1 << 3
#: Signals that do not kill must not repeat a call that was counted (5.19).
_WAIT_KILLABLE = 1 << 5
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_MS_PRIVATE = 1 << 18
_MS_REC = 1 << 14
#: EXT4_IOC_SHUTDOWN, also XFS_IOC_GOINGDOWN; 2 flushes neither data nor journal.
_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Give this process, or its children, namespaces of their own."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0), "prctl")


def mount_proc() -> None:
    """Show this PID namespace in `/proc`, in this mount namespace alone."""
    private = ctypes.c_ulong(_MS_REC | _MS_PRIVATE)
    _checked(_libc.mount(b"none", b"/", None, private, None), "mount /")
    none = ctypes.c_ulong(0)
    _checked(_libc.mount(b"proc", b"/proc", b"proc", none, None), "mount /proc")


def install_filter() -> int:
    """Stop this process and all it will start at each file-changing call.

    Returns:
        The listener's descriptor.  Whoever does not answer it stops us.
    """
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    code = calls.program()
    program = _Program(len(code) // 8, code)
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):
        descriptor: int = _libc.syscall(
            ctypes.c_long(_SECCOMP), _SET_MODE_FILTER, flags, ctypes.byref(program)
        )
        if descriptor >= 0:
            return descriptor
    return _checked(-1, "seccomp")


def cut_power(mount_point: Path) -> None:
    """Stop the file system as a power cut does: what is not synced is lost."""
    descriptor = os.open(mount_point, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("=I", _NO_LOG_FLUSH))
    finally:
        os.close(descriptor)


def map_own_ids(uid: int, gid: int) -> None:
    """Stay who we are in a user namespace of our own."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
