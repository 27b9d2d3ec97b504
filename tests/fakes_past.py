"""What happened, in memory: what `FakeCatalog` keeps and `FakeOperations` tells."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from syncer.catalog import counting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from syncer.model.content import RefChange
    from syncer.model.runs import AuditEvent, Intent, LagSample, SyncRun


@dataclass
class Past:
    """Runs, lag, ref changes, events and counters."""

    runs: dict[int, SyncRun] = field(default_factory=dict)
    intents: dict[int, Intent] = field(default_factory=dict)
    changes: list[tuple[int, datetime, int, RefChange]] = field(default_factory=list)
    #: Runs that ref changes tell of.
    telling: set[int] = field(default_factory=set)
    samples: list[LagSample] = field(default_factory=list)
    events: dict[int, AuditEvent] = field(default_factory=dict)
    counters: dict[tuple[str, str], float] = field(
        default_factory=lambda: defaultdict(float)
    )
    #: Samples of the run that is ending.
    _measured: list[LagSample] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def tell(self, events: Iterable[AuditEvent]) -> None:
        """Append events."""
        self.events.update((next(self._ids), each) for each in events)

    def add(self, amounts: Mapping[tuple[str, str], float]) -> None:
        """Add to counters."""
        for key, amount in amounts.items():
            self.counters[key] += amount

    def measure(self, sample: LagSample) -> None:
        """Append a lag sample of the run that is ending."""
        self.samples.append(sample)
        self._measured.append(sample)

    def count(self, run: SyncRun) -> None:
        """Count the end of a run, with its samples."""
        self.add(counting.ended(run, self._measured))
        self._measured = []

    def purge(self, mirror_id: int) -> None:
        """Forget a mirror; events and counters stay."""
        self.intents.pop(mirror_id, None)
        gone = {id_ for id_, run in self.runs.items() if run.mirror_id == mirror_id}
        self.runs = {id_: run for id_, run in self.runs.items() if id_ not in gone}
        self.telling -= gone
        self.changes = [each for each in self.changes if each[0] != mirror_id]
        self.samples = [each for each in self.samples if each.mirror_id != mirror_id]
