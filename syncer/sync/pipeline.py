"""One run of one mirror: probe, fetch, promote, record.

    due ──> probing ──same digest──> UNCHANGED     no git, no row
               │ another
            fetching ──> transferring ──> promoting ──> recording ──> CHANGED
               │               │              └─ LFS objects missing ──> PARTIAL
               │               └─ and all are wanted ──> HELD
               ├─ guard tripped, or fsck refused ──> HELD
               └─ anything else ──> FAILED, refs as they were

The order is the promise: objects are durable before the intent row, the
intent row before the rename, the rename before the finish row.  A run that
dies between two of them is finished or forgotten by the next.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from syncer.errors import Dangerous, RateLimited, SyncerError
from syncer.model.mirrors import Held
from syncer.model.runs import Outcome, ProbeResult, SyncRun, Visit
from syncer.sync.attempt import Attempt
from syncer.sync.lfs import is_owed, is_whole
from syncer.sync.record import settle

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from syncer.model.mirrors import RepoState
    from syncer.model.runs import Probe, Trigger
    from syncer.ports import ProgressSink
    from syncer.sync.world import World

log = logging.getLogger(__name__)


class Pipeline:
    """Runs mirrors, one at a time each."""

    def __init__(self, world: World) -> None:
        self._world = world

    def probe(self, state: RepoState, trigger: Trigger) -> Visit:
        """Ask upstream; an unchanged mirror costs nothing more than this."""
        world = self._world
        started = world.clock.now()
        try:
            selection = world.selection(state.name)
            probe = world.forge.probe(state.name, selection.refs)
        except Exception as exc:  # noqa: BLE001 - one mirror's defect ends its run alone
            run = self._new_run(state, trigger, started)
            return Visit(state, started, run=self._fail(run, self._ours(run, exc)))
        owed = selection.lfs and is_owed(state, started)
        if not owed and self._is_unchanged(state, probe):
            world.probes.add(ProbeResult(state.id, probe.started))
            whole = is_whole(state, selection)
            run = replace(
                self._new_run(state, trigger, started),
                outcome=Outcome.UNCHANGED if whole else Outcome.PARTIAL,
                ended=world.clock.now(),
                generation=state.generation,
            )
            return Visit(state, started, run=run)
        return Visit(state, started, probe=probe)

    def _is_unchanged(self, state: RepoState, probe: Probe) -> bool:
        return (
            probe.digest == state.fingerprint
            and probe.asked == state.asked
            and state.stamp is not None
            and state.stamp == self._world.store.stamp(state.path)
        )

    def sync(
        self,
        visit: Visit,
        trigger: Trigger,
        *,
        wait: timedelta | None = None,
        progress: ProgressSink | None = None,
    ) -> SyncRun:
        """Bring a mirror to what its probe saw; never raises but `Interrupted`."""
        if visit.run is not None or visit.probe is None:
            return visit.run or self._new_run(visit.state, trigger, visit.started)
        world = self._world
        run = self._new_run(visit.state, trigger, visit.started)
        attempt = Attempt(world, run, world.selection(run.name), progress)
        try:
            world.store.check_space()
            with world.store.lease(visit.state.path, wait=wait) as repository:
                return attempt.run(repository, visit.probe)
        except Dangerous as exc:
            return self._hold(attempt.current, visit.state.held, exc)
        except Exception as exc:  # noqa: BLE001 - as in `probe`
            return self._fail(attempt.current, self._ours(attempt.current, exc))

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

    def _new_run(
        self, state: RepoState, trigger: Trigger, started: datetime
    ) -> SyncRun:
        return SyncRun(0, state.id, state.name, trigger, started)

    @staticmethod
    def _ours(run: SyncRun, exc: Exception) -> SyncerError:
        """Return an error of our tree: a defect ends one run, never the daemon."""
        if isinstance(exc, SyncerError):
            return exc
        log.error(
            "sync run ended by a defect", extra={"repo": str(run.name)}, exc_info=exc
        )
        return _defect(exc)

    def _fail(self, run: SyncRun, exc: SyncerError) -> SyncRun:
        if run.outcome is not None:
            # It is recorded already; what failed is giving the lease back.
            log.warning(
                "trouble after a run", extra={"repo": str(run.name), "error": str(exc)}
            )
            return run
        failed = replace(
            run,
            outcome=Outcome.FAILED,
            ended=self._world.clock.now(),
            error=self._world.clean(_told(exc)),
            hint=exc.hint,
            exit_code=exc.exit_code,
            retry_after=exc.retry_after if isinstance(exc, RateLimited) else None,
        )
        self._close(failed, None)
        return failed

    def _hold(self, run: SyncRun, before: Held | None, exc: Dangerous) -> SyncRun:
        now = self._world.clock.now()
        known = before is not None and before.oid == exc.oid
        since = before.since if before is not None and known else now
        held = replace(
            run,
            outcome=Outcome.HELD,
            ended=now,
            error=self._world.clean(str(exc)),
            hint=f"look at the object, then: syncer accept {run.name} "
            f"--object {exc.oid}",
            exit_code=exc.exit_code,
        )
        self._close(held, Held(str(held.error), since, oid=exc.oid))
        return held

    def _close(self, run: SyncRun, held: Held | None) -> None:
        try:
            self._world.catalog.close_run(run, held=held)
        except SyncerError:
            # The catalog is what failed: the result is still shown and logged,
            # and the open run is closed by the next start.
            log.exception("run could not be recorded", extra={"repo": str(run.name)})


def _told(exc: SyncerError) -> str:
    """Return what happened, and what was not changed by it."""
    text = str(exc)
    if any(word in text for word in ("unchanged", "kept as it is", "nothing")):
        return text
    return f"{text}; published refs are unchanged"


def _defect(exc: Exception) -> SyncerError:
    where = traceback.extract_tb(exc.__traceback__)[-1]
    msg = (
        f"a defect in syncer: {type(exc).__name__}: {exc} "
        f"(line {where.lineno} of {where.filename.rpartition('/')[2]}); "
        "published refs are unchanged"
    )
    return SyncerError(msg, hint="please report it, with the log")
