"""When a mirror was not within its target, and when that does not count (pure).

Three witnesses tell that it was late: a recorded incident, a change that took longer
to be published than the target allows, and how it is now.  Their spans are united, so
that a moment counts once whoever tells of it.

What is paused counts neither as kept nor as missed: a person took it out of the
schedule.  Nor does what is gone upstream, where nothing is left to be behind of, nor
the time before a mirror was added.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from syncer.model.mirrors import Activity
from syncer.model.runs import Word
from syncer.reports.spans import Span, total, union, within, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from syncer.model.incidents import Incident
    from syncer.model.runs import LagSample
    from syncer.schedule.lag import Freshness

_PAUSE, _RESUME = "pause", "resume"
#: The audit events that tell when a mirror was paused.
SWITCHES = frozenset({_PAUSE, _RESUME})


@dataclass(frozen=True, slots=True)
class Record:
    """How long a mirror was held against its target, and when it missed it."""

    counted: timedelta = timedelta()
    breaches: tuple[Span, ...] = ()

    @property
    def missed(self) -> timedelta:
        """How long it was not within its target."""
        return total(self.breaches)

    @property
    def share(self) -> float | None:
        """The share of time within target; None when no time counts."""
        if not self.counted:
            return None
        return (self.counted - self.missed) / self.counted

    @property
    def longest(self) -> Span | None:
        """The longest breach, the first of several."""
        return max(self.breaches, key=lambda span: span.length, default=None)


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What is known of one mirror's past in a period."""

    #: When it was late, as `recorded` and `proven` tell; in any order.
    late: Sequence[Span] = ()
    #: (when, action) of its pauses and resumptions, oldest first.
    switches: Sequence[tuple[datetime, str]] = ()


def recorded(incident: Incident, now: datetime) -> Span:
    """Return when an incident lasted; what is open lasts until now."""
    return Span(incident.began, now if incident.ended is None else incident.ended)


def proven(sample: LagSample, target: timedelta) -> Span:
    """Return when a published change was late; an empty span when it was not."""
    due = sample.observed + target
    return Span(min(due, sample.published), sample.published)


def lasting(fresh: Freshness, now: datetime) -> Span:
    """Return since when a mirror is late now; an empty span when it is not.

    What its lag counts from has not moved since, so that all of it was late.
    """
    return Span(now - max(timedelta(), fresh.lag - fresh.target), now)


def paused(
    activity: Activity, switches: Sequence[tuple[datetime, str]], now: datetime
) -> list[Span]:
    """Return when a mirror was paused, from how it is now and what was done.

    Read backwards, so that no event from before the first of them is needed.
    """
    found, end = [], now
    is_paused = activity is Activity.PAUSED
    for at, action in reversed(switches):
        if is_paused:
            found.append(Span(at, end))
        end, is_paused = at, action == _RESUME
    if is_paused:
        found.append(Span(datetime.min.replace(tzinfo=UTC), end))
    return union(found)


def record(fresh: Freshness, told: Witnesses, period: Span, now: datetime) -> Record:
    """Return how a mirror kept its target in a period."""
    state = fresh.state
    if state.added is None or fresh.word is Word.GONE:
        return Record()
    holes = paused(state.activity, told.switches, now)
    lived = Span(max(period.begin, state.added), period.end)
    counted = without([lived], holes)
    late = [*told.late]
    if state.activity is Activity.ACTIVE:
        late.append(lasting(fresh, now))
    missed = [piece for each in counted for piece in within(late, each)]
    return Record(total(counted), tuple(union(missed)))


def together(records: Iterable[Record]) -> Record:
    """Return the record of several mirrors; their breaches stand side by side."""
    records = list(records)
    counted = sum((each.counted for each in records), timedelta())
    return Record(counted, tuple(span for each in records for span in each.breaches))
