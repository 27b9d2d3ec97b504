"""Threads for what requests ask of the catalog and of disks: few, and bounded.

They are apart from those of runs, so that no number of readers keeps a run waiting,
and few, since each that computes holds up everybody else in the process.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from queue import Full, Queue
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class Crowded(Exception):
    """As much waits already as may wait; nothing was begun."""


class _Work(NamedTuple):
    future: Future[object]
    call: Callable[[], object]

    def do(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.call()
        except BaseException as exc:  # noqa: BLE001 - whoever waits is told
            self.future.set_exception(exc)
        else:
            self.future.set_result(result)


class Desk(Executor):
    """Some threads, and a short queue before them.

    They are daemon threads: a database that never answers keeps no process alive.
    """

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self._queue: Queue[_Work | None] = Queue(maxsize=waiting)
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Have `fn` called by the next free thread.

        Raises:
            Crowded: the queue is full.
        """
        future: Future[T] = Future()
        try:
            self._queue.put_nowait(_Work(future, lambda: fn(*args, **kwargs)))  # type: ignore[arg-type] # a future of T takes what fn returns
        except Full:
            raise Crowded from None
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the base's signature
        """Begin nothing more; with `wait`, until what runs has ended."""
        if cancel_futures:
            while not self._queue.empty():
                work = self._queue.get()
                if work is not None:
                    work.future.cancel()
        for _ in self._threads:
            try:
                self._queue.put_nowait(None)
            except Full:  # a thread that hangs has it full; it is a daemon
                break
        for thread in self._threads if wait else ():
            thread.join()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            work.do()
            del work  # or its result would be kept until the next one comes
