"""Unchanged probes wait here and are flushed in batches.

Losing some seconds of them is harmless: the mirrors are probed again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.runs import ProbeResult
    from syncer.ports import Catalog

#: So many results are one commit.
BATCH = 500


class ProbeBuffer:
    """A `ProbeLog` that costs one commit for hundreds of probes."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._results: dict[int, ProbeResult] = {}

    def add(self, result: ProbeResult) -> None:
        """Note one result; a full batch is flushed at once."""
        with self._lock:
            self._results[result.mirror_id] = result
            full = len(self._results) >= BATCH
        if full:
            self.flush()

    def pending(self) -> dict[int, datetime]:
        """Return when mirrors were probed that the catalog does not know of yet."""
        with self._lock:
            return {r.mirror_id: r.started for r in self._results.values()}

    def flush(self) -> None:
        """Store what waits; what cannot be stored waits on."""
        with self._lock:
            taken, self._results = self._results, {}
        if not taken:
            return
        try:
            self._catalog.flush_probes(list(taken.values()))
        except BaseException:
            with self._lock:
                self._results = {**taken, **self._results}
            raise
