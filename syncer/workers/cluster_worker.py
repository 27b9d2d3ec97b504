"""One process's hands: takes the jobs of its machine's queue and sees them through.

    queue ──fetch──> begun (`Hands.begin`) ──> in hand ──> let go, results stored
                           └─ not to be done here ──> job deleted      └─> job deleted

A heartbeat tells that the process lives.  The jobs of one that does not go back into
the queue, where any worker of the machine finds them; what a run of theirs left half
done is settled by the next one.  While the database is away, runs go on.

A job may be taken over from a process that only seemed dead.  Both are on one
machine, where the mirror's `flock` lets one of them in.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from procrastinate import App, PsycopgConnector, exceptions
from procrastinate.jobs import Status

from syncer.errors import SyncerError
from syncer.workers import cluster_queue
from syncer.workers.cluster_queue import (
    Visit,
    is_gone,
    is_unknown_worker,
    told,
    visit_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from procrastinate.jobs import Job
    from procrastinate.manager import JobManager

log = logging.getLogger(__name__)

_STEP = 0.1  # seconds between two looks at what is in hand
_AGAIN = 1.0  # seconds until the database is asked again after a failure
#: Of the silence after which others take its jobs, a worker is silent for less.
_SHARE = 3
#: Seconds between two heartbeats at most: other workers may have less patience.
_BEAT = 1.0


class Hands(Protocol):
    """What does the work in this process; called from one thread."""

    def begin(self, visit: Visit) -> bool:
        """Take a mirror in hand; False if that is not to be done here."""

    def busy(self) -> set[int]:
        """Return the mirrors in hand."""

    def store(self) -> None:
        """Store what is known of those that were let go."""


class Pace(NamedTuple):
    """How often things are done."""

    #: Jobs of a worker that was silent for so long go to others.
    silence: timedelta = timedelta(seconds=30)
    #: How often an empty queue is looked at.
    poll: timedelta = timedelta(seconds=0.25)


class ClusterWorker:
    """Takes jobs in a thread of its own, until it is stopped."""

    def __init__(
        self,
        connection: Mapping[str, Any],
        machine: str,
        hands: Hands,
        capacity: int,
        pace: Pace | None = None,
    ) -> None:
        """Have `capacity` mirrors in hand at most, those that wait to run included."""
        self._connection = connection
        self._queue = cluster_queue.queue_of(machine)
        self._hands = hands
        #: Mirrors that it has in hand at most; may be changed at any time.
        self.capacity = capacity
        self._pace = pace or Pace()
        self._jobs: dict[int, Job] = {}
        self._worker_id: int | None = None
        #: Since when the database has heard of us without a gap.
        self._heard_since = 0.0
        self._next_fetch = 0.0
        self._next_count = 0.0
        self._complaint = ""
        self._stopping = threading.Event()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._go, name="cluster")

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more jobs; what is in hand goes on."""
        self._stopping.set()

    def close(self) -> None:
        """Say how the jobs ended; those that are still in hand go to others.

        To be called when the work has come to its end, or to be left as it is.
        """
        self._stopping.set()
        self._leaving.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def held(self) -> int:
        """How many jobs are in hand."""
        return len(self._jobs)

    def _go(self) -> None:
        try:
            asyncio.run(self._work())
        except Exception:
            log.exception("taking runs from the queue ended by a defect")

    async def _work(self) -> None:
        pool = await cluster_queue.pool_async(self._connection, 3)
        connector = PsycopgConnector()
        await connector.open_async(pool)
        try:
            await self._work_with(App(connector=connector).job_manager)
        finally:
            await pool.close()

    async def _work_with(self, manager: JobManager) -> None:
        while not self._leaving.is_set():
            try:
                await self._serve(manager)
            except exceptions.ConnectorException as exc:
                if is_unknown_worker(exc):
                    self._worker_id = None  # taken for dead; we begin anew
                self._complain(told(exc))
            except SyncerError as exc:
                self._complain(exc)
            await self._pause(_AGAIN)
        with suppress(exceptions.ConnectorException):
            await self._leave(manager)

    def _complain(self, exc: SyncerError) -> None:
        """Say once what is wrong with the database."""
        self._heard_since = 0.0
        if str(exc) != self._complaint:
            extra = {"error": str(exc), "hint": exc.hint}
            log.warning("no runs are taken; those in hand go on", extra=extra)
        self._complaint = str(exc)

    async def _pause(self, seconds: float) -> None:
        for _ in range(round(seconds / _STEP)):
            if self._leaving.is_set():
                return
            await asyncio.sleep(_STEP)

    async def _serve(self, manager: JobManager) -> None:
        """Take jobs and end them, until stopped or until the database is away."""
        self._next_count = 0.0
        beat = asyncio.create_task(self._beat(manager))
        try:
            while not self._leaving.is_set():
                if beat.done():
                    beat.result()  # raises what ended it
                await self._end_those_let_go(manager)
                await self._return_lost(manager)
                if not self._stopping.is_set():
                    await self._fetch(manager)
                await asyncio.sleep(_STEP)
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError, exceptions.ConnectorException):
                await beat

    async def _return_lost(self, manager: JobManager) -> None:
        """Give back what we took but never began, as the database went away then.

        Nobody else would: it is ours, and we live.  Never while one is fetched.
        """
        if self._worker_id is None or time.monotonic() < self._next_count:
            return
        status, worker = Status.DOING.value, self._worker_id
        for job in await manager.list_jobs_async(status=status, worker_id=worker):
            if job.id not in self._jobs:
                await self._give_back(manager, job)
        self._next_count = time.monotonic() + self._pace.silence.total_seconds()

    async def _beat(self, manager: JobManager) -> None:
        """Tell that we live, and look for those that do not."""
        silence = self._pace.silence.total_seconds()
        while True:
            if self._worker_id is None:
                self._worker_id = await manager.register_worker()
            await manager.update_heartbeat(self._worker_id)
            now = time.monotonic()
            self._heard_since = self._heard_since or now
            if self._complaint:
                log.info("runs are taken again")
                self._complaint = ""
            # After an outage nobody was heard: each gets the time to be.
            if now - self._heard_since > silence:
                await self._rescue(manager, silence)
            await asyncio.sleep(min(silence / _SHARE, _BEAT))

    async def _rescue(self, manager: JobManager, silence: float) -> None:
        """Put the jobs of dead workers of this machine back into the queue."""
        stalled = await manager.get_stalled_jobs(
            queue=self._queue,
            task_name=cluster_queue.TASK,
            seconds_since_heartbeat=silence,
        )
        for job in stalled:
            if job.id in self._jobs:
                continue  # ours, from before we were taken for dead
            extra = {"repo": job.task_kwargs.get("name"), "attempt": job.attempts + 1}
            log.warning("a worker died; its run is tried again", extra=extra)
            await self._give_back(manager, job)
        await manager.prune_stalled_workers(silence * _SHARE)

    async def _fetch(self, manager: JobManager) -> None:
        """Take as many jobs as there is room for."""
        if self._worker_id is None or time.monotonic() < self._next_fetch:
            return
        while len(self._jobs) < self.capacity and not self._stopping.is_set():
            job = await manager.fetch_job([self._queue], self._worker_id)
            if job is None:
                break
            if not await asyncio.to_thread(self._begin, job):
                await self._finish(manager, job)
        self._next_fetch = time.monotonic() + self._pace.poll.total_seconds()

    def _begin(self, job: Job) -> bool:
        """Hand a job over; False if it is over already."""
        if job.id is None or job.id in self._jobs:
            return job.id in self._jobs
        try:
            begun = self._hands.begin(visit_of(job))
        except (KeyError, ValueError):
            log.warning("a job in the queue says nothing", extra={"job": job.id})
            return False
        except SyncerError as exc:
            extra = {"repo": job.task_kwargs.get("name"), "error": str(exc)}
            log.warning("a run could not begin", extra=extra)
            return False
        if begun:
            self._jobs[job.id] = job
        return begun

    async def _end_those_let_go(self, manager: JobManager) -> None:
        """Delete the jobs that are over, once what came of them is stored."""
        busy = self._hands.busy()
        over = [job for job in self._jobs.values() if _mirror(job) not in busy]
        if not over:
            return
        # The scheduler would find them due again, if the jobs were gone before.
        await asyncio.to_thread(self._hands.store)
        for job in over:
            await self._finish(manager, job)

    async def _finish(self, manager: JobManager, job: Job) -> None:
        try:
            await manager.finish_job(job, Status.SUCCEEDED, delete_job=True)
        except exceptions.ConnectorException as exc:
            if not is_gone(exc):
                raise
        self._forget(job)

    async def _give_back(self, manager: JobManager, job: Job) -> None:
        """Let others take a job; one that waits for the same mirror is enough."""
        try:
            await manager.retry_job(job)
        except exceptions.UniqueViolation:
            await self._finish(manager, job)
        except exceptions.ConnectorException as exc:
            if not is_gone(exc):
                raise
        self._forget(job)

    def _forget(self, job: Job) -> None:
        if job.id is not None:
            self._jobs.pop(job.id, None)

    async def _leave(self, manager: JobManager) -> None:
        """Say how the last jobs ended, and that we are gone."""
        await self._end_those_let_go(manager)
        for job in list(self._jobs.values()):
            await self._give_back(manager, job)
        if self._worker_id is not None:
            await manager.unregister_worker(self._worker_id)


def _mirror(job: Job) -> int:
    return visit_of(job).mirror_id
