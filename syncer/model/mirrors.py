"""What is stored of a mirror: its state, and what to mirror of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import exp
from typing import TYPE_CHECKING

from syncer.model.content import DEFAULT_SCOPE
from syncer.model.lfs import LfsCounts
from syncer.model.origin import Standing
from syncer.model.releases import ReleaseState
from syncer.model.selection import ReleaseSelection

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.names import RepoName
    from syncer.model.runs import Outcome


class Activity(StrEnum):
    """Whether a mirror takes part in the schedule."""

    ACTIVE = "active"
    PAUSED = "paused"
    REMOVED = "removed"  # no longer configured; its data and rows are kept


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
    object that fsck refused; `missing` are LFS objects that upstream does not
    give, where the configuration wants them all; `identity` is the id of another
    repository that has the name now; `size` is what the mirror would come to, in
    bytes.
    """

    reason: str
    since: datetime
    deletions: tuple[str, ...] = ()
    oid: str | None = None
    accepted: bool = False
    missing: tuple[str, ...] = ()
    identity: int | None = None
    size: int | None = None


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
    #: When all its objects were searched for LFS pointers; None: not yet.
    lfs_scanned: datetime | None = None
    lfs: LfsCounts = field(default_factory=LfsCounts)
    #: Its name upstream, when that is not the configured one any more.
    upstream: RepoName | None = None
    #: What the forge's API knows it by; names change.
    node_id: str | None = None
    standing: Standing = Standing.NORMAL
    releases: ReleaseState = field(default_factory=ReleaseState)
    #: The machine that keeps its repository, where several work.
    home: str | None = None

    @property
    def stored(self) -> int:
        """Bytes that it needs: git, LFS objects and assets."""
        return self.size + self.lfs.size + self.releases.counts.size

    @property
    def source(self) -> RepoName:
        """The name that upstream is asked for."""
        return self.name if self.upstream is None else self.upstream


@dataclass(frozen=True, slots=True)
class Selection:
    """What to mirror of a repository."""

    #: Prefixes of refs.
    refs: tuple[str, ...] = DEFAULT_SCOPE
    lfs: bool = True
    #: Publish nothing while upstream does not give every LFS object.
    hold_missing: bool = False
    releases: ReleaseSelection = field(default_factory=ReleaseSelection)
    #: Publish nothing that makes it larger than this, git, LFS and assets together.
    max_size: int | None = None
