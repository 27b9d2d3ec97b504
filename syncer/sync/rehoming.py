"""A mirror takes up its place on a machine: for the first time, or instead of another.

Old tips are kept in the repository and nowhere else, so that it moves whole: someone
copies it, with its times (`rsync -a`), and it is looked at here.  Is it what was last
published?  Is every object there that a ref needs?  Then one transaction makes this
machine its home, if nothing was published meanwhile.  There is one home before it
and one after it; whoever still works on the old one is refused from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.errors import Locked, NotFound
from syncer.model.runs import AuditEvent
from syncer.sync.record import settle

if TYPE_CHECKING:
    from collections.abc import Collection

    from syncer.model.mirrors import RepoState
    from syncer.ports import BareRepository
    from syncer.sync.world import World


class Rehoming:
    """Brings mirrors home to one machine."""

    def __init__(self, world: World, machine: str) -> None:
        self._world = world
        self._machine = machine

    def claim(self) -> list[RepoState]:
        """Keep what lies here since before machines had names; return which.

        Only what is published here, to the very file, is ours to keep.
        """
        catalog, store = self._world.catalog, self._world.store
        ours = [
            state
            for state in catalog.states()
            if state.home is None
            and state.stamp is not None
            and state.stamp == store.stamp(state.path)
        ]
        if ours:
            catalog.place({state.id: self._machine for state in ours})
        return ours

    def move(self, state: RepoState, actor: str, alive: Collection[str]) -> None:
        """Let a copy that lies here be the mirror from now on.

        `alive` are the machines whose workers were seen lately.

        Raises:
            NotFound: there is no copy here, or one of another time.
            IntegrityError: objects are missing in it.
            Locked: a run is at work on it, or it was published meanwhile.
        """
        self._refuse_running(state, alive)
        world = self._world
        with world.store.lease(state.path) as repository:
            self._check_copy(state, repository)
            repository.check_objects()
            stamp = world.store.stamp(state.path)
            event = self._event(state, actor, f"from {state.home or 'nowhere'}")
            world.catalog.rehome(state, self._machine, event, stamp=stamp)
            # What the old home left half done is finished or forgotten here.
            settle(world, repository, state, world.catalog.intent(state.id))

    def begin_anew(
        self, state: RepoState, machine: str, actor: str, alive: Collection[str]
    ) -> None:
        """Let a machine keep the mirror that has nothing of it yet.

        Old tips stay behind, where nobody looks after them.

        Raises:
            Locked: a run is at work on it, or it was published meanwhile.
        """
        self._refuse_running(state, alive)
        detail = f"from {state.home or 'nowhere'}, without its old tips"
        event = self._event(state, actor, detail, machine)
        self._world.catalog.rehome(state, machine, event, stamp=None)

    def _event(
        self, state: RepoState, actor: str, detail: str, machine: str | None = None
    ) -> AuditEvent:
        told = f"{detail} to {machine or self._machine}"
        now = self._world.clock.now()
        return AuditEvent(now, actor, "rehome", state.name.short, told)

    def _refuse_running(self, state: RepoState, alive: Collection[str]) -> None:
        """Refuse to take a mirror away from a run that may well come to its end.

        Of a machine that is gone, nothing will.
        """
        last = self._world.catalog.runs(state.name, 1)
        running = bool(last) and last[0].outcome is None
        if running and state.home in alive and state.home != self._machine:
            msg = f"a run is at work on {state.home}; {state.name} stays there"
            hint = f"syncer pause {state.name}, wait for its end, and try again"
            raise Locked(msg, hint=hint)

    def _check_copy(self, state: RepoState, repository: BareRepository) -> None:
        """Refuse what is not what consumers of the old home see."""
        if state.stamp is not None and self._world.store.is_copy(
            state.path, state.stamp
        ):
            return
        intent = self._world.catalog.intent(state.id)
        here = repository.published()
        if intent is not None and here.fingerprint in {
            intent.old,
            intent.beside,
            intent.new,
        }:
            return
        place = f"{state.path} below the store"
        if not here.refs:
            msg = f"there is no copy of {state.name} here; nothing was changed"
            hint = f"copy {place} with `rsync -a` from {state.home}, or use --fresh"
            raise NotFound(msg, hint=hint)
        msg = f"the copy of {state.name} is not what was last published; it stays away"
        hint = f"copy {place} from {state.home} once more, with its times: rsync -a"
        raise NotFound(msg, hint=hint)
