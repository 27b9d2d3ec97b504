"""One of several machines: runs come from the queue, and one process is elected.

elected? ──yes──> `Dispatch` queues who is due, each at its home
always ─────────> `ClusterWorker` takes this machine's runs from the queue,
the threads of `Crew` do them
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from syncer.catalog import database
from syncer.crew import Crew
from syncer.dispatch import Dispatch
from syncer.schedule.share import AHEAD
from syncer.sync.rehoming import Rehoming
from syncer.workers import cluster_schema
from syncer.workers.cluster_hands import LocalHands, Tools
from syncer.workers.cluster_worker import ClusterWorker

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from syncer.bootstrap import App
    from syncer.config import Config
    from syncer.model.mirrors import RepoState
    from syncer.workers.cluster_worker import Pace

log = logging.getLogger(__name__)


class Member(Crew):
    """Works on the mirrors of this machine; takes part in the election if it may."""

    def __init__(
        self,
        app: App,
        *,
        schedules: bool,
        on_stranger: Callable[[], None],
        takes: bool = True,
        pace: Pace | None = None,
    ) -> None:
        """Decide if elected, if it `schedules`; take runs if it `takes`.

        `on_stranger` is called for a mirror that this configuration lacks.

        Raises:
            NotInitialised, SchemaOutdated: the queue's tables are not ready.
            CatalogBusy: the database does not answer.
        """
        super().__init__(app)
        self._machine = app.config.machine
        connection = database.libpq(app.config.catalog_url)
        cluster_schema.check(connection)
        self._dispatch = Dispatch(app.config) if schedules else None
        self._hands = LocalHands(
            self._machine,
            self._tools(),
            former=self._former.busy,
            on_stranger=on_stranger,
        )
        self._taking = ClusterWorker(
            connection, self._machine, self._hands, _capacity(app.config), pace
        )
        self._takes = takes
        self._claim()

    def leads(self) -> bool:
        """Return whether this process decides; to be asked before each tick."""
        return self._dispatch is not None and self._dispatch.leads()

    def hand_out(self, states: Sequence[RepoState], others: AbstractSet[int]) -> int:
        """Queue who is due, each at its home; return how many.

        `others`, which something here has in hand, wait in the queue like all.

        Raises:
            CatalogBusy: the database does not answer; the next tick does it.
        """
        del others
        return (
            0 if self._dispatch is None else self._dispatch.hand_out(self._app, states)
        )

    def hand_on(self) -> int:
        """Queue those for whom there was no room before; return how many.

        Raises:
            CatalogBusy: the database does not answer; the next tick does it.
        """
        return 0 if self._dispatch is None else self._dispatch.hand_on()

    def hand_hinted(self, states: Sequence[RepoState], hinted: AbstractSet[int]) -> int:
        """Queue those of which a sweep saw that they changed.

        Raises:
            CatalogBusy: the database does not answer.
        """
        if self._dispatch is None or not hinted:
            return 0
        return self._dispatch.hand_hinted(states, hinted)

    def use(self, app: App, others: Iterable[threading.Thread | None] = ()) -> None:
        """Work with a new configuration; runs of the old one, and `others`, end."""
        super().use(app, others)
        if self._dispatch is not None:
            self._dispatch.forget()
        self._hands.use(self._tools())
        self._taking.capacity = _capacity(app.config)
        self._claim()

    def start(self) -> None:
        """Take runs from here on."""
        if self._takes:
            self._taking.start()

    def stop(self) -> None:
        """Take no more runs; others decide and take them."""
        self._taking.stop()

    def close(self) -> None:
        """Let what runs come to its end; what has not begun goes to others."""
        self._taking.stop()
        super().close()
        self._taking.close()
        if self._dispatch is not None:
            self._dispatch.close()

    def _claim(self) -> None:
        """Keep what lies here since before machines had names."""
        for state in Rehoming(self._app.world, self._machine).claim():
            extra = {"repo": str(state.name), "home": self._machine}
            log.info("kept where it lies", extra=extra)

    def _tools(self) -> Tools:
        app = self._app
        known = {repo.name.identity for repo in app.config.repo}
        return Tools(
            app.catalog,
            self._workers,
            app.probes,
            lambda name: name.identity in known,
            app.world.hinted.add,
        )


def _capacity(config: Config) -> int:
    """Return how many mirrors may be in hand: AHEAD for each connection."""
    hosts = {repo.name.host for repo in config.repo}
    return AHEAD * max(1, sum(config.target_host(h).connections for h in hosts))
