"""The queue that the elected scheduler fills: each run goes to its mirror's home.

    scheduler ── one job a mirror ──> queue of a ──> workers on a (`cluster_worker`)
                                  └─> queue of b ──> workers on b

It looks like `LocalWorkers` to whoever hands out, but nothing runs here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from procrastinate import App, SyncPsycopgConnector, exceptions

from syncer.workers import cluster_queue
from syncer.workers.cluster_queue import job_of, queue_of, translated, visit_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from procrastinate.jobs import Job

    from syncer.model.mirrors import RepoState
    from syncer.model.runs import Trigger

_POLL = 0.2
_OPEN = ("todo", "doing")
#: procrastinate deletes by itself what waits, not what a worker has in hand.
_DROP = "DELETE FROM procrastinate_jobs WHERE id = ANY(%(ids)s)"


class ClusterQueue:
    """A `WorkQueue` in Postgres, for all machines; usable from many threads."""

    def __init__(self, connection: Mapping[str, Any]) -> None:
        """Wait for nothing; `connection` is what psycopg connects with."""
        self._pool = cluster_queue.pool(connection, 2)
        connector = SyncPsycopgConnector()
        connector.open(self._pool)
        self._manager = App(connector=connector).job_manager

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, state: RepoState, trigger: Trigger) -> bool:
        """Queue a run; False if one waits already, or no machine keeps the mirror.

        Raises:
            CatalogBusy: the database does not answer.
        """
        return self.submit_all([state], trigger) == 1

    def submit_all(
        self, states: Iterable[RepoState], trigger: Trigger, *, hinted: bool = False
    ) -> int:
        """Queue runs in one transaction; return how many.

        Raises:
            CatalogBusy: the database does not answer; nothing was queued.
        """
        jobs = [
            job_of(state, state.home, trigger, hinted=hinted)
            for state in states
            if state.home is not None
        ]
        if not jobs:
            return 0
        with translated():
            try:
                self._manager.batch_defer_jobs(jobs)
            except exceptions.AlreadyEnqueued:
                return sum(map(self._defer, jobs))
        return len(jobs)

    def _defer(self, job: Job) -> bool:
        try:
            self._manager.defer_job(job)
        except exceptions.AlreadyEnqueued:
            return False
        return True

    def busy(self) -> set[int]:
        """Return the ids of the mirrors that are in hand, or queued.

        Raises:
            CatalogBusy: the database does not answer.
        """
        return {visit_of(job).mirror_id for job in self._jobs()}

    def counts(self) -> tuple[int, int]:
        """Return how many jobs are in hand, and how many wait to be.

        Raises:
            CatalogBusy: the database does not answer.
        """
        doing = [job.status == "doing" for job in self._jobs()]
        return sum(doing), len(doing) - sum(doing)

    def withdraw(self, mirror_id: int) -> bool:
        """Take back what waits for a mirror; False while it is in hand.

        Raises:
            CatalogBusy: the database does not answer.
        """
        lock = cluster_queue.lock_of(mirror_id)
        jobs = self._jobs(lock)
        with translated():
            for job in jobs:
                if job.id is not None:
                    self._manager.cancel_job_by_id(job.id, delete_job=True)
        return not self._jobs(lock)

    def drop_strays(self, states: Iterable[RepoState]) -> int:
        """Delete jobs of mirrors that live elsewhere by now; return how many.

        Their machine may never come back, and would keep the new home waiting.  If it
        does work on one, the catalog refuses what it records.

        Raises:
            CatalogBusy: the database does not answer.
        """
        queues = {s.id: queue_of(s.home) for s in states if s.home is not None}
        strays = [
            job.id
            for job in self._jobs()
            if job.queue != queues.get(visit_of(job).mirror_id, job.queue)
        ]
        if strays:
            with translated(), self._pool.connection() as connection:
                connection.execute(_DROP, {"ids": strays})
        return len(strays)

    def join(self) -> None:
        """Wait until nothing is in hand or queued on any machine."""
        while self.busy():
            time.sleep(_POLL)

    def close(self) -> None:
        """Give back the connections; what is queued stays so."""
        self._pool.close()

    def _jobs(self, lock: str | None = None) -> list[Job]:
        # Jobs that are over are deleted, so that these are few.
        with translated():
            listed = self._manager.list_jobs(task=cluster_queue.TASK, lock=lock)
        return [job for job in listed if job.status in _OPEN]
