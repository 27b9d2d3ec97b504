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

from syncer.cli.board import Board, Watch
from syncer.cli.render import printable, run_lines
from syncer.model.runs import Outcome, Trigger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from syncer.bootstrap import App
    from syncer.cli.output import Output
    from syncer.model.mirrors import RepoState
    from syncer.model.runs import SyncRun
    from syncer.workers.local import LocalWorkers

INTERRUPTED = 130
_TICK = 0.1
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
        self._printed = 0
        self._closed = threading.Event()

    def run(self, states: Sequence[RepoState], lock_wait: timedelta | None) -> Tally:
        """Visit every mirror once, and return what came of it."""
        tally, began = Tally(len(states)), time.monotonic()
        board = Board(len(states))
        workers = self._app.workers(
            on_end=board.on_end, on_progress=board.on_progress, lock_wait=lock_wait
        )
        watch = Watch(board, self._output, workers.counts)
        width = max(len(state.name.short) for state in states)
        with Stop(lambda: self._end(workers)) as stop:
            try:
                for state in states:
                    workers.submit(state, Trigger.COMMAND)
                self._wait(board, workers, watch, width)
            finally:
                workers.close()
                watch.close()
            self._print(board, watch, width)
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

    def _wait(
        self, board: Board, workers: LocalWorkers, watch: Watch, width: int
    ) -> None:
        while not board.finished.wait(_TICK) and not self._closed.is_set():
            watch.look()
            self._print(board, watch, width)
            if not workers.busy() and not board.finished.wait(_TICK):
                break  # a defect ended a probe without an end to note

    def _print(self, board: Board, watch: Watch, width: int) -> None:
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
                watch.print(line)
            if run.hint:
                self._output.hint(printable(run.hint))
