"""What the daemon watches for: what goes wrong is recorded, and people are told.

    every 20 seconds ──mirrors, machines, events──> incidents begin and end
    every 5 minutes ──samples of the disks───────>        │
                                                    channels (`notify/`)

One thread does it.  Where several machines work, the one that decides who is due
watches; the others only watch that there is such a one.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from syncer import freshness
from syncer.errors import AccessDenied, SyncerError
from syncer.model.incidents import Incident, Kind
from syncer.notify import conditions
from syncer.notify.alerts import changes
from syncer.notify.herald import Audience, Herald
from syncer.notify.words import Sender
from syncer.reports.growth import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from syncer.bootstrap import App
    from syncer.config import Config
    from syncer.model.mirrors import RepoState
    from syncer.ports import Operations
    from syncer.ports.notices import Channel
    from syncer.schedule.lag import Freshness

log = logging.getLogger(__name__)

#: Seconds between two looks.
LOOK = 20.0
#: Seconds between two looks at the disks.
DISKS = 300.0
#: Events of this time are filed, so that they are among the incidents.
_EVENTS = timedelta(days=30)
#: Mirrors that are asked in one look why they failed.
_ASKED = 50
#: Seconds that the end waits for a look.
_FAREWELL = 3.0


def channels_of(config: Config) -> dict[str, Channel]:
    """Return the ways to the configured channels, by name.

    Raises:
        ConfigError: an address cannot be used; none is shown.
    """
    if not config.alert:
        return {}
    from syncer.notify.channels import opened  # noqa: PLC0415 - 45 MiB of plug-ins

    return {channel.name: channel for channel in opened(config.alert)}


def sender_of(config: Config) -> Sender:
    """Return who messages say they are from."""
    web = config.syncer.web
    return Sender(web.name, web.url)


class Watch:
    """One thread that looks, and tells."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        now: datetime | None = None,
    ) -> None:
        self._monotonic = monotonic
        started = datetime.now(UTC) if now is None else now
        self._herald = Herald(started, monotonic)
        self._led = started
        self._next = monotonic()
        self._next_disks = monotonic()
        #: What was wrong with the disks when they were last looked at.
        self._disks: list[Incident] = []
        self._config: Config | None = None
        self._channels: dict[str, Channel] = {}
        #: Incidents that this process began while it did not lead: its to tell of.
        self._own: set[int] = set()
        self._complaint = ""
        #: What is at work, or was last.
        self.thread: threading.Thread | None = None

    def begin(
        self, app: App, states: Sequence[RepoState], *, leads: bool = True
    ) -> None:
        """Begin a look if one is due and none is at work.

        `leads`: this process decides who is due, or works alone.
        """
        if self.thread is not None and self.thread.is_alive():
            return
        if self._monotonic() < self._next:
            return
        self._next = self._monotonic() + LOOK
        self.thread = threading.Thread(
            target=self._look, args=(app, states, leads), name="watch", daemon=True
        )
        self.thread.start()

    def join(self) -> None:
        """Wait until nothing is at work; not for channels, and not for long."""
        self._herald.end()
        if self.thread is not None:
            self.thread.join(_FAREWELL)

    def _look(self, app: App, states: Sequence[RepoState], leads: bool) -> None:  # noqa: FBT001 - a thread's argument
        try:
            mirrors = freshness.configured(app.config, states)
            now = app.clock.now()
            if leads:
                self._led = now
                self._watch_all(app, mirrors, now)
            else:
                self._watch_leader(app, now)
            self._tell(app, mirrors, now, leads=leads)
            self._complaint = ""
        except SyncerError as exc:
            if str(exc) != self._complaint:  # said once, not every look
                extra = {"error": str(exc), "hint": exc.hint}
                log.warning("watching failed; it is tried again", extra=extra)
            self._complaint = str(exc)

    def _watch_all(self, app: App, mirrors: list[RepoState], now: datetime) -> None:
        operations = app.operations
        open_ = operations.open_incidents()
        found = freshness.fresh(app.config, mirrors, now)
        lasting = {(each.kind, each.subject) for each in open_}
        denied = _denied(app, found, lasting)
        self._look_at_disks(app, open_, now)
        holding = [
            *conditions.of_mirrors(found, denied, lasting, now),
            *self._disks,
        ]
        self._settle(operations, holding, open_, now)
        self._file_events(operations, mirrors, now)

    def _watch_leader(self, app: App, now: datetime) -> None:
        operations = app.operations
        self._led = conditions.last_led(operations.machines(), self._led)
        lasting = operations.open_incidents()
        open_ = [each for each in lasting if each.kind is Kind.SCHEDULER]
        holding = list(conditions.of_schedulers(self._led, now))
        begun = self._settle(operations, holding, open_, now)
        self._own |= {each.id for each in begun}

    def _settle(
        self,
        operations: Operations,
        holding: Sequence[Incident],
        open_: Sequence[Incident],
        now: datetime,
    ) -> list[Incident]:
        """Record what begins and ends; return what began."""
        known = {(each.kind, each.subject) for each in open_}
        new = [each for each in holding if (each.kind, each.subject) not in known]
        recent: Iterable[Incident] = ()
        if new:
            recent = operations.incidents(
                min(each.began for each in new), {each.kind for each in new}
            )
        made = changes(holding, open_, recent, now)
        if made.end:
            operations.end(made.end, now)
        return operations.begin(made.begin) if made.begin else []

    def _look_at_disks(
        self, app: App, open_: Iterable[Incident], now: datetime
    ) -> None:
        if self._monotonic() < self._next_disks:
            return
        self._next_disks = self._monotonic() + DISKS
        last = {each.subject: each for each in open_ if each.kind is Kind.DISK}
        samples = app.operations.storage(now - WINDOW)
        floor = app.config.syncer.min_free
        self._disks = list(conditions.of_disks(samples, floor, last, now))

    def _file_events(
        self, operations: Operations, mirrors: Iterable[RepoState], now: datetime
    ) -> None:
        events = operations.unfiled_events(now - _EVENTS)
        if events:
            ids = {state.name.short: state.id for state in mirrors if state.id}
            known = operations.incidents(min(event.at for _, event in events))
            operations.begin(conditions.of_events(events, ids, known, now))

    def _tell(
        self, app: App, mirrors: Iterable[RepoState], now: datetime, *, leads: bool
    ) -> None:
        config = app.config
        if not config.alert:
            return
        if self._config is not config:
            self._channels, self._config = channels_of(config), config
        those = [state for state in mirrors if state.id]
        audience = Audience(
            config.alert,
            self._channels,
            sender_of(config),
            {state.id: state.tier for state in those},
            {state.id: state.name.host for state in those},
        )
        self._herald.tell(
            app.operations,
            audience,
            now,
            only=lambda each: leads or each.id in self._own,
        )


def _denied(
    app: App, found: Iterable[Freshness], lasting: Collection[tuple[Kind, str]]
) -> set[int]:
    """Return the mirrors whose last run was refused our credentials.

    Asked of those that failed once or twice: later it makes no difference.
    """
    those = [
        fresh.state
        for fresh in found
        if 0 < fresh.state.failures < conditions.FAILURES
        and (Kind.FAILING, fresh.state.name.short) not in lasting
    ]
    denied = set()
    for state in those[:_ASKED]:
        runs = app.catalog.runs(state.name, 1)
        if runs and runs[0].exit_code == AccessDenied.exit_code:
            denied.add(state.id)
    return denied
