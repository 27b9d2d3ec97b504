"""Threads for transfers: a number in all, and of each host.

Hosts take turns, the tasks of one host run in the order they came in: none lives
off another, and small objects and large ones wait alike.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

#: Seconds that `close` waits for tasks that do not see that they should end.
_GRACE = 5.0


class Task(NamedTuple):
    """Work for a thread, and whose it is; it must not raise."""

    owner: object
    work: Callable[[], None]


class Lanes:
    """Runs tasks in threads of its own, made when they are first needed."""

    def __init__(self, workers: int, width: Callable[[str], int]) -> None:
        """Run `workers` tasks at once, at most `width(host)` of them of one host."""
        self._workers = workers
        self._width_of = width
        self._widths: dict[str, int] = {}
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Task]] = {}
        self._active: Counter[str] = Counter()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def submit(self, host: str, task: Task, *, first: bool = False) -> None:
        """Have a task run as soon as its host has a free lane.

        With `first`, before those of its host that wait already.

        Raises:
            Interrupted: `close` was called.
        """
        with self._changed:
            if self._closed:
                msg = "no transfer begins while the process ends"
                raise Interrupted(msg)
            waiting = self._waiting.setdefault(host, deque())
            if first:
                waiting.appendleft(task)
            else:
                waiting.append(task)
            if self._is_free(host):
                self._wake()

    def drop(self, owner: object) -> int:
        """Forget the tasks of an owner that have not begun; return how many."""
        dropped = 0
        with self._changed:
            for host, waiting in list(self._waiting.items()):
                kept = deque(task for task in waiting if task.owner is not owner)
                dropped += len(waiting) - len(kept)
                self._keep(host, kept)
        return dropped

    def close(self) -> None:
        """Begin nothing more, and wait until what runs has ended."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        deadline = monotonic() + _GRACE
        for thread in self._threads:
            thread.join(max(deadline - monotonic(), 0.0))
        stuck = sum(thread.is_alive() for thread in self._threads)
        if stuck:
            log.warning("transfers did not end in time", extra={"threads": stuck})

    def _wake(self) -> None:
        """See that a thread looks for work; called with the lock held."""
        if self._idle:
            # Counted here: it is no longer idle, though it has yet to run.
            self._idle -= 1
            self._changed.notify()
        elif len(self._threads) < self._workers:
            name = f"transfer-{len(self._threads)}"
            # A thread that a server keeps must not keep the process.
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        """Run tasks.

        A lane becomes free only here, where the next task is looked for at once:
        nobody else has to be woken for it.
        """
        host: str | None = None
        while True:
            with self._changed:
                if host is not None:
                    self._active[host] -= 1
                taken = self._next()
                while taken is None:
                    if self._closed:
                        return
                    self._idle += 1
                    self._changed.wait()
                    taken = self._next()
                host, task = taken
            task.work()

    def _next(self) -> tuple[str, Task] | None:
        """Take the next task; called with the lock held."""
        for host, waiting in self._waiting.items():
            if self._is_free(host):
                task = waiting.popleft()
                self._active[host] += 1
                # To the end of the queue of hosts, if it has more.
                del self._waiting[host]
                self._keep(host, waiting)
                return host, task
        return None

    def _keep(self, host: str, waiting: deque[Task]) -> None:
        if waiting:
            self._waiting[host] = waiting
        else:
            self._waiting.pop(host, None)

    def _is_free(self, host: str) -> bool:
        if host not in self._widths:
            self._widths[host] = max(self._width_of(host), 1)
        return self._active[host] < self._widths[host]
