"""What a load cost: times of single operations, and what they add up to."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Row:
    """One load: how often, how fast, at what cost."""

    what: str
    count: int
    errors: int
    per_second: float
    mb_per_second: float
    #: Milliseconds that half, nineteen of twenty, and all but one in a hundred took.
    p50: float
    p95: float
    p99: float
    #: Processors that were busy with it, and the most memory: of the program itself.
    cpu: float | None
    rss_mib: float | None


@dataclass(slots=True)
class Clock:
    """Takes the time of many operations in many threads."""

    took: list[float]
    bytes: int = 0
    errors: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, operation: Callable[[], int]) -> None:
        """Run an operation, which returns the bytes it moved."""
        start = time.perf_counter()
        try:
            moved = operation()
        except (OSError, HTTPException, subprocess.CalledProcessError) as error:
            self.failed(error)
        else:
            self.took.append(time.perf_counter() - start)
            with self._lock:
                self.bytes += moved

    def failed(self, error: Exception) -> None:
        """Count an operation that failed; the first is told."""
        with self._lock:
            if not self.errors:
                print(f"the first error: {error}", file=sys.stderr)
            self.errors += 1

    def row(
        self, what: str, elapsed: float, cost: tuple[float, float] | None = None
    ) -> Row:
        """Return what it saw; `cost` is seconds of processor time, and MiB."""
        ranked = sorted(self.took) or [0.0]
        half, most, nearly = (
            1000 * ranked[min(len(ranked) - 1, int(len(ranked) * share))]
            for share in (0.5, 0.95, 0.99)
        )
        return Row(
            what=what,
            count=len(self.took),
            errors=self.errors,
            per_second=len(self.took) / elapsed,
            mb_per_second=self.bytes / elapsed / 1e6,
            p50=half,
            p95=most,
            p99=nearly,
            cpu=None if cost is None else cost[0] / elapsed,
            rss_mib=None if cost is None else cost[1],
        )
