"""Which incidents begin and end, and which of them deserve a message (pure).

    untold ──> told ──> told again (`repeat`) ──> over, and quiet ──> its end told
       │                                              └─ back soon: the same one goes on
       └─ over before anybody heard of it: told once, in one message

A channel is told of the end of what it was told of, and of nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from syncer.model.incidents import Kind
from syncer.notify.conditions import OLD, is_forecast

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from syncer.alerting import Alert
    from syncer.model.incidents import Incident

#: What is over is told once it stayed so; what comes back sooner was never over.
SETTLE = timedelta(minutes=10)
#: A mirror that was resumed is late until its first probe: too short for a message.
GRACE = timedelta(minutes=1)
#: After its start a process may find what became late while none was there.
RETURN = timedelta(minutes=10)
#: What says already why a mirror is late.
_REASONS = (Kind.FAILING, Kind.HELD)


class Phase(StrEnum):
    """What a message says of incidents."""

    NEWS = "news"  # it began, or happened
    AGAIN = "again"  # it lasts
    PAST = "past"  # it began and ended before anybody heard of it
    OVER = "over"  # what was told of ended


@dataclass
class Heard:
    """Which channel was told of what; the catalog knows the rest.

    Keys are (channel, incident).  An incident that the catalog has as told was told
    wherever it belongs.
    """

    #: When this process began: what was told before, it does not know by channel.
    started: datetime
    told: dict[tuple[str, int], datetime] = field(default_factory=dict)
    over: set[tuple[str, int]] = field(default_factory=set)
    #: When an incident was first seen here.
    seen: dict[int, datetime] = field(default_factory=dict)

    def of(self, channel: str, incident: Incident) -> datetime | None:
        """Return when a channel was last told of an incident."""
        here = self.told.get((channel, incident.id))
        if here is None and incident.told is not None:
            return max(incident.told, self.started)
        return here

    def of_end(self, channel: str, incident: Incident) -> bool:
        """Return whether a channel was told of an incident's end, or need not be."""
        here = (channel, incident.id) in self.over
        return here or incident.recovery_told is not None or incident.is_event

    def forget(self, others: Collection[int]) -> None:
        """Keep what is known of these incidents only."""
        self.told = {key: at for key, at in self.told.items() if key[1] in others}
        self.over = {key for key in self.over if key[1] in others}
        self.seen = {id_: at for id_, at in self.seen.items() if id_ in others}


@dataclass(frozen=True, slots=True)
class Changes:
    """Incidents to store, and the ids of those that are over."""

    begin: tuple[Incident, ...]
    end: tuple[int, ...]


@dataclass
class Tidings:
    """What one channel is owed, and what it need not hear."""

    say: list[tuple[Incident, Phase]] = field(default_factory=list)
    #: Counts as told without a word: of incidents, and of their ends.
    skip: list[int] = field(default_factory=list)
    skip_end: list[int] = field(default_factory=list)


def changes(
    holding: Iterable[Incident],
    open_: Iterable[Incident],
    recent: Iterable[Incident],
    now: datetime,
) -> Changes:
    """Compare what holds now with what is recorded as lasting.

    `recent` are recorded incidents: one that began before the last of its kind and
    subject ended goes back to what was paused, or had another target; it begins now.
    """
    lasting = {(each.kind, each.subject): each for each in open_}
    found = {(each.kind, each.subject): each for each in holding}
    ends: dict[tuple[Kind, str], datetime] = {}
    for each in recent:
        if each.ended is not None:
            key = each.kind, each.subject
            ends[key] = max(each.ended, ends.get(key, each.ended))
    over = {key for key, each in lasting.items() if _is_over(each, found.get(key))}
    begin = [
        replace(each, began=now)
        if key in over or (key in ends and each.began <= ends[key])
        else each
        for key, each in found.items()
        if key not in lasting or key in over
    ]
    return Changes(tuple(begin), tuple(sorted(lasting[key].id for key in over)))


def _is_over(known: Incident, now: Incident | None) -> bool:
    """Return whether an incident ended; a full disk is no forecast any more."""
    return now is None or (is_forecast(known) and not is_forecast(now))


