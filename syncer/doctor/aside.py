"""Several questions at once, none of which is waited for too long."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    _T = TypeVar("_T")

#: Seconds for one host of several; a check has some more.
PATIENCE = 8.0


def answers(
    questions: Sequence[Callable[[], _T]], seconds: float | None = None
) -> list[_T | None]:
    """Return the answers in the order of the questions; None where none came.

    Raises:
        Exception: what a question raised, the first of them.
    """
    found: list[_T | None] = [None] * len(questions)
    failures: list[BaseException] = []

    def ask(number: int) -> None:
        try:
            found[number] = questions[number]()
        except BaseException as exc:  # noqa: BLE001 - raised again by who waits
            failures.append(exc)

    threads = [
        threading.Thread(target=ask, args=(number,), daemon=True)
        for number in range(len(questions))
    ]
    ends = time.monotonic() + (PATIENCE if seconds is None else seconds)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    if failures:
        raise failures[0]
    return found.copy()
