"""Tells channels what they are owed, and the catalog that they were told.

    due ──> one thread for each channel that has something ──> delivered
                 │                                                 │
                 └─ not taken: later, half an hour at most         └─> told

A channel that is dead, or slow, keeps nobody waiting: its messages wait for it, and
an incident counts as told in the catalog once every channel that tells of it has
taken it.  What one of several has not taken for a day is given up.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from syncer.errors import SyncerError
from syncer.notify.alerts import Heard, Phase, Tidings, carries, owed
from syncer.notify.words import PACE, Message, Sender, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from syncer.alerting import Alert
    from syncer.model.incidents import Incident, Kind
    from syncer.ports.notices import Channel
    from syncer.ports.operations import Operations

log = logging.getLogger(__name__)

#: Seconds that a round waits for channels; who needs longer is asked in the next.
WAIT = 10.0
#: Seconds until a channel that did not take a message is tried again, doubling.
_AGAIN, _LONGEST = 30.0, 1800.0
#: What a channel that is dead for so long has missed, while others were told.
_GIVE_UP = timedelta(days=1)
_EVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Audience:
    """Whom to tell: channels as configured and as they are reached, and who says so."""

    alerts: tuple[Alert, ...]
    channels: Mapping[str, Channel]
    sender: Sender
    #: Tiers and hosts of mirrors, by id.
    tiers: Mapping[int, str]
    hosts: Mapping[int, str]


@dataclass
class _Line:
    """What is known of one channel."""

    thread: threading.Thread | None = None
    failures: int = 0
    not_before: float = 0.0
    #: When messages went out lately, by kind.
    sent: defaultdict[Kind, deque[float]] = field(
        default_factory=lambda: defaultdict(deque)
    )

    def lately(self, now: float) -> dict[Kind, int]:
        """Return how many messages went out lately, by kind."""
        for times in self.sent.values():
            while times and times[0] <= now - PACE:
                times.popleft()
        return {kind: len(times) for kind, times in self.sent.items()}


class Herald:
    """Tells, round by round; what it heard is lost with it, the catalog's is not."""

    def __init__(
        self, started: datetime, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._heard = Heard(started)
        self._monotonic = monotonic
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)
        self._lock = threading.Lock()
        #: What channels took and the catalog does not know yet: channel, message.
        self._taken: list[tuple[str, Message]] = []
        self._ending = threading.Event()

    def end(self) -> None:
        """Wait for no channel any more; what they take from here on is told again."""
        self._ending.set()

    def tell(
        self,
        operations: Operations,
        audience: Audience,
        now: datetime,
        *,
        only: Callable[[Incident], bool] = lambda _: True,
    ) -> None:
        """Send what is due, and record what was taken.

        `only` says which incidents are this process's to tell of.
        """
        if not audience.alerts:
            return
        found = {each.id: each for each in operations.untold(_EVER)}
        found |= {each.id: each for each in operations.open_incidents()}
        those = sorted(filter(only, found.values()), key=lambda e: (e.began, e.id))
        self._heard.forget(found.keys())
        for each in those:
            self._heard.seen.setdefault(each.id, now)
        self._collect(now)  # of channels that took their time
        for alert in audience.alerts:
            self._serve(alert, audience, those, now)
        self._wait()
        self._collect(now)
        self._record(operations, audience, those, now)

    def _serve(
        self,
        alert: Alert,
        audience: Audience,
        those: Sequence[Incident],
        now: datetime,
    ) -> None:
        """Start sending what a channel is owed, unless it is at it still."""
        line, channel = self._lines[alert.name], audience.channels.get(alert.name)
        if line.thread is not None and line.thread.is_alive():
            return
        tidings = owed(alert, those, audience.tiers, self._heard, now)
        self._skip(alert.name, tidings, now)
        moment = self._monotonic()
        if channel is None or not tidings.say or moment < line.not_before:
            return
        lately = line.lately(moment)
        batch = messages(tidings.say, audience.hosts, lately, audience.sender, now)
        if batch:
            line.thread = threading.Thread(
                target=self._send,
                args=(channel, line, batch),
                name="alert",
                daemon=True,
            )
            line.thread.start()

    def _skip(self, channel: str, tidings: Tidings, now: datetime) -> None:
        for id_ in tidings.skip:
            self._heard.told[channel, id_] = now
        self._heard.over |= {(channel, id_) for id_ in tidings.skip_end}

    def _send(self, channel: Channel, line: _Line, batch: Iterable[Message]) -> None:
        """Send messages one after another, until one is not taken."""
        for message in batch:
            if self._ending.is_set():
                return
            try:
                channel.send(message.notice)
            except SyncerError as exc:
                self._failed(line, exc)
                return
            moment = self._monotonic()
            line.failures = 0
            line.sent[message.kind].append(moment)
            with self._lock:
                self._taken.append((channel.name, message))

    def _failed(self, line: _Line, exc: SyncerError) -> None:
        line.failures += 1
        wait = min(_LONGEST, _AGAIN * 2 ** (line.failures - 1))
        line.not_before = self._monotonic() + wait
        log.warning(
            "an alert was not delivered; it is tried again",
            extra={"error": str(exc), "hint": exc.hint, "seconds": wait},
        )

    def _wait(self) -> None:
        """Wait for the channels, a little."""
        deadline = time.monotonic() + WAIT
        for line in self._lines.values():
            while (
                line.thread is not None
                and line.thread.is_alive()
                and not self._ending.is_set()
                and time.monotonic() < deadline
            ):
                line.thread.join(0.05)

    def _collect(self, now: datetime) -> None:
        """Note what channels took."""
        with self._lock:
            taken, self._taken = self._taken, []
        for channel, message in taken:
            extra = {"channel": channel, "kind": message.kind, "phase": message.phase}
            log.info("alert sent", extra={**extra, "incidents": len(message.ids)})
            for id_ in message.ids:
                if message.phase is not Phase.OVER:
                    self._heard.told[channel, id_] = now
                if message.phase in {Phase.OVER, Phase.PAST}:
                    self._heard.over.add((channel, id_))

    def _record(
        self,
        operations: Operations,
        audience: Audience,
        those: Sequence[Incident],
        now: datetime,
    ) -> None:
        """Tell the catalog what everybody who should know was told."""
        told, over = [], []
        for each in those:
            names = [
                a.name for a in audience.alerts if carries(a, each, audience.tiers)
            ]
            knows = [self._heard.of(name, each) is not None for name in names]
            late = now - self._heard.seen.get(each.id, now) > _GIVE_UP and any(knows)
            if each.told is None and (all(knows) or late):
                told.append(each.id)
                # Whoever missed it hears nothing of its end.
                missed = (n for n, known in zip(names, knows, strict=True) if not known)
                self._heard.over |= {(name, each.id) for name in missed}
            ends = [self._heard.of_end(name, each) for name in names]
            late = late and any(ends)
            if not each.is_open and not each.is_event and (all(ends) or late):
                over.append(each.id)
        if told:
            operations.told(told, now)
        if over:
            operations.told(over, now, recovery=True)
