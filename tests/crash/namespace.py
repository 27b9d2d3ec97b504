"""One point: the operation in a PID namespace, and its end.

Runs in a child of the warm server, which is outside of the namespace.  Kills
nothing but the namespace's first process, which it started: the kernel then
kills all the others, whatever sessions and process groups they made.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tests.crash import kernel
from tests.crash.listener import Listener, Notice

if TYPE_CHECKING:
    from collections.abc import Callable

    Operation: TypeAlias = Callable[[Path], object]

_SLICE_MS = 200


@dataclass(frozen=True, slots=True)
class Order:
    """What to do at which point.

    `at` counts from 1, -1 never stops.  `mount` is cut off for mode `power`.
    `trace` asks for a description of every call.
    """

    world: str
    log: str
    at: int
    timeout: float
    mode: str = "kill"
    errno: int = 0
    mount: str = ""
    trace: bool = False


@dataclass(slots=True)
class Report:
    """What happened."""

    count: int = 0
    call: str | None = None
    exit: int | None = None
    timed_out: bool = False
    problem: str | None = None
    calls: list[str] = field(default_factory=list)


def carry_out(order: Order, operation: Operation) -> Report:
    """Run `operation` up to the point; every process of it has ended then."""
    report = Report()
    ours, theirs = socket.socketpair()
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        _leave()
        first = os.fork()
        if first == 0:
            _be_first(order, operation, theirs, log)
        theirs.close()
        _Watch(order, report, first, log).follow(ours)
    except OSError as exc:
        report.problem = str(exc)
    finally:
        ours.close()
        os.close(log)
    return report


def _leave() -> None:
    """Let the next child be the first of a PID namespace."""
    kernel.die_with_parent()
    if os.geteuid() == 0:
        kernel.unshare(kernel.CLONE_NEWPID)
        return
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID)
    kernel.map_own_ids(uid, gid)


@dataclass(frozen=True, slots=True)
class _Watch:
    """Answers for one operation until it has ended."""

    order: Order
    report: Report
    first: int
    log: int

    def follow(self, channel: socket.socket) -> None:
        ended = os.pidfd_open(self.first)
        try:
            _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
            if descriptors:
                channel.sendall(b"g")
                if not self._answer(Listener(descriptors[0]), ended):
                    select.select([ended], [], [], self.order.timeout)
                os.close(descriptors[0])
            else:
                self.report.problem = "the filter was not installed; see the output"
        finally:
            self._end(ended)

    def _answer(self, listener: Listener, ended: int) -> bool:
        """Return whether the operation is to be cut here."""
        output = os.fstat(self.log)
        ignored = (output.st_dev, output.st_ino)
        deadline = time.monotonic() + self.order.timeout
        for notice in listener.notices(ended, _SLICE_MS):
            if time.monotonic() > deadline:
                self.report.timed_out = True
                return True
            if notice is None:
                continue
            if notice.changes(ignored) and self._reached(notice):
                if not self.order.errno:
                    return True
                listener.refuse(notice, self.order.errno)
            else:
                listener.allow(notice)
        # No process is left that the filter could stop; the first one follows.
        return False

    def _reached(self, notice: Notice) -> bool:
        self.report.count += 1
        reached = self.report.count == self.order.at
        if reached or self.order.trace:
            words = notice.describe()
            self.report.calls += [words] if self.order.trace else []
            self.report.call = words if reached else self.report.call
        return reached

    def _end(self, ended: int) -> None:
        """Cut the power, then kill; in this order, so that nobody tidies up."""
        try:
            if self.order.mode == "power":
                kernel.cut_power(Path(self.order.mount))
            signal.pidfd_send_signal(ended, signal.SIGKILL)
        except ProcessLookupError:
            pass
        finally:
            os.close(ended)
        _, status = os.waitpid(self.first, 0)
        if os.WIFEXITED(status):
            self.report.exit = os.WEXITSTATUS(status)


def _be_first(
    order: Order, operation: Operation, channel: socket.socket, log: int
) -> None:
    """Be the namespace's process 1: start the operation, reap, end with it."""
    code = 70
    try:
        kernel.die_with_parent()
        _look_alive()
        worker = os.fork()
        if worker == 0:
            _work(order, operation, channel, log)
        channel.close()
        while True:
            pid, status = os.wait()
            if pid == worker:
                code = os.waitstatus_to_exitcode(status)
                break
    finally:
        # A process 1 that ends takes the rest of its namespace with it.
        os._exit(code if code >= 0 else 128 - code)


def _look_alive() -> None:
    """Show the namespace's own processes in `/proc`, under unusual numbers.

    A recovery outside of the namespace must not take a process of ours for the
    one that left a lock, so the numbers do not collide.
    """
    with contextlib.suppress(OSError, ValueError):
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount_proc()
    with contextlib.suppress(OSError, ValueError):
        most = int(Path("/proc/sys/kernel/pid_max").read_text())
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(most - most // 8))


def _work(order: Order, operation: Operation, channel: socket.socket, log: int) -> None:
    """Be the operation."""
    code = 1
    try:
        os.setsid()
        _redirect(log)
        listener = kernel.install_filter()
        socket.send_fds(channel, [b"f"], [listener])
        os.close(listener)
        if channel.recv(1):
            channel.close()
            operation(Path(order.world))
            code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001  the traceback is the report's output
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(log: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
