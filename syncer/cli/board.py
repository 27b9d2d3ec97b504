"""How far many mirrors are: what the workers note, and who shows it.

Workers only note; showing is the command's own thread's, a few times a second.
"""

from __future__ import annotations

import sys
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.units import duration, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.cli.output import Output
    from syncer.cli.progress import Display
    from syncer.model.mirrors import RepoState
    from syncer.model.runs import Progress, SyncRun

_LINE_EVERY = 30.0
_DISPLAY_AFTER = 0.6
_SURE = 0.02  # of a step, before its end is estimated


class Board:
    """What the workers note and the display shows; usable from many threads."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.ended: list[SyncRun] = []
        self.moving: dict[int, tuple[RepoState, Progress, float]] = {}
        self.finished = threading.Event()
        self._lock = threading.Lock()

    def on_end(self, run: SyncRun) -> None:
        """Note the end of a run."""
        with self._lock:
            self.ended.append(run)
        self.leave(run.mirror_id)

    def leave(self, mirror_id: int) -> None:
        """Note that there is nothing more to do for a mirror."""
        with self._lock:
            self.done += 1
            self.moving.pop(mirror_id, None)
            if self.done == self.total:
                self.finished.set()

    def on_progress(self, state: RepoState, progress: Progress) -> None:
        """Note how far a run is, and since when it is at this step."""
        with self._lock:
            _, before, since = self.moving.get(state.id, (state, None, 0.0))
            if before is None or before.step != progress.step:
                since = time.monotonic()
            self.moving[state.id] = (state, progress, since)

    def active(self) -> list[tuple[RepoState, Progress, float]]:
        """Return the mirrors whose objects move right now."""
        with self._lock:
            return list(self.moving.values())


class Watch:
    """Shows a board: live on a terminal, by a line every half minute elsewhere."""

    def __init__(
        self, board: Board, output: Output, counts: Callable[[], tuple[int, int]]
    ) -> None:
        self._board = board
        self._output = output
        self._counts = counts
        self._display: Display | None = None
        self._began = self._told = time.monotonic()

    def look(self) -> None:
        """Show what there is to show by now; call it often."""
        if self._display is not None:
            return
        now = time.monotonic()
        if now - self._began > _DISPLAY_AFTER and self._is_live():
            self._open()
        elif now - self._told >= _LINE_EVERY:
            self._told = now
            self._output.say(line_of(self._board, self._counts()))

    def print(self, line: str) -> None:
        """Print data, above the drawing where there is one."""
        if self._display is not None and sys.stdout.isatty():
            self._display.print(line)
        else:
            self._output.data(line)

    def close(self) -> None:
        """Wipe the drawing."""
        if self._display is not None:
            self._display.stop()
            self._display = None

    def _is_live(self) -> bool:
        out = self._output
        return not out.quiet and not out.verbose and sys.stderr.isatty()

    def _open(self) -> None:
        from syncer.cli.progress import Display

        self._display = Display(self._board, self._counts, color=self._output.color)
        self._display.start()


def line_of(board: Board, counts: tuple[int, int]) -> str:
    """Return how far everything is, and the mirror with the most bytes left."""
    running, waiting = counts
    text = f"{board.done:,} of {board.total:,} done"
    text += f", {running:,} running, {waiting:,} waiting"
    moving = [each for each in board.active() if each[1].items is not None]
    if not moving:
        return text
    state, progress, since = max(moving, key=lambda each: each[1].total - each[1].done)
    elapsed = time.monotonic() - since
    return f"{text}; {state.name.short}: {words_of(progress, elapsed)}"


def words_of(progress: Progress, elapsed: float) -> str:
    """Return `LFS objects 412/900, 1.2 GiB of 3.0 GiB, 81.2 MiB/s, eta 23s`."""
    done, total = progress.items or (0, 0)
    parts = [
        f"{progress.step} {done:,}/{total:,}",
        f"{size(progress.done)} of {size(progress.total)}",
    ]
    if progress.rate:
        parts.append(f"{size(progress.rate)}/s")
    left = remaining(progress, elapsed)
    if left is not None:
        parts.append(f"eta {duration(left)}")
    return ", ".join(parts)


def remaining(progress: Progress, elapsed: float) -> timedelta | None:
    """Return how long a step will still take at its pace so far, None if unknown.

    Of LFS objects much may have been here before: the rate tells better.
    """
    left = progress.total - progress.done
    if not progress.total or left <= 0:
        return None
    if progress.items is not None:
        return timedelta(seconds=left / progress.rate) if progress.rate else None
    if progress.done < _SURE * progress.total:
        return None
    return timedelta(seconds=elapsed * left / progress.done)
