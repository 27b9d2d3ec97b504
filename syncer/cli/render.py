"""Values become words: durations, sizes, instants, tables (pure).

Text that came from upstream may hold anything; `printable` keeps it from
steering a terminal and from ending a command.
"""

from __future__ import annotations

import unicodedata
from base64 import b64encode
from typing import TYPE_CHECKING

import click

from syncer.model.content import ChangeKind
from syncer.model.lfs import LfsCounts
from syncer.model.runs import Outcome, Word
from syncer.units import duration, plural, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from syncer.model.counts import Counts, Tally
    from syncer.model.releases import ReleaseTally
    from syncer.model.runs import SyncRun

_COLORS = {
    "OK": "green",
    "NEW": "cyan",
    "LATE": "yellow",
    "PARTIAL": "yellow",
    "HELD": "magenta",
    "PAUSED": "blue",
    "FAIL": "red",
    "GONE": "red",
}
_WORDS = {
    Outcome.UNCHANGED: Word.OK,
    Outcome.CHANGED: Word.OK,
    Outcome.PARTIAL: Word.PARTIAL,
    Outcome.HELD: Word.HELD,
    Outcome.FAILED: Word.FAIL,
    Outcome.GONE: Word.GONE,
}
_KINDS = {
    ChangeKind.CREATED: "new",
    ChangeKind.MOVED: "moved",
    ChangeKind.REWOUND: "rewound",
    ChangeKind.DELETED: "deleted",
}


def ago(then: datetime | None, now: datetime) -> str:
    """Return how long ago something was."""
    return "never" if then is None else f"{duration(now - then)} ago"


def stamp(then: datetime | None) -> str | None:
    """Return an instant as ISO 8601 in UTC, to the millisecond."""
    if then is None:
        return None
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printable(text: str) -> str:
    """Return text with everything that is not one character on paper replaced."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def raw(text: str) -> str | None:
    """Return the bytes of a name in base64 if they are not UTF-8, else None."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return b64encode(text.encode("utf-8", "surrogateescape")).decode()
    return None


def styled(word: str) -> str:
    """Return one of our words in its colour; the word alone says it all."""
    return click.style(word, fg=_COLORS.get(word.strip()), bold=True)


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    width: int | None = None,
) -> list[str]:
    """Return aligned lines; `right` names columns of numbers.

    A cell that is a `Word` gets its colour; the last column is cut at `width`.
    """
    cells = [[printable(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(map(cells_of, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        widths[-1] = max(10, width - sum(widths[:-1]) - 2 * len(widths[:-1]))
    columns = list(zip(headers, widths, strict=True))
    return [
        "  ".join(
            _cell(text, source, column, header in right)
            for text, source, (header, column) in zip(
                row, sources, columns, strict=True
            )
        ).rstrip()
        for row, sources in zip(cells, (headers, *rows), strict=True)
    ]


def _cell(text: str, source: str, width: int, right: bool) -> str:  # noqa: FBT001 - one more column fact
    shown = text if cells_of(text) <= width else f"{text[: width - 1]}…"
    pad = " " * (width - cells_of(shown))
    if isinstance(source, Word):
        shown = styled(shown)
    return pad + shown if right else shown + pad


def cells_of(text: str) -> int:
    """Return the width on a terminal, where some characters take two cells."""
    if text.isascii():
        return len(text)
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def word_of(run: SyncRun) -> Word | None:
    """Return the word for how a run ended, None while it goes on."""
    return None if run.outcome is None else _WORDS[run.outcome]


def changes(counts: Mapping[str, int]) -> str:
    """Return `2 refs new, 1 rewound` for counts by kind."""
    found = [(counts.get(kind, 0), word) for kind, word in _KINDS.items()]
    (first, word), *rest = [pair for pair in found if pair[0]] or [(0, "changed")]
    told = [f"{plural(first, 'ref')} {word}", *(f"{n:,} {w}" for n, w in rest)]
    return ", ".join(told)


def counted(counts: Counts) -> str:
    """Return `4,211/4,213, 2 missing upstream` for LFS objects or assets."""
    parts = [f"{counts.present:,}/{counts.total:,}"]
    if counts.missing:
        missing = "missing upstream" if isinstance(counts, LfsCounts) else "missing"
        parts.append(f"{counts.missing:,} {missing}")
    if counts.damaged:
        parts.append(f"{counts.damaged:,} damaged")
    return ", ".join(parts)


def moved(tally: Tally, noun: str = "LFS object") -> str:
    """Return `12 LFS objects fetched, 3 linked` for a run; nothing for nothing."""
    found = [
        (tally.fetched, "fetched"),
        (tally.linked, "linked"),
        (tally.missing, "missing upstream" if noun == "LFS object" else "missing"),
    ]
    told = [(count, what) for count, what in found if count]
    if not told:
        return ""
    (first, what), *rest = told
    parts = [f"{plural(first, noun)} {what}", *(f"{n:,} {w}" for n, w in rest)]
    return ", ".join(parts)


def released(tally: ReleaseTally) -> str:
    """Return `12 assets fetched, 3 linked` for a run; nothing for nothing.

    Where no asset moved, at least what changed of the releases.
    """
    changed = plural(tally.changed, "change") if tally.changed else ""
    return moved(tally, "asset") or (changed and f"{changed} of releases")


def received(run: SyncRun) -> int:
    """Return the bytes that a run brought: packs, LFS objects and assets."""
    return run.received + run.lfs.received + run.releases.received


def summary(run: SyncRun) -> str:
    """Return what came of a run, in a few words."""
    brought = [text for text in (moved(run.lfs), released(run.releases)) if text]
    if run.outcome is Outcome.UNCHANGED:
        return ", ".join(brought) or "unchanged"
    if run.outcome in {Outcome.CHANGED, Outcome.PARTIAL}:
        told = [changes(run.counts), *brought] if run.counts else brought
        if told:
            return ", ".join(told)
        if run.outcome is Outcome.CHANGED:
            return changes(run.counts)
        return run.error or "unchanged, and not all of it is here"
    return run.error or ("running" if run.outcome is None else run.outcome.value)


def run_lines(run: SyncRun, name_width: int) -> list[str]:
    """Return what a person reads of a run that ended: a line, and its notes."""
    word = word_of(run) or Word.NEW
    pad = " " * max(0, 7 - len(word))
    line = f"{run.name.short:<{name_width}}  {styled(word)}{pad} "
    line += printable(summary(run))
    if run.outcome is Outcome.CHANGED or run.lfs.received or run.releases.received:
        line += f"  {size(received(run))}  {duration(run.took)}"
    indent = " " * (name_width + 10)
    said = [*run.notes]
    if run.outcome is Outcome.PARTIAL and run.error and run.error != summary(run):
        said.append(run.error)
    notes = [f"{indent}note: {printable(note)}" for note in said]
    if run.findings:
        notes.append(
            f"{indent}note: fsck reports {plural(len(run.findings), 'object')}"
        )
    return [line, *notes]
