"""Runs a program as a unit file confines it, as far as that goes without systemd.

    python -m tests.servers.hardened UNIT PLACE PROGRAM...

Done: the system call filter, MemoryDenyWriteExecute, RestrictAddressFamilies,
RestrictNamespaces, RestrictSUIDSGID, RestrictRealtime, LockPersonality, limits, umask,
NoNewPrivileges; for root also no capabilities, and a file system that is read-only
but for PLACE.  systemd.exec(5) says what each does; seccomp-util.c how.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import pyseccomp as seccomp

_PROT_WRITE, _PROT_EXEC, _SHM_EXEC = 0x2, 0x4, 0o100000
#: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
_NAMESPACES = (1 << 17, *(1 << number for number in range(25, 31)))
_SPECIAL = (0o4000, 0o2000)  # setuid and setgid
_CREATE = 0o100
_FAMILIES = 46
_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_SLAVE = 0x20000, 4096, 16384, 1 << 19
_AT_FDCWD, _AT_RECURSIVE, _SYS_MOUNT_SETATTR = -100, 0x8000, 442
_RDONLY = 1
_PR_CAPBSET_DROP, _LAST_CAPABILITY = 24, 63


def settings(unit: Path) -> list[tuple[str, str]]:
    """Return what stands in a unit's `[Service]` section, in order."""
    lines = unit.read_text().partition("[Service]\n")[2].partition("\n[")[0]
    pairs = [line.split("=", 1) for line in lines.splitlines() if "=" in line]
    return [(key, value) for key, value in pairs if not key.startswith("#")]


@cache
def calls(name: str) -> frozenset[str]:
    """Return the system calls that a name stands for; `@...` is a set of them."""
    if not name.startswith("@"):
        return frozenset({name})
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = [line.strip() for line in told.splitlines()[1:]]
    names = [word for word in words if word and not word.startswith("#")]
    return frozenset().union(*map(calls, names))


def allowed(unit: Path) -> frozenset[str]:
    """Return the system calls that a unit may make."""
    found = calls("@default")
    for key, value in settings(unit):
        if key == "SystemCallFilter":
            named = frozenset().union(*map(calls, value.lstrip("~").split()))
            found = found - named if value.startswith("~") else found | named
    return found


def _rule(
    made: seccomp.SyscallFilter, number: int, call: str, *args: seccomp.Arg
) -> None:
    """Answer a call with an error; one that this machine has not is no matter."""
    try:
        made.add_rule(seccomp.ERRNO(number), call, *args)
    except OSError as exc:
        if exc.errno not in {errno.EINVAL, errno.EFAULT, errno.EDOM}:
            raise


def _bits(position: int, mask: int) -> seccomp.Arg:
    return seccomp.Arg(position, seccomp.MASKED_EQ, mask, mask)


def restrictions(unit: Path) -> seccomp.SyscallFilter:
    """Return the filter of what depends on a call's arguments."""
    made, keys = seccomp.SyscallFilter(seccomp.ALLOW), dict(settings(unit))
    if keys.get("MemoryDenyWriteExecute") == "yes":
        _rule(made, errno.EPERM, "mmap", _bits(2, _PROT_WRITE | _PROT_EXEC))
        _rule(made, errno.EPERM, "mprotect", _bits(2, _PROT_EXEC))
        _rule(made, errno.EPERM, "pkey_mprotect", _bits(2, _PROT_EXEC))
        _rule(made, errno.EPERM, "shmat", _bits(2, _SHM_EXEC))
    if keys.get("RestrictSUIDSGID") == "yes":
        _without_special_bits(made)
    if keys.get("RestrictNamespaces") == "yes":
        _without_namespaces(made)
    if keys.get("LockPersonality") == "yes":
        _rule(made, errno.EPERM, "personality")
    if keys.get("RestrictRealtime") == "yes":
        for policy in (1, 2, 6):
            arg = seccomp.Arg(1, seccomp.EQ, policy)
            _rule(made, errno.EPERM, "sched_setscheduler", arg)
    families = keys["RestrictAddressFamilies"].split()
    granted = {int(getattr(socket, name)) for name in families}
    for family in set(range(_FAMILIES)) - granted:
        arg = seccomp.Arg(0, seccomp.EQ, family)
        _rule(made, errno.EAFNOSUPPORT, "socket", arg)
    return made


def _without_namespaces(made: seccomp.SyscallFilter) -> None:
    for call in ("unshare", "setns"):
        _rule(made, errno.EPERM, call)
    # Its flags are in memory, where no filter looks: libc then takes `clone`.
    _rule(made, errno.ENOSYS, "clone3")
    for bit in _NAMESPACES:
        _rule(made, errno.EPERM, "clone", _bits(0, bit))


def _without_special_bits(made: seccomp.SyscallFilter) -> None:
    modes = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2}
    for bit in _SPECIAL:
        for call, place in modes.items():
            _rule(made, errno.EPERM, call, _bits(place, bit))
        _rule(made, errno.EPERM, "open", _bits(1, _CREATE), _bits(2, bit))
        _rule(made, errno.EPERM, "openat", _bits(2, _CREATE), _bits(3, bit))


def system_calls(unit: Path) -> seccomp.SyscallFilter:
    """Return the filter of whole calls; what this machine has not is left out."""
    made = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in sorted(allowed(unit)):
        try:
            made.add_rule(seccomp.ALLOW, name)
        except OSError as exc:
            if exc.errno not in {errno.EINVAL, errno.EFAULT, errno.EDOM}:
                raise
    return made


class _Attributes(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")
    )


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def confine_files(place: Path) -> None:
    """Make everything read-only but one directory, as ProtectSystem=strict does."""
    libc, here = ctypes.CDLL(None, use_errno=True), os.fsencode(place)
    _checked(libc.unshare(_CLONE_NEWNS))
    _checked(libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None))
    _checked(libc.mount(here, here, None, _MS_BIND | _MS_REC, None))
    for where, flags, change in (
        (b"/", _AT_RECURSIVE, _Attributes(_RDONLY, 0, 0, 0)),
        (here, 0, _Attributes(0, _RDONLY, 0, 0)),
    ):
        size = ctypes.c_size_t(ctypes.sizeof(change))
        number = ctypes.c_long(_SYS_MOUNT_SETATTR)
        _checked(
            libc.syscall(number, _AT_FDCWD, where, flags, ctypes.byref(change), size)
        )
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def confine(unit: Path, place: Path) -> None:
    """Take from this process, and from all that it starts, what a unit takes."""
    keys = dict(settings(unit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = min(int(keys["LimitNOFILE"]), most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.umask(int(keys["UMask"], 8))
    filters = [restrictions(unit), system_calls(unit)]
    if os.geteuid() == 0:
        confine_files(place)
    os.chdir(place)
    for each in filters:
        each.load()  # with no new privileges, as libseccomp does by default


def main() -> None:
    """Confine this process and become the program."""
    unit, place, *program = sys.argv[1:]
    confine(Path(unit), Path(place))
    os.execvp(program[0], program)  # noqa: S606 - the program is a test's own


if __name__ == "__main__":
    main()
