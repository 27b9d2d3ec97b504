"""The live display of `sync` on a terminal: a line for each mirror that moves.

Drawn from what the workers noted, a few times a second; they never wait for it.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from syncer.cli.render import duration, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from syncer.cli.sweep import Board
    from syncer.model.runs import Progress

_RATE = 8  # drawings a second
_NAME = 40
_BAR = 24
_LEAST_ROWS = 1
_SURE = 0.02  # of a step, before its end is estimated


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
        for state, progress, since in active[:room]:
            elapsed = time.monotonic() - since
            grid.add_row(*_row(state.name.short, progress, elapsed))
        running, waiting = self._counts()
        done = f"{len(self._board.ended):,} of {self._board.total:,} done"
        foot = f"{done}, {running:,} running, {waiting:,} waiting"
        hidden = len(active) - room
        more = f" ({hidden} more not shown)" if hidden > 0 else ""
        last = Text(f"{foot}{more}   Ctrl-C ends cleanly", style="dim")
        return Group(grid, last) if active else last


def _row(name: str, progress: Progress, elapsed: float) -> list[RenderableType]:
    clipped = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
    bar = ProgressBar(progress.total or None, progress.done, _BAR)
    count = f"{progress.done:,}"
    if progress.total:
        count += f"/{progress.total:,}"
    rate = f"{size(progress.rate)}/s" if progress.rate else ""
    amount = f"{size(progress.received)}  {rate}" if progress.received else ""
    left = remaining(progress, elapsed)
    eta = f"eta {duration(left)}" if left is not None else ""
    return [clipped, progress.step, bar, count, amount, eta]


def remaining(progress: Progress, elapsed: float) -> timedelta | None:
    """Return how long a step will still take at its pace so far, None if unknown."""
    if not progress.total or progress.done < _SURE * progress.total:
        return None
    left = progress.total - progress.done
    return timedelta(seconds=elapsed * left / progress.done) if left else None
