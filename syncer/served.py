"""A process that works until a signal: how it begins anew, and how it ends.

The daemon and the workers of other machines are such; what they do in between is
theirs.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from syncer.drain import Drain
from syncer.errors import Locked, SyncerError
from syncer.pulse import Pulse
from syncer.signals import listen

if TYPE_CHECKING:
    from syncer.bootstrap import App
    from syncer.config import Config
    from syncer.credentials import Redactor
    from syncer.crew import Crew
    from syncer.reload import ConfigFile
    from syncer.systemd import Notifier

log = logging.getLogger(__name__)


class Served(ABC):
    """One process; `run` of a subclass works until `_stopping` is set."""

    #: What works with the configuration in force, and who does.
    _app: App
    _hands: Crew

    def __init__(
        self, redactor: Redactor, file: ConfigFile, notifier: Notifier
    ) -> None:
        self._redactor = redactor
        self._file = file
        self._notifier = notifier
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._reload = threading.Event()
        self._complaint = ""
        self._pulse = Pulse(
            notifier,
            # One row by its key: the least that the catalog can be asked.
            ask=lambda: self._app.catalog.intent(0),
            tell=self._headline,
        )
        listen(self._on_signal, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    @abstractmethod
    def _headline(self) -> str:
        """Return how things are, in a line."""

    @abstractmethod
    def _use(self, config: Config) -> None:
        """Work with a new configuration; runs of the old one end in peace.

        Raises:
            SyncerError: it cannot be used; the old one stays.
        """

    @abstractmethod
    def _finish(self) -> None:
        """Wait for all that runs, store what is known of the rest, let go.

        Raises:
            SyncerError: something was not stored.
        """

    def close(self) -> None:
        """Let what runs come to a safe end, then give everything back."""
        self._hands.stop()
        ending = threading.Thread(target=self._end, name="end", daemon=True)
        ending.start()
        self._pulse.stop()
        drain = Drain(
            self._notifier,
            self._hurry,
            moving=self._hands.moving,
            publishing=self._hands.is_publishing,
        )
        if not drain.wait(ending):
            # Threads that wait for upstream to speak hold nothing that matters,
            # and the interpreter would wait for them.
            log.info("stopped, without the answers that upstream still owes")
            logging.shutdown()
            os._exit(0)

    def _end(self) -> None:
        try:
            self._finish()
        except SyncerError as exc:
            log.warning("the last probes were not stored", extra={"error": str(exc)})

    def _wait(self) -> None:
        """Return when a signal has come, having said so."""
        self._stopping.wait()
        self._notifier.stopping("stopping")
        log.info("stopping", extra={"running": self._hands.moving()})

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._notifier.reloading()  # before anything can say that it is over
            self._reload.set()
        elif self._stopping.is_set():
            self._hurry.set()  # asked twice: end git, refs stay as they are
        else:
            self._stopping.set()

    def _complain(self, exc: SyncerError) -> None:
        """Say what fails in every tick, once."""
        if str(exc) != self._complaint:
            log.error("tick failed", extra={"error": str(exc), "hint": exc.hint})
        self._complaint = str(exc)

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
        finally:
            if asked:
                self._notifier.ready(self._headline())

    def _recover(self) -> None:
        """Finish or forget what a dead process left, before anything begins."""
        for state in self._app.catalog.unfinished():
            if self._stopping.is_set():
                return
            try:
                self._app.pipeline.recover(state)
            except Locked as exc:
                log.warning("left alone", extra={"reason": str(exc)})
