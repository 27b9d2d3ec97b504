"""The system calls that change files, and the filter that stops at each.

Numbers are those of Linux on x86-64 (`arch/x86/entry/syscalls/syscall_64.tbl`);
the filter is classic BPF as `seccomp(2)` defines it.  Refuses to know about
processes: `listener.py` talks to the kernel.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

AUDIT_ARCH = 0xC000003E
#: O_CREAT, O_TRUNC and the bit of O_TMPFILE that O_DIRECTORY does not share.
CHANGING_FLAGS = 0o100 | 0o1000 | 0o20000000

NOTIFY = 0x7FC00000
ALLOW = 0x7FFF0000
#: ENOSYS: io_uring writes without system calls, so it does not exist here.
REFUSE = 0x00050000 | 38

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_NUMBER_AT = 0
_ARCH_AT = 4
_ARGS_AT = 16
_IO_URING_SETUP = 425


@dataclass(frozen=True, slots=True)
class Call:
    """One system call: which argument names what it changes.

    `fd` is the argument that must be a regular file for the call to count;
    `paths` are arguments that point to names; `flags` is the argument that
    must have one of `CHANGING_FLAGS`; `command` must equal the second argument.
    """

    name: str
    number: int
    fd: int | None = None
    paths: tuple[int, ...] = ()
    flags: int | None = None
    command: int | None = None


CALLS = (
    Call("write", 1, fd=0),
    Call("pwrite64", 18, fd=0),
    Call("writev", 20, fd=0),
    Call("pwritev", 296, fd=0),
    Call("pwritev2", 328, fd=0),
    Call("sendfile", 40, fd=0),
    Call("splice", 275, fd=2),
    Call("copy_file_range", 326, fd=2),
    Call("ioctl", 16, fd=0, command=0x40049409),  # FICLONE
    Call("ioctl", 16, fd=0, command=0x4020940D),  # FICLONERANGE
    Call("ftruncate", 77, fd=0),
    Call("fallocate", 285, fd=0),
    Call("truncate", 76, paths=(0,)),
    Call("open", 2, paths=(0,), flags=1),
    Call("openat", 257, paths=(1,), flags=2),
    Call("openat2", 437, paths=(1,)),
    Call("creat", 85, paths=(0,)),
    Call("mknod", 133, paths=(0,)),
    Call("mknodat", 259, paths=(1,)),
    Call("mkdir", 83, paths=(0,)),
    Call("mkdirat", 258, paths=(1,)),
    Call("rmdir", 84, paths=(0,)),
    Call("rename", 82, paths=(0, 1)),
    Call("renameat", 264, paths=(1, 3)),
    Call("renameat2", 316, paths=(1, 3)),
    Call("link", 86, paths=(0, 1)),
    Call("linkat", 265, paths=(1, 3)),
    Call("symlink", 88, paths=(0, 1)),
    Call("symlinkat", 266, paths=(0, 2)),
    Call("unlink", 87, paths=(0,)),
    Call("unlinkat", 263, paths=(1,)),
    Call("chmod", 90, paths=(0,)),
    Call("fchmod", 91, fd=0),
    Call("fchmodat", 268, paths=(1,)),
    Call("fchmodat2", 452, paths=(1,)),
    Call("chown", 92, paths=(0,)),
    Call("lchown", 94, paths=(0,)),
    Call("fchown", 93, fd=0),
    Call("fchownat", 260, paths=(1,)),
    Call("setxattr", 188, paths=(0,)),
    Call("lsetxattr", 189, paths=(0,)),
    Call("fsetxattr", 190, fd=0),
    Call("removexattr", 197, paths=(0,)),
    Call("lremovexattr", 198, paths=(0,)),
    Call("fremovexattr", 199, fd=0),
    Call("utime", 132, paths=(0,)),
    Call("utimes", 235, paths=(0,)),
    Call("futimesat", 261, paths=(1,)),
    Call("utimensat", 280, paths=(1,)),
    Call("fsync", 74),
    Call("fdatasync", 75),
    Call("syncfs", 306),
    Call("sync", 162),
    Call("msync", 26),
)
BY_NUMBER = {call.number: call for call in CALLS}


def instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """Return one `struct sock_filter`."""
    return struct.pack("=HBBI", code, yes, no, value)


def _argument(index: int) -> bytes:
    return instruction(_LOAD, _ARGS_AT + 8 * index)


def _rule(call: Call) -> list[bytes]:
    """Return the instructions that stop at `call`, or fall through behind it."""
    stop = instruction(_RETURN, NOTIFY)
    if call.flags is not None:
        inside = [_argument(call.flags), instruction(_ANY_BIT, CHANGING_FLAGS, 0, 1)]
    elif call.command is not None:
        inside = [_argument(1), instruction(_EQUAL, call.command, 0, 1)]
    else:
        return [instruction(_EQUAL, call.number, 0, 1), stop]
    # The number was replaced in the accumulator, so it is loaded again.
    again = instruction(_LOAD, _NUMBER_AT)
    block = [*inside, stop, again]
    return [instruction(_EQUAL, call.number, 0, len(block)), *block]


def program() -> bytes:
    """Return the filter: stop at `CALLS`, refuse io_uring, allow the rest."""
    rules = [
        instruction(_LOAD, _ARCH_AT),
        instruction(_EQUAL, AUDIT_ARCH, 1, 0),
        instruction(_RETURN, ALLOW),
        instruction(_LOAD, _NUMBER_AT),
        instruction(_EQUAL, _IO_URING_SETUP, 0, 1),
        instruction(_RETURN, REFUSE),
    ]
    for call in CALLS:
        rules += _rule(call)
    rules.append(instruction(_RETURN, ALLOW))
    return b"".join(rules)
