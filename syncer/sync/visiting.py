"""One visit: upstream is asked, and often nothing more is to be done.

refs ──same digest──> releases due? ──no──> UNCHANGED: no git, no row
  │ another              └─ listed ──as we know them──> the same, noted together
  └──> who is it? <──────────┘ something else
            └──> a run
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from syncer.errors import (
    AccessDenied,
    Impostor,
    Interrupted,
    Moved,
    NotFound,
    ProtocolError,
    RateLimited,
    SyncerError,
    TransientError,
)
from syncer.model.runs import Outcome, ProbeResult, Trigger, Visit
from syncer.sync.endings import Endings, new_run
from syncer.sync.identity import Identity
from syncer.sync.lfs import is_owed, is_whole
from syncer.sync.releases import Look, ReleaseLook, are_whole, is_due

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.mirrors import RepoState, Selection
    from syncer.model.runs import Probe, SyncRun
    from syncer.sync.world import World

#: What a git server says of a repository that was renamed, deleted or taken over.
_DENIALS = (NotFound, Moved, AccessDenied)


class Visitor:
    """Asks upstream about mirrors."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._endings = Endings(world)
        self._identity = Identity(world)
        self._look = ReleaseLook(world)

    def probe(self, state: RepoState, trigger: Trigger) -> Visit:
        """Ask upstream; an unchanged mirror costs nothing more than this."""
        started = self._world.clock.now()
        run = new_run(state, trigger, started)
        try:
            return self._visit(state, run)
        except Impostor as exc:
            ended = self._endings.freeze(run, state.held, exc)
        except Exception as exc:  # noqa: BLE001 - one mirror's defect ends its run alone
            ended = self._endings.fail(run, exc)
        return Visit(state, started, run=ended)

    def _visit(self, state: RepoState, run: SyncRun) -> Visit:
        world = self._world
        selection = world.selection(state.name)
        applies = self._identity.applies(state)
        known = applies and not state.standing.is_reachable
        if known:
            state = self._identity.confirm(state)
        probe, state = self._asked(state, selection)
        owed = selection.lfs and is_owed(state, run.started)
        changed = owed or not self._is_unchanged(state, probe)
        due = applies and self._is_due(state, run, changed=changed)
        look = Look()
        unlisted: SyncerError | None = None
        try:
            if applies and not known and (changed or due):
                probe, state = self._confirmed(state, selection, probe)
                changed = owed or not self._is_unchanged(state, probe)
        except (TransientError, AccessDenied, ProtocolError) as exc:
            if changed:
                raise
            due, unlisted = False, exc
        if due:
            look, unlisted = self._looked(state)
        if isinstance(unlisted, RateLimited) and self._is_fresh(state, run):
            unlisted = None  # it was asked for, but no turn of it is missed
        visit = Visit(
            state, run.started, probe=probe, listing=look.listing, unlisted=unlisted
        )
        if changed or look.listing is not None:
            if look.listed is not None:
                self._note_listed(state, look.listed)
            return visit
        world.probes.add(ProbeResult(state.id, probe.started, look.listed))
        return replace(visit, run=self._unchanged(visit, selection, run))

    def _asked(self, state: RepoState, selection: Selection) -> tuple[Probe, RepoState]:
        """Ask for the refs; where upstream denies them, find out who it is first."""
        forge = self._world.forge
        try:
            return forge.probe(state.source, selection.refs), state
        except _DENIALS:
            if not self._identity.applies(state):
                raise
            found = self._identity.confirm(state)
            if found.source == state.source:
                raise
            return forge.probe(found.source, selection.refs), found

    def _confirmed(
        self, state: RepoState, selection: Selection, probe: Probe
    ) -> tuple[Probe, RepoState]:
        """Find out who it is; refs of a name that it left may be another's by now."""
        found = self._identity.confirm(state)
        if found.source == state.source:
            return probe, found
        return self._world.forge.probe(found.source, selection.refs), found

    def _is_unchanged(self, state: RepoState, probe: Probe) -> bool:
        return (
            probe.digest == state.fingerprint
            and probe.asked == state.asked
            and state.stamp is not None
            and state.stamp == self._world.store.stamp(state.path)
        )

    def _is_due(self, state: RepoState, run: SyncRun, *, changed: bool) -> bool:
        """Return whether the releases are looked at with this visit."""
        if not self._look.wants(state):
            return False
        if run.trigger is Trigger.COMMAND or state.id in self._world.hinted:
            return True
        if changed and self._world.api.is_authorised(state.name.host):
            # A tag often comes with its release; to ask costs next to nothing.
            not_before = state.releases.not_before
            return not_before is None or not_before <= run.started
        selection = self._world.selection(state.name).releases
        return is_due(state, selection, self._world.every(state), run.started)

    def _is_fresh(self, state: RepoState, run: SyncRun) -> bool:
        """Return whether releases were looked at so lately that they need it not."""
        world = self._world
        patient = replace(state, releases=replace(state.releases, not_before=None))
        selection = world.selection(state.name).releases
        return not is_due(patient, selection, world.every(state), run.started)

    def _looked(self, state: RepoState) -> tuple[Look, SyncerError | None]:
        """List the releases; return why not, where that does not work."""
        try:
            look = self._look.look(state)
        except Interrupted:
            raise
        except SyncerError as exc:
            return Look(), exc
        self._world.hinted.discard(state.id)
        return look, None

    def _note_listed(self, state: RepoState, at: datetime) -> None:
        """Record a listing that goes with a run which will not speak of releases."""
        world = self._world
        pages = world.releases.pages(state.id)
        key = world.selection(state.name).releases.key
        world.releases.listed(state.id, pages, at, key)

    def _unchanged(self, visit: Visit, selection: Selection, run: SyncRun) -> SyncRun:
        """Return how a visit ends after which nothing is to be done."""
        state = visit.state
        whole = is_whole(state, selection) and are_whole(state, selection.releases)
        ended = replace(
            run,
            outcome=Outcome.UNCHANGED if whole else Outcome.PARTIAL,
            ended=self._world.clock.now(),
            generation=state.generation,
        )
        if visit.unlisted is None:
            return ended
        return self._endings.unlisted(state, ended, visit.unlisted)
