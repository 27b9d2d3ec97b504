"""How the daemon takes a new configuration over: built beside the old one, then used.

the file changed, or SIGHUP ─> read, build, check ─┬─> used from the next tick on
                                                   └─> refused; the old one stays
runs of the old one go on to their end, and nobody else takes their mirrors
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from syncer.bootstrap import App, build
from syncer.config import environment, load
from syncer.git import version

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from syncer.config import Config
    from syncer.workers.local import LocalWorkers


class ConfigFile:
    """The file that the daemon works by, and how it looked last."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._seen = self._look()

    def has_changed(self) -> bool:
        """Return whether it is another one than at the last call."""
        before, self._seen = self._seen, self._look()
        return before != self._seen

    def read(self) -> Config:
        """Return what it says.

        Raises:
            ConfigError: it cannot be used.
        """
        return load(self.path, environment())

    def _look(self) -> tuple[int, int] | None:
        if self.path is None:
            return None
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size


class Former:
    """Workers of former configurations that still have a run in hand."""

    def __init__(self) -> None:
        self._left: list[tuple[threading.Thread, LocalWorkers | None]] = []

    def retire(
        self,
        app: App,
        workers: LocalWorkers | None,
        others: Iterable[threading.Thread | None],
    ) -> None:
        """Let runs, and `others`, come to their end; then close what they used."""

        def wait() -> None:
            if workers is not None:
                workers.close()
            for other in others:
                if other is not None:
                    other.join()
            app.close()

        thread = threading.Thread(target=wait, name="retire")
        self._left = [*self._still(), (thread, workers)]
        thread.start()

    def busy(self) -> set[int]:
        """Return the mirrors that they have in hand."""
        return {each for workers in self._working() for each in workers.busy()}

    def moving(self) -> int:
        """Return how many of their runs move objects."""
        return sum(workers.counts()[0] for workers in self._working())

    def join(self) -> None:
        """Wait until nothing is in their hands."""
        for thread, _ in self._still():
            thread.join()

    def _working(self) -> list[LocalWorkers]:
        return [workers for _, workers in self._still() if workers is not None]

    def _still(self) -> list[tuple[threading.Thread, LocalWorkers | None]]:
        return [each for each in self._left if each[0].is_alive()]


def rebuilt(config: Config, hurry: threading.Event) -> App:
    """Return what works with a new configuration; nothing is left if it cannot.

    Raises:
        SyncerError: why it cannot.
    """
    app = build(config, stop=hurry)
    try:
        version.check(app.git)
        app.reconcile()
    except BaseException:
        app.close()
        raise
    return app
