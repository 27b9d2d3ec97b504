"""What one run has threads do, and what follows from it in the calling thread."""

from __future__ import annotations

from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from syncer.sync.transfer.lanes import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.sync.transfer.inhand import InHand
    from syncer.sync.transfer.lanes import Lanes

_T = TypeVar("_T")

#: Calls that are made before anything else is looked at.
_CALLS = 100


class Crew:
    """The open tasks of one run; each ends by one call that it hands back.

    Owns what it has submitted to `Lanes` and what it has waiting in `InHand`.
    """

    def __init__(self, lanes: Lanes, in_hand: InHand, host: str) -> None:
        self._lanes = lanes
        self._in_hand = in_hand
        self._host = host
        self._open = 0
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def __len__(self) -> int:
        """Return how many tasks have not ended, as far as the caller has seen."""
        return self._open

    def add(self, work: Callable[[], None]) -> None:
        """Have a task done, after those that wait; it must not raise."""
        self._lanes.submit(self._host, Task(self, work))
        self._open += 1

    def resume(self, work: Callable[[], None]) -> None:
        """Go on with an open task, before those that wait; from any thread."""
        self._lanes.submit(self._host, Task(self, work), first=True)

    def ask(
        self,
        work: Callable[[], _T],
        then: Callable[[_T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Have a question asked, before the tasks that wait."""

        def run() -> None:
            try:
                found = work()
            except BaseException as exc:  # noqa: BLE001 - the calling thread has it
                self.hand_back(partial(failed, exc))
            else:
                self.hand_back(partial(then, found))

        self.resume(run)
        self._open += 1

    def hand_back(self, call: Callable[[], None]) -> None:
        """End a task by a call for the calling thread; from any thread."""
        self._calls.put(call)

    def take(self, patience: float) -> None:
        """Make the calls that were handed back; wait some seconds for the first."""
        try:
            self._make(self._calls.get(timeout=patience))
            for _ in range(_CALLS):
                self._make(self._calls.get_nowait())
        except Empty:
            pass

    def drop(self) -> None:
        """Give up the tasks that have not begun, or that wait for another run."""
        self._open -= self._lanes.drop(self) + self._in_hand.drop(self)

    def _make(self, call: Callable[[], None]) -> None:
        self._open -= 1
        call()
