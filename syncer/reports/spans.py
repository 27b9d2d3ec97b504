"""Spans of time, so that no moment counts twice (pure).

A span that ends before it begins, as a clock that was put back leaves it, is none.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
#: Weeks begin on Mondays.
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
#: How wide the buckets of a chart may be.
_WIDTHS = (_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 7 * _DAY, 28 * _DAY)
_WHOLE = (_HOUR, _DAY, 7 * _DAY, 28 * _DAY)
_BUCKETS = 48


class Span(NamedTuple):
    """From `begin` up to, and not with, `end`."""

    begin: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long it is; never negative."""
        return max(timedelta(), self.end - self.begin)

    def has(self, at: datetime) -> bool:
        """Return whether a moment lies in it."""
        return self.begin <= at < self.end


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the same moments as spans that neither touch nor overlap, in order."""
    found: list[Span] = []
    for span in sorted(each for each in spans if each.begin < each.end):
        if found and span.begin <= found[-1].end:
            found[-1] = Span(found[-1].begin, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def within(spans: Iterable[Span], whole: Span) -> list[Span]:
    """Return what of the spans lies in another."""
    cut = (Span(max(s.begin, whole.begin), min(s.end, whole.end)) for s in spans)
    return union(cut)


def without(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """Return the moments of the spans that no hole has."""
    left = union(spans)
    for hole in union(holes):
        parts = (
            (Span(s.begin, min(s.end, hole.begin)), Span(max(s.begin, hole.end), s.end))
            for s in left
        )
        left = union(part for pair in parts for part in pair)
    return left


def total(spans: Iterable[Span]) -> timedelta:
    """Return how long spans that do not overlap are together."""
    return sum((span.length for span in spans), timedelta())


def width_of(whole: Span, *, days: bool = False) -> timedelta:
    """Return how wide the buckets of a chart are, so that it has 48 or fewer.

    `days`: nothing between an hour and a day, since people count in days.
    """
    wide = _WHOLE if days else _WIDTHS
    return next((w for w in wide if whole.length <= w * _BUCKETS), wide[-1])


def bucket_of(at: datetime, width: timedelta) -> datetime:
    """Return when the bucket that has a moment began; in UTC, from midnight on."""
    return _MONDAY + (at - _MONDAY) // width * width


def buckets(whole: Span, width: timedelta) -> list[datetime]:
    """Return the beginning of every bucket that a span touches."""
    first = bucket_of(whole.begin, width)
    count = -((first - whole.end) // width)
    return [first + index * width for index in range(max(1, count))]


def slices(whole: Span, width: timedelta) -> Iterator[Span]:
    """Yield a span in parts of a length, so that no part needs much memory."""
    begin = whole.begin
    while begin < whole.end:
        end = min(begin + width, whole.end)
        yield Span(begin, end)
        begin = end
