"""One process that takes runs of its machine, where several machines work.

    every second ─┬─> the file changed? take the new configuration, or keep the old
                  ├─> tell how we are (`presence.py`)
                  ├─> one mirror's packs put in order (`care.py`)
                  └─> does anybody decide who is due? (`watch.py`)
    beside that ────> runs from the queue (`member.py`)

It decides nothing: the elected daemon does.  Any number may run on a machine, and
each mirror's `flock` lets one of them in.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from syncer import __version__, logs
from syncer.bootstrap import App, build
from syncer.care import Care
from syncer.config import environment
from syncer.durable import translated
from syncer.errors import ConfigError, SyncerError
from syncer.git import version
from syncer.member import Member
from syncer.model.machines import Role
from syncer.presence import Duty, Presence
from syncer.reload import ConfigFile
from syncer.served import Served
from syncer.systemd import Notifier
from syncer.watch import Watch, channels_of

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
        PermanentError: the store cannot be written to.
    """
    notifier = Notifier(environment())
    notifier.status("starting")
    file = ConfigFile(path)
    config = file.read()
    redactor = logs.configure(environment(), config.secrets())
    channels_of(config)  # an address that cannot be used is told now
    with translated("the store"):
        config.data.mkdir(parents=True, exist_ok=True)
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


class Worker(Served):
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
        super().__init__(redactor, file, notifier)
        self._concurrency = concurrency
        self._app = self._built(config)
        self._hands = Member(
            self._app, schedules=False, on_stranger=self._reload.set, pace=pace
        )
        self._care = Care()
        self._watch = Watch()
        self._next_care = time.monotonic()
        started = self._app.clock.now()
        self._presence = Presence((Role.WORKER,), started, process=str(os.getpid()))

    def run(self) -> None:
        """Take runs until a signal comes."""
        git = version.check(self._app.git)
        self._recover()
        facts = {"version": __version__, "git": git, "machine": self._machine}
        log.info("syncer worker started", extra=facts)
        self._hands.start()
        self._notifier.ready(self._headline())
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
        self._wait()

    def _headline(self) -> str:
        return f"{self._hands.moving()} runs on {self._machine}"

    def _finish(self) -> None:
        self._hands.close()
        self._care.join()
        self._watch.join()
        self._presence.leave(self._app)
        self._app.close()

    def _attend(self) -> None:
        """Tell how we are, and look after what lies here."""
        app, hands = self._app, self._hands
        running, waiting = hands.counts()
        self._presence.beat(app, Duty(running, waiting, hands.oldest()))
        # Whether anybody decides who is due is seen from here as well.
        self._watch.begin(app, (), leads=False)
        if time.monotonic() >= self._next_care and not hands.busy():
            self._next_care = time.monotonic() + _CARE
            ours = [s for s in app.catalog.states() if s.home == self._machine]
            self._care.begin(app, ours, idle=True, leads=False)

    def _use(self, config: Config) -> None:
        """Work with a new configuration; runs of the old one end in peace."""
        before = self._app.config
        if (config.data, config.syncer.host) != (before.data, self._machine):
            log.warning("`data` or `host` changed; restart the worker to use it")
            return
        self._redactor.learn(config.secrets())
        app = self._built(config)
        self._app = app
        self._hands.use(app, (self._care.thread, self._watch.thread))
        log.info("configuration reloaded", extra={"mirrors": len(app.config.repo)})

    def _built(self, config: Config) -> App:
        """Return what works with a configuration; the catalog stays as it is."""
        if self._concurrency is not None:
            syncer = config.syncer.model_copy(update={"workers": self._concurrency})
            config = config.model_copy(update={"syncer": syncer})
        return build(config, stop=self._hurry)
