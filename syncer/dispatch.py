"""The scheduler's part where several machines work: one is elected, and hands out.

    leads? ──no──> nothing; another process does
      │ yes
      ├─ mirrors without a home ──> the machine with the least (`schedule/placement.py`)
      └─ who is due ──> a job in its home's queue, as many as each machine may have;
                        the others wait in the `Backlog` until there is room

It knows of what is in hand from the queue, so that whoever leads next goes on at once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

from syncer.catalog import database
from syncer.catalog.leadership import Leadership
from syncer.model.runs import Trigger
from syncer.schedule.backlog import Backlog
from syncer.schedule.due import due
from syncer.schedule.placement import admit_each, alive, place
from syncer.workers import cluster_schema
from syncer.workers.cluster import ClusterQueue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from syncer.bootstrap import App
    from syncer.config import Config
    from syncer.model.mirrors import RepoState

log = logging.getLogger(__name__)


class Dispatch:
    """Decides for all machines, while it is this process's turn; for one thread."""

    def __init__(self, config: Config) -> None:
        """Find the queue.

        Raises:
            NotInitialised, SchemaOutdated: its tables are not ready.
            CatalogBusy: the database does not answer.
        """
        url = config.catalog_url
        connection = database.libpq(url)
        cluster_schema.check(connection)
        self._queue = ClusterQueue(connection)
        self._engine = database.connect(url)
        self._leadership = Leadership(self._engine)
        self._backlog = Backlog()
        self._shares: Mapping[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def leads(self) -> bool:
        """Return whether this process decides; to be asked before each tick."""
        return self._leadership.hold()

    def busy(self) -> set[int]:
        """Return the mirrors in hand or queued, on all machines.

        Raises:
            CatalogBusy: the database does not answer.
        """
        return self._queue.busy()

    def counts(self) -> tuple[int, int]:
        """Return how many visits go on, and how many wait, on all machines.

        Raises:
            CatalogBusy: the database does not answer.
        """
        return self._queue.counts()

    def hand_out(self, app: App, states: Sequence[RepoState]) -> int:
        """Queue who is due, and may begin; return how many.

        Raises:
            CatalogBusy: the database does not answer; the next tick does it.
        """
        self._place(app, states)
        self._queue.drop_strays(states)
        busy = self._queue.busy()
        hosts = {state.name.host for state in states}
        known = {host: app.config.target_host(host) for host in hosts}
        budgets = {host: settings.probes for host, settings in known.items()}
        ready = due(states, app.config.tier, budgets, app.clock.now(), busy=busy)
        self._shares = {host: settings.connections for host, settings in known.items()}
        self._backlog.renew(ready, states)
        return self._hand_on(busy)

    def hand_on(self) -> int:
        """Queue those for whom there was no room before; return how many.

        Raises:
            CatalogBusy: the database does not answer; the next tick does it.
        """
        return self._hand_on(self._queue.busy()) if self._backlog else 0

    def forget(self) -> None:
        """Queue nobody until it is decided anew who is due."""
        self._backlog.forget()

    def _hand_on(self, busy: AbstractSet[int]) -> int:
        admitted = self._backlog.take(
            busy, lambda ready, in_hand: admit_each(ready, in_hand, self._shares)
        )
        return self._queue.submit_all((d.state for d in admitted), Trigger.SCHEDULE)

    def hand_hinted(self, states: Sequence[RepoState], hinted: AbstractSet[int]) -> int:
        """Queue those of which a sweep saw that they changed; return how many.

        Raises:
            CatalogBusy: the database does not answer.
        """
        those = [state for state in states if state.id in hinted]
        return self._queue.submit_all(those, Trigger.SCHEDULE, hinted=True)

    def close(self) -> None:
        """Leave the lead to others; what is queued stays so."""
        self._leadership.release()
        self._queue.close()
        self._engine.dispose()

    def _place(self, app: App, states: Sequence[RepoState]) -> None:
        """Give homes to new mirrors; from the next tick on they have them."""
        if not any(s.home is None and not s.generation for s in states):
            return
        living = alive(app.operations.machines(), app.clock.now())
        homes = place(states, living)
        if homes:
            app.catalog.place(homes)
            log.info("mirrors placed", extra={"count": len(homes)})
