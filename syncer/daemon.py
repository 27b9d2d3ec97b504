"""The daemon: one tick decides who is due, workers do it, signals end it.

    tick (every second)
      ├─ the file changed? take the new configuration, or keep the old one
      ├─ flush unchanged probes, one commit
      ├─ decide who is due (`schedule/due.py`) and hand them to the workers
      └─ nothing to do? put one mirror's packs in order

State is in the catalog, so that a restart goes on where it stopped.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler

from syncer import __version__, logs
from syncer.bootstrap import App, build
from syncer.catalog import database
from syncer.config import environment, load
from syncer.errors import Locked, SyncerError
from syncer.git import version
from syncer.git.lease import Patience, hold
from syncer.model.runs import Outcome, Trigger
from syncer.schedule.due import due

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from syncer.config import Config
    from syncer.model.runs import RepoState, SyncRun
    from syncer.workers.local import LocalWorkers

log = logging.getLogger(__name__)

_TICK = 1.0  # seconds
#: A tick may take this share of the time; with very many mirrors, ticks are rarer.
_DUTY = 0.05
#: Mirrors handed to the workers and not begun yet, as multiples of the connections.
_AHEAD = 4
_HOUSEKEEPING = timedelta(minutes=10)
#: How long runs may take to end after a signal before git is ended for them.
_PATIENCE = 60.0
_ALONE = Patience(hint="one daemon works on a store; stop that one first")


def serve(path: Path | None) -> int:
    """Run until SIGINT or SIGTERM; return the exit status.

    Raises:
        ConfigError: the file cannot be used at the start.
        Locked: another daemon works on this store.
    """
    config = load(path, environment())
    redactor = logs.configure(environment(), config.secrets())
    config.data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        lock = config.data / "daemon.lock"
        stack.enter_context(hold(lock, f"{config.data}", _ALONE))
        if config.catalog_url.startswith("sqlite"):
            database.upgrade(config.catalog_url)
        daemon = Daemon(config, redactor)
        stack.callback(daemon.close)
        return daemon.run()


class Daemon:
    """One process that keeps the mirrors of one store fresh."""

    def __init__(self, config: Config, redactor: logs.Redactor) -> None:
        self._redactor = redactor
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._reload = threading.Event()
        self._app = build(config, stop=self._hurry)
        self._workers = self._new_workers(self._app)
        self._seen = _modified(config)
        self._not_before = 0.0
        self._swept: dict[int, float] = {}
        self._care: threading.Thread | None = None

    def run(self) -> int:
        """Tick until a signal comes."""
        app = self._app
        git = version.check(app.git)
        app.reconcile()
        self._recover()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        scheduler = BackgroundScheduler()
        scheduler.add_job(
            self._tick,
            "interval",
            seconds=_TICK,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        log.info(
            "syncer started",
            extra={
                "version": __version__,
                "git": git,
                "data": str(app.config.data),
                "mirrors": len(app.config.repo),
            },
        )
        scheduler.start()
        self._stopping.wait()
        scheduler.shutdown(wait=True)
        return 0

    def close(self) -> None:
        """Let what runs come to a safe end, then give everything back."""
        running, waiting = self._workers.counts()
        log.info("stopping", extra={"running": running, "waiting": waiting})
        timer = threading.Timer(_PATIENCE, self._hurry.set)
        timer.start()
        self._workers.close()
        if self._care is not None:
            self._care.join()
        timer.cancel()
        self._app.close()
        log.info("stopped")

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
            self._look_at_file()
            self._app.probes.flush()
            self._hand_out()
        except SyncerError as exc:
            log.error("tick failed", extra={"error": str(exc), "hint": exc.hint})  # noqa: TRY400 - a sentence is enough for an error of ours
        took = time.monotonic() - now
        self._not_before = now + max(_TICK, took / _DUTY) - _TICK / 2

    def _hand_out(self) -> None:
        app, workers = self._app, self._workers
        states, busy = app.catalog.states(), workers.busy()
        hosts = {state.name.host for state in states}
        known = {host: app.config.target_host(host) for host in hosts}
        ready = due(
            states,
            app.config.tier,
            {host: settings.probes for host, settings in known.items()},
            app.clock.now(),
            app.probes.pending(),
            busy,
        )
        room = sum(s.connections for s in known.values()) * _AHEAD - len(busy)
        for decision in ready[: max(0, room)]:
            workers.submit(decision.state, Trigger.SCHEDULE)
        if not busy and not ready:
            self._care_for(states)

    def _care_for(self, states: list[RepoState]) -> None:
        """While nothing is due, put one mirror in order; each at most now and then."""
        if self._care is not None and self._care.is_alive():
            return
        now = time.monotonic()
        rest = _HOUSEKEEPING.total_seconds()
        waiting = [
            state
            for state in states
            if state.generation > 0 and self._swept.get(state.id, -rest) + rest <= now
        ]
        if waiting:
            chosen = min(waiting, key=lambda s: self._swept.get(s.id, 0.0))
            self._swept[chosen.id] = now
            self._care = threading.Thread(
                target=care_for, args=(self._app, chosen), name="care"
            )
            self._care.start()

    def _look_at_file(self) -> None:
        modified = _modified(self._app.config)
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
            app = build(config, stop=self._hurry)
            app.reconcile()
        except SyncerError as exc:
            problems = getattr(exc, "problems", ())
            log.error(  # noqa: TRY400 - a sentence is enough for an error of ours
                "the new configuration is not used; the old one stays",
                extra={"error": str(exc), "problems": list(problems)},
            )
            return
        self._take_over(app)

    def _take_over(self, app: App) -> None:
        """Work with the new configuration; runs of the old one end in peace."""
        old_app, old_workers = self._app, self._workers
        self._app, self._workers = app, self._new_workers(app)
        log.info("configuration reloaded", extra={"mirrors": len(app.config.repo)})

        def retire() -> None:
            old_workers.close()
            old_app.close()

        threading.Thread(target=retire, name="retire").start()

    def _new_workers(self, app: App) -> LocalWorkers:
        return app.workers(on_end=_report, lock_wait=timedelta(seconds=5))

    def _recover(self) -> None:
        """Finish or forget what a dead process left, before anything is due."""
        for state in self._app.catalog.unfinished():
            try:
                self._app.pipeline.recover(state)
            except Locked as exc:
                log.warning("left alone", extra={"reason": str(exc)})


def care_for(app: App, state: RepoState) -> None:
    """Put one mirror's packs in order and drop what has expired."""
    try:
        if app.pipeline.maintain(state, idle=True):
            log.info("packs put in order", extra={"repo": str(state.name)})
        spec = app.config.find(state.name)
        keep = (spec.keep if spec is not None else None) or app.config.syncer.keep
        with app.store.lease(state.path) as repository:
            gone = repository.drop_expired(app.clock.now(), keep, dry_run=False)
        if gone:
            log.info("expired", extra={"repo": str(state.name), "removed": len(gone)})
    except Locked:
        return  # a command works on it; there is always a next time
    except SyncerError as exc:
        log.warning(
            "maintenance failed", extra={"repo": str(state.name), "error": str(exc)}
        )


def _report(run: SyncRun) -> None:
    """Log a run that a person may want to know of: all but the unchanged."""
    if run.outcome is Outcome.UNCHANGED:
        return
    took = run.took
    facts = {
        "repo": str(run.name),
        "outcome": str(run.outcome),
        "seconds": round(took.total_seconds(), 2) if took is not None else None,
    }
    if run.outcome is Outcome.CHANGED:
        counts = {f"refs_{kind}": count for kind, count in run.counts.items()}
        facts |= {"generation": run.generation, "bytes": run.received, **counts}
        log.info("sync run ended", extra=facts)
        for note in run.notes:
            log.warning("upstream rewrote history", extra={**facts, "note": note})
        return
    facts |= {"error": run.error, "hint": run.hint}
    log.warning("sync run ended", extra=facts)


def _modified(config: Config) -> tuple[int, int] | None:
    if config.path is None:
        return None
    try:
        stat = config.path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