def owed(
    alert: Alert,
    incidents: Iterable[Incident],
    tiers: Mapping[int, str],
    heard: Heard,
    now: datetime,
) -> Tidings:
    """Return what a channel is owed of incidents, which come oldest first.

    `tiers` are those of mirrors, by id.
    """
    subjects: dict[str, list[Incident]] = {}
    for each in incidents:
        if carries(alert, each, tiers):
            subjects.setdefault(each.subject, []).append(each)
    case = _Case(alert, heard, now)
    for those in subjects.values():
        for each in those:
            case.judge(each, those)
    return case.found


def carries(alert: Alert, incident: Incident, tiers: Mapping[int, str]) -> bool:
    """Return whether a channel tells of an incident."""
    id_ = incident.mirror_id
    return alert.carries(incident, None if id_ is None else tiers.get(id_))


@dataclass
class _Case:
    """One channel at one moment."""

    alert: Alert
    heard: Heard
    now: datetime
    found: Tidings = field(default_factory=Tidings)

    def judge(self, each: Incident, those: Sequence[Incident]) -> None:
        """Decide about one incident; `those` are all of its subject."""
        name, repeat = self.alert.name, self.alert.repeat
        told = self.heard.of(name, each)
        if told is None:
            self._first(each, those)
        elif each.is_open:
            if repeat is not None and _is_time(each, told, repeat, self.now):
                self.found.say.append((each, Phase.AGAIN))
        elif not self.heard.of_end(name, each):
            self._end(each, those)

    def _first(self, each: Incident, those: Sequence[Incident]) -> None:
        """Decide about what the channel has not heard of."""
        seen = self.heard.seen.get(each.id, self.now)
        if any(self._goes_on(each, other) for other in those):
            self.found.skip.append(each.id)
        elif each.is_open:
            ripe = each.kind is not Kind.LATE or self.now - seen >= GRACE
            if ripe and not self._is_explained(each, those):
                self.found.say.append((each, Phase.NEWS))
        elif self._is_worth(each, seen) and not self._is_explained(each, those):
            phase = Phase.NEWS if each.is_event else Phase.PAST
            self.found.say.append((each, phase))
        else:
            self.found.skip.append(each.id)
            self.found.skip_end.append(each.id)

    def _goes_on(self, each: Incident, before: Incident) -> bool:
        """Return whether an incident is one again that is believed to last."""
        return (
            _follows(each, before)
            and not (is_forecast(before) and not is_forecast(each))
            and self.heard.of(self.alert.name, before) is not None
        )

    def _is_explained(self, each: Incident, those: Iterable[Incident]) -> bool:
        """Return whether it was told already why a mirror is late.

        Once the reason is gone, a mirror that is still late is news.
        """
        return each.kind is Kind.LATE and any(
            other.kind in _REASONS
            and self.heard.of(self.alert.name, other) is not None
            and (other.is_open or (not each.is_open and _ended(other) >= each.began))
            for other in those
        )

    def _is_worth(self, each: Incident, seen: datetime) -> bool:
        """Return whether to tell of what was over when it was first seen."""
        brief = each.kind is Kind.LATE and _ended(each) - seen < GRACE
        returned = seen - self.heard.started < RETURN
        return seen - _ended(each) <= OLD and (returned or not brief)

    def _end(self, each: Incident, those: Iterable[Incident]) -> None:
        """Decide about the end of what the channel was told of."""
        if any(_follows(other, each) for other in those):
            self.found.skip_end.append(each.id)  # it goes on, in another incident
        elif self.now - _ended(each) >= SETTLE:
            if self.alert.recovery:
                self.found.say.append((each, Phase.OVER))
            else:
                self.found.skip_end.append(each.id)


def _follows(each: Incident, before: Incident) -> bool:
    """Return whether an incident began soon after one of the same kind ended."""
    return (
        before.ended is not None
        and each.kind is before.kind
        and not (before.is_event or each.is_event)
        and before.ended <= each.began <= before.ended + SETTLE
    )


def _ended(each: Incident) -> datetime:
    """Return when an incident ended, of one that did."""
    return each.ended or each.began


def _is_time(each: Incident, told: datetime, repeat: timedelta, now: datetime) -> bool:
    """Return whether a multiple of `repeat` since it was first told has passed.

    Counted from one moment, so that a restart neither repeats nor forgets.
    """
    first = min(told, each.told or told)
    return (now - first) // repeat > (told - first) // repeat
