"""A report as the JSON that `--json` prints; keys name their units."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from syncer.cli.render import printable, stamp

if TYPE_CHECKING:
    from datetime import timedelta

    from syncer.cli.documents import Document
    from syncer.model.storage import Usage
    from syncer.reports.breaches import Record
    from syncer.reports.period import (
        Course,
        Delays,
        Disk,
        MirrorReport,
        Received,
        Report,
        Runs,
        TierReport,
        Trouble,
    )
    from syncer.reports.spans import Span


def text_of(report: Report) -> str:
    """Return the whole report as one document."""
    body = {"schema": "syncer.report/v1", **document(report)}
    return json.dumps(body, indent=2) + "\n"


def document(report: Report) -> Document:
    """Return the whole report, every mirror and everything that went wrong."""
    return {
        "at": stamp(report.at),
        "since": stamp(report.period.begin),
        "until": stamp(report.period.end),
        "tier": report.tier,
        "tiers": [_tier(each) for each in report.tiers],
        "runs": _runs(report.runs, report.failures),
        "failures": [
            {
                "reason": each.text,
                "runs": each.count,
                "mirrors": each.mirrors,
                "example": each.example.short,
            }
            for each in report.reasons
        ],
        "trouble": [_trouble(each) for each in report.trouble],
        "alarms": {printable(a): count for a, count in report.alarms.items()},
        "lfs_drawn_bytes": {each.owner: each.count for each in report.drawn},
        "stored_bytes": _usage(report.usage),
        "growth_bytes": None if report.growth is None else _usage(report.growth),
        "disks": [_disk(each) for each in report.disks],
        "course": _course(report.course),
        "mirrors": [_mirror(each) for each in report.mirrors],
    }


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def _delays(delays: Delays) -> Document:
    return {
        "changes": delays.count,
        "in_time": delays.in_time,
        "p50_seconds": _seconds(delays.p50),
        "p95_seconds": _seconds(delays.p95),
        "p99_seconds": _seconds(delays.p99),
        "worst_seconds": _seconds(delays.worst),
    }


def _record(record: Record) -> Document:
    return {
        "counted_seconds": record.counted.total_seconds(),
        "missed_seconds": record.missed.total_seconds(),
        "in_target": record.share,
        "breaches": len(record.breaches),
        "longest_breach": None if record.longest is None else _span(record.longest),
    }


def _span(span: Span) -> Document:
    return {
        "began": stamp(span.begin),
        "ended": stamp(span.end),
        "seconds": span.length.total_seconds(),
    }


def _received(received: Received) -> Document:
    return {"git": received.git, "lfs": received.lfs, "assets": received.assets}


def _runs(runs: Runs, failures: int) -> Document:
    return {
        "ended": runs.count,
        "failed": failures,
        "outcomes": {each.value: count for each, count in runs.by_outcome.items()},
        "received_bytes": _received(runs.received),
        "force_pushes": runs.force_pushes,
        "refs_rewound": runs.rewound,
    }


def _tier(tier: TierReport) -> Document:
    return {
        "tier": tier.tier,
        "target_seconds": tier.target.total_seconds(),
        "mirrors": tier.mirrors,
        "slowest": None if tier.slowest is None else tier.slowest.short,
        "lag": _delays(tier.delays),
        "time": _record(tier.record),
        "runs": tier.runs,
        "failed": tier.failures,
        "received_bytes": _received(tier.received),
    }


def _mirror(mirror: MirrorReport) -> Document:
    stored = mirror.stored
    return {
        "repository": mirror.name.short,
        "tier": mirror.tier,
        "state": mirror.word.value,
        "target_seconds": mirror.target.total_seconds(),
        "lag_seconds": mirror.lag.total_seconds(),
        "lag": _delays(mirror.delays),
        "time": _record(mirror.record),
        "runs": _runs(mirror.runs, mirror.failures),
        "integrity_incidents": mirror.integrity,
        "stored_bytes": {
            "git": stored.git,
            "lfs": stored.lfs,
            "assets": stored.assets,
        },
    }


def _trouble(trouble: Trouble) -> Document:
    return {
        "kind": trouble.kind.value,
        "subject": trouble.subject,
        "began": stamp(trouble.began),
        "lasted_seconds": trouble.lasted.total_seconds(),
        "open": trouble.is_open,
        "times": trouble.count,
        "detail": trouble.detail,
    }


def _usage(usage: Usage) -> Document:
    return {
        "git": usage.git,
        "lfs": usage.lfs,
        "assets": usage.assets,
        "blobs": usage.blobs,
        "shared": usage.shared,
        "total": usage.total,
    }


def _disk(disk: Disk) -> Document:
    return {
        "machine": printable(disk.machine),
        "at": stamp(disk.at),
        "free_bytes": disk.free,
        "capacity_bytes": disk.capacity,
        "floor_bytes": disk.floor,
        "growth_bytes_per_day": disk.growth,
        "full_seconds": _seconds(disk.full),
    }


def _course(course: Course) -> Document:
    return {
        "lag_bucket_seconds": course.lag_width.total_seconds(),
        "lag": [
            {"at": stamp(at), "tiers": {t: _delays(d) for t, d in told.items()}}
            for at, told in course.lag
        ],
        "bytes_bucket_seconds": course.bytes_width.total_seconds(),
        "received_bytes": [
            {"at": stamp(at), **_received(told)} for at, told in course.received
        ],
    }
