"""Charts of a report as SVG: lag and bytes over time, how disks fill (pure)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.reports.axes import (
    Scale,
    byte_ticks,
    lag_ticks,
    log_seconds,
    time_ticks,
)
from syncer.reports.spans import Span
from syncer.reports.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Paper
from syncer.units import duration, size, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from syncer.reports.axes import Tick
    from syncer.reports.period import Course, Disk, Received, Report, TierReport

_KINDS = (("git", "blue"), ("lfs", "orange"), ("assets", "green"))
#: Tiers and machines that have a chart.
_MOST = 6
_GAP = 0.2  # of a bar's place
#: How far ahead a disk's forecast is drawn, at most, as a share of what is known.
_AHEAD = 1.0
_LEAST = timedelta(hours=1)


def of(report: Report) -> list[Paper]:
    """Return a chart of each tier's lag, of bytes, and of each machine's disk."""
    course = report.course
    return [
        *(
            lag_chart(number, tier, course, report.period)
            for number, tier in enumerate(report.tiers[:_MOST])
        ),
        bytes_chart(course),
        *(disk_chart(number, disk) for number, disk in enumerate(report.disks[:_MOST])),
    ]


def lag_chart(number: int, tier: TierReport, course: Course, period: Span) -> Paper:
    """Return how long changes took to be published, by the time they were."""
    target, width = tier.target, course.lag_width
    points = [(at, told.get(tier.tier)) for at, told in course.lag]
    known = [(at, found) for at, found in points if found and found.count]
    most = max((d.p95 for _, d in known if d.p95), default=target)
    text = "No change was published in this time."
    if known:
        changes = sum(found.count for _, found in known)
        text = f"{changes:,} changes; the worst p95 was {duration(most)}."
    paper = Paper(f"lag-{number}", f"Lag of published changes, tier {tier.tier}", text)
    up = lag_ticks(max(most, target))
    x, y = _across(period), _upward(up)
    paper.axes(x, y, time_ticks(*period), up)
    at_target = y.at(log_seconds(target))
    paper.line([(x.start, at_target), (x.end, at_target)], "red", dashed=True)
    middle = [(at + width / 2).timestamp() for at, _ in points]
    for label, color in (("p95", "orange"), ("p50", "blue")):
        values = [
            None if found is None else getattr(found, label) for _, found in points
        ]
        _trace(paper, x, y, list(zip(middle, values, strict=True)), (label, color))
    if not known:
        paper.note("no change was published")
    paper.legend(
        [
            ("blue", "p50", False),
            ("orange", "p95", False),
            ("red", f"target {span(target)}", True),
        ]
    )
    return paper


def _trace(
    paper: Paper,
    x: Scale,
    y: Scale,
    values: Iterable[tuple[float, timedelta | None]],
    drawn: tuple[str, str],
) -> None:
    """Draw a line that is broken where nothing is known, and each value."""
    label, color = drawn
    piece: list[tuple[float, float]] = []
    pieces = [piece]
    for at, value in values:
        if value is None:
            piece = []
            pieces.append(piece)
            continue
        point = (x.at(at), y.at(log_seconds(value)))
        piece.append(point)
        paper.dot(*point, color, f"{label} {duration(value)}")
    for each in pieces:
        if len(each) > 1:
            paper.line(each, color)


def bytes_chart(told: Course) -> Paper:
    """Return the bytes that runs brought, by kind, one bar for each bucket."""
    course, width = told.received, told.bytes_width
    every = "hour" if width <= _LEAST else span(width).replace("1d", "day")
    total = sum(found.total for _, found in course)
    most = max((found.total for _, found in course), default=0)
    text = f"{size(total)} in all; at most {size(most)} in one {every}."
    paper = Paper("bytes", f"Bytes received per {every}", text)
    up = byte_ticks(max(1, most))
    whole = Span(course[0][0], course[-1][0] + width)
    x, y = _across(whole), _upward(up)
    # The name of a day stands below the middle of its bar.
    half = width.total_seconds() / 2
    paper.axes(x, y, [t.moved(half) for t in time_ticks(*whole)], up)
    for at, found in course:
        _bar(paper, x, y, (at, at + width), found)
    if not total:
        paper.note("nothing was received")
    paper.legend([(color, kind, False) for kind, color in _KINDS])
    return paper


def _bar(
    paper: Paper,
    x: Scale,
    y: Scale,
    between: tuple[datetime, datetime],
    found: Received,
) -> None:
    left, right = (x.at(at.timestamp()) for at in between)
    room = (right - left) * _GAP
    below = 0
    for kind, color in _KINDS:
        count: int = getattr(found, kind)
        if count:
            top, bottom = y.at(below + count), y.at(below)
            told = f"{kind} {size(count)}, {between[0]:%Y-%m-%d %H:%M} UTC"
            shape = (right - left - room, bottom - top)
            paper.box(left + room / 2, top, shape, color, told)
        below += count


def disk_chart(number: int, disk: Disk) -> Paper:
    """Return how a machine's disk filled, and how it would go on."""
    limit = disk.capacity - disk.floor
    ahead = _ahead(disk)
    text = f"{size(disk.free)} of {size(disk.capacity)} free."
    if disk.full is not None:
        text += f" At this rate the floor is reached in {duration(disk.full)}."
    paper = Paper(f"disk-{number}", f"Disk of {disk.machine}", text)
    begin = disk.course[0][0] if disk.course else disk.at
    whole = Span(min(begin, disk.at - _LEAST), disk.at + ahead)
    up = byte_ticks(max(1, disk.capacity))
    x, y = _across(whole), _upward(up)
    paper.axes(x, y, time_ticks(*whole), up)
    paper.line([(x.start, y.at(limit)), (x.end, y.at(limit))], "red", dashed=True)
    points = [(x.at(at.timestamp()), y.at(used)) for at, used in disk.course]
    if len(points) > 1:
        paper.line(points, "blue")
    for point in points[-1:]:
        paper.dot(*point, "blue", f"{size(disk.capacity - disk.free)} used")
        if disk.growth is not None and disk.growth > 0 and ahead:
            used = disk.capacity - disk.free + disk.growth * (ahead / timedelta(days=1))
            paper.line([point, (x.end, y.at(used))], "blue", dashed=True)
    shown = [("blue", "used", False), ("red", "floor of free space", True)]
    if disk.growth is not None and disk.growth > 0:
        shown.insert(1, ("blue", "forecast", True))
    paper.legend(shown)
    return paper


def _ahead(disk: Disk) -> timedelta:
    """Return how far the forecast is drawn: to the floor, if that is near."""
    if not disk.course:
        return timedelta()
    known = disk.at - disk.course[0][0]
    return min(known * _AHEAD, disk.full) if disk.full is not None else known * _AHEAD


def _across(period: Span) -> Scale:
    begin, end = period.begin.timestamp(), period.end.timestamp()
    return Scale(begin, end, LEFT, WIDTH - RIGHT)


def _upward(ticks: Sequence[Tick]) -> Scale:
    return Scale(ticks[0].value, ticks[-1].value, HEIGHT - BOTTOM, TOP)
