"""How the queue in Postgres is reached, and what a job in it says.

procrastinate's tables have a schema of their own, in the catalog's database.  Each
machine has a queue; a job is one visit to one mirror:

    lock           mirror:ID    one at a time is worked on
    queueing_lock  mirror:ID    one at a time waits for it
    args           mirror, name, trigger, hinted

A job that is over is deleted: the catalog says what came of it.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from procrastinate import exceptions
from procrastinate.jobs import Job
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from syncer.errors import CatalogBusy, NotInitialised
from syncer.model.runs import Trigger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from syncer.model.mirrors import RepoState

#: The Postgres schema that the tables are in; also in the statements below.
SCHEMA = "syncer_queue"
TASK = "visit"

_PATH = f"SET search_path TO {SCHEMA}"
#: Seconds to wait for a connection; who waits has other things to do.
_PATIENCE = 5.0
#: A queue's name is part of a channel's, of which Postgres takes 63 bytes:
#: `procrastinate_queue_v1#NAME`.
_LONGEST = 40
_RAISED = "P0001"  # a function of procrastinate's refused, in PL/pgSQL
_NO_WORKER = "23503"  # the worker's row, which a job refers to, is not there
_NO_TABLE = {"3F000", "42P01", "42883"}  # no such schema, table, function

# What it tells is told by the errors that reach us, in our words.
logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


class Visit(NamedTuple):
    """What a job asks for."""

    mirror_id: int
    name: str
    trigger: Trigger
    #: Whether its releases changed, as a sweep over many mirrors saw.
    hinted: bool = False


def pool(connection: Mapping[str, Any], size: int) -> ConnectionPool:
    """Return so many connections for threads, opened as they are needed.

    `connection` is what psycopg connects with.
    """
    made = ConnectionPool(
        **_lasting(connection, size),
        configure=_prepare,
        check=ConnectionPool.check_connection,
        open=False,
    )
    made.open(wait=False)
    return made


async def pool_async(connection: Mapping[str, Any], size: int) -> AsyncConnectionPool:
    """Return so many connections for coroutines, opened as they are needed."""
    made = AsyncConnectionPool(
        **_lasting(connection, size),
        configure=_prepare_async,
        check=AsyncConnectionPool.check_connection,
        open=False,
    )
    await made.open(wait=False)
    return made


def _lasting(connection: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Return how pools survive a database that restarts, and tell of it soon."""
    return {
        "kwargs": {**connection, "autocommit": True},
        "min_size": 1,
        "max_size": size,
        "timeout": _PATIENCE,
        "reconnect_timeout": _PATIENCE,
    }


def _prepare(connection: Any) -> None:  # noqa: ANN401 - the driver is not imported here
    """Let a new connection see the queue's tables."""
    connection.execute(_PATH)


async def _prepare_async(connection: Any) -> None:  # noqa: ANN401 - as above
    await connection.execute(_PATH)


def queue_of(machine: str) -> str:
    """Return the name of a machine's queue."""
    if len(machine) <= _LONGEST:
        return machine
    return f"sha256-{sha256(machine.encode()).hexdigest()[:32]}"


def lock_of(mirror_id: int) -> str:
    """Return the lock that only one job of a mirror can have."""
    return f"mirror:{mirror_id}"


def job_of(state: RepoState, home: str, trigger: Trigger, *, hinted: bool) -> Job:
    """Return the job that visits a mirror on its home."""
    lock = lock_of(state.id)
    args: dict[str, Any] = {"mirror": state.id, "name": str(state.name)}
    args |= {"trigger": trigger.value, "hinted": hinted}
    return Job(
        id=None,
        queue=queue_of(home),
        task_name=TASK,
        lock=lock,
        queueing_lock=lock,
        task_kwargs=args,
    )


def visit_of(job: Job) -> Visit:
    """Return what a job asks for.

    Raises:
        KeyError, ValueError: it is not one of ours.
    """
    args: dict[str, Any] = job.task_kwargs
    hinted = args.get("hinted") is True
    trigger = Trigger(args["trigger"])
    return Visit(int(args["mirror"]), str(args["name"]), trigger, hinted)


def is_gone(exc: exceptions.ConnectorException) -> bool:
    """Return whether a job was refused since it is not in hand any more."""
    return getattr(exc.__cause__, "sqlstate", None) == _RAISED


def is_unknown_worker(exc: exceptions.ConnectorException) -> bool:
    """Return whether a job was refused since the worker that asks is not listed."""
    return getattr(exc.__cause__, "sqlstate", None) == _NO_WORKER


@contextmanager
def translated() -> Iterator[None]:
    """Raise what procrastinate raises within as an error of ours.

    Raises:
        NotInitialised: its tables are not there.
        CatalogBusy: the database does not answer, or refuses just now.
    """
    try:
        yield
    except exceptions.ConnectorException as exc:
        raise told(exc) from exc


def told(exc: exceptions.ConnectorException) -> CatalogBusy | NotInitialised:
    """Return what an error means; the driver's words are in its cause."""
    if getattr(exc.__cause__, "sqlstate", None) in _NO_TABLE:
        msg = "there is no queue of runs in the catalog's database yet"
        return NotInitialised(msg, hint="run `syncer db upgrade`")
    words = str(exc.__cause__ or exc).strip().splitlines() or ["no reason given"]
    return CatalogBusy(f"the queue of runs does not answer: {words[0]}")
