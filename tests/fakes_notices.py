"""A channel that keeps what it is told, and can be dead or slow."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from syncer.errors import Unavailable

if TYPE_CHECKING:
    from syncer.model.notices import Notice


class FakeChannel:
    """A `ports.Channel` without a service."""

    service = "fake"

    def __init__(self, name: str = "ops") -> None:
        self.name = name
        self.taken: list[Notice] = []
        #: Messages that it does not take, whatever they are.
        self.refusals = 0
        #: Cleared, it keeps whoever sends waiting.
        self.awake = threading.Event()
        self.awake.set()

    def send(self, notice: Notice) -> None:
        """Keep a notice."""
        self.awake.wait(30)
        if self.refusals:
            self.refusals -= 1
            msg = f"the channel {self.name} did not take a message: it is dead"
            raise Unavailable(msg)
        self.taken.append(notice)

    @property
    def titles(self) -> list[str]:
        """The titles of what it took."""
        return [notice.title for notice in self.taken]
