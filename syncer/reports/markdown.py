"""The report as Markdown, as GitHub, GitLab and Gitea render it (pure).

Tables: github.github.com/gfm/#tables-extension-.  What came from upstream is a code
span, where nothing means anything: no link, no mention, no markup.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from syncer.reports import sections
from syncer.reports.sections import Quoted, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.reports.period import Report

_ROWS, _MIRRORS = 20, 50
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&!@])")


def markdown(report: Report) -> str:
    """Return the report, the worst twenty of each thing and fifty mirrors."""
    parts = [f"# syncer report: {sections.title(report)}", ""]
    parts += [f"- {cell(line)}" for line in sections.headline(report)]
    for table in sections.body(report, _ROWS, _MIRRORS):
        parts += ["", f"## {table.title}", "", *lines(table)]
        if table.left_out:
            parts += ["", f"{table.left_out:,} more: `syncer report --format json`"]
    parts += ["", *(f"{index}. {note}" for index, note in enumerate(sections.NOTES, 1))]
    return "\n".join([*parts, ""])


def lines(table: Table) -> list[str]:
    """Return a table's lines."""
    marks = ["---:" if h in table.right else "---" for h in table.headers]
    return [_row(table.headers), _row(marks), *map(_line, table.rows)]


def _line(cells: Iterable[str]) -> str:
    return _row(map(cell, cells))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cell(text: str) -> str:
    """Return a cell's text so that it stands there as it is."""
    if isinstance(text, Quoted):
        plain = text.replace("`", "'").replace("|", "\\|")
        return f"`{plain}`" if plain.strip() else ""
    return _MARKUP.sub(r"\\\1", text)
