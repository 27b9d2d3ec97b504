"""The daemon: one tick decides who is due, workers do it, signals end it.

    tick (every second)
      ├─ the file changed? take the new configuration, or keep the old one
      ├─ flush unchanged probes, one commit
      ├─ decide who is due (`schedule/due.py`) and hand them to the workers
      ├─ ask forges about many mirrors at once (`outlook.py`)
      └─ look after packs and blobs (`care.py`)

State is in the catalog, so that a restart goes on where it stopped.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler

from syncer import __version__, logs
from syncer.bootstrap import App, build
from syncer.care import Care
from syncer.catalog import database
from syncer.config import environment, load
from syncer.durable import translated
from syncer.errors import Locked, SyncerError
from syncer.git import version
from syncer.git.lease import Patience, hold
from syncer.model.runs import Trigger
from syncer.outlook import Outlook
from syncer.schedule.due import due
from syncer.schedule.share import AHEAD, admit

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from syncer.config import Config
    from syncer.credentials import Redactor
    from syncer.workers.local import LocalWorkers

log = logging.getLogger(__name__)

_TICK = 1.0  # seconds
#: A tick may take this share of the time; with very many mirrors, ticks are rarer.
_DUTY = 0.05
#: Seconds that runs may take to end after a signal before git is ended for them.
_PATIENCE = 5.0
#: Seconds after that, before the process goes without the answers it waits for.
_FAREWELL = 4.0
_ALONE = Patience(hint="one daemon works on a store; stop that one first")


def serve(path: Path | None) -> int:
    """Run until SIGINT or SIGTERM; return the exit status.

    Raises:
        ConfigError: the file cannot be used at the start.
        Locked: another daemon works on this store.
        PermanentError: the store cannot be written to.
    """
    seen = _modified(path)
    config = load(path, environment())
    redactor = logs.configure(environment(), config.secrets())
    with ExitStack() as stack:
        with translated("the store"):
            config.data.mkdir(parents=True, exist_ok=True)
            lock = config.data / "daemon.lock"
            stack.enter_context(hold(lock, f"{config.data}", _ALONE))
        if config.catalog_url.startswith("sqlite"):
            database.upgrade(config.catalog_url)
        daemon = Daemon(config, redactor, seen)
        stack.callback(daemon.close)
        status = daemon.run()
    log.info("stopped")
    return status


class Daemon:
    """One process that keeps the mirrors of one store fresh."""

    def __init__(
        self, config: Config, redactor: Redactor, seen: tuple[int, int] | None
    ) -> None:
        self._redactor = redactor
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._reload = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._app = build(config, stop=self._hurry)
        self._workers = self._new_workers(self._app)
        #: Workers of former configurations that still have a run in hand.
        self._retiring: list[tuple[threading.Thread, LocalWorkers]] = []
        self._seen = seen
        self._not_before = 0.0
        self._complaint = ""
        self._care = Care()
        self._outlook = Outlook()

    def run(self) -> int:
        """Tick until a signal comes."""
        app = self._app
        git = version.check(app.git)
        app.reconcile()
        self._recover()
        scheduler = BackgroundScheduler()
        scheduler.add_job(
            self._tick,
            "interval",
            seconds=_TICK,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        data, count = str(app.config.data), len(app.config.repo)
        facts = {"version": __version__, "git": git, "data": data, "mirrors": count}
        log.info("syncer started", extra=facts)
        scheduler.start()
        while not self._stopping.wait(_TICK):
            pass  # for a signal that came to another thread: handlers run in this one
        running, waiting = self._workers.counts()
        log.info("stopping", extra={"running": running, "waiting": waiting})
        scheduler.shutdown(wait=True)
        return 0

    def close(self) -> None:
        """Let what runs come to a safe end, then give everything back."""
        ending = threading.Thread(target=self._end, name="end", daemon=True)
        ending.start()
        deadline = time.monotonic() + _PATIENCE
        while ending.is_alive() and time.monotonic() < deadline:
            ending.join(0.05)
            if self._hurry.is_set():
                break
        self._hurry.set()
        ending.join(_FAREWELL)
        if ending.is_alive():
            # Threads that wait for upstream to speak hold nothing that matters,
            # and the interpreter would wait for them.
            log.info("stopped, without the answers that upstream still owes")
            logging.shutdown()
            os._exit(0)

    def _end(self) -> None:
        """Wait for all that runs; what is known of the rest is stored by then."""
        others = [thread for thread, _ in self._retiring]
        try:
            self._app.probes.flush()
            self._workers.close()
            for thread in others:
                thread.join()
            self._care.join()
            self._outlook.join()
            self._app.close()
        except SyncerError as exc:
            log.warning("the last probes were not stored", extra={"error": str(exc)})

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reload.set()
        elif self._stopping.is_set():
            self._hurry.set()  # asked twice: end git, refs stay as they are
        else:
            self._stopping.set()

    def _tick(self) -> None:
        now = time.monotonic()
        if now < self._not_before or self._stopping.is_set():
            return
        try:
            self._app.probes.flush()
            self._look_at_file()
            self._hand_out()
            self._complaint = ""
        except SyncerError as exc:
            if str(exc) != self._complaint:  # said once, not every second
                log.error("tick failed", extra={"error": str(exc), "hint": exc.hint})  # noqa: TRY400 - a sentence is enough for an error of ours
            self._complaint = str(exc)
        took = time.monotonic() - now
        self._not_before = now + max(_TICK, took / _DUTY) - _TICK / 2

    def _hand_out(self) -> None:
        app = self._app
        states, busy = app.catalog.states(), self._in_hand()
        hosts = {state.name.host for state in states}
        known = {host: app.config.target_host(host) for host in hosts}
        budgets = {host: settings.probes for host, settings in known.items()}
        now, pending = app.clock.now(), app.probes.pending()
        ready = due(states, app.config.tier, budgets, now, pending, busy)
        shares = {host: settings.connections for host, settings in known.items()}
        in_hand = (state.name.host for state in states if state.id in busy)
        for decision in admit(ready, in_hand, shares):
            self._workers.submit(decision.state, Trigger.SCHEDULE)
        self._outlook.begin(app, states)
        hinted = self._outlook.take(busy)
        for state in (each for each in states if each.id in hinted):
            self._workers.submit(state, Trigger.SCHEDULE)
        if self._outlook.has_grown():
            self._reload.set()
        self._care.begin(app, states, idle=not busy and not ready)

    def _in_hand(self) -> set[int]:
        """Return the mirrors that somebody in this process works on."""
        self._retiring = [each for each in self._retiring if each[0].is_alive()]
        busy = self._workers.busy()
        for _, workers in self._retiring:
            busy |= workers.busy()
        return busy | self._care.in_hand

    def _look_at_file(self) -> None:
        modified = _modified(self._app.config.path)
        if modified == self._seen and not self._reload.is_set():
            return
        self._reload.clear()
        self._seen = modified
        try:
            config = load(self._app.config.path, environment())
            if config.data != self._app.config.data:
                log.warning("`data` changed; restart the daemon to use it")
                return
            self._redactor.learn(config.secrets())
            app = self._try(config)
        except SyncerError as exc:
            problems = getattr(exc, "problems", ())
            log.error(  # noqa: TRY400 - a sentence is enough for an error of ours
                "the new configuration is not used; the old one stays",
                extra={"error": str(exc), "problems": list(problems)},
            )
            return
        self._take_over(app)

    def _try(self, config: Config) -> App:
        """Return what works with a new configuration; nothing is left if it cannot."""
        app = build(config, stop=self._hurry)
        try:
            version.check(app.git)
            app.reconcile()
        except BaseException:
            app.close()
            raise
        return app

    def _take_over(self, app: App) -> None:
        """Work with the new configuration; runs of the old one end in peace."""
        old_app, old_workers = self._app, self._workers
        self._app, self._workers = app, self._new_workers(app)
        log.info("configuration reloaded", extra={"mirrors": len(app.config.repo)})
        others = (self._care.thread, self._outlook.thread)

        def retire() -> None:
            old_workers.close()
            for other in others:
                if other is not None:
                    other.join()
            old_app.close()

        thread = threading.Thread(target=retire, name="retire")
        self._retiring.append((thread, old_workers))
        thread.start()

    def _new_workers(self, app: App) -> LocalWorkers:
        wait = timedelta(seconds=5)
        return app.workers(on_end=logs.run_ended, lock_wait=wait, ahead=AHEAD)

    def _recover(self) -> None:
        """Finish or forget what a dead process left, before anything is due."""
        for state in self._app.catalog.unfinished():
            if self._stopping.is_set():
                return
            try:
                self._app.pipeline.recover(state)
            except Locked as exc:
                log.warning("left alone", extra={"reason": str(exc)})


def _modified(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
