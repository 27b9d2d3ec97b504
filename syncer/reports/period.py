"""What happened in a span of time, as every form of the report tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from syncer.model.incidents import Kind
    from syncer.model.names import RepoName
    from syncer.model.runs import Outcome, Word
    from syncer.model.storage import Usage
    from syncer.reports.breaches import Record
    from syncer.reports.spans import Span


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report is to tell of, and when it is made."""

    period: Span
    now: datetime
    #: The one tier that is asked for; None: all.
    tier: str | None = None


@dataclass(frozen=True, slots=True)
class Delays:
    """How long changes took from being seen to being published.

    The percentiles are None when nothing was published.
    """

    count: int = 0
    #: Those that were published within their mirror's target.
    in_time: int = 0
    p50: timedelta | None = None
    p95: timedelta | None = None
    p99: timedelta | None = None
    worst: timedelta | None = None

    @property
    def share(self) -> float | None:
        """The share of changes published in time; None when there were none."""
        return self.in_time / self.count if self.count else None


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes that runs brought, by kind."""

    git: int = 0
    lfs: int = 0
    assets: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.git + self.lfs + self.assets

    def __add__(self, other: Received) -> Received:
        return Received(
            self.git + other.git, self.lfs + other.lfs, self.assets + other.assets
        )


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs that ended, by how; those that found nothing new leave no record."""

    by_outcome: Mapping[Outcome, int] = field(default_factory=dict)
    received: Received = field(default_factory=Received)
    #: Refs that upstream rewound, and the runs that brought them.
    rewound: int = 0
    force_pushes: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.by_outcome.values())


@dataclass(frozen=True, slots=True)
class MirrorReport:
    """One mirror in a period."""

    name: RepoName
    tier: str
    target: timedelta
    #: How it is now, and how far behind.
    word: Word
    lag: timedelta
    delays: Delays
    record: Record
    runs: Runs
    failures: int
    #: Incidents of lost or wrong bytes that began.
    integrity: int
    stored: Usage


@dataclass(frozen=True, slots=True)
class TierReport:
    """The mirrors of one tier together."""

    tier: str
    target: timedelta
    mirrors: int
    delays: Delays
    record: Record
    #: Whose breach was the longest.
    slowest: RepoName | None
    runs: int
    received: Received
    failures: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why runs failed: alike but for names and ids."""

    text: str
    count: int
    #: How many mirrors it was, and one of them.
    mirrors: int
    example: RepoName


@dataclass(frozen=True, slots=True)
class Trouble:
    """Incidents of one kind and subject: the longest of them, and how many."""

    kind: Kind
    subject: str
    began: datetime
    lasted: timedelta
    is_open: bool
    is_event: bool
    detail: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Drawn:
    """LFS bytes that were taken from one owner's repositories upstream.

    GitHub counts them against the owner's allowance of a month.
    """

    owner: str  # HOST/OWNER
    count: int


@dataclass(frozen=True, slots=True)
class Disk:
    """How full one machine's store is, and how it goes on."""

    machine: str
    at: datetime
    free: int
    capacity: int
    floor: int
    #: Bytes a day; None while it cannot be told.
    growth: float | None
    #: How long from `at` until the floor; None: not in sight.
    full: timedelta | None
    #: (when, bytes that are not free), thinned for a chart.
    course: tuple[tuple[datetime, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """How lag and bytes went, bucket by bucket, the empty ones included."""

    lag_width: timedelta
    lag: tuple[tuple[datetime, Mapping[str, Delays]], ...]
    bytes_width: timedelta
    received: tuple[tuple[datetime, Received], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What happened in a period; mirrors and trouble the worst first."""

    at: datetime
    period: Span
    #: The one tier that was asked for; None: all.
    tier: str | None
    tiers: tuple[TierReport, ...]
    mirrors: tuple[MirrorReport, ...]
    #: Of all runs, also of mirrors that are no longer configured unless a tier was
    #: asked for.
    runs: Runs
    failures: int
    reasons: tuple[Reason, ...]
    trouble: tuple[Trouble, ...]
    #: Alarming audit events, by action.
    alarms: Mapping[str, int]
    drawn: tuple[Drawn, ...]
    usage: Usage
    #: By how much that grew between the first and the last sample of the period.
    growth: Usage | None
    disks: tuple[Disk, ...]
    course: Course
