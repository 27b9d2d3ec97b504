"""The threads of one process that work on mirrors, over changes of configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncer import logs
from syncer.reload import Former
from syncer.schedule.share import AHEAD

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable
    from datetime import datetime

    from syncer.bootstrap import App
    from syncer.workers.local import LocalWorkers

_LOCK_WAIT = timedelta(seconds=5)


class Crew:
    """Those of the configuration in force, and of earlier ones until they are done."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._workers = _hired(app)
        self._former = Former()

    def busy(self) -> set[int]:
        """Return the mirrors that somebody in this process works on."""
        return self._workers.busy() | self._former.busy()

    def counts(self) -> tuple[int, int]:
        """Return how many runs move objects, and how many wait to."""
        return self._workers.counts()

    def oldest(self) -> datetime | None:
        """Return since when the first of those that wait does so."""
        return self._workers.oldest()

    def moving(self) -> int:
        """Return how many runs move objects, those of former configurations too."""
        return self._workers.counts()[0] + self._former.moving()

    def is_publishing(self) -> bool:
        """Return whether a run of this process is about to move refs."""
        catalog, busy = self._app.catalog, self.busy()
        open_runs = (state for state in catalog.unfinished() if state.id in busy)
        return any(catalog.intent(state.id) is not None for state in open_runs)

    def use(self, app: App, others: Iterable[threading.Thread | None] = ()) -> None:
        """Work with a new configuration; runs of the old one, and `others`, end."""
        old_app, old_workers = self._app, self._workers
        self._app, self._workers = app, _hired(app)
        self._former.retire(old_app, old_workers, others)

    def start(self) -> None:
        """Begin to work; what a dead process left is settled by now."""

    def stop(self) -> None:
        """Begin nothing more."""

    def close(self) -> None:
        """Begin nothing more, and let what runs come to its end."""
        self._workers.close()
        self._former.join()


def _hired(app: App) -> LocalWorkers:
    return app.workers(on_end=logs.run_ended, lock_wait=_LOCK_WAIT, ahead=AHEAD)
