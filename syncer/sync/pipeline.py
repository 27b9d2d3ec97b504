"""One run of one mirror: probe, fetch, promote, record.

    due ──> probing ──refs and releases as we know them──> UNCHANGED   no git, no row
               │ another
            fetching ──> transferring ──> promoting ──> recording ──> CHANGED
               │               │              └─ objects or assets missing ──> PARTIAL
               │               └─ and all objects are wanted ──> HELD
               ├─ guard tripped, or fsck refused ──> HELD
               └─ anything else ──> FAILED, refs as they were

The order is the promise: objects are durable before the intent row, the
intent row before the rename, the rename before the finish row.  A run that
dies between two of them is finished or forgotten by the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.errors import Dangerous
from syncer.sync.attempt import Attempt
from syncer.sync.endings import Endings, new_run
from syncer.sync.record import settle
from syncer.sync.visiting import Visitor

if TYPE_CHECKING:
    from datetime import timedelta

    from syncer.model.mirrors import RepoState
    from syncer.model.runs import SyncRun, Trigger, Visit
    from syncer.ports import ProgressSink
    from syncer.sync.world import World


class Pipeline:
    """Runs mirrors, one at a time each."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._visitor = Visitor(world)
        self._endings = Endings(world)

    def probe(self, state: RepoState, trigger: Trigger) -> Visit:
        """Ask upstream; an unchanged mirror costs nothing more than this."""
        return self._visitor.probe(state, trigger)

    def sync(
        self,
        visit: Visit,
        trigger: Trigger,
        *,
        wait: timedelta | None = None,
        progress: ProgressSink | None = None,
    ) -> SyncRun:
        """Bring a mirror to what its probe saw; never raises but `Interrupted`."""
        run = new_run(visit.state, trigger, visit.started)
        if visit.run is not None or visit.probe is None:
            return visit.run or run
        world = self._world
        attempt = Attempt(world, run, world.selection(run.name), progress)
        try:
            world.store.check_space()
            with world.store.lease(visit.state.path, wait=wait) as repository:
                return attempt.run(repository, visit)
        except Dangerous as exc:
            return self._endings.hold(attempt.current, visit.state.held, exc)
        except Exception as exc:  # noqa: BLE001 - one mirror's defect ends its run alone
            return self._endings.fail(attempt.current, exc)

    def recover(self, state: RepoState) -> bool:
        """Finish or forget what a dead run left of a mirror; True if there was any."""
        world = self._world
        with world.store.lease(state.path) as repository:
            intent = world.catalog.intent(state.id)
            return settle(world, repository, state, intent)

    def maintain(self, state: RepoState, *, idle: bool = False) -> bool:
        """Put a mirror's packs in order when they need it; True if they did."""
        world = self._world
        with world.store.lease(state.path) as repository:
            if not repository.needs_maintenance(idle=idle):
                return False
            now = world.clock.now()
            repository.maintain(now=now)
            world.catalog.maintained(state.id, now, repository.size())
        return True
