"""How runs end that publish nothing: failed, held, or gone upstream."""

from __future__ import annotations

import logging
import traceback
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.errors import Gone, RateLimited, SyncerError
from syncer.model.mirrors import Held
from syncer.model.runs import Outcome, SyncRun
from syncer.schedule.due import backoff

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.errors import Dangerous, Impostor
    from syncer.model.mirrors import RepoState
    from syncer.model.runs import Trigger
    from syncer.sync.world import World

log = logging.getLogger(__name__)


def new_run(state: RepoState, trigger: Trigger, started: datetime) -> SyncRun:
    """Return a run that has no row yet."""
    return SyncRun(0, state.id, state.name, trigger, started)


class Endings:
    """Ends runs and records how."""

    def __init__(self, world: World) -> None:
        self._world = world

    def fail(self, run: SyncRun, raised: Exception) -> SyncRun:
        """End a run by what it raised; one that is recorded already stays so."""
        exc = _ours(run, raised)
        if run.outcome is not None:
            # It is recorded already; what failed is giving the lease back.
            log.warning(
                "trouble after a run", extra={"repo": str(run.name), "error": str(exc)}
            )
            return run
        failed = replace(
            run,
            outcome=Outcome.GONE if isinstance(exc, Gone) else Outcome.FAILED,
            ended=self._world.clock.now(),
            error=self._world.clean(_told(exc)),
            hint=exc.hint,
            exit_code=exc.exit_code,
            retry_after=exc.retry_after if isinstance(exc, RateLimited) else None,
        )
        self._close(failed, None)
        return failed

    def hold(self, run: SyncRun, before: Held | None, exc: Dangerous) -> SyncRun:
        """End a run that met an object which fsck refuses."""
        known = before is not None and before.oid == exc.oid
        hint = f"look at the object, then: syncer accept {run.name} --object {exc.oid}"
        run = replace(run, hint=hint)
        return self._held(run, exc, _since(before, known=known), oid=exc.oid)

    def freeze(self, run: SyncRun, before: Held | None, exc: Impostor) -> SyncRun:
        """End a run that met another repository under the mirror's name."""
        known = before is not None and before.identity == exc.id
        since = _since(before, known=known)
        return self._held(replace(run, hint=exc.hint), exc, since, identity=exc.id)

    def unlisted(self, state: RepoState, run: SyncRun, exc: SyncerError) -> SyncRun:
        """Return a run that went well but for its releases; they are tried again.

        A limit is no failure: the releases are late, and say so.
        """
        world, known = self._world, state.releases
        limited = isinstance(exc, RateLimited)
        wait = timedelta(seconds=backoff(state.path, known.failures + 1))
        if isinstance(exc, RateLimited) and exc.retry_after is not None:
            wait = exc.retry_after
        error = world.clean(str(exc))
        world.releases.failed(
            state.id,
            error,
            not_before=world.clock.now() + wait,
            counts=not limited,
        )
        return replace(
            run,
            outcome=Outcome.PARTIAL,
            error=f"releases: {error}; what is published of them is unchanged",
            hint=exc.hint,
            exit_code=exc.exit_code,
        )

    def _held(
        self,
        run: SyncRun,
        exc: SyncerError,
        since: datetime | None,
        *,
        oid: str | None = None,
        identity: int | None = None,
    ) -> SyncRun:
        now = self._world.clock.now()
        held = replace(
            run,
            outcome=Outcome.HELD,
            ended=now,
            error=self._world.clean(str(exc)),
            exit_code=exc.exit_code,
        )
        why = Held(str(held.error), since or now, oid=oid, identity=identity)
        self._close(held, why)
        return held

    def _close(self, run: SyncRun, held: Held | None) -> None:
        try:
            self._world.catalog.close_run(run, held=held)
        except SyncerError as exc:
            # The catalog is what failed: the result is still shown and logged,
            # and the open run is closed by the next one of this mirror.
            extra = {"repo": str(run.name), "error": self._world.clean(str(exc))}
            log.error("run could not be recorded", extra=extra)  # noqa: TRY400 - a sentence is enough for an error of ours


def _since(before: Held | None, *, known: bool) -> datetime | None:
    return before.since if before is not None and known else None


def _ours(run: SyncRun, exc: Exception) -> SyncerError:
    """Return an error of our tree: a defect ends one run, never the daemon."""
    if isinstance(exc, SyncerError):
        return exc
    log.error("sync run ended by a defect", extra={"repo": str(run.name)}, exc_info=exc)
    return _defect(exc)


def _told(exc: SyncerError) -> str:
    """Return what happened, and what was not changed by it."""
    text = str(exc)
    if any(
        word in text for word in ("unchanged", "kept as it is", "nothing", "is kept")
    ):
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
