"""What happens to a mirror: states, probes, runs and how they end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import exp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from syncer.model.content import Finding, RefChange, RefSnapshot
    from syncer.model.names import RepoName


class Outcome(StrEnum):
    """How a run ended."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    PARTIAL = "partial"
    HELD = "held"
    FAILED = "failed"
    GONE = "gone"


class Stage(StrEnum):
    """The steps of a run, in order."""

    PROBE = "probing"
    FETCH = "fetching"
    PROMOTE = "promoting"
    RECORD = "recording"


class Trigger(StrEnum):
    """Why a run started."""

    SCHEDULE = "schedule"
    COMMAND = "command"


class Activity(StrEnum):
    """Whether a mirror takes part in the schedule."""

    ACTIVE = "active"
    PAUSED = "paused"
    REMOVED = "removed"  # no longer configured; its data and rows are kept


class Word(StrEnum):
    """The words a person sees for a mirror, the same everywhere."""

    OK = "OK"
    LATE = "LATE"
    PARTIAL = "PARTIAL"
    FAIL = "FAIL"
    HELD = "HELD"
    PAUSED = "PAUSED"
    GONE = "GONE"
    NEW = "NEW"  # configured, never mirrored yet


@dataclass(frozen=True, slots=True)
class PushRate:
    """Decayed counts of observed changes, and when they were brought up to date.

    Three exponential windows, as `schedule/due.py` weighs them.
    """

    hour: float = 0.0
    day: float = 0.0
    fortnight: float = 0.0
    at: datetime | None = None

    def decayed(self, at: datetime) -> PushRate:
        """Return the counts as they weigh at `at`: an exp(-1) part a window later."""
        if self.at is None or at <= self.at:
            return self
        passed = (at - self.at).total_seconds()
        return PushRate(
            self.hour * exp(-passed / 3600),
            self.day * exp(-passed / 86_400),
            self.fortnight * exp(-passed / (14 * 86_400)),
            at,
        )

    def bumped(self, at: datetime) -> PushRate:
        """Return the counts with one more change, seen at `at`."""
        rate = self.decayed(at)
        return PushRate(rate.hour + 1, rate.day + 1, rate.fortnight + 1, rate.at or at)


@dataclass(frozen=True, slots=True)
class Held:
    """Why a mirror waits for `syncer accept`, and what was accepted of it.

    `deletions` are the refs whose disappearance tripped the guard; `oid` is an
    object that fsck refused.
    """

    reason: str
    since: datetime
    deletions: tuple[str, ...] = ()
    oid: str | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class RepoState:
    """All that is stored of one mirror; instants are UTC."""

    id: int
    name: RepoName
    path: str  # of the bare repository below DATA/git; never changes
    tier: str
    activity: Activity = Activity.ACTIVE
    #: Digest of the probe reply that the last finish row covers.
    fingerprint: str | None = None
    #: What that reply was asked for; a changed question makes it worthless.
    asked: str | None = None
    #: Identity of the `packed-refs` that we wrote; another makes it worthless.
    stamp: str | None = None
    head: str | None = None
    ref_count: int = 0
    generation: int = 0
    outcome: Outcome | None = None
    error: str | None = None
    #: Runs that failed in a row.
    failures: int = 0
    #: Start of the last attempt, whatever came of it.
    last_attempt: datetime | None = None
    #: Start of the last probe after which we knew to be equal: the bound of staleness.
    last_success: datetime | None = None
    #: When the oldest upstream change that is not yet published was first seen.
    behind_since: datetime | None = None
    last_change: datetime | None = None
    #: Upstream asked not to be visited before this.
    not_before: datetime | None = None
    rate: PushRate = field(default_factory=PushRate)
    held: Held | None = None
    #: Packs that arrived since the last maintenance.
    packs: int = 0
    maintained: datetime | None = None
    added: datetime | None = None
    #: Bytes of the bare repository when it was last measured.
    size: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """What upstream answered about its refs.

    `digest` covers the reply byte for byte; `asked` names the question.  The
    reply is parsed only when somebody calls `read`.
    """

    digest: str
    asked: str
    started: datetime
    read: Callable[[], RefSnapshot]
    symref_known: bool = True


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """An unchanged probe, as it is flushed in batches."""

    mirror_id: int
    started: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far git is with one step; `total` is 0 while unknown, rates in bytes/s."""

    step: str
    done: int = 0
    total: int = 0
    received: int = 0
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Incoming:
    """What is in a quarantine: checked, complete, and named by no ref."""

    target: RefSnapshot
    #: Whether `target` is what was asked for; a first mirror may see newer refs.
    exact: bool
    findings: tuple[Finding, ...] = ()
    objects: int = 0
    received: int = 0  # bytes of packs
    first: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a promotion is durable; only a store's barrier hands it out."""

    #: Identity of the published `packed-refs`, cheap to compare later.
    stamp: str
    #: The sha256 of the published `packed-refs`.
    fingerprint: str
    #: Bytes of the repository's packs.
    size: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """What recovery found: a receipt if a dead run had published, and leftovers."""

    finished: Receipt | None
    swept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """What a run is about to publish, recorded before any ref moves.

    The fingerprints are of `packed-refs`: before, beside (the renamed default
    branch under both names) and after.
    """

    run_id: int
    mirror_id: int
    old: str
    beside: str | None
    new: str
    head: str | None
    changes: tuple[RefChange, ...]
    #: What the finish row stores when the rename is found to have happened.
    fingerprint: str | None
    asked: str | None
    observed: datetime
    probed: datetime
    ref_count: int
    first: bool


@dataclass(frozen=True, slots=True)
class SyncRun:
    """One attempt for one mirror."""

    id: int
    mirror_id: int
    name: RepoName
    trigger: Trigger
    started: datetime
    stage: Stage = Stage.PROBE
    outcome: Outcome | None = None  # None while it is running
    ended: datetime | None = None
    error: str | None = None
    hint: str | None = None
    exit_code: int = 0
    retry_after: timedelta | None = None
    #: Counted ref changes by kind.
    counts: Mapping[str, int] = field(default_factory=dict)
    objects: int = 0
    received: int = 0
    generation: int = 0
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def reached(self, stage: Stage) -> SyncRun:
        """Return the run one stage further."""
        return replace(self, stage=stage)

    @property
    def took(self) -> timedelta | None:
        """How long the run lasted, once it has ended."""
        return None if self.ended is None else self.ended - self.started


@dataclass(frozen=True, slots=True)
class Visit:
    """What a probe found, and so what is left to do: nothing when `run` is set."""

    state: RepoState
    started: datetime
    probe: Probe | None = None
    run: SyncRun | None = None


@dataclass(frozen=True, slots=True)
class LagSample:
    """One observed change, from the moment we saw it until consumers did."""

    mirror_id: int
    name: RepoName
    component: str
    observed: datetime
    published: datetime
    #: The last probe before it was seen: the change happened after this.
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something a person or the program did that somebody may ask about."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: str = ""
