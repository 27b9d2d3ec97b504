"""The daemon: one tick decides who is due, workers do it, signals end it.

    tick (every second)
      ├─ the file changed? take the new configuration, or keep the old one
      ├─ flush unchanged probes, one commit
      ├─ decide who is due (`schedule/due.py`) and hand them to the workers: threads
      │  of this process (`alone.py`), or those of several machines (`dispatch.py`)
      └─ begin what goes on beside the runs (`attendants.py`)

State is in the catalog, so that a restart goes on where it stopped.
"""

from __future__ import annotations

import faulthandler
import logging
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler

from syncer import __version__, freshness, logs
from syncer.alone import Alone
from syncer.attendants import Attendants
from syncer.bootstrap import App, build
from syncer.catalog import database
from syncer.config import environment
from syncer.durable import translated
from syncer.errors import SyncerError
from syncer.git import version
from syncer.git.lease import Patience, hold
from syncer.model.machines import Role
from syncer.presence import Duty
from syncer.pulse import headline
from syncer.reload import ConfigFile, rebuilt
from syncer.served import Served
from syncer.systemd import Notifier
from syncer.watch import channels_of

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.config import Config
    from syncer.credentials import Redactor
    from syncer.member import Member
    from syncer.model.mirrors import RepoState

log = logging.getLogger(__name__)

_TICK = 1.0  # seconds
#: A tick may take this share of a processor; with very many mirrors, ticks are rarer,
#: and those that are due begin between them.
_DUTY = 0.05
_ALONE = Patience(hint="one daemon works on a store; stop that one first")


def serve(path: Path | None, *, takes: bool = True) -> int:
    """Run until SIGINT or SIGTERM; return the exit status.

    Where several machines work, it takes runs only if it `takes`.

    Raises:
        ConfigError: the file cannot be used at the start.
        Locked: another daemon works on this store.
        PermanentError: the store cannot be written to.
    """
    notifier = Notifier(environment())
    notifier.status("starting")
    if notifier.watchdog is not None:
        faulthandler.enable()  # systemd ends what hangs by SIGABRT: it tells where
    file = ConfigFile(path)
    config = file.read()
    redactor = logs.configure(environment(), config.secrets())
    channels_of(config)  # an address that cannot be used is told now
    with ExitStack() as stack:
        with translated("the store"):
            config.data.mkdir(parents=True, exist_ok=True)
            lock = config.data / "daemon.lock"
            stack.enter_context(hold(lock, f"{config.data}", _ALONE))
        if config.catalog_url.startswith("sqlite"):
            database.upgrade(config.catalog_url)
        daemon = Daemon(config, redactor, file, notifier, takes=takes)
        stack.callback(daemon.close)
        status = daemon.run()
    log.info("stopped")
    return status


