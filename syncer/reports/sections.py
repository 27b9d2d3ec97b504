"""The tables of a report, the same for a terminal, Markdown and HTML (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from syncer.units import duration, plural, size, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from syncer.model.storage import Usage
    from syncer.reports.period import Disk, MirrorReport, Report, TierReport, Trouble

_MONTH = timedelta(days=30)

NOTES = (
    (
        "IN TARGET is the share of the time, since a mirror was added, in which its "
        "lag was within its target as configured now. Late time is what incidents "
        "recorded, what changes that took longer than the target prove, and what is "
        "late now; no moment counts twice. What is paused, or gone upstream, counts "
        "neither way."
    ),
    (
        "P50, P95 and P99 are of changes that were published: from the moment we first "
        "saw them upstream until consumers did. IN TIME is the share of them that took "
        "no longer than the target."
    ),
    "Runs that found nothing new leave no record and are not counted.",
)


class Quoted(str):
    """Text that came from upstream, in part: it is shown, and means nothing."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One section: `right` names columns of numbers, `left_out` counts rows."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[str, ...] = ()
    left_out: int = 0


def percent(share: float | None) -> str:
    """Return a share as `99.94 %`; nothing but all of it is `100 %`."""
    if share is None:
        return "-"
    return "100 %" if share >= 1 else f"{int(share * 10_000) / 100:.2f} %"


def moment(at: datetime) -> str:
    """Return an instant to the minute, in UTC."""
    return f"{at:%Y-%m-%d %H:%M}"


def title(report: Report) -> str:
    """Return what the report is about, in one line."""
    begin, end = report.period
    about = "" if report.tier is None else f", tier {report.tier}"
    length = span(timedelta(seconds=round(report.period.length.total_seconds())))
    return f"{moment(begin)} to {moment(end)} UTC ({length}){about}"


def headline(report: Report) -> list[str]:
    """Return what else is to be known at once, a line each."""
    runs = report.runs
    failed = percent(report.failures / runs.count) if runs.count else "-"
    integrity = sum(each.integrity for each in report.mirrors)
    worked = f"{plural(runs.count, 'run')}, {report.failures:,} failed ({failed})"
    forced = plural(runs.force_pushes, "force push", "force pushes")
    if runs.rewound:
        forced += f" ({plural(runs.rewound, 'ref')} rewound)"
    told = [
        f"{plural(len(report.mirrors), 'mirror')}; {worked}",
        f"{plural(integrity, 'integrity incident')}; {forced}",
    ]
    if report.alarms:
        alarms = ", ".join(f"{action} {n:,}" for action, n in report.alarms.items())
        told.append(f"alarms in the audit trail: {alarms}")
    return told


def tiers(report: Report) -> Table:
    """Return how each tier kept its target."""
    headers = ("TIER", "MIRRORS", "TARGET", "IN TARGET", "CHANGES", "IN TIME")
    return Table(
        "Lag by tier",
        (*headers, "P50", "P95", "P99", "LONGEST BREACH"),
        tuple(map(_tier, report.tiers)),
        right=(*headers[1:], "P50", "P95", "P99"),
    )


def _tier(tier: TierReport) -> tuple[str, ...]:
    longest = tier.record.longest
    breach = "none" if tier.record.counted else "-"
    if longest is not None and tier.slowest is not None:
        breach = f"{duration(longest.length)} ({tier.slowest.short})"
    delays = tier.delays
    return (
        tier.tier,
        f"{tier.mirrors:,}",
        span(tier.target),
        percent(tier.record.share),
        f"{delays.count:,}",
        percent(delays.share),
        *map(duration, (delays.p50, delays.p95, delays.p99)),
        breach,
    )


def trouble(report: Report, most: int) -> Table:
    """Return what went wrong, the worst first."""
    found = tuple(map(_trouble, islice(report.trouble, most)))
    headers = ("WHAT", "OF", "SINCE", "LASTED", "TIMES", "DETAIL")
    left = len(report.trouble) - len(found)
    return Table("What went wrong", headers, found, ("LASTED", "TIMES"), left)


def _trouble(each: Trouble) -> tuple[str, ...]:
    lasted = "-" if each.is_event else duration(each.lasted)
    return (
        each.kind.value,
        Quoted(each.subject),
        moment(each.began),
        f"{lasted} so far" if each.is_open else lasted,
        f"{each.count:,}",
        Quoted(each.detail),
    )


