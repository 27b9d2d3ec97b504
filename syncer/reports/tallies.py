"""Runs and changes become numbers, one at a time (the sums of a report)."""

from __future__ import annotations

from array import array
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.model.content import ChangeKind
from syncer.model.runs import Outcome
from syncer.reports.period import Delays, Reason, Received, Runs
from syncer.schedule.lag import percentile

if TYPE_CHECKING:
    from syncer.model.names import RepoName
    from syncer.model.runs import SyncRun

#: How a run ends that did not bring a mirror up to date.
FAILED = frozenset({Outcome.FAILED, Outcome.GONE})


class Changes:
    """How long published changes took: seconds, and how many were in time."""

    def __init__(self) -> None:
        self.seconds = array("d")
        self.in_time = 0

    def add(self, seconds: float, *, in_time: bool) -> None:
        """Note one change."""
        self.seconds.append(seconds)
        self.in_time += in_time

    def delays(self) -> Delays:
        """Return the percentiles, each one of the values."""
        if not self.seconds:
            return Delays()
        ordered = sorted(self.seconds)
        shares = (percentile(ordered, share) for share in (0.50, 0.95, 0.99, 1.0))
        spans = [timedelta(seconds=seconds) for seconds in shares]
        return Delays(len(ordered), self.in_time, *spans)


class Tally:
    """Runs that ended, as numbers."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self._git = self._lfs = self._assets = 0
        self.rewound = 0
        self.force_pushes = 0

    def add(self, run: SyncRun, outcome: Outcome) -> None:
        """Note one run."""
        self.outcomes[outcome] += 1
        self._git += run.received
        self._lfs += run.lfs.received
        self._assets += run.releases.received
        rewound = run.counts.get(ChangeKind.REWOUND, 0)
        self.rewound += rewound
        self.force_pushes += rewound > 0

    def runs(self) -> Runs:
        """Return what was noted."""
        known = dict(self.outcomes)
        received = Received(self._git, self._lfs, self._assets)
        return Runs(known, received, self.rewound, self.force_pushes)

    @property
    def failures(self) -> int:
        """Runs that failed."""
        return sum(self.outcomes[outcome] for outcome in FAILED)


class Failures:
    """How often one reason was given, and for which mirrors."""

    def __init__(self, example: RepoName) -> None:
        self.count = 0
        self._example = example
        self._mirrors: set[int] = set()

    def add(self, mirror_id: int) -> None:
        """Note one run."""
        self.count += 1
        self._mirrors.add(mirror_id)

    def told(self, text: str) -> Reason:
        """Return what was noted."""
        return Reason(text, self.count, len(self._mirrors), self._example)


def brought(run: SyncRun) -> Received:
    """Return the bytes that a run brought."""
    return Received(run.received, run.lfs.received, run.releases.received)
