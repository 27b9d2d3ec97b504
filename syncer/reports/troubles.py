"""What went wrong: what lasts comes first, then by kind, then by length (pure)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from syncer.model.incidents import Kind
from syncer.reports.breaches import recorded
from syncer.reports.period import Trouble
from syncer.reports.reasons import clipped, plain
from syncer.reports.spans import Span
from syncer.units import span

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from syncer.model.incidents import Incident
    from syncer.reports.gathering import Gathering
    from syncer.reports.period import MirrorReport

#: What may cost data, then what stops work, then what came late, then news.
_ORDER = (
    *(Kind.INTEGRITY, Kind.DISK, Kind.SCHEDULER, Kind.HELD, Kind.FAILING),
    *(Kind.LATE, Kind.UPSTREAM, Kind.FORCE_PUSH, Kind.LICENCE),
)
_SEVERITY = {kind: place for place, kind in enumerate(_ORDER)}


def trouble(gathered: Gathering, mirrors: Iterable[MirrorReport]) -> list[Trouble]:
    """Return one entry for each kind and subject: the longest, and how many."""
    period, now = gathered.period, gathered.now
    found: dict[tuple[Kind, str], list[Trouble]] = {}
    for incident in gathered.troubles:
        one = _of_incident(incident, period, now)
        found.setdefault((one.kind, one.subject), []).append(one)
    grouped = [_longest(those) for those in found.values()]
    late = [_late(mirror, period) for mirror in mirrors if mirror.record.breaches]
    return sorted([*grouped, *late], key=_rank)


def _rank(each: Trouble) -> tuple[bool, int, float, str]:
    lasted = each.lasted.total_seconds()
    return not each.is_open, _SEVERITY[each.kind], -lasted, each.subject


def _of_incident(incident: Incident, period: Span, now: datetime) -> Trouble:
    lasted = recorded(incident, now)
    inside = Span(max(lasted.begin, period.begin), min(lasted.end, period.end))
    return Trouble(
        kind=incident.kind,
        subject=clipped(plain(incident.subject)),
        began=incident.began,
        lasted=inside.length,
        is_open=incident.is_open or lasted.end > period.end,
        is_event=incident.is_event,
        detail=clipped(plain(incident.detail)),
    )


def _late(mirror: MirrorReport, period: Span) -> Trouble:
    breaches = mirror.record.breaches
    longest = mirror.record.longest or breaches[0]
    return Trouble(
        kind=Kind.LATE,
        subject=mirror.name.short,
        began=longest.begin,
        lasted=longest.length,
        is_open=breaches[-1].end >= period.end,
        is_event=False,
        detail=f"not within its target of {span(mirror.target)}",
        count=len(breaches),
    )


def _longest(those: list[Trouble]) -> Trouble:
    longest = max(those, key=lambda each: (each.is_open, each.lasted))
    return replace(longest, count=len(those))
