"""What happens to a mirror: probes, runs and how they end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from syncer.model.lfs import LfsTally
from syncer.model.releases import ReleaseTally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from syncer.errors import SyncerError
    from syncer.model.content import Finding, RefChange, RefSnapshot
    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName
    from syncer.model.origin import Event
    from syncer.model.releases import Listing, ReleaseChanges


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
    TRANSFER = "transferring"
    PROMOTE = "promoting"
    RECORD = "recording"


class Trigger(StrEnum):
    """Why a run started."""

    SCHEDULE = "schedule"
    COMMAND = "command"


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
    #: Start of a listing that showed the releases unchanged, too.
    listed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step is; `total` is 0 while unknown, rates in bytes/s.

    For LFS objects and assets `done` and `total` are bytes, and `items` says how
    many are done of how many, `current` which large one is on its way and how far.
    """

    step: str
    done: int = 0
    total: int = 0
    received: int = 0
    rate: float = 0.0
    items: tuple[int, int] | None = None
    current: tuple[str, int, int] | None = None


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
    #: What becomes of the releases with the same finish; None: nothing.
    releases: ReleaseChanges | None = None
    #: What the audit trail is told with it.
    events: tuple[Event, ...] = ()


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
    lfs: LfsTally = field(default_factory=LfsTally)
    releases: ReleaseTally = field(default_factory=ReleaseTally)
    #: The machine it took place on, where several work.
    machine: str | None = None

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
    #: The releases, where they were due and are not all as we know them.
    listing: Listing | None = None
    #: Why the releases, which were due, could not be listed.
    unlisted: SyncerError | None = None


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


class Published(NamedTuple):
    """The same, where only its delay counts: of a month there are 250,000."""

    mirror_id: int
    observed: datetime
    published: datetime


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something a person or the program did that somebody may ask about."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: str = ""
    #: Whether it asks for a person.
    alarming: bool = False
