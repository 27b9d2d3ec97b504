"""A catalog in memory that passes the contract of the real one."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING

from syncer.catalog import counting, transitions
from syncer.catalog.homes import elsewhere
from syncer.errors import Locked, PermanentError, UnknownMirror
from syncer.model.mirrors import Activity, RepoState
from syncer.model.runs import AuditEvent, Outcome, Published, Stage, SyncRun, Trigger
from tests.fakes_origins import Identities
from tests.fakes_past import Past
from tests.fakes_shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from syncer.model.content import Finding, RefChange, RefSnapshot
    from syncer.model.lfs import LfsCounts, LfsObject
    from syncer.model.mirrors import Held
    from syncer.model.names import RepoName
    from syncer.model.origin import Event
    from syncer.model.releases import ReleaseChanges
    from syncer.model.runs import (
        Intent,
        LagSample,
        Probe,
        ProbeResult,
        Receipt,
    )


class FakeCatalog:
    """`ports.Catalog` without a database; `closed` tells whether it was closed.

    `claims` and `lfs_objects` are what `FakeBlobIndex` keeps of each mirror,
    `identities` what `FakeOrigins` does, and `shelf` what both indexes share.
    """

    def __init__(self, machine: str | None = None) -> None:
        self.lock = RLock()
        self._machine = machine
        self.claims: dict[int, set[str]] = {}
        self.lfs_objects: dict[int, dict[str, LfsObject]] = {}
        self.identities = Identities()
        self.shelf = Shelf()
        self.past = Past()
        self._ids = count(1)
        self._states: dict[int, RepoState] = {}
        self._findings: dict[tuple[int, str, str], Finding] = {}
        self._accepted: set[tuple[int, str]] = set()
        self._capabilities: dict[str, str] = {}
        self.closed = False

    def on(self, machine: str) -> FakeCatalog:
        """Return the same catalog, as another machine writes to it."""
        other = copy(self)
        other._machine = machine  # noqa: SLF001 - a fresh copy of our own
        return other

    @contextmanager
    def _at_home(self, mirror_id: int) -> Iterator[None]:
        with self.lock:
            state = self._states.get(mirror_id)
            if state is not None and state.home != self._machine:
                raise elsewhere(state.name.short, state.home, self._machine)
            yield

    def place(self, homes: Mapping[int, str]) -> None:
        with self.lock:
            for mirror_id, home in homes.items():
                state = self._states[mirror_id]
                self._states[mirror_id] = replace(state, home=state.home or home)

    def rehome(
        self, state: RepoState, home: str, event: AuditEvent, *, stamp: str | None
    ) -> None:
        with self.lock:
            found = self._states[state.id]
            before = (state.home, state.stamp, state.generation)
            if (found.home, found.stamp, found.generation) != before:
                msg = f"{state.name} changed meanwhile; nothing was changed"
                raise Locked(msg)
            moved = replace(found, home=home, stamp=stamp)
            if stamp is None:
                moved = replace(moved, fingerprint=None, asked=None, head=None)
                moved = replace(moved, ref_count=0, packs=0, size=0, maintained=None)
                moved = replace(moved, outcome=None, lfs_scanned=None)
                moved = replace(moved, last_attempt=None, last_success=None)
            self._states[state.id] = moved
            self.past.tell([event])

    def reconcile(
        self,
        wanted: Iterable[tuple[RepoName, str]],
        now: datetime,
        homes: Mapping[str, str] | None = None,
    ) -> None:
        with self.lock:
            named = {n.identity: (n, tier) for n, tier in reversed(list(wanted))}
            present = {s.name.identity: s for s in self._states.values()}
            names = [name for name, _ in named.values()]
            followed = self.identities.followed(present.values(), names)
            for identity, (name, tier) in reversed(named.items()):
                state = present.get(identity) or followed.get(identity)
                if state is None:
                    state = RepoState(next(self._ids), name, "", tier, added=now)
                    state = replace(state, path=self._free(name.path))
                elif state.name.identity != identity:
                    state = self._renamed(state, name, now)
                if state.activity is Activity.REMOVED:
                    state = replace(state, activity=Activity.ACTIVE)
                if state.home is None and not state.generation:
                    state = replace(state, home=(homes or {}).get(identity))
                self._states[state.id] = replace(state, name=name, tier=tier)
            for state in list(self._states.values()):
                if state.name.identity not in named:
                    removed = replace(state, activity=Activity.REMOVED)
                    self._states[state.id] = removed

    def _free(self, path: str) -> str:
        taken = {state.path for state in self._states.values()}
        stem = path.removesuffix(".git")
        tried = (path, *(f"{stem}~{number}.git" for number in range(2, 99)))
        return next(each for each in tried if each not in taken)

    def _renamed(self, state: RepoState, name: RepoName, now: datetime) -> RepoState:
        after, event = self.identities.renamed(state, name, now)
        self.past.tell([event])
        return after

    def by_id(self) -> dict[int, RepoState]:
        """Return every mirror, also those that were removed."""
        with self.lock:
            return dict(self._states)

    def put(self, state: RepoState) -> None:
        """Store what another part of the catalog makes of a mirror."""
        with self.lock:
            self._states[state.id] = state

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
        holder = self.identities.holder(self._states, name)
        if holder is not None:
            return holder
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
            self.past.tell([event])

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
            self.past.tell([event])
            return held

    def purge(self, name: RepoName, event: AuditEvent) -> None:
        with self._at_home(self.state(name).id):
            state = self.state(name)
            if state.activity is not Activity.REMOVED:
                msg = f"{name} is still configured; nothing was deleted"
                raise PermanentError(msg)
            gone = state.id
            del self._states[gone]
            self.past.purge(gone)
            self._findings = {k: f for k, f in self._findings.items() if k[0] != gone}
            self._accepted = {a for a in self._accepted if a[0] != gone}
            self.claims.pop(gone, None)
            self.lfs_objects.pop(gone, None)
            self.identities.purge(gone)
            self.shelf.purge(gone)
            self.past.tell([event])

    def accepted_objects(self, mirror_id: int) -> list[str]:
        return sorted(oid for owner, oid in self._accepted if owner == mirror_id)

    def flush_probes(self, results: Sequence[ProbeResult]) -> None:
        with self.lock:
            for result in results:
                state = self._states.get(result.mirror_id)
                if state is not None and state.home == self._machine:
                    self._flush(self._states[result.mirror_id], result.started)
                    self._list(self._states[result.mirror_id], result.listed)
            self.past.add(counting.flushed(len(results)))

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

    def _list(self, state: RepoState, at: datetime | None) -> None:
        known = state.releases
        if at is None:
            return
        behind = known.behind_since
        if behind is not None and behind <= at:
            known = replace(known, behind_since=None)
        if known.checked is None or known.checked <= at:
            known = replace(known, failures=0, error=None, not_before=None, checked=at)
        self.put(replace(state, releases=known))

    def recount(self, mirror_id: int) -> None:
        """Count a mirror's releases and assets anew."""
        state = self._states.get(mirror_id)
        if state is not None:
            counts = self.shelf.counts(mirror_id)
            self.put(replace(state, releases=replace(state.releases, counts=counts)))

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
        with self._at_home(mirror_id):
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
        with self._at_home(state.id):
            stored = self._states[state.id]
            if observed is not None and stored.behind_since is None:
                self._states[state.id] = replace(stored, behind_since=observed)
            return self._add_run(
                SyncRun(0, state.id, state.name, trigger, started, stage=Stage.FETCH)
            )

    def _add_run(self, run: SyncRun) -> int:
        run_id = next(self._ids)
        placed = replace(run, id=run_id, findings=(), machine=self._machine)
        self.past.runs[run_id] = placed
        return run_id

    def confirm(
        self, state: RepoState, probe: Probe, stamp: str, refs: RefSnapshot
    ) -> None:
        with self._at_home(state.id):
            stored = self._states[state.id]
            after = transitions.confirmed(stored, probe, stamp, refs)
            self._states[state.id] = after

    def close_run(self, run: SyncRun, *, held: Held | None = None) -> None:
        with self._at_home(run.mirror_id):
            run = replace(run, machine=self._machine)
            before = self._states[run.mirror_id]
            self._states[run.mirror_id] = transitions.closed(before, run, held)
            self._add_findings(run)
            ended = replace(run, ended=transitions.ended(run))
            if run.id:
                self.claims.pop(run.mirror_id, None)
                self._end(ended)
            else:
                self._add_run(ended)
            self.past.count(ended)

    def _end(self, run: SyncRun) -> None:
        stored = self.past.runs[run.id]
        self.past.runs[run.id] = replace(
            run,
            trigger=stored.trigger,
            started=stored.started,
            findings=(),
        )

    def _add_findings(self, run: SyncRun) -> None:
        for finding in run.findings:
            key = (run.mirror_id, finding.oid, finding.check)
            self._findings.setdefault(key, finding)

    def intend(self, intent: Intent) -> None:
        with self._at_home(intent.mirror_id):
            if intent.releases is not None:
                self.shelf.check(intent.mirror_id, intent.releases)
            self.past.intents[intent.mirror_id] = intent
            run = self.past.runs[intent.run_id]
            self.past.runs[intent.run_id] = run.reached(Stage.PROMOTE)

    def intent(self, mirror_id: int) -> Intent | None:
        return self.past.intents.get(mirror_id)

    def finish(self, intent: Intent, receipt: Receipt, run: SyncRun) -> SyncRun:
        with self._at_home(intent.mirror_id):
            run = replace(run, machine=self._machine)
            before = self._states[intent.mirror_id]
            if not self._close_intent(intent):
                generation = self.past.runs[intent.run_id].generation
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
            self.past.measure(transitions.lag_sample(before, "refs", intent, done))
            self._add_changes(intent, done)
            if intent.releases is not None:
                at = transitions.ended(run)
                self._release(before, self.shelf.sound(intent.releases, at), done)
            self._leave(done, intent.events)
            return done

    def _leave(self, done: SyncRun, events: Iterable[Event]) -> None:
        at, subject = transitions.ended(done), done.name.short
        self.past.tell(
            AuditEvent(at, "upstream", each.action, subject, each.detail, each.alarming)
            for each in events
        )
        self._add_findings(done)
        self.claims.pop(done.mirror_id, None)
        self._end(done)
        self.past.count(done)

    def publish_releases(
        self, run: SyncRun, changes: ReleaseChanges, events: Sequence[Event]
    ) -> SyncRun:
        with self._at_home(run.mirror_id):
            run = replace(run, machine=self._machine)
            before = self._states[run.mirror_id]
            stored = self.past.runs.get(run.id)
            if stored is not None and stored.generation:
                return replace(run, stage=Stage.RECORD, generation=stored.generation)
            if stored is None or stored.outcome is not None:
                msg = f"run {run.id} is not open; nothing was published"
                raise PermanentError(msg)
            self.shelf.check(before.id, changes)
            after = transitions.released(before, run)
            done = replace(
                run,
                stage=Stage.RECORD,
                generation=after.generation,
                ended=transitions.ended(run),
            )
            self._states[before.id] = after
            self._release(before, changes, done)
            self._leave(done, events)
            return done

    def _release(
        self, before: RepoState, changes: ReleaseChanges, done: SyncRun
    ) -> None:
        stored = self.shelf.records.get(before.id, {})
        for record in changes.records:
            old = stored.get(record.release.id)
            if old is not None:
                tags = old.release.tag, record.release.tag
                self.identities.follow(before.id, *tags)
        self.shelf.write(before.id, changes)
        self.recount(before.id)
        after = self._states[before.id]
        listed = transitions.listed(after.releases, changes)
        self._states[before.id] = replace(after, releases=listed)
        sample = transitions.release_sample(before, changes, done)
        if sample is not None:
            self.past.measure(sample)

    def _add_changes(self, intent: Intent, run: SyncRun) -> None:
        if intent.changes and not intent.first:
            at, generation = transitions.ended(run), run.generation
            self.past.telling.add(intent.run_id)
            self.past.changes.extend(
                (intent.mirror_id, at, generation, c) for c in intent.changes
            )

    def _close_intent(self, intent: Intent) -> bool:
        stored = self.past.intents.get(intent.mirror_id)
        if stored is None or stored.run_id != intent.run_id:
            return False
        del self.past.intents[intent.mirror_id]
        return True

    def forget(self, intent: Intent, ended: datetime, reason: str) -> None:
        with self._at_home(intent.mirror_id):
            self._close_intent(intent)
            if self.past.runs[intent.run_id].outcome is None:
                self._fail(intent.run_id, ended, reason)

    def _fail(self, run_id: int, ended: datetime, reason: str) -> None:
        self.past.runs[run_id] = replace(
            self.past.runs[run_id],
            outcome=Outcome.FAILED,
            ended=ended,
            error=reason,
            exit_code=1,
        )
        self.past.add(counting.abandoned(1))

    def abandon_runs(self, mirror_id: int, ended: datetime, reason: str) -> int:
        with self._at_home(mirror_id):
            dead = [
                run.id
                for run in self.past.runs.values()
                if run.outcome is None and run.mirror_id == mirror_id
            ]
            self.claims.pop(mirror_id, None)
            for run_id in dead:
                self._fail(run_id, ended, reason)
            return len(dead)

    def run_trigger(self, run_id: int) -> Trigger:
        if run_id not in self.past.runs:
            msg = f"run {run_id} is not in the catalog"
            raise PermanentError(msg)
        return self.past.runs[run_id].trigger

    def unfinished(self) -> list[RepoState]:
        with self.lock:
            open_ = {r.mirror_id for r in self.past.runs.values() if r.outcome is None}
            found = open_ | set(self.past.intents) | set(self.claims)
            states = map(self._states.__getitem__, found)
            return self._sorted(s for s in states if s.home == self._machine)

    def runs(
        self,
        name: RepoName | None,
        limit: int,
        *,
        since: datetime | None = None,
        outcome: Outcome | None = None,
    ) -> list[SyncRun]:
        with self.lock:
            only = None if name is None else self.state(name).id
            found = [
                run
                for run in self.past.runs.values()
                if only in {None, run.mirror_id}
                and (since is None or run.ended is None or run.ended >= since)
                and outcome in {None, run.outcome}
            ]
            newest = sorted(found, key=lambda run: run.id, reverse=True)[:limit]
            return [replace(r, name=self._states[r.mirror_id].name) for r in newest]

    def ref_changes(
        self, name: RepoName, limit: int
    ) -> list[tuple[datetime, int, RefChange]]:
        mirror_id = self.state(name).id
        found = [change[1:] for change in self.past.changes if change[0] == mirror_id]
        return found[::-1][:limit]

    def findings(self, mirror_id: int) -> list[Finding]:
        return [f for key, f in sorted(self._findings.items()) if key[0] == mirror_id]

    def lag_samples(self, since: datetime) -> list[LagSample]:
        found = [sample for sample in self.past.samples if sample.published >= since]
        return sorted(found, key=lambda sample: sample.published)

    def published(self, since: datetime) -> list[Published]:
        samples = self.lag_samples(since)
        return [Published(s.mirror_id, s.observed, s.published) for s in samples]

    def audit(self, event: AuditEvent) -> None:
        self.past.tell([event])

    def audit_events(
        self,
        limit: int,
        *,
        subject: str | None = None,
        since: datetime | None = None,
    ) -> list[AuditEvent]:
        found = [
            each
            for each in reversed(self.past.events.values())
            if subject in {None, each.subject} and (since is None or each.at >= since)
        ]
        return found[:limit]

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
