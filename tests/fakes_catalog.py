"""A catalog in memory that passes the contract of the real one."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING

from syncer.catalog import transitions
from syncer.errors import PermanentError, UnknownMirror
from syncer.model.mirrors import Activity, RepoState
from syncer.model.runs import Outcome, Stage, SyncRun, Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from syncer.model.content import Finding, RefChange, RefSnapshot
    from syncer.model.lfs import LfsCounts, LfsObject
    from syncer.model.mirrors import Held
    from syncer.model.names import RepoName
    from syncer.model.runs import (
        AuditEvent,
        Intent,
        LagSample,
        Probe,
        ProbeResult,
        Receipt,
    )


class FakeCatalog:
    """`ports.Catalog` without a database; `closed` tells whether it was closed.

    `claims` and `lfs_objects` are what `FakeBlobIndex` keeps of each mirror.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.claims: dict[int, set[str]] = {}
        self.lfs_objects: dict[int, dict[str, LfsObject]] = {}
        self._ids = count(1)
        self._states: dict[int, RepoState] = {}
        self._runs: dict[int, SyncRun] = {}
        self._intents: dict[int, Intent] = {}
        self._changes: list[tuple[int, datetime, int, RefChange]] = []
        self._findings: dict[tuple[int, str, str], Finding] = {}
        self._accepted: set[tuple[int, str]] = set()
        self._samples: list[LagSample] = []
        self._events: list[AuditEvent] = []
        self._capabilities: dict[str, str] = {}
        self.closed = False

    def reconcile(self, wanted: Iterable[tuple[RepoName, str]], now: datetime) -> None:
        with self.lock:
            present = {s.name.identity: s for s in self._states.values()}
            for name, tier in wanted:
                state = present.pop(name.identity, None)
                if state is None:
                    new = next(self._ids)
                    state = RepoState(new, name, name.path, tier, added=now)
                if state.activity is Activity.REMOVED:
                    state = replace(state, activity=Activity.ACTIVE)
                self._states[state.id] = replace(state, name=name, tier=tier)
            for state in present.values():
                self._states[state.id] = replace(state, activity=Activity.REMOVED)

    def states(self) -> list[RepoState]:
        return self._sorted(
            s for s in self._states.values() if s.activity is not Activity.REMOVED
        )

    def _sorted(self, states: Iterable[RepoState]) -> list[RepoState]:
        return sorted(states, key=lambda state: state.name.identity)

    def state(self, name: RepoName) -> RepoState:
        for state in self._states.values():
            if state.name.identity == name.identity:
                return state
        msg = f"the mirror {name} is not in the catalog"
        raise UnknownMirror(msg)

    def set_paused(self, name: RepoName, event: AuditEvent, *, paused: bool) -> None:
        with self.lock:
            state = self.state(name)
            if state.activity is Activity.REMOVED:
                msg = f"{name} is no longer configured; nothing was changed"
                raise PermanentError(msg)
            activity = Activity.PAUSED if paused else Activity.ACTIVE
            self._states[state.id] = replace(state, activity=activity)
            self._events.append(event)

    def accept(self, name: RepoName, event: AuditEvent, *, oid: str | None) -> Held:
        with self.lock:
            state = self.state(name)
            held = transitions.accepted(state.held, event, oid)
            if held is None:
                msg = f"nothing of {name} waits to be accepted; nothing was changed"
                raise PermanentError(msg)
            if state.held is not None and oid in {None, state.held.oid}:
                self._states[state.id] = replace(state, held=held)
            if held.oid is not None:
                self._accepted.add((state.id, held.oid))
            self._events.append(event)
            return held

    def purge(self, name: RepoName, event: AuditEvent) -> None:
        with self.lock:
            state = self.state(name)
            if state.activity is not Activity.REMOVED:
                msg = f"{name} is still configured; nothing was deleted"
                raise PermanentError(msg)
            gone = state.id
            del self._states[gone]
            self._intents.pop(gone, None)
            self._runs = {k: r for k, r in self._runs.items() if r.mirror_id != gone}
            self._changes = [c for c in self._changes if c[0] != gone]
            self._findings = {k: f for k, f in self._findings.items() if k[0] != gone}
            self._accepted = {a for a in self._accepted if a[0] != gone}
            self._samples = [s for s in self._samples if s.mirror_id != gone]
            self.claims.pop(gone, None)
            self.lfs_objects.pop(gone, None)
            self._events.append(event)

    def accepted_objects(self, mirror_id: int) -> list[str]:
        return sorted(oid for owner, oid in self._accepted if owner == mirror_id)

    def flush_probes(self, results: Sequence[ProbeResult]) -> None:
        with self.lock:
            for result in results:
                if result.mirror_id in self._states:
                    self._flush(self._states[result.mirror_id], result.started)

    def _flush(self, state: RepoState, at: datetime) -> None:
        if state.last_success is None or state.last_success < at:
            state = replace(state, last_success=at)
        if state.behind_since is not None and state.behind_since <= at:
            state = replace(state, behind_since=None)
        if state.last_attempt is None or state.last_attempt <= at:
            outcome = Outcome.UNCHANGED if state.held is None else Outcome.HELD
            if state.outcome in transitions.INCOMPLETE:
                outcome = state.outcome or outcome
            state = replace(
                state,
                last_attempt=at,
                failures=0,
                error=None,
                not_before=None,
                outcome=outcome,
            )
        self._states[state.id] = state

    def note_lfs(
        self, mirror_id: int, counts: LfsCounts, scanned: datetime | None
    ) -> None:
        """Store what the index knows of a mirror."""
        with self.lock:
            state = self._states.get(mirror_id)
            if state is not None:
                after = replace(state, lfs=counts, lfs_scanned=scanned)
                self._states[mirror_id] = after

    def scanned(self, mirror_id: int) -> datetime | None:
        """Return when a mirror's objects were searched for pointers."""
        state = self._states.get(mirror_id)
        return None if state is None else state.lfs_scanned

    def maintained(self, mirror_id: int, at: datetime, size: int) -> None:
        with self.lock:
            state = self._states[mirror_id]
            after = replace(state, packs=0, maintained=at, size=size)
            self._states[mirror_id] = after

    def open_run(
        self,
        state: RepoState,
        trigger: Trigger,
        started: datetime,
        *,
        observed: datetime | None,
    ) -> int:
        with self.lock:
            stored = self._states[state.id]
            if observed is not None and stored.behind_since is None:
                self._states[state.id] = replace(stored, behind_since=observed)
            return self._add_run(
                SyncRun(0, state.id, state.name, trigger, started, stage=Stage.FETCH)
            )

    def _add_run(self, run: SyncRun) -> int:
        run_id = next(self._ids)
        self._runs[run_id] = replace(run, id=run_id, findings=())
        return run_id

    def confirm(
        self, state: RepoState, probe: Probe, stamp: str, refs: RefSnapshot
    ) -> None:
        with self.lock:
            stored = self._states[state.id]
            after = transitions.confirmed(stored, probe, stamp, refs)
            self._states[state.id] = after

    def close_run(self, run: SyncRun, *, held: Held | None = None) -> None:
        with self.lock:
            before = self._states[run.mirror_id]
            self._states[run.mirror_id] = transitions.closed(before, run, held)
            self._add_findings(run)
            ended = replace(run, ended=transitions.ended(run))
            if run.id:
                self.claims.pop(run.mirror_id, None)
                self._end(ended)
            else:
                self._add_run(ended)

    def _end(self, run: SyncRun) -> None:
        stored = self._runs[run.id]
        self._runs[run.id] = replace(
            run, trigger=stored.trigger, started=stored.started, findings=()
        )

    def _add_findings(self, run: SyncRun) -> None:
        for finding in run.findings:
            key = (run.mirror_id, finding.oid, finding.check)
            self._findings.setdefault(key, finding)

    def intend(self, intent: Intent) -> None:
        with self.lock:
            self._intents[intent.mirror_id] = intent
            run = self._runs[intent.run_id]
            self._runs[intent.run_id] = run.reached(Stage.PROMOTE)

    def intent(self, mirror_id: int) -> Intent | None:
        return self._intents.get(mirror_id)

    def finish(self, intent: Intent, receipt: Receipt, run: SyncRun) -> SyncRun:
        with self.lock:
            before = self._states[intent.mirror_id]
            if not self._close_intent(intent):
                generation = self._runs[intent.run_id].generation
                if not generation:
                    msg = f"run {intent.run_id} has no open intent"
                    raise PermanentError(msg)
                return replace(run, stage=Stage.RECORD, generation=generation)
            after = transitions.finished(before, intent, receipt, run)
            done = replace(
                run,
                stage=Stage.RECORD,
                generation=after.generation,
                ended=transitions.ended(run),
            )
            self._states[before.id] = after
            self._samples.append(transitions.lag_sample(before, "refs", intent, done))
            self._add_changes(intent, done)
            self._add_findings(done)
            self.claims.pop(before.id, None)
            self._end(done)
            return done

    def _add_changes(self, intent: Intent, run: SyncRun) -> None:
        if not intent.first:
            at, generation = transitions.ended(run), run.generation
            self._changes.extend(
                (intent.mirror_id, at, generation, c) for c in intent.changes
            )

    def _close_intent(self, intent: Intent) -> bool:
        stored = self._intents.get(intent.mirror_id)
        if stored is None or stored.run_id != intent.run_id:
            return False
        del self._intents[intent.mirror_id]
        return True

    def forget(self, intent: Intent, ended: datetime, reason: str) -> None:
        with self.lock:
            self._close_intent(intent)
            if self._runs[intent.run_id].outcome is None:
                self._fail(intent.run_id, ended, reason)

    def _fail(self, run_id: int, ended: datetime, reason: str) -> None:
        self._runs[run_id] = replace(
            self._runs[run_id],
            outcome=Outcome.FAILED,
            ended=ended,
            error=reason,
            exit_code=1,
        )

    def abandon_runs(self, mirror_id: int, ended: datetime, reason: str) -> int:
        with self.lock:
            dead = [
                run.id
                for run in self._runs.values()
                if run.outcome is None and run.mirror_id == mirror_id
            ]
            self.claims.pop(mirror_id, None)
            for run_id in dead:
                self._fail(run_id, ended, reason)
            return len(dead)

    def run_trigger(self, run_id: int) -> Trigger:
        if run_id not in self._runs:
            msg = f"run {run_id} is not in the catalog"
            raise PermanentError(msg)
        return self._runs[run_id].trigger

    def unfinished(self) -> list[RepoState]:
        with self.lock:
            open_ = {r.mirror_id for r in self._runs.values() if r.outcome is None}
            found = open_ | set(self._intents) | set(self.claims)
            return self._sorted(self._states[each] for each in found)

    def runs(self, name: RepoName | None, limit: int) -> list[SyncRun]:
        with self.lock:
            only = None if name is None else self.state(name).id
            found = [r for r in self._runs.values() if only in {None, r.mirror_id}]
            newest = sorted(found, key=lambda run: run.id, reverse=True)[:limit]
            return [replace(r, name=self._states[r.mirror_id].name) for r in newest]

    def ref_changes(
        self, name: RepoName, limit: int
    ) -> list[tuple[datetime, int, RefChange]]:
        mirror_id = self.state(name).id
        found = [change[1:] for change in self._changes if change[0] == mirror_id]
        return found[::-1][:limit]

    def findings(self, mirror_id: int) -> list[Finding]:
        return [f for key, f in sorted(self._findings.items()) if key[0] == mirror_id]

    def lag_samples(self, since: datetime) -> list[LagSample]:
        found = [sample for sample in self._samples if sample.published >= since]
        return sorted(found, key=lambda sample: sample.published)

    def audit(self, event: AuditEvent) -> None:
        self._events.append(event)

    def audit_events(self, limit: int) -> list[AuditEvent]:
        return self._events[::-1][:limit]

    def host_capabilities(self) -> dict[str, str]:
        return dict(self._capabilities)

    def store_capabilities(
        self,
        host: str,
        capabilities: str,
        at: datetime,  # noqa: ARG002 - nobody reads it back yet
    ) -> None:
        self._capabilities[host] = capabilities

    def close(self) -> None:
        self.closed = True
