"""What a daemon tells of itself through the catalog, for whoever asks any machine.

every ten seconds ──> how many runs move and wait, how long a tick took, what
APIs granted          (`status`, `/metrics`, `/readyz`)
every quarter hour ─> how full the store is           (forecasts, `report`)
at the end ─────────> nothing: a machine that ended in peace is forgotten
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer import __version__
from syncer.durable import translated
from syncer.errors import SyncerError
from syncer.model.machines import Machine, Role
from syncer.model.storage import StorageSample

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from syncer.bootstrap import App
    from syncer.model.origin import Allowance

log = logging.getLogger(__name__)

#: Seconds between two words of itself.
BEAT = 10.0
#: Seconds between two looks at how full the store is.
SAMPLE = timedelta(minutes=15).total_seconds()


@dataclass(frozen=True, slots=True)
class Duty:
    """What a process has in hand at a moment."""

    running: int = 0
    waiting: int = 0
    #: Since when the first of them waits.
    oldest: datetime | None = None
    leader: bool = False
    #: Seconds that the last tick took.
    tick: float = 0.0


class Presence:
    """Keeps one process's row in the catalog true."""

    def __init__(
        self,
        roles: tuple[Role, ...],
        started: datetime,
        process: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        #: What tells one process of a machine from another.
        self._suffix = f"/{process}" if process else ""
        self._roles = roles
        self._started = started
        self._monotonic = monotonic
        self._next_beat = self._next_sample = monotonic()
        self._is_first = True

    def beat(self, app: App, duty: Duty) -> None:
        """Tell what is due to be told; a catalog that cannot take it is no reason."""
        now = self._monotonic()
        try:
            if self._next_beat <= now:
                self._next_beat = now + BEAT
                app.operations.seen(self._machine(app, duty))
                self._forget_dead(app)
            if self._next_sample <= now:
                self._next_sample = now + SAMPLE
                app.operations.sampled(sample(app))
        except SyncerError as exc:
            log.debug("not told how this machine is", extra={"error": str(exc)})

    def leave(self, app: App) -> None:
        """Take the row away: nobody has to look for who ended in peace."""
        try:
            app.operations.forget_machine(self._name(app))
        except SyncerError as exc:
            log.debug("this machine stays known", extra={"error": str(exc)})

    def _forget_dead(self, app: App) -> None:
        """Take away, once, the rows of processes here that died without a word."""
        if not self._is_first:
            return
        for each in app.operations.machines():
            host, _, process = each.name.partition("/")
            if host == app.config.machine and process and not _lives(process):
                app.operations.forget_machine(each.name)
        self._is_first = False

    def _name(self, app: App) -> str:
        return f"{app.config.machine}{self._suffix}"

    def _machine(self, app: App, duty: Duty) -> Machine:
        return Machine(
            name=self._name(app),
            version=__version__,
            roles=self._roles,
            started=self._started,
            seen=app.clock.now(),
            leader=duty.leader,
            running=duty.running,
            waiting=duty.waiting,
            oldest=duty.oldest,
            capacity=app.config.syncer.workers,
            tick=duty.tick,
            allowances=granted(app),
        )


def _lives(process: str) -> bool:
    """Return whether a process of this machine is there, by its number."""
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except OSError:
        return True  # it is somebody else's
    return True


def granted(app: App) -> tuple[tuple[str, Allowance], ...]:
    """Return what APIs last granted this process, by host."""
    api = app.world.api
    hosts = sorted(host for host in app.config.hosts if api.serves(host))
    return tuple((host, each) for host in hosts for each in api.allowances(host))


def sample(app: App) -> StorageSample:
    """Return how full the store of this machine is.

    Raises:
        SyncerError: the store is not there, or the catalog does not answer.
    """
    with translated("the store"):
        usage = shutil.disk_usage(app.config.data)
    return StorageSample(
        app.clock.now(),
        app.config.machine,
        usage.free,
        usage.total,
        app.operations.usage(),
    )