def failures(report: Report, most: int) -> Table:
    """Return why runs failed, the most frequent reason first."""
    rows = tuple(
        (f"{r.count:,}", f"{r.mirrors:,}", r.example.short, Quoted(r.text))
        for r in islice(report.reasons, most)
    )
    headers = ("RUNS", "MIRRORS", "FOR EXAMPLE", "REASON")
    left = len(report.reasons) - len(rows)
    return Table("Why runs failed", headers, rows, ("RUNS", "MIRRORS"), left)


def bytes_by_kind(report: Report) -> Table:
    """Return what was received, what is stored, and how that grew."""
    received, usage = report.runs.received, report.usage
    kinds = (
        ("git", size(received.git), usage.git),
        ("lfs", size(received.lfs), usage.lfs),
        ("assets", size(received.assets), usage.assets),
        ("shared, stored once", "-", -usage.shared),
        ("in all", size(received.total), usage.total),
    )
    rows = tuple(
        (kind, got, signed(stored, plus=""), more)
        for (kind, got, stored), more in zip(kinds, _grown(report.growth), strict=True)
    )
    headers = ("BYTES", "RECEIVED", "STORED", "GROWTH")
    return Table("Bytes", headers, rows, headers[1:])


def _grown(grown: Usage | None) -> list[str]:
    """Return by how much each row of `bytes_by_kind` grew."""
    if grown is None:
        return ["-"] * 5
    counts = (grown.git, grown.lfs, grown.assets)
    return [*map(signed, counts), "-", signed(grown.git + grown.blobs)]


def signed(count: float, *, plus: str = "+") -> str:
    """Return bytes with their sign."""
    return f"-{size(-count)}" if count < 0 else f"{plus if count else ''}{size(count)}"


def drawn(report: Report, most: int) -> Table:
    """Return the LFS bytes that were taken from each owner upstream."""
    length = report.period.length or timedelta(seconds=1)
    rows = tuple(
        (each.owner, size(each.count), size(each.count * (_MONTH / length)))
        for each in islice(report.drawn, most)
    )
    headers = ("OWNER", "LFS BYTES", "IN 30 DAYS AT THIS RATE")
    left = len(report.drawn) - len(rows)
    return Table("LFS bytes drawn from upstream", headers, rows, headers[1:], left)


def disks(report: Report) -> Table:
    """Return how full each machine's disk is, and until when it lasts."""
    headers = ("MACHINE", "FREE", "OF", "FLOOR", "GROWTH A DAY", "FLOOR REACHED")
    rows = tuple(map(_disk, report.disks))
    return Table("Disks", headers, rows, headers[1:5])


def _disk(disk: Disk) -> tuple[str, ...]:
    return (
        disk.machine,
        size(disk.free),
        size(disk.capacity),
        size(disk.floor),
        "not known yet" if disk.growth is None else signed(disk.growth),
        full(disk),
    )


def full(disk: Disk) -> str:
    """Return when a disk reaches its floor, in words."""
    if disk.full is None:
        return "not known yet" if disk.growth is None else "not in sight"
    return f"in {duration(disk.full)}" if disk.full else "now"


def mirrors(report: Report, most: int) -> Table:
    """Return the mirrors, those first that kept their targets least."""
    rows = tuple(map(_mirror, islice(report.mirrors, most)))
    headers = ("REPOSITORY", "TIER", "STATE", "IN TARGET", "LONGEST BREACH", "CHANGES")
    more = ("P50", "P95", "P99", "RUNS", "FAILED", "RECEIVED", "STORED")
    left = len(report.mirrors) - len(rows)
    return Table("Mirrors", (*headers, *more), rows, (*headers[3:], *more), left)


def _mirror(each: MirrorReport) -> tuple[str, ...]:
    longest, delays = each.record.longest, each.delays
    return (
        each.name.short,
        each.tier,
        each.word,
        percent(each.record.share),
        "-" if longest is None else duration(longest.length),
        f"{delays.count:,}",
        *map(duration, (delays.p50, delays.p95, delays.p99)),
        f"{each.runs.count:,}",
        f"{each.failures:,}",
        size(each.runs.received.total),
        size(each.stored.git + each.stored.lfs + each.stored.assets),
    )


def body(report: Report, most: int, names: int) -> Sequence[Table]:
    """Return the tables that have rows: `most` of each, so many `names` of mirrors."""
    found: Iterable[Table] = (
        tiers(report),
        trouble(report, most),
        failures(report, most),
        bytes_by_kind(report),
        drawn(report, most),
        disks(report),
        mirrors(report, names),
    )
    return [table for table in found if table.rows]
