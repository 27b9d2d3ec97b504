"""Signals, acted on in a thread of their own.

A handler runs between two bytecodes of the main thread, wherever that stands, and
must not take a lock that it may hold: `Event.set` is one.  So the number goes through
a pipe (`signal.set_wakeup_fd`), also while the main thread waits inside a library.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def listen(act: Callable[[int], None], *numbers: signal.Signals) -> None:
    """Call `act` with each of these signals, for as long as the process lives.

    Only the main thread may call it; `act` is called in another.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    heard = threading.Thread(
        target=_hear, args=(reader, act, frozenset(numbers)), name="signals"
    )
    heard.daemon = True
    heard.start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, _nothing)


def _hear(reader: int, act: Callable[[int], None], wanted: frozenset[int]) -> None:
    while number := os.read(reader, 1):
        if number[0] in wanted:
            act(number[0])


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Be there, so that the signal does not do what it does by default."""