class Daemon(Served):
    """One process that keeps the mirrors of one store fresh."""

    def __init__(
        self,
        config: Config,
        redactor: Redactor,
        file: ConfigFile,
        notifier: Notifier,
        *,
        takes: bool = True,
    ) -> None:
        super().__init__(redactor, file, notifier)
        self._takes = takes
        self._app = build(config, stop=self._hurry)
        self._hands: Alone | Member = self._crew(self._app)
        self._not_before = 0.0
        self._took = 0.0
        #: Seconds of a processor that the last decision took.  One that waited for a
        #: database that restarts, or for a new configuration, is no reason to be rare.
        self._cost = 0.0
        roles = [Role.SCHEDULER]
        if takes:
            roles.append(Role.WORKER)
        if config.syncer.web.address is not None:
            roles.append(Role.WEB)
        self._attendants = Attendants(self._app.clock.now(), tuple(roles))
        self._scheduler = BackgroundScheduler()
        #: What the last tick knew of the mirrors.
        self._states: list[RepoState] = []

    def run(self) -> int:
        """Tick until a signal comes."""
        app = self._app
        git = version.check(app.git)
        app.reconcile()
        self._states = app.catalog.states()
        data, count = str(app.config.data), len(app.config.repo)
        facts = {"version": __version__, "git": git, "data": data, "mirrors": count}
        log.info("syncer started", extra=facts)
        self._attendants.show(app)
        # Repositories may take long to put right, and are not what a start is.
        self._notifier.ready(self._headline())
        self._pulse.start()
        self._recover()
        self._hands.start()
        self._scheduler.add_job(
            self._tick,
            "interval",
            seconds=_TICK,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        self._scheduler.start()
        self._wait()
        return 0

    def _finish(self) -> None:
        """Wait for all that runs; what is known of the rest is stored by then."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)  # a tick may still be at it
        with suppress(SyncerError):  # it is tried again, when all has ended
            self._app.probes.flush()
        self._hands.close()
        self._attendants.leave(self._app)
        self._app.close()

    def _headline(self) -> str:
        """Return how the mirrors are in a line, and what is wrong with the tick."""
        app = self._app
        known = freshness.configured(app.config, self._states)
        found = freshness.fresh(app.config, known, app.clock.now())
        line = headline(found, app.config.tier, syncing=self._hands.moving())
        if self._complaint:
            return f"{line}; tick failed: {self._redactor.clean(self._complaint)}"
        settled = self._scheduler.running
        return line if settled else f"{line}; settling what was left unfinished"

    def _tick(self) -> None:
        now = time.monotonic()
        if not self._stopping.is_set():
            if now >= self._not_before:
                self._do_all(now)
            else:
                self._hand_on()
        self._beat()

    def _hand_on(self) -> None:
        """Let those begin for whom the last tick had no room; keep the lead."""
        try:
            if self._hands.leads():
                self._hands.hand_on()
        except SyncerError as exc:
            self._complain(exc)

    def _beat(self) -> None:
        """Note that the tick got on, unless the face hangs: both are watched."""
        if self._attendants.is_responsive:
            self._pulse.beat()

    def _do_all(self, now: float) -> None:
        try:
            for step in (self._app.probes.flush, self._look_at_file, self._hand_out):
                step()
                self._beat()
            self._complaint = ""
        except SyncerError as exc:
            self._complain(exc)
        self._took = time.monotonic() - now
        self._not_before = now + max(_TICK, self._cost / _DUTY) - _TICK / 2

    def _hand_out(self) -> None:
        cpu = time.thread_time()
        app, leads = self._app, self._hands.leads()
        self._states = states = app.catalog.states()
        aside = self._attendants.care.in_hand
        begun = 0
        if leads:
            begun = self._hands.hand_out(states, aside)
            busy = self._hands.busy() | aside
            hinted = self._attendants.outlook.take(busy)
            begun += self._hands.hand_hinted(states, hinted)
        if self._attendants.outlook.has_grown():
            self._reload.set()
        idle = not begun and not self._hands.busy()
        self._attendants.attend(app, states, self._duty(leads=leads), idle=idle)
        self._cost = time.thread_time() - cpu

    def _duty(self, *, leads: bool) -> Duty:
        """Return what this process has in hand."""
        running, waiting = self._hands.counts()
        return Duty(running, waiting, self._hands.oldest(), leads, self._took)

    def _use(self, config: Config) -> None:
        """Work with a new configuration; runs of the old one end in peace."""
        if config.data != self._app.config.data:
            log.warning("`data` changed; restart the daemon to use it")
            return
        self._redactor.learn(config.secrets())
        channels_of(config)
        app = rebuilt(config, self._hurry)
        self._attendants.show(app)
        self._app = app
        self._hands.use(app, self._attendants.threads)
        log.info("configuration reloaded", extra={"mirrors": len(app.config.repo)})

    def _crew(self, app: App) -> Alone | Member:
        """Return who works on what is due: this machine, or one of several."""
        if not app.config.is_cluster:
            return Alone(app)
        from syncer.member import Member  # noqa: PLC0415 - an extra, and 0.3 s

        reload = self._reload.set
        return Member(app, schedules=True, on_stranger=reload, takes=self._takes)
