"""The seams: what `sync/` needs of the world, and what failure leaves behind.

Each port has a fake in `tests/fakes.py` and a contract in `tests/contracts/`
that the fake and every real adapter pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta

    from syncer.model.content import Finding, RefChange, RefSnapshot
    from syncer.model.names import RepoName
    from syncer.model.runs import (
        AuditEvent,
        Held,
        Incoming,
        Intent,
        LagSample,
        Probe,
        ProbeResult,
        Progress,
        Receipt,
        Recovery,
        RepoState,
        SyncRun,
        Trigger,
        Visit,
    )

    ProgressSink: TypeAlias = Callable[[Progress], None]


class Clock(Protocol):
    """Time, so that tests can own it."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC, for rows and display."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations and deadlines."""


class Forge(Protocol):
    """An upstream host, asked about refs.  Asking changes nothing."""

    def probe(self, name: RepoName, scope: tuple[str, ...]) -> Probe:
        """Ask which refs below the prefixes in `scope` upstream has.

        Raises:
            NotFound, Moved, AccessDenied: of the git endpoint; proves nothing
                about the repository.
            RateLimited, Unavailable, Truncated: another attempt may succeed.
            ProtocolError: the answer is not git's.
            EgressRefused: policy forbids the address.
        """


class BareRepository(Protocol):
    """One mirror's repository, held by an exclusive lease."""

    def published(self) -> RefSnapshot:
        """Return the refs consumers see, keep-refs included; empty when new."""

    def recover(self, intent: Intent | None) -> Recovery:
        """End what a crash cut in two, and sweep its leftovers.

        Refs are exactly old or new afterwards, and HEAD resolves.
        """

    def fetch(
        self,
        name: RepoName,
        target: RefSnapshot,
        *,
        scope: Sequence[str],
        accepted: Iterable[str] = (),
        progress: ProgressSink | None = None,
    ) -> Incoming:
        """Bring every object that `target` needs into the quarantine.

        No ref moves and nothing becomes servable.  A checked quarantine
        survives and is used again by the next call.  A first mirror brings
        all that `scope` covers, which may be newer than `target`.

        Raises:
            Dangerous: fsck refuses an object that is not in `accepted`.
        """

    def classify(
        self, incoming: Incoming, changes: Iterable[RefChange]
    ) -> list[RefChange]:
        """Tell REWOUND from MOVED, with the history at hand."""

    def peel(self, incoming: Incoming, changes: Iterable[RefChange]) -> RefSnapshot:
        """Return what arrived, its changed refs peeled as the objects say.

        Raises:
            IntegrityError: a tip is absent, or a branch is not a commit.
        """

    def promote(
        self,
        incoming: Incoming,
        *,
        beside: RefSnapshot | None,
        target: RefSnapshot,
    ) -> Receipt:
        """Publish `target` by one rename, durably.

        With `beside`, publish that first, move HEAD, then publish `target`.
        Cut anywhere, the refs are exactly old, beside or new.
        """

    def needs_maintenance(self, *, idle: bool = False) -> bool:
        """Return whether packs have piled up, or (when idle) none is indexed."""

    def maintain(self, *, now: datetime) -> None:
        """Roll packs together and index them; readers notice nothing."""

    def size(self) -> int:
        """Return the bytes of the repository's packs."""

    def drop_expired(
        self, now: datetime, retention: timedelta, *, dry_run: bool
    ) -> list[str]:
        """Remove keep-refs past `retention` and packs past their grace period."""


class GitStore(Protocol):
    """The bare repositories below `DATA/git`."""

    def stamp(self, path: str) -> str | None:
        """Return the identity of the published `packed-refs`, None if there is none."""

    def lease(
        self, path: str, *, wait: timedelta | None = None
    ) -> AbstractContextManager[BareRepository]:
        """Hold the mirror exclusively, over processes.

        Raises:
            Locked: another process holds it still after `wait` (default: at once).
        """

    def check_space(self) -> None:
        """Raise `NoSpace` when the store is below its floor of free space."""

    def discard(self, path: str) -> None:
        """Remove a mirror's repository for good."""


