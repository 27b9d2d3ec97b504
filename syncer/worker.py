"""One process that takes runs of its machine, where several machines work.

    every second ─┬─> the file changed? take the new configuration, or keep the old
                  ├─> tell how we are (`presence.py`)
                  └─> one mirror's packs put in order (`care.py`)
    beside that ────> runs from the queue (`member.py`)

It decides nothing: the elected daemon does.  Any number may run on a machine, and
each mirror's `flock` lets one of them in.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from syncer import __version__, logs
from syncer.bootstrap import App, build
from syncer.care import Care
from syncer.config import environment
from syncer.drain import Drain
from syncer.errors import ConfigError, Locked, SyncerError
from syncer.git import version
from syncer.member import Member
from syncer.model.machines import Role
from syncer.presence import Duty, Presence
from syncer.pulse import Pulse
from syncer.reload import ConfigFile
from syncer.signals import listen
from syncer.systemd import Notifier

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.config import Config
    from syncer.credentials import Redactor
    from syncer.workers.cluster_worker import Pace

log = logging.getLogger(__name__)

_TICK = 1.0  # seconds
#: Seconds between two looks at whose packs are to be put in order.
_CARE = 60.0


def serve(path: Path | None, concurrency: int | None, pace: Pace | None = None) -> int:
    """Take runs until SIGINT or SIGTERM; return the exit status.

    Raises:
        ConfigError: the file cannot be used, or names no machine.
        NotInitialised, SchemaOutdated: the catalog, or its queue, is not ready.
    """
    notifier = Notifier(environment())
    notifier.status("starting")
    file = ConfigFile(path)
    config = file.read()
    redactor = logs.configure(environment(), config.secrets())
    with ExitStack() as stack:
        worker = Worker(config, redactor, file, notifier, concurrency, pace)
        stack.callback(worker.close)
        worker.run()
    log.info("stopped")
    return 0


def machine_of(config: Config) -> str:
    """Return the machine's name.

    Raises:
        ConfigError: it has none.
    """
    if config.syncer.host is None:
        msg = "this machine has no name; nothing was started"
        hint = "one machine needs `syncer daemon` alone; several have [syncer] host"
        raise ConfigError(msg, hint=hint)
    return config.syncer.host


class Worker:
    """One process that takes runs of its machine."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a process is made of
        self,
        config: Config,
        redactor: Redactor,
        file: ConfigFile,
        notifier: Notifier,
        concurrency: int | None,
        pace: Pace | None = None,
    ) -> None:
        self._machine = machine_of(config)
        self._redactor, self._file, self._notifier = redactor, file, notifier
        self._concurrency = concurrency
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._reload = threading.Event()
        self._complaint = ""
        listen(self._on_signal, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._app = self._built(config)
        self._hands = Member(
            self._app, schedules=False, on_stranger=self._reload.set, pace=pace
        )
        self._care = Care()
        self._next_care = time.monotonic()
        started = self._app.clock.now()
        self._presence = Presence((Role.WORKER,), started, process=str(os.getpid()))
        self._pulse = Pulse(
            notifier,
            ask=lambda: self._app.catalog.intent(0),
            tell=lambda: f"{self._hands.counts()[0]} runs on {self._machine}",
        )

    def run(self) -> None:
        """Take runs until a signal comes."""
        git = version.check(self._app.git)
        self._settle()
        facts = {"version": __version__, "git": git, "machine": self._machine}
        log.info("syncer worker started", extra=facts)
        self._hands.start()
        self._notifier.ready(f"taking runs on {self._machine}")
        self._pulse.start()
        while not self._stopping.is_set():
            try:
                self._look_at_file()
                self._attend()
                self._complaint = ""
            except SyncerError as exc:
                self._complain(exc)
            self._pulse.beat()
            self._stopping.wait(_TICK)
        self._notifier.stopping("stopping")
        log.info("stopping", extra={"running": self._hands.moving()})

    def close(self) -> None:
        """Let what runs come to a safe end; what has not begun goes to others."""
        self._hands.stop()
        self._pulse.stop()
        ending = threading.Thread(target=self._end, name="end", daemon=True)
        ending.start()
        drain = Drain(
            self._notifier,
            self._hurry,
            moving=self._hands.moving,
            publishing=self._hands.is_publishing,
        )
        if not drain.wait(ending):
            log.info("stopped, without the answers that upstream still owes")
            logging.shutdown()
            os._exit(0)

    def _end(self) -> None:
        try:
            self._hands.close()
            self._care.join()
            self._presence.leave(self._app)
            self._app.close()
        except SyncerError as exc:
            log.warning("the last probes were not stored", extra={"error": str(exc)})

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._notifier.reloading()
            self._reload.set()
        elif self._stopping.is_set():
            self._hurry.set()  # asked twice: end git, refs stay as they are
        else:
            self._stopping.set()

    def _complain(self, exc: SyncerError) -> None:
        """Say once what fails in every tick."""
        if str(exc) != self._complaint:
            log.error("tick failed", extra={"error": str(exc), "hint": exc.hint})
        self._complaint = str(exc)

    def _attend(self) -> None:
        """Tell how we are, and look after what lies here."""
        app, hands = self._app, self._hands
        running, waiting = hands.counts()
        self._presence.beat(app, Duty(running, waiting, hands.oldest()))
        if time.monotonic() >= self._next_care and not hands.busy():
            self._next_care = time.monotonic() + _CARE
            ours = [s for s in app.catalog.states() if s.home == self._machine]
            self._care.begin(app, ours, idle=True, leads=False)

    def _settle(self) -> None:
        """Finish or forget what a dead process left."""
        for state in self._app.catalog.unfinished():
            try:
                self._app.pipeline.recover(state)
            except Locked as exc:
                log.info("left alone", extra={"reason": str(exc)})

    def _look_at_file(self) -> None:
        """Take the file over when it has changed, or when asked to."""
        asked, changed = self._reload.is_set(), self._file.has_changed()
        if not (asked or changed):
            return
        self._reload.clear()
        try:
            self._use(self._file.read())
        except SyncerError as exc:
            extra = {"error": str(exc), "problems": list(getattr(exc, "problems", ()))}
            said = "the new configuration is not used; the old one stays"
            log.error(said, extra=extra)  # noqa: TRY400 - a sentence is enough for an error of ours
        if asked:
            self._notifier.ready(f"taking runs on {self._machine}")

    def _use(self, config: Config) -> None:
        """Work with a new configuration; runs of the old one end in peace."""
        before = self._app.config
        if (config.data, config.syncer.host) != (before.data, self._machine):
            log.warning("`data` or `host` changed; restart the worker to use it")
            return
        self._redactor.learn(config.secrets())
        app = self._built(config)
        self._app = app
        self._hands.use(app, (self._care.thread,))
        log.info("configuration reloaded", extra={"mirrors": len(app.config.repo)})

    def _built(self, config: Config) -> App:
        """Return what works with a configuration; the catalog stays as it is."""
        if self._concurrency is not None:
            syncer = config.syncer.model_copy(update={"workers": self._concurrency})
            config = config.model_copy(update={"syncer": syncer})
        return build(config, stop=self._hurry)
