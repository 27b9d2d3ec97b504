"""A report on one screen of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.cli.render import printable, table
from syncer.reports import sections

if TYPE_CHECKING:
    from syncer.reports.period import Report
    from syncer.reports.sections import Table

_WIDTH = 110
_TROUBLE, _FEW = 10, 5


def screen(report: Report) -> str:
    """Return what a person wants to know first, at most ten rows of each thing."""
    lines = [f"syncer report   {sections.title(report)}", ""]
    lines += [f"  {printable(line)}" for line in sections.headline(report)]
    shown = (
        sections.tiers(report),
        sections.trouble(report, _TROUBLE),
        sections.failures(report, _FEW),
        sections.bytes_by_kind(report),
        sections.drawn(report, _FEW),
        sections.disks(report),
    )
    for each in shown:
        if each.rows:
            lines += ["", *_lines(each)]
    return "\n".join([*lines, ""])


def _lines(shown: Table) -> list[str]:
    told = table(shown.headers, shown.rows, right=shown.right)
    cut = max(map(len, told)) > _WIDTH
    if cut:
        told = table(shown.headers, shown.rows, right=shown.right, width=_WIDTH)
    left = f"and {shown.left_out:,} more: syncer report --format json"
    return [*told, *([left] if shown.left_out else [])]
