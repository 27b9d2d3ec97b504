"""The report as one HTML file: no script, nothing loaded, to be mailed or printed.

Mail programs leave inline SVG out; what the charts show stands in the tables, too.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import syncer
from syncer.reports import charts, sections
from syncer.units import duration, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Template

    from syncer.reports.period import Report, TierReport

_ROWS, _MIRRORS = 50, 200
_GOOD, _FAIR = 0.999, 0.99


def page(report: Report) -> str:
    """Return the page, the worst fifty of each thing and two hundred mirrors."""
    return _template().render(
        title=sections.title(report),
        headline=sections.headline(report),
        tiles=[_tile(tier) for tier in report.tiers],
        charts=[*_charts(report)],
        tables=sections.body(report, _ROWS, _MIRRORS),
        notes=sections.NOTES,
        version=syncer.__version__,
        at=sections.moment(report.at),
    )


@cache
def _template() -> Template:
    # Every value is escaped, whatever the template's name.
    world = Environment(
        loader=PackageLoader("syncer.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    world.tests["quoted"] = lambda cell: isinstance(cell, sections.Quoted)
    return world.get_template("report.html.j2")


def _tile(tier: TierReport) -> dict[str, str]:
    share = tier.record.share
    longest = tier.record.longest
    return {
        "tier": tier.tier,
        "share": sections.percent(share),
        "state": _state(share),
        "target": span(tier.target),
        "p95": duration(tier.delays.p95),
        "longest": "none" if longest is None else duration(longest.length),
    }


def _state(share: float | None) -> str:
    """Return the class of a share: three nines are good, less than two are not."""
    if share is None:
        return "none"
    return "met" if share >= _GOOD else "near" if share >= _FAIR else "missed"


def _charts(report: Report) -> Iterator[dict[str, str]]:
    """Yield the charts; they escape what they are given."""
    for chart in charts.of(report):
        drawing = Markup(chart.done())  # noqa: S704 - it escapes every text
        yield {"title": chart.title, "drawing": drawing}
