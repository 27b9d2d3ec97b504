"""What a measurement of a store is: figures, and what they are held against.

500 MB/s and 5,000 operations a second are what a site of some hundred people needs, as
docs/sizing.md reckons.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from syncer.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes and operations a second that a store should do.
THROUGHPUT, OPERATIONS = 500e6, 5000.0
#: How often each figure is measured; the median counts.
TIMES = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: bytes or operations a second; a `target` of None is no judgement."""

    what: str
    #: How it was measured, in words.
    how: str
    value: float
    unit: str
    target: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether it is enough."""
        return self.target is None or self.value >= self.target

    @property
    def shown(self) -> str:
        """The figure as people say it."""
        if self.unit == "B/s":
            return f"{self.value / 1e6:,.0f} MB/s"
        return f"{self.value:,.0f} {self.unit}"


def middle(measure: Callable[[], float], times: int = TIMES) -> float:
    """Return the median of some measurements."""
    return median(measure() for _ in range(times))


def rate(
    act: Callable[[int], object],
    *,
    threads: int,
    seconds: float,
    stop: threading.Event,
) -> float:
    """Return how often a second `act` can be done by threads at the same time.

    It is given the number of its thread.

    Raises:
        Interrupted: `stop` was set meanwhile.
        Exception: what `act` raised.
    """
    counts = [0] * threads
    failures: list[BaseException] = []
    ends = time.monotonic() + seconds

    def work(number: int) -> None:
        try:
            while time.monotonic() < ends and not (stop.is_set() or failures):
                act(number)
                counts[number] += 1
        except BaseException as exc:  # noqa: BLE001 - raised again by who waits
            failures.append(exc)

    began = time.monotonic()
    crew = [
        threading.Thread(target=work, args=(number,), daemon=True)
        for number in range(threads)
    ]
    for each in crew:
        each.start()
    try:
        for each in crew:
            each.join()
    except BaseException:
        stop.set()
        for each in crew:
            each.join(seconds)
        raise
    check(stop)
    if failures:
        raise failures[0]
    return sum(counts) / (time.monotonic() - began)


def check(stop: threading.Event) -> None:
    """Raise `Interrupted` when we were asked to stop."""
    if stop.is_set():
        msg = "stopped on request; what was written for the measurement is removed"
        raise Interrupted(msg)
