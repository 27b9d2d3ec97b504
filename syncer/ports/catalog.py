"""What we know.  One call is one transaction; no row leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from syncer.model.content import Finding, RefChange, RefSnapshot
    from syncer.model.mirrors import Held, RepoState
    from syncer.model.names import RepoName
    from syncer.model.origin import Event
    from syncer.model.releases import ReleaseChanges
    from syncer.model.runs import (
        AuditEvent,
        Intent,
        LagSample,
        Outcome,
        Probe,
        ProbeResult,
        Published,
        Receipt,
        SyncRun,
        Trigger,
    )


class Catalog(Protocol):
    """What we know.  One call is one transaction; no row leaves.

    It writes for one machine, or, where only one works, for none in particular.  Of
    a mirror that another machine keeps, or none yet, whatever records a visit raises
    `Locked` and changes nothing; unchanged probes are left out.
    """

    def reconcile(
        self,
        wanted: Iterable[tuple[RepoName, str]],
        now: datetime,
        homes: Mapping[str, str] | None = None,
    ) -> None:
        """Make the active mirrors those of the configuration: (name, tier).

        A name that is no longer wanted becomes REMOVED; nothing is deleted.
        `homes` are machines by identity: where a mirror goes that was never
        mirrored; it moves none.
        """

    def place(self, homes: Mapping[int, str]) -> None:
        """Give homes to mirrors that have none; the others stay where they are."""

    def rehome(
        self, state: RepoState, home: str, event: AuditEvent, *, stamp: str | None
    ) -> None:
        """Let a mirror live on another machine, if it is still as `state` has it.

        `stamp` is that of the repository there; None: there is none, and all that
        was known of the old one is forgotten.

        Raises:
            Locked: it was published or moved since; nothing was changed.
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

        Also another repository's identity: the next run takes it over.

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

        Its release changes become visible in the same transaction, and have a lag
        sample of their own.  Return the run with its generation.
        """

    def publish_releases(
        self, run: SyncRun, changes: ReleaseChanges, events: Sequence[Event]
    ) -> SyncRun:
        """Make release changes visible that no ref change goes with, and end the run.

        One generation more, one lag sample; what is known of the refs stays.
        Return the run with its generation.

        Raises:
            PermanentError: a PRESENT asset's blob, or an attestation, is not known to
                be stored and right; nothing was published.
        """

    def forget(self, intent: Intent, ended: datetime, reason: str) -> None:
        """Remove an intent whose rename never happened; its run failed."""

    def maintained(self, mirror_id: int, at: datetime, size: int) -> None:
        """Record that a repository's packs are in order."""

    def abandon_runs(self, mirror_id: int, ended: datetime, reason: str) -> int:
        """Mark the open runs of a mirror as failed; return how many there were.

        For whoever holds the mirror's lease: what is open then is dead.
        """

    def run_trigger(self, run_id: int) -> Trigger:
        """Return why a run was started."""

    def unfinished(self) -> list[RepoState]:
        """Return the mirrors kept here whose last run has not ended."""

    def runs(
        self,
        name: RepoName | None,
        limit: int,
        *,
        since: datetime | None = None,
        outcome: Outcome | None = None,
    ) -> list[SyncRun]:
        """Return the latest runs, newest first.

        With `since` those that ended since, or are going on; with `outcome` those
        that ended so.
        """

    def ref_changes(
        self, name: RepoName, limit: int
    ) -> list[tuple[datetime, int, RefChange]]:
        """Return (when, generation, change), newest first."""

    def findings(self, mirror_id: int) -> list[Finding]:
        """Return what fsck reported of a mirror, by object."""

    def lag_samples(self, since: datetime) -> list[LagSample]:
        """Return the changes published since an instant, oldest first."""

    def published(self, since: datetime) -> list[Published]:
        """Return the same in no order, and only when each was seen and published."""

    def audit(self, event: AuditEvent) -> None:
        """Append an event."""

    def audit_events(
        self,
        limit: int,
        *,
        subject: str | None = None,
        since: datetime | None = None,
    ) -> list[AuditEvent]:
        """Return the latest events, newest first: of one subject, since an instant."""

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
