"""What was gathered becomes the report: mirrors, tiers, disks, courses (pure)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from syncer.model.storage import Usage
from syncer.reports import growth
from syncer.reports.breaches import record, together
from syncer.reports.period import (
    Course,
    Delays,
    Disk,
    Drawn,
    MirrorReport,
    Received,
    Report,
    TierReport,
)
from syncer.reports.spans import buckets
from syncer.reports.tallies import Changes, Tally
from syncer.reports.troubles import trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from syncer.model.storage import StorageSample
    from syncer.reports.gathering import Gathering
    from syncer.reports.spans import Span
    from syncer.schedule.lag import Freshness

_NOTHING = Changes()
_NO_RUNS = Tally()
_NEVER = timedelta()


def report(
    gathered: Gathering,
    samples: Sequence[StorageSample],
    usage: Usage,
    min_free: float,
) -> Report:
    """Return the report of what was gathered.

    `samples` are those of the period, and of `growth.WINDOW` before now.
    """
    mirrors = sorted((_mirror(each, gathered) for each in gathered.fresh), key=_rank)
    told = gathered.reasons.items()
    reasons = [failures.told(text) for text, failures in told]
    return Report(
        at=gathered.now,
        period=gathered.period,
        tier=gathered.scope.tier,
        tiers=tuple(_tiers(mirrors, gathered)),
        mirrors=tuple(mirrors),
        runs=gathered.all_runs.runs(),
        failures=gathered.all_runs.failures,
        reasons=tuple(sorted(reasons, key=lambda each: (-each.count, each.text))),
        trouble=tuple(trouble(gathered, mirrors)),
        alarms=dict(sorted(gathered.alarms.items())),
        drawn=tuple(Drawn(*pair) for pair in gathered.drawn.most_common()),
        usage=usage,
        growth=_growth(samples, gathered.period),
        disks=tuple(_disks(samples, min_free, gathered.now)),
        course=_course(gathered),
    )


def _mirror(fresh: Freshness, gathered: Gathering) -> MirrorReport:
    state = fresh.state
    told = gathered.witnesses(state.id)
    tally = gathered.by_mirror.get(state.id, _NO_RUNS)
    return MirrorReport(
        name=state.name,
        tier=state.tier,
        target=fresh.target,
        word=fresh.word,
        lag=fresh.lag,
        delays=gathered.changes.get(state.id, _NOTHING).delays(),
        record=record(fresh, told, gathered.period, gathered.now),
        runs=tally.runs(),
        failures=tally.failures,
        integrity=gathered.integrity[state.id] if state.id else 0,
        stored=Usage(state.size, state.lfs.size, state.releases.counts.size),
    )


def _rank(mirror: MirrorReport) -> tuple[float, int, float, str]:
    share = mirror.record.share
    worst = mirror.delays.p95 or _NEVER
    return (
        1.0 if share is None else share,
        -mirror.failures,
        -worst.total_seconds(),
        mirror.name.identity,
    )


def _tiers(
    mirrors: Iterable[MirrorReport], gathered: Gathering
) -> Iterable[TierReport]:
    """Yield the tiers, the strictest first."""
    by_tier: dict[str, list[MirrorReport]] = {}
    for mirror in mirrors:
        by_tier.setdefault(mirror.tier, []).append(mirror)
    found = [
        _tier(name, those, gathered.by_tier.get(name, _NOTHING).delays())
        for name, those in by_tier.items()
    ]
    return sorted(found, key=lambda each: (each.target, each.tier))


def _tier(name: str, those: list[MirrorReport], delays: Delays) -> TierReport:
    slowest = max(those, key=_longest)
    return TierReport(
        tier=name,
        # What is archived or gone has a longer one.
        target=min(each.target for each in those),
        mirrors=len(those),
        delays=delays,
        record=together(each.record for each in those),
        slowest=slowest.name if slowest.record.breaches else None,
        runs=sum(each.runs.count for each in those),
        received=sum((each.runs.received for each in those), Received()),
        failures=sum(each.failures for each in those),
    )


def _longest(mirror: MirrorReport) -> timedelta:
    longest = mirror.record.longest
    return _NEVER if longest is None else longest.length


def _growth(samples: Sequence[StorageSample], period: Span) -> Usage | None:
    """Return how usage grew from the first sample of a period to the last."""
    inside = sorted(
        (each for each in samples if period.has(each.at)), key=lambda each: each.at
    )
    if len(inside) < 2:  # noqa: PLR2004 - a difference has two ends
        return None
    first, last = inside[0].usage, inside[-1].usage
    return Usage(
        last.git - first.git,
        last.lfs - first.lfs,
        last.assets - first.assets,
        last.blobs - first.blobs,
    )


def _disks(
    samples: Sequence[StorageSample], min_free: float, now: datetime
) -> Iterable[Disk]:
    for machine, those in growth.by_machine(samples).items():
        last = those[-1]
        floor = growth.floor_of(min_free, last.capacity)
        lately = [each for each in those if each.at >= now - growth.WINDOW]
        points = growth.thinned(growth.used(those))
        yield Disk(
            machine=machine,
            at=last.at,
            free=last.free,
            capacity=last.capacity,
            floor=floor,
            growth=growth.daily(lately),
            full=growth.forecast(lately, floor),
            course=tuple((_moment(p.seconds), int(p.size)) for p in points),
        )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _course(gathered: Gathering) -> Course:
    tiers = sorted({tier for _, tier in gathered.lag_course})
    lag = [
        (
            at,
            {
                t: gathered.lag_course[at, t].delays()
                for t in tiers
                if (at, t) in gathered.lag_course
            },
        )
        for at in buckets(gathered.period, gathered.lag_width)
    ]
    received = [
        (at, gathered.bytes_course.get(at, Received()))
        for at in buckets(gathered.period, gathered.bytes_width)
    ]
    return Course(gathered.lag_width, tuple(lag), gathered.bytes_width, tuple(received))
