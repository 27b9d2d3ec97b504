"""One run under the mirror's lease: what a changed probe leads to.

The order is the promise: objects are durable before the intent row, the
intent row before the rename, the rename before the finish row.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from syncer.errors import Interrupted, SyncerError, TooLarge
from syncer.model.content import RefSnapshot, diff, keep_lost
from syncer.model.runs import Incoming, Intent, Outcome, Stage
from syncer.sync import guard
from syncer.sync.endings import Endings
from syncer.sync.lfs import LfsResult, LfsStage, hold, is_owed, is_whole
from syncer.sync.record import counts, notes, rewritten, settle, tell
from syncer.sync.releases import ReleaseResult, ReleaseStage, are_whole
from syncer.sync.sizes import Quota, quota_of
from syncer.sync.sizes import hold as hold_size
from syncer.sync.snapshots import beside, guess_head, oids, unheard

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.mirrors import Held, RepoState, Selection
    from syncer.model.runs import Probe, SyncRun, Visit
    from syncer.ports import BareRepository, ProgressSink
    from syncer.sync.world import World


class Attempt:
    """One run under the mirror's lease; `current` is how far it came."""

    def __init__(
        self,
        world: World,
        run: SyncRun,
        selection: Selection,
        progress: ProgressSink | None,
    ) -> None:
        self._world = world
        self._selection = selection
        self._progress = progress
        self.current = run
        self._stage = LfsStage(world, progress)
        self._release_stage = ReleaseStage(world, progress)
        self._endings = Endings(world)
        #: What was done for LFS: nothing is missing where it is not mirrored.
        self._lfs = LfsResult()
        #: What was done for releases, and why that was not possible.
        self._releases = ReleaseResult()
        self._unlisted: SyncerError | None = None
        #: How much more it may have.
        self._quota = Quota(0, None)

    def run(self, repository: BareRepository, visit: Visit) -> SyncRun:
        """Bring a mirror to what a visit saw; `visit` has a probe."""
        world, run, probe = self._world, self.current, visit.probe
        if probe is None:
            return run
        self._unlisted = visit.unlisted
        state = world.catalog.state(run.name)
        if settle(world, repository, state, world.catalog.intent(state.id)):
            state = world.catalog.state(run.name)
        self._quota = quota_of(state, self._selection)
        try:
            return self._bring(repository, state, visit, probe)
        except TooLarge as exc:
            return self._hold(hold_size(exc, state.held, world.clock.now()))

    def _bring(
        self, repository: BareRepository, state: RepoState, visit: Visit, probe: Probe
    ) -> SyncRun:
        """Bring what is new; raises `TooLarge` once a run is open."""
        world = self._world
        published, target = repository.published(), probe.read()
        if not probe.symref_known:
            target = replace(target, head=guess_head(published, target))
        if self._is_published(state, published, target):
            return self._catch_up(repository, state, published, visit, probe)
        self._open(state, observed=probe.started)
        held = guard.check(
            published, target, self._selection.refs, state.held, world.clock.now()
        )
        if held is not None:
            return self._hold(held)
        self._foresee(state)
        incoming = self._fetch(repository, state, target)
        held = self._transfer(repository, state, incoming)
        held = held or self._bring_releases(state, visit)
        if held is not None:
            return self._hold(held)
        return self._publish(repository, state, published, incoming, probe)

    def _catch_up(
        self,
        repository: BareRepository,
        state: RepoState,
        published: RefSnapshot,
        visit: Visit,
        probe: Probe,
    ) -> SyncRun:
        """Bring what refs that are published already still lack; confirm them."""
        catalog, selection = self._world.catalog, self._selection
        whole = is_whole(state, selection)
        # What is missing may be what the refs of a run that failed needed, no others.
        owed = selection.lfs and (not whole or is_owed(state, self.current.started))
        if owed or visit.listing is not None:
            self._open(state, observed=None)
            if owed:
                self._transfer(repository, state, Incoming(published, exact=True))
                self._stage.give_up(state, self._lfs)
            held = self._bring_releases(state, visit)
            if held is not None:
                return self._hold(held)
            self._close(state)
        else:
            whole = whole and are_whole(state, selection.releases)
            outcome = Outcome.UNCHANGED if whole else Outcome.PARTIAL
            run = self._ended(outcome, generation=state.generation)
            self.current = self._with_unlisted(state, run)
        stamp = self._world.store.stamp(state.path) or ""
        catalog.confirm(state, probe, stamp, published)
        return self.current

    def _close(self, state: RepoState) -> None:
        """End a run that moved no ref, with the releases it brought."""
        run = self._ended(self._outcome(state), generation=state.generation)
        run = self._with_unlisted(state, run)
        changes = self._releases.changes
        if changes is None:
            self._world.catalog.close_run(run)
            self.current = run
        else:
            events = self._releases.events
            self.current = self._world.catalog.publish_releases(run, changes, events)
            tell(state.name, events)

    def _bring_releases(self, state: RepoState, visit: Visit) -> Held | None:
        """Bring the assets of a listing; return why the run waits for a person.

        What goes wrong with them keeps no ref waiting.
        """
        if visit.listing is None:
            return None
        self.current = self.current.reached(Stage.TRANSFER)
        try:
            self._releases = done = self._release_stage.run(
                state, visit.listing, self._quota
            )
        except (Interrupted, TooLarge):
            raise
        except SyncerError as exc:
            self._unlisted = exc
            return None
        notes = (*self.current.notes, *done.notes)
        self.current = replace(self.current, releases=done.tally, notes=notes)
        return done.held

    def _with_unlisted(self, state: RepoState, run: SyncRun) -> SyncRun:
        """Return a run with what went wrong with its releases, if anything."""
        if self._unlisted is None:
            return run
        return self._endings.unlisted(state, run, self._unlisted)

    def _transfer(
        self, repository: BareRepository, state: RepoState, incoming: Incoming
    ) -> Held | None:
        """Bring the LFS objects; return why the refs wait for some of them."""
        if not self._selection.lfs:
            if state.lfs_scanned is not None:
                # What arrives is not searched: once LFS is on again, all is.
                self._world.index.mark_scanned(state.id, None)
            return None
        self.current = self.current.reached(Stage.TRANSFER)
        self._lfs = done = self._stage.run(repository, state, incoming, self._quota)
        self._quota = done.quota
        self.current = replace(self.current, lfs=done.tally, notes=done.notes)
        if not self._selection.hold_missing:
            return None
        return hold(done.lacking, state.held, self._world.clock.now())

    def _outcome(self, state: RepoState) -> Outcome:
        if self._releases.changes is None:
            whole = are_whole(state, self._selection.releases)
        else:
            whole = self._releases.tally.missing == 0
        return Outcome.CHANGED if whole and not self._lfs.missing else Outcome.PARTIAL

    def _is_published(
        self, state: RepoState, published: RefSnapshot, target: RefSnapshot
    ) -> bool:
        same_head = target.head is None or published.head == target.head
        return (
            state.generation > 0
            and self._world.store.stamp(state.path) is not None
            and same_head
            and oids(published) == oids(target)
        )

    def _open(self, state: RepoState, *, observed: datetime | None) -> None:
        run_id = self._world.catalog.open_run(
            state,
            self.current.trigger,
            self.current.started,
            observed=observed,
        )
        self.current = replace(self.current, id=run_id, stage=Stage.FETCH)

    def _hold(self, held: Held) -> SyncRun:
        run = replace(
            self._ended(Outcome.HELD),
            error=f"{held.reason}; what is published is unchanged",
            hint=f"if that is right: syncer accept {self.current.name}",
            exit_code=1,
        )
        self._world.catalog.close_run(run, held=held)
        return run

    def _foresee(self, state: RepoState) -> None:
        """Refuse a first mirror that upstream itself says is too large."""
        if state.generation > 0 or self._quota.limit is None:
            return
        facts = self._world.releases.origin(state.id).facts
        if facts is not None:
            self._quota.with_more(facts.size)

    def _fetch(
        self, repository: BareRepository, state: RepoState, target: RefSnapshot
    ) -> Incoming:
        try:
            incoming = repository.fetch(
                state.source,
                target,
                scope=self._selection.refs,
                accepted=self._world.catalog.accepted_objects(state.id),
                progress=self._progress,
                source=partial(self._world.forge.pack, state.source),
                room=self._quota.left,
            )
        except TooLarge as exc:
            # How large it is nobody knows; only that it is larger than there is room.
            self._quota.with_more(exc.size)
            raise
        self._quota = self._quota.with_more(incoming.received)
        self.current = replace(
            self.current,
            objects=incoming.objects,
            received=incoming.received,
            findings=tuple(incoming.findings),
        )
        return incoming

    def _publish(
        self,
        repository: BareRepository,
        state: RepoState,
        published: RefSnapshot,
        incoming: Incoming,
        probe: Probe,
    ) -> SyncRun:
        world = self._world
        changes = repository.classify(
            incoming, diff(published.upstream, incoming.target.refs)
        )
        peeled = repository.peel(incoming, changes)
        refs = unheard(published, peeled, changes)
        kept = keep_lost(published.kept, changes, world.clock.now().date().isoformat())
        target = RefSnapshot({**kept, **refs}, peeled.head or published.head)
        both = beside(published, target)
        intent = Intent(
            run_id=self.current.id,
            mirror_id=state.id,
            old=published.fingerprint,
            beside=None if both is None else both.fingerprint,
            new=target.fingerprint,
            head=target.head,
            changes=() if incoming.first else tuple(changes),
            fingerprint=probe.digest if incoming.exact else None,
            asked=probe.asked,
            observed=probe.started,
            probed=probe.started,
            ref_count=len(target.upstream),
            first=incoming.first,
            releases=self._releases.changes,
            events=(
                *self._releases.events,
                *(() if incoming.first else rewritten(changes, published.head)),
            ),
        )
        world.catalog.intend(intent)
        self.current = self.current.reached(Stage.PROMOTE)
        receipt = repository.promote(incoming, beside=both, target=target)
        self.current = self.current.reached(Stage.RECORD)
        self._stage.give_up(state, self._lfs)
        run = replace(
            self._with_unlisted(state, self._ended(self._outcome(state))),
            counts=counts(changes),
            notes=(*notes(changes, published, target), *self.current.notes),
        )
        self.current = world.catalog.finish(intent, receipt, run)
        tell(state.name, intent.events)
        return self.current

    def _ended(self, outcome: Outcome, generation: int = 0) -> SyncRun:
        return replace(
            self.current,
            outcome=outcome,
            ended=self._world.clock.now(),
            generation=generation,
        )
