"""Values that take long to make: made by one at a time, shown for some seconds.

Ten readers that come at once share one making.  One that takes too long goes on
without them, and the next reader finds it made.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.web.desk import Desk
    from syncer.web.view import View

T = TypeVar("T")


@dataclass(frozen=True)
class _Made(Generic[T]):
    value: T
    view: View
    until: float


class Kept(Generic[T]):
    """One value of one view; to be used in the event loop alone.

    `make` is called by a thread of the desk, with the view and the value before.
    """

    def __init__(
        self,
        desk: Desk,
        make: Callable[[View, T | None], T],
        *,
        lasting: float,
        deadline: float,
    ) -> None:
        self._desk = desk
        self._make = make
        self._lasting = lasting
        self._deadline = deadline
        self._made: _Made[T] | None = None
        self._making: tuple[View, asyncio.Future[T]] | None = None

    async def get(self, view: View) -> T:
        """Return the value, at most some seconds old.

        Raises:
            TimeoutError: it is still being made after the deadline.
            Crowded: too much waits to be made.
        """
        made = self._made
        loop = asyncio.get_running_loop()
        if made is not None and made.view is view and loop.time() < made.until:
            return made.value
        if self._making is None or self._making[0] is not view:
            before = None if made is None else made.value
            future = loop.run_in_executor(self._desk, self._make, view, before)
            self._making = view, future
            future.add_done_callback(lambda done: self._store(view, done))
        return await asyncio.wait_for(asyncio.shield(self._making[1]), self._deadline)

    def _store(self, view: View, done: asyncio.Future[T]) -> None:
        latest = self._making is not None and self._making[1] is done
        if latest:
            self._making = None
        # Asked for its exception even when nobody waits any more.
        if not done.cancelled() and done.exception() is None and latest:
            until = done.get_loop().time() + self._lasting
            self._made = _Made(done.result(), view, until)
