"""One command's visit to many mirrors: hand out, watch, report, stop.

Workers only note what happened; printing is this thread's, a few times a
second, so that an unchanged mirror costs a counter.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from syncer.cli.render import printable, run_lines
from syncer.model.runs import Outcome, Trigger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from syncer.bootstrap import App
    from syncer.cli.output import Output
    from syncer.cli.progress import Display
    from syncer.model.runs import Progress, RepoState, SyncRun
    from syncer.workers.local import LocalWorkers

INTERRUPTED = 130
_TICK = 0.1
_LINE_EVERY = 30.0
_DISPLAY_AFTER = 0.6
#: With more mirrors than this the unchanged ones are only counted.
_FEW = 20
_SHOW_CURSOR = "\x1b[?25h"


@dataclass
class Tally:
    """What came of it all; `left` were never visited."""

    total: int = 0
    runs: list[SyncRun] = field(default_factory=list)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    took: timedelta = timedelta()
    #: The signal that ended it before its time.
    signal: int | None = None

    @property
    def left(self) -> int:
        """How many mirrors were not visited."""
        return self.total - len(self.runs)

    def counts(self) -> Counter[Outcome]:
        """Return how many runs ended in which way, without those we stopped."""
        ended = [run for run in self.runs if run.exit_code != INTERRUPTED]
        return Counter(run.outcome for run in ended if run.outcome is not None)

    @property
    def stopped(self) -> int:
        """How many runs ended because we were asked to."""
        return sum(run.exit_code == INTERRUPTED for run in self.runs)


class Board:
    """What the workers note and the display shows; usable from many threads."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.ended: list[SyncRun] = []
        self.moving: dict[int, tuple[RepoState, Progress, float]] = {}
        self.finished = threading.Event()
        self._lock = threading.Lock()

    def on_end(self, run: SyncRun) -> None:
        """Note the end of a run."""
        with self._lock:
            self.ended.append(run)
            self.moving.pop(run.mirror_id, None)
            if len(self.ended) == self.total:
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


class Stop:
    """The first SIGINT or SIGTERM asks for a clean end, the second one ends."""

    def __init__(self, clean: Callable[[], None]) -> None:
        self._clean = clean
        self._before: dict[int, object] = {}
        self.number: int | None = None

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() returned itself

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None:
            # Whatever it waits for: publication is safe against this anyway.
            if sys.stderr.isatty():
                os.write(2, _SHOW_CURSOR.encode())
            os._exit(128 + number)
        self.number = number
        # Not here: the interrupted code may hold the locks that this takes.
        threading.Thread(target=self._clean, name="stop", daemon=True).start()


class Sweep:
    """Visits mirrors within the configured limits and tells how it goes."""

    def __init__(self, app: App, output: Output, *, silent: bool = False) -> None:
        self._app = app
        self._output = output
        self._silent = silent
        self._display: Display | None = None
        self._printed = 0
        self._closed = threading.Event()

    def run(self, states: Sequence[RepoState], lock_wait: timedelta | None) -> Tally:
        """Visit every mirror once, and return what came of it."""
        tally, began = Tally(len(states)), time.monotonic()
        board = Board(len(states))
        workers = self._app.workers(
            on_end=board.on_end, on_progress=board.on_progress, lock_wait=lock_wait
        )
        width = max(len(state.name.short) for state in states)
        with Stop(lambda: self._end(workers)) as stop:
            try:
                for state in states:
                    workers.submit(state, Trigger.COMMAND)
                self._watch(board, workers, width)
            finally:
                workers.close()
                self._close_display()
            self._print(board, width)
            tally.signal = stop.number
        tally.runs, tally.took = (
            board.ended,
            timedelta(seconds=time.monotonic() - began),
        )
        return tally

    def _end(self, workers: LocalWorkers) -> None:
        """End git, take up nothing more, let what publishes come to its end."""
        self._output.say("stopping; press Ctrl-C again to end at once")
        self._app.stop.set()
        workers.close()
        self._closed.set()

    def _watch(self, board: Board, workers: LocalWorkers, width: int) -> None:
        began = told = time.monotonic()
        while not board.finished.wait(_TICK) and not self._closed.is_set():
            now = time.monotonic()
            if self._display is None and now - began > _DISPLAY_AFTER:
                self._open_display(board, workers)
            self._print(board, width)
            if self._display is None and now - told >= _LINE_EVERY:
                told = now
                self._count(board, workers)
            if not workers.busy() and not board.finished.wait(_TICK):
                break  # a defect ended a probe without an end to note

    def _print(self, board: Board, width: int) -> None:
        """Print the runs that ended since the last call."""
        ended = board.ended[self._printed :]
        self._printed += len(ended)
        if self._silent:
            return
        for run in ended:
            quiet = self._output.quiet or board.total > _FEW
            if run.outcome is Outcome.UNCHANGED and quiet:
                continue
            if run.outcome is Outcome.CHANGED and self._output.quiet:
                continue
            if run.exit_code == INTERRUPTED:
                continue
            for line in run_lines(run, min(width, 60)):
                self._line(line)
            if run.hint:
                self._output.hint(printable(run.hint))

    def _line(self, line: str) -> None:
        if self._display is not None and sys.stdout.isatty():
            self._display.print(line)
        else:
            self._output.data(line)

    def _count(self, board: Board, workers: LocalWorkers) -> None:
        running, waiting = workers.counts()
        done = f"{len(board.ended):,} of {board.total:,} done"
        self._output.say(f"{done}, {running:,} running, {waiting:,} waiting")

    def _open_display(self, board: Board, workers: LocalWorkers) -> None:
        out = self._output
        if out.quiet or out.verbose or not sys.stderr.isatty():
            return
        from syncer.cli.progress import Display

        self._display = Display(board, workers.counts, color=out.color)
        self._display.start()

    def _close_display(self) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None
