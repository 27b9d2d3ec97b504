"""The report as a table for other programs: one row for each mirror (RFC 4180)."""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING

from syncer.model.runs import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from syncer.reports.period import MirrorReport, Report

_HEADERS = (
    *("repository", "tier", "state", "target_seconds", "lag_seconds"),
    *("counted_seconds", "missed_seconds", "in_target", "breaches"),
    *("longest_breach_seconds", "changes", "changes_in_time"),
    *("p50_seconds", "p95_seconds", "p99_seconds", "worst_seconds"),
    *("runs", "failed", "partial", "held", "force_pushes", "refs_rewound"),
    *("integrity_incidents", "received_git_bytes", "received_lfs_bytes"),
    *("received_assets_bytes", "git_bytes", "lfs_bytes", "assets_bytes"),
)


def sheet(report: Report) -> str:
    """Return every mirror; lines end with CRLF, what is not known is empty."""
    return written(_HEADERS, map(_row, report.mirrors))


def written(headers: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return rows as RFC 4180 has them, the names of the columns first."""
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(headers)
    writer.writerows(rows)
    return text.getvalue()


def seconds(value: timedelta | None) -> float | None:
    """Return a time in seconds."""
    return None if value is None else value.total_seconds()


def _row(each: MirrorReport) -> tuple[object, ...]:
    record, delays, runs = each.record, each.delays, each.runs
    longest = record.longest
    return (
        *(each.name.short, each.tier, each.word.value),
        *map(seconds, (each.target, each.lag, record.counted, record.missed)),
        *(record.share, len(record.breaches)),
        0 if longest is None else seconds(longest.length),
        *(delays.count, delays.in_time),
        *map(seconds, (delays.p50, delays.p95, delays.p99, delays.worst)),
        *(runs.count, each.failures),
        *(runs.by_outcome.get(o, 0) for o in (Outcome.PARTIAL, Outcome.HELD)),
        *(runs.force_pushes, runs.rewound, each.integrity),
        *(runs.received.git, runs.received.lfs, runs.received.assets),
        *(each.stored.git, each.stored.lfs, each.stored.assets),
    )
