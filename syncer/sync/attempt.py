"""One run under the mirror's lease: what a changed probe leads to.

The order is the promise: objects are durable before the intent row, the
intent row before the rename, the rename before the finish row.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from syncer.model.content import RefSnapshot, diff, keep_lost
from syncer.model.runs import Intent, Outcome, Stage
from syncer.sync import guard
from syncer.sync.record import counts, notes, settle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.model.content import Ref, RefChange
    from syncer.model.runs import Held, Incoming, Probe, RepoState, SyncRun
    from syncer.ports import BareRepository, ProgressSink
    from syncer.sync.world import World


class Attempt:
    """One run under the mirror's lease; `current` is how far it came."""

    def __init__(
        self,
        world: World,
        run: SyncRun,
        scope: tuple[str, ...],
        progress: ProgressSink | None,
    ) -> None:
        self._world = world
        self._scope = scope
        self._progress = progress
        self.current = run

    def run(self, repository: BareRepository, probe: Probe) -> SyncRun:
        world, run = self._world, self.current
        state = world.catalog.state(run.name)
        if settle(world, repository, state, world.catalog.intent(state.id)):
            state = world.catalog.state(run.name)
        published, target = repository.published(), probe.read()
        if not probe.symref_known:
            target = replace(target, head=_guess_head(published, target))
        if self._is_published(state, published, target):
            stamp = world.store.stamp(state.path) or ""
            world.catalog.confirm(state, probe, stamp, published)
            return self._ended(Outcome.UNCHANGED, generation=state.generation)
        self._open(state, probe)
        held = guard.check(
            published, target, self._scope, state.held, world.clock.now()
        )
        if held is not None:
            return self._hold(held)
        incoming = self._fetch(repository, state, target)
        return self._publish(repository, state, published, incoming, probe)

    def _is_published(
        self, state: RepoState, published: RefSnapshot, target: RefSnapshot
    ) -> bool:
        same_head = target.head is None or published.head == target.head
        return (
            state.generation > 0
            and self._world.store.stamp(state.path) is not None
            and same_head
            and _oids(published) == _oids(target)
        )

    def _open(self, state: RepoState, probe: Probe) -> None:
        run_id = self._world.catalog.open_run(
            state,
            self.current.trigger,
            self.current.started,
            observed=probe.started,
        )
        self.current = replace(self.current, id=run_id, stage=Stage.FETCH)

    def _hold(self, held: Held) -> SyncRun:
        run = replace(
            self._ended(Outcome.HELD),
            error=f"{held.reason}; published refs are unchanged",
            hint=f"if that is right: syncer accept {self.current.name}",
            exit_code=1,
        )
        self._world.catalog.close_run(run, held=held)
        return run

    def _fetch(
        self, repository: BareRepository, state: RepoState, target: RefSnapshot
    ) -> Incoming:
        incoming = repository.fetch(
            state.name,
            target,
            scope=self._scope,
            accepted=self._world.catalog.accepted_objects(state.id),
            progress=self._progress,
            source=partial(self._world.forge.pack, state.name),
        )
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
        refs = _unheard(published, peeled, changes)
        kept = keep_lost(published.kept, changes, world.clock.now().date().isoformat())
        target = RefSnapshot({**kept, **refs}, peeled.head or published.head)
        beside = _beside(published, target)
        intent = Intent(
            run_id=self.current.id,
            mirror_id=state.id,
            old=published.fingerprint,
            beside=None if beside is None else beside.fingerprint,
            new=target.fingerprint,
            head=target.head,
            changes=() if incoming.first else tuple(changes),
            fingerprint=probe.digest if incoming.exact else None,
            asked=probe.asked,
            observed=probe.started,
            probed=probe.started,
            ref_count=len(target.upstream),
            first=incoming.first,
        )
        world.catalog.intend(intent)
        self.current = self.current.reached(Stage.PROMOTE)
        receipt = repository.promote(incoming, beside=beside, target=target)
        self.current = self.current.reached(Stage.RECORD)
        run = replace(
            self._ended(Outcome.CHANGED),
            counts=counts(changes),
            notes=notes(changes, published, target),
        )
        self.current = world.catalog.finish(intent, receipt, run)
        return self.current

    def _ended(self, outcome: Outcome, generation: int = 0) -> SyncRun:
        return replace(
            self.current,
            outcome=outcome,
            ended=self._world.clock.now(),
            generation=generation,
        )


def _oids(snapshot: RefSnapshot) -> dict[str, str]:
    return {name: ref.oid for name, ref in snapshot.upstream.items()}


def _unheard(
    published: RefSnapshot, peeled: RefSnapshot, changes: Iterable[RefChange]
) -> dict[str, Ref]:
    """Return the new refs; what stayed peels to what we found ourselves, then.

    Upstream's word for it would be passed on to consumers unchecked.
    """
    changed = {change.ref for change in changes}
    return {
        name: ref if name in changed else published.refs[name]
        for name, ref in peeled.refs.items()
    }


def _beside(published: RefSnapshot, target: RefSnapshot) -> RefSnapshot | None:
    """Return what to publish first when HEAD's branch goes away: both names.

    HEAD is a file of its own; with both branches there, it resolves at every
    moment of the change.
    """
    head = published.head
    if head is None or head not in published.refs or head in target.refs:
        return None
    refs = {**target.refs, head: published.refs[head]}
    return RefSnapshot(refs, published.head)


def _guess_head(published: RefSnapshot, target: RefSnapshot) -> str | None:
    """Stand in for a server that does not say which branch HEAD names."""
    if published.head in target.refs:
        return published.head
    usual = ("refs/heads/main", "refs/heads/master")
    return next((name for name in usual if name in target.refs), None)
