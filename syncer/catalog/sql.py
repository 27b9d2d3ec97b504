"""The catalog in a database: one public call, one transaction.

Here are the transactions; the statements are in `mirrors`, `runs` and
`history` and what these ask.  No row, connection or exception
of the database leaves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from syncer.catalog import history, homes, mirrors, reconcile, runs, spans
from syncer.catalog.database import exclusively
from syncer.catalog.transactions import Transactional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection, Engine

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


class SqlCatalog(Transactional):
    """`ports.Catalog` on SQLite or Postgres; usable from many threads."""

    def __init__(self, engine: Engine, machine: str | None = None) -> None:
        """Write for `machine`, where several work for one catalog."""
        super().__init__(engine)
        self._machine = machine
        self._remembered = mirrors.Remembered(engine.dialect)

    def reconcile(
        self,
        wanted: Iterable[tuple[RepoName, str]],
        now: datetime,
        homes: Mapping[str, str] | None = None,
    ) -> None:
        """Make the active mirrors those of the configuration.

        Nothing is written, nor any lock taken, when they already are.
        """
        wanted, homes = list(wanted), homes or {}
        with self._reading() as conn:
            if not reconcile.compare(conn, wanted, now, homes):
                return
        with self._writing() as conn:
            exclusively(conn)
            reconcile.apply(conn, reconcile.compare(conn, wanted, now, homes))

    def place(self, homes_: Mapping[int, str]) -> None:
        """Give homes to mirrors that have none; the others stay where they are."""
        with self._writing() as conn:
            homes.place(conn, homes_)

    def rehome(
        self, state: RepoState, home: str, event: AuditEvent, *, stamp: str | None
    ) -> None:
        """Let a mirror live on another machine, if it is still as `state` has it."""
        with self._writing() as conn:
            homes.move(conn, state, home, stamp)
            history.audit(conn, event)

    def states(self) -> list[RepoState]:
        """Return every mirror that is configured, by name."""
        with self._reading() as conn:
            return self._remembered.states(conn)

    def state(self, name: RepoName) -> RepoState:
        """Return one mirror, also a removed one."""
        with self._reading() as conn:
            return mirrors.state(conn, name)

    def set_paused(self, name: RepoName, event: AuditEvent, *, paused: bool) -> None:
        """Take a mirror out of the schedule, or back in."""
        with self._writing() as conn:
            mirrors.set_paused(conn, name, paused=paused)
            history.audit(conn, event)

    def accept(self, name: RepoName, event: AuditEvent, *, oid: str | None) -> Held:
        """Mark what holds the mirror as accepted, or accept one object."""
        with self._writing() as conn:
            held = mirrors.accept(conn, name, event, oid)
            history.audit(conn, event)
            return held

    def purge(self, name: RepoName, event: AuditEvent) -> None:
        """Delete every row of a removed mirror; audit events stay."""
        with self._writing() as conn:
            homes.check(conn, mirrors.state(conn, name).id, self._machine)
            mirrors.purge(conn, name)
            history.audit(conn, event)

    def accepted_objects(self, mirror_id: int) -> list[str]:
        """Return the object ids whose findings a person accepted, sorted."""
        with self._reading() as conn:
            return mirrors.accepted_objects(conn, mirror_id)

    def flush_probes(self, results: Sequence[ProbeResult]) -> None:
        """Store unchanged probes in one statement, and count them, in one commit."""
        if results:
            with self._writing() as conn:
                mirrors.flush(conn, results, self._machine)

    def maintained(self, mirror_id: int, at: datetime, size: int) -> None:
        """Record that a repository's packs are in order."""
        with self._writing() as conn:
            homes.check(conn, mirror_id, self._machine)
            mirrors.maintained(conn, mirror_id, at, size)

    def open_run(
        self,
        state: RepoState,
        trigger: Trigger,
        started: datetime,
        *,
        observed: datetime | None,
    ) -> int:
        """Start a run and, with `observed`, the lag clock."""
        with self._writing() as conn:
            homes.check(conn, state.id, self._machine)
            return runs.start(conn, state, trigger, started, observed, self._machine)

    def confirm(
        self, state: RepoState, probe: Probe, stamp: str, refs: RefSnapshot
    ) -> None:
        """Record that the published refs were found equal to upstream's."""
        with self._writing() as conn:
            homes.check(conn, state.id, self._machine)
            mirrors.confirm(conn, state, probe, stamp, refs)

    def close_run(self, run: SyncRun, *, held: Held | None = None) -> None:
        """Record a run that published nothing; one with id 0 gets its row."""
        with self._writing() as conn:
            homes.check(conn, run.mirror_id, self._machine)
            runs.close(conn, self._here(run), held)

    def intend(self, intent: Intent) -> None:
        """Record what is about to be published."""
        with self._publishing(intent.releases) as conn:
            homes.check(conn, intent.mirror_id, self._machine)
            runs.intend(conn, intent)

    def intent(self, mirror_id: int) -> Intent | None:
        """Return the intent that no finish has closed, if any."""
        with self._reading() as conn:
            return runs.intent(conn, mirror_id)

    def finish(self, intent: Intent, receipt: Receipt, run: SyncRun) -> SyncRun:
        """Record that an intent is published.

        May be called again when the first answer was lost: it records once.
        """
        with self._publishing(intent.releases) as conn:
            homes.check(conn, intent.mirror_id, self._machine)
            return runs.finish(conn, intent, receipt, self._here(run))

    def publish_releases(
        self, run: SyncRun, changes: ReleaseChanges, events: Sequence[Event]
    ) -> SyncRun:
        """Make release changes visible that no ref change goes with, once."""
        with self._publishing(changes) as conn:
            homes.check(conn, run.mirror_id, self._machine)
            return runs.publish_releases(conn, self._here(run), changes, events)

    def _here(self, run: SyncRun) -> SyncRun:
        return replace(run, machine=self._machine)

    def _publishing(
        self, changes: ReleaseChanges | None
    ) -> AbstractContextManager[Connection]:
        """Open what writes refs, or also decides which blobs are needed."""
        return self._writing() if changes is None else self._deciding()

    def forget(self, intent: Intent, ended: datetime, reason: str) -> None:
        """Remove an intent whose rename never happened; its run failed."""
        with self._writing() as conn:
            homes.check(conn, intent.mirror_id, self._machine)
            runs.forget(conn, intent, ended, reason)

    def abandon_runs(self, mirror_id: int, ended: datetime, reason: str) -> int:
        """Mark the runs of a mirror that a dead process left open as failed."""
        with self._writing() as conn:
            homes.check(conn, mirror_id, self._machine)
            return runs.abandon(conn, mirror_id, ended, reason)

    def run_trigger(self, run_id: int) -> Trigger:
        """Return why a run was started."""
        with self._reading() as conn:
            return runs.trigger(conn, run_id)

    def unfinished(self) -> list[RepoState]:
        """Return this machine's mirrors with an open run or intent, also removed."""
        with self._reading() as conn:
            return runs.unfinished(conn, self._machine)

    def runs(
        self,
        name: RepoName | None,
        limit: int,
        *,
        since: datetime | None = None,
        outcome: Outcome | None = None,
    ) -> list[SyncRun]:
        """Return the latest runs, newest first, without their findings."""
        with self._reading() as conn:
            return spans.latest(conn, name, limit, since, outcome)

    def ref_changes(
        self, name: RepoName, limit: int
    ) -> list[tuple[datetime, int, RefChange]]:
        """Return (when, generation, change), newest first."""
        with self._reading() as conn:
            return history.changes(conn, name, limit)

    def findings(self, mirror_id: int) -> list[Finding]:
        """Return what fsck reported of a mirror, by object."""
        with self._reading() as conn:
            return history.findings(conn, mirror_id)

    def lag_samples(self, since: datetime) -> list[LagSample]:
        """Return the changes published since an instant, oldest first."""
        with self._reading() as conn:
            return history.lag_samples(conn, since)

    def published(self, since: datetime) -> list[Published]:
        """Return the same in no order, and only when each was seen and published."""
        with self._reading() as conn:
            return history.published(conn, since)

    def audit(self, event: AuditEvent) -> None:
        """Append an event."""
        with self._writing() as conn:
            history.audit(conn, event)

    def audit_events(
        self,
        limit: int,
        *,
        subject: str | None = None,
        since: datetime | None = None,
    ) -> list[AuditEvent]:
        """Return the latest events, newest first."""
        with self._reading() as conn:
            return history.audit_events(conn, limit, subject, since)

    def host_capabilities(self) -> dict[str, str]:
        """Return what hosts' git servers can do."""
        with self._reading() as conn:
            return history.capabilities(conn)

    def store_capabilities(self, host: str, capabilities: str, at: datetime) -> None:
        """Keep what a host's git server can do."""
        with self._writing() as conn:
            exclusively(conn)
            history.store_capabilities(conn, host, capabilities, at)

    def close(self) -> None:
        """Give back connections."""
        self._writer.dispose()
