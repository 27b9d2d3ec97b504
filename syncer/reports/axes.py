"""Where values come to lie on paper, and the round numbers beside them (pure)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.units import size, span

if TYPE_CHECKING:
    from datetime import datetime

#: Lags that people know: a second, a minute, a day.
_LAGS = (1, 10, 60, 600, 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400)
_DAY = 86_400.0
_STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_UNIT = 1024
_TICKS = 5
#: Distances between labels of a time axis, in hours.
_HOURS = (1, 3, 6, 12, 24, 48, 168, 336, 672, 1344, 2688)
_LABELS = 8


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` at `start` to `high` at `end`, in pixels; a value outside is cut."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where a value lies."""
        width = self.high - self.low
        share = (value - self.low) / width if width > 0 else 0.0
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Tick:
    """A round number beside an axis."""

    value: float
    label: str

    def moved(self, by: float) -> Tick:
        """Return it elsewhere along its axis."""
        return Tick(self.value + by, self.label)


def log_seconds(value: timedelta) -> float:
    """Return where a lag lies among lags: tenfold is one further; a second is 0."""
    return math.log10(max(1.0, value.total_seconds()))


def lag_ticks(longest: timedelta) -> list[Tick]:
    """Return known lags, from a second to the first that is not exceeded."""
    seconds = max(60.0, longest.total_seconds())
    last = next((i for i, lag in enumerate(_LAGS) if lag >= seconds), len(_LAGS) - 1)
    return [
        Tick(math.log10(lag), span(timedelta(seconds=lag))) for lag in _LAGS[: last + 1]
    ]


def byte_ticks(most: float) -> list[Tick]:
    """Return from 0 up, in steps of a power of two, to what is not exceeded."""
    unit = 1.0
    while most / unit > _STEPS[-1] * _TICKS:
        unit *= _UNIT
    step = next((s for s in _STEPS if most <= s * unit * _TICKS), _STEPS[-1]) * unit
    count = max(1, math.ceil(most / step))
    return [Tick(index * step, _plain_size(index * step)) for index in range(count + 1)]


def _plain_size(count: float) -> str:
    return size(count).replace(".0 ", " ") if count else "0"


def time_ticks(begin: datetime, end: datetime) -> list[Tick]:
    """Return moments at midnight, or hours of the day, as seconds since 1970; UTC."""
    length = (end - begin).total_seconds() / 3600
    hours = next((h for h in _HOURS if length <= h * _LABELS), _HOURS[-1])
    step = timedelta(hours=hours)
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + -((midnight - begin) // step) * step
    count = max(0, (end - first) // step + 1)
    return [
        Tick(at.timestamp(), _moment(at, hours))
        for at in (first + index * step for index in range(count))
    ]


def _moment(at: datetime, hours: int) -> str:
    is_day = hours >= 24 or at.hour == 0  # noqa: PLR2004 - hours of a day
    return at.strftime("%b %-d") if is_day else at.strftime("%H:%M")
