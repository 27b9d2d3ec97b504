"""The live display on a terminal: a line for each mirror that moves.

A large LFS object or asset on its way has a line of its own below.  Drawn from what the
workers noted, a few times a second; they never wait for it.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from syncer.cli.board import remaining
from syncer.cli.render import printable
from syncer.units import duration, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from syncer.cli.board import Board
    from syncer.model.runs import Progress

_RATE = 8  # drawings a second
_NAME = 40
_BAR = 24
_LEAST_ROWS = 1
_LARGE = 64 << 20  # bytes of an object that is worth a line
_OID = 12
_DIGEST = re.compile(r"[0-9a-f]{16,64}")


class Display:
    """Draws a board on stderr until it is stopped, and leaves nothing behind."""

    def __init__(
        self,
        board: Board,
        counts: Callable[[], tuple[int, int]],
        *,
        color: bool | None,
    ) -> None:
        self._board = board
        self._counts = counts
        self._console = Console(stderr=True, no_color=color is False, highlight=False)
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=_RATE,
            transient=True,
            redirect_stdout=False,
        )

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()

    def stop(self) -> None:
        """Wipe the drawing."""
        self._live.stop()

    def print(self, line: str) -> None:
        """Print a line above the drawing."""
        self._console.print(Text.from_ansi(line), soft_wrap=True)

    def _draw(self) -> RenderableType:
        active = self._board.active()
        room = max(_LEAST_ROWS, self._console.height - 3)
        grid = Table.grid(padding=(0, 2))
        for _ in range(6):
            grid.add_column(no_wrap=True)
        drawn = 0
        for state, progress, since in active:
            rows = rows_of(state.name.short, progress, time.monotonic() - since)
            if drawn and grid.row_count + len(rows) > room:
                break
            drawn += 1
            for row in rows:
                grid.add_row(*row)
        running, waiting = self._counts()
        done = f"{self._board.done:,} of {self._board.total:,} done"
        foot = f"{done}, {running:,} running, {waiting:,} waiting"
        hidden = len(active) - drawn
        more = f" ({hidden} more not shown)" if hidden > 0 else ""
        last = Text(f"{foot}{more}   Ctrl-C ends cleanly", style="dim")
        return Group(grid, last) if active else last


def rows_of(
    name: str, progress: Progress, elapsed: float
) -> list[list[RenderableType]]:
    """Return a mirror's line and, below it, that of a large object on its way."""
    rows = [_row(name, progress, elapsed)]
    if progress.current is not None:
        what, done, total = progress.current
        if total >= _LARGE:
            bar = ProgressBar(total, done, _BAR)
            amount = f"{size(done)}/{size(total)}"
            # Upstream chose an asset's name: text, never markup.
            rows.append(
                [Text(f"  {_short(what)}"), "", bar, f"{done / total:.0%}", amount, ""]
            )
    return rows


def _short(what: str) -> str:
    """Return an object id's beginning, or the end of an asset's tag and name."""
    if _DIGEST.fullmatch(what):
        return what[:_OID]
    text = printable(what)
    return text if len(text) <= _NAME - 2 else f"…{text[3 - _NAME :]}"


def _row(name: str, progress: Progress, elapsed: float) -> list[RenderableType]:
    clipped = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
    bar = ProgressBar(progress.total or None, progress.done, _BAR)
    if progress.items is not None:
        count = "{:,}/{:,}".format(*progress.items)
        moved = f"{size(progress.done)}/{size(progress.total)}"
    else:
        count = f"{progress.done:,}"
        count += f"/{progress.total:,}" if progress.total else ""
        moved = size(progress.received) if progress.received else ""
    rate = f"{size(progress.rate)}/s" if progress.rate else ""
    amount = f"{moved}  {rate}" if moved else ""
    left = remaining(progress, elapsed)
    eta = f"eta {duration(left)}" if left is not None else ""
    return [clipped, progress.step, bar, count, amount, eta]
