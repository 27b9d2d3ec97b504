"""Lags in forms for other programs: CSV, Markdown, Prometheus' text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.cli.render import stamp
from syncer.units import duration, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.schedule.lag import Freshness

_COLUMNS = (
    *("repository", "tier", "state", "lag_seconds", "behind_seconds"),
    *("staleness_seconds", "target_seconds", "last_success"),
)
_HEADERS = ("REPOSITORY", "TIER", "LAG", "BEHIND", "CHECKED", "TARGET", "STATE")


def written(found: Sequence[Freshness], form: str) -> str:
    """Return lags as csv, md or prom, in the order given."""
    if form == "csv":
        return _csv(found)
    if form == "md":
        return _markdown(found)
    from syncer.web import metrics_mirrors

    # The names that /metrics has, for the textfile collector of a node_exporter.
    return metrics_mirrors.each(found).decode()


def _csv(found: Sequence[Freshness]) -> str:
    from syncer.reports.sheet import written as sheet

    return sheet(
        _COLUMNS,
        (
            (
                *(each.state.name.short, each.state.tier, each.word.value),
                *(each.lag.total_seconds(), each.behind.total_seconds()),
                *(each.staleness.total_seconds(), each.target.total_seconds()),
                stamp(each.state.last_success),
            )
            for each in found
        ),
    )


def _markdown(found: Sequence[Freshness]) -> str:
    from syncer.reports.markdown import lines
    from syncer.reports.sections import Table

    rows = tuple(
        (
            *(each.state.name.short, each.state.tier),
            *(duration(each.lag), duration(each.behind), duration(each.staleness)),
            *(span(each.target), each.word),
        )
        for each in found
    )
    table = Table("Lag", _HEADERS, rows, _HEADERS[2:6])
    return "\n".join([*lines(table), ""])