class Catalog(Protocol):
    """What we know.  One call is one transaction; no row leaves."""

    def reconcile(self, wanted: Iterable[tuple[RepoName, str]], now: datetime) -> None:
        """Make the active mirrors those of the configuration: (name, tier).

        A name that is no longer wanted becomes REMOVED; nothing is deleted.
        """

    def states(self) -> list[RepoState]:
        """Return every mirror that is configured, by name."""

    def state(self, name: RepoName) -> RepoState:
        """Return one mirror, also a removed one.

        Raises:
            UnknownMirror: there is no such row.
        """

    def set_paused(self, name: RepoName, event: AuditEvent, *, paused: bool) -> None:
        """Take a mirror out of the schedule, or back in."""

    def accept(self, name: RepoName, event: AuditEvent, *, oid: str | None) -> Held:
        """Mark what holds the mirror as accepted, or accept one object.

        Raises:
            PermanentError: nothing is held.
        """

    def purge(self, name: RepoName, event: AuditEvent) -> None:
        """Delete every row of a REMOVED mirror, its history included.

        Audit events stay.

        Raises:
            UnknownMirror: there is no such row.
            PermanentError: the mirror is still configured.
        """

    def accepted_objects(self, mirror_id: int) -> list[str]:
        """Return the object ids whose fsck findings a person accepted."""

    def flush_probes(self, results: Sequence[ProbeResult]) -> None:
        """Store unchanged probes, all in one commit."""

    def open_run(
        self,
        state: RepoState,
        trigger: Trigger,
        started: datetime,
        *,
        observed: datetime | None,
    ) -> int:
        """Start a run and, with `observed`, the lag clock; return the run's id."""

    def confirm(
        self, state: RepoState, probe: Probe, stamp: str, refs: RefSnapshot
    ) -> None:
        """Record that the published refs were found equal to upstream's.

        Like a finish without changes: no run, no generation, but the digest
        counts from here on and the lag clock stops.
        """

    def close_run(self, run: SyncRun, *, held: Held | None = None) -> None:
        """Record a run that published nothing: failed or held.

        A run with id 0 was never opened and gets its row here.  An interrupted
        one (exit code 130) does not count as a failure of upstream's.
        """

    def intend(self, intent: Intent) -> None:
        """Record what is about to be published."""

    def intent(self, mirror_id: int) -> Intent | None:
        """Return the intent that no finish has closed, if any."""

    def finish(self, intent: Intent, receipt: Receipt, run: SyncRun) -> SyncRun:
        """Record that an intent is published, with its changes and lag sample.

        Return the run with its generation.
        """

    def forget(self, intent: Intent, ended: datetime, reason: str) -> None:
        """Remove an intent whose rename never happened; its run failed."""

    def maintained(self, mirror_id: int, at: datetime, size: int) -> None:
        """Record that a repository's packs are in order."""

    def abandon_runs(self, before: datetime, reason: str) -> int:
        """Mark runs that a dead process left open as failed; return how many."""

    def run_trigger(self, run_id: int) -> Trigger:
        """Return why a run was started."""

    def unfinished(self) -> list[RepoState]:
        """Return the mirrors whose last run has neither finished nor failed."""

    def runs(self, name: RepoName | None, limit: int) -> list[SyncRun]:
        """Return the latest runs, newest first."""

    def ref_changes(
        self, name: RepoName, limit: int
    ) -> list[tuple[datetime, int, RefChange]]:
        """Return (when, generation, change), newest first."""

    def findings(self, mirror_id: int) -> list[Finding]:
        """Return what fsck reported of a mirror, by object."""

    def lag_samples(self, since: datetime) -> list[LagSample]:
        """Return the changes published since an instant, oldest first."""

    def audit(self, event: AuditEvent) -> None:
        """Append an event."""

    def audit_events(self, limit: int) -> list[AuditEvent]:
        """Return the latest events, newest first."""

    def host_capabilities(self) -> dict[str, str]:
        """Return what hosts' git servers can do, as `upstream/` wrote it."""

    def store_capabilities(self, host: str, capabilities: str, at: datetime) -> None:
        """Keep what a host's git server can do."""

    def close(self) -> None:
        """Give back connections."""


class ProbeLog(Protocol):
    """Where unchanged probes wait for their flush."""

    def add(self, result: ProbeResult) -> None:
        """Note one result; it may be flushed some seconds later."""


class Runner(Protocol):
    """What is done for one mirror, step by step."""

    def probe(self, state: RepoState, trigger: Trigger) -> Visit:
        """Ask upstream; never raises on purpose."""

    def sync(
        self,
        visit: Visit,
        trigger: Trigger,
        *,
        wait: timedelta | None = None,
        progress: ProgressSink | None = None,
    ) -> SyncRun:
        """Bring a mirror to what its probe saw; never raises on purpose."""

    def maintain(self, state: RepoState, *, idle: bool = False) -> bool:
        """Put a mirror's packs in order when they need it; True if they did."""


class WorkQueue(Protocol):
    """Runs mirrors, a bounded number at a time."""

    def submit(self, state: RepoState, trigger: Trigger) -> bool:
        """Take a mirror in hand; False if it is in hand already."""

    def busy(self) -> set[int]:
        """Return the ids of the mirrors in hand."""
