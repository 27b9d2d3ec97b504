"""The queue, its workers and the election, on a real Postgres."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from procrastinate.schema import SchemaManager

from syncer.catalog import database
from syncer.catalog.leadership import Leadership
from syncer.catalog.sql import SqlCatalog
from syncer.errors import CatalogBusy, ConfigError, NotInitialised, SchemaOutdated
from syncer.model.mirrors import Activity
from syncer.model.names import RepoName
from syncer.model.runs import AuditEvent, Trigger
from syncer.workers import cluster_schema
from syncer.workers.cluster import ClusterQueue
from syncer.workers.cluster_hands import LocalHands, Tools
from syncer.workers.cluster_queue import SCHEMA, Visit, queue_of
from syncer.workers.cluster_worker import ClusterWorker, Pace
from tests.acceptance.running import until
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syncer.model.mirrors import RepoState
    from tests.servers.postgres import Postgres

    Start = Callable[..., ClusterWorker]

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUICK = Pace(silence=timedelta(seconds=0.6), poll=timedelta(seconds=0.02))
NAMES = [RepoName.parse(f"acme/r{number}") for number in range(3)]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Postgres:
    """Lend the server of this test process."""
    return postgres.shared(request.config)


@pytest.fixture
def url(server: Postgres) -> Iterator[str]:
    """Provide a catalog with the queue's tables beside it."""
    with server.migrated() as made:
        cluster_schema.upgrade(database.libpq(made))
        yield made


@pytest.fixture
def catalog(url: str) -> Iterator[SqlCatalog]:
    """Provide a catalog of three mirrors, kept by machine a."""
    made = SqlCatalog(database.connect(url), "a")
    homes = {name.identity: "a" for name in NAMES}
    made.reconcile([(name, "normal") for name in NAMES], NOW, homes)
    yield made
    made.close()


@pytest.fixture
def queue(url: str) -> Iterator[ClusterQueue]:
    """Provide the scheduler's end of the queue."""
    with ClusterQueue(database.libpq(url)) as made:
        yield made


class Idle:
    """Hands that keep what they are given until they are told to let go."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.begun: list[Visit] = []
        self.held: set[int] = set()
        self.stored = 0
        self.refuses = refuses

    def begin(self, visit: Visit) -> bool:
        """Take a mirror in hand."""
        if self.refuses:
            return False
        self.begun.append(visit)
        self.held.add(visit.mirror_id)
        return True

    def busy(self) -> set[int]:
        """Return what is held."""
        return set(self.held)

    def store(self) -> None:
        """Count the calls."""
        self.stored += 1


@pytest.fixture
def start(url: str) -> Iterator[Start]:
    """Start workers of a machine, and stop them after the test."""
    with ExitStack() as stack:

        def started(hands: Idle | LocalHands, machine: str = "a") -> ClusterWorker:
            connection = database.libpq(url)
            worker = ClusterWorker(connection, machine, hands, 8, QUICK)
            worker.start()
            stack.callback(worker.close)
            return worker

        yield started


def one(url: str, statement: str) -> Any:  # noqa: ANN401 - whatever the database has
    """Return the one value that a statement asks for."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {SCHEMA}, public".encode())
        done = connection.execute(statement.encode())
        row = None if done.description is None else done.fetchone()
        return None if row is None else row[0]


def cut(url: str) -> None:
    """End every session of a database, as a server does that restarts."""
    mine = "datname = current_database() AND pid <> pg_backend_pid()"
    ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    one(url, f"{ended} WHERE {mine}")


def vanish(worker: ClusterWorker, url: str) -> None:
    """Let a worker look as if it had died: nobody hears of it any more."""
    worker.stop()
    one(url, "UPDATE procrastinate_workers SET last_heartbeat = 'epoch'")


def test_the_tables_of_the_queue_are_made_once(server: Postgres) -> None:
    """They are in a schema of their own, and the catalog's check ignores them."""
    with server.migrated() as url:
        connection = database.libpq(url)
        with pytest.raises(NotInitialised, match="no queue of runs"):
            cluster_schema.check(connection)
        with (
            ClusterQueue(connection) as queue,
            pytest.raises(NotInitialised, match="no queue of runs"),
        ):
            queue.busy()
        assert "from nothing" in cluster_schema.upgrade(connection)
        assert "up to date" in cluster_schema.upgrade(connection)
        cluster_schema.check(connection)
        assert database.check_models(url) == []
        assert one(url, "SELECT to_regclass('public.procrastinate_jobs')") is None


def test_two_may_make_the_tables_at_once(server: Postgres) -> None:
    """One of them does, and the other finds them."""
    with server.migrated() as url:
        connection, said = database.libpq(url), []
        threads = [
            threading.Thread(
                target=lambda: said.append(cluster_schema.upgrade(connection))
            )
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(said) == len(threads)
        cluster_schema.check(connection)


def test_older_tables_are_upgraded(server: Postgres) -> None:
    """What was applied last is noted, and the rest follows in order."""
    *older, _, last = cluster_schema.migrations()
    files = Path(SchemaManager.get_migrations_path())
    with server.migrated() as url:
        connection = database.libpq(url)
        one(url, f"CREATE SCHEMA {SCHEMA}")
        for name in older:
            one(url, (files / f"{name}.sql").read_text(encoding="utf-8"))
        one(url, "CREATE TABLE syncer_applied (name text PRIMARY KEY)")
        one(url, f"INSERT INTO syncer_applied VALUES ('{older[-1]}')")  # noqa: S608 - a file's name
        with pytest.raises(SchemaOutdated, match="this program needs"):
            cluster_schema.check(connection)
        assert last in cluster_schema.upgrade(connection)
        cluster_schema.check(connection)
        with ClusterQueue(connection) as queue:
            assert queue.busy() == set()


def test_tables_of_a_newer_program_are_refused(url: str) -> None:
    """Nobody knows here what became of them."""
    connection = database.libpq(url)
    one(url, "UPDATE syncer_applied SET name = '99.00.00_01_future'")
    for attempt in (cluster_schema.check, cluster_schema.upgrade):
        with pytest.raises(SchemaOutdated, match="does not know"):
            attempt(connection)


def test_an_embedded_catalog_has_no_queue() -> None:
    """The error says what is needed."""
    with pytest.raises(ConfigError, match="need a Postgres catalog"):
        database.libpq("sqlite:////tmp/catalog.db")


def test_a_mirror_waits_in_the_queue_once(
    catalog: SqlCatalog, queue: ClusterQueue
) -> None:
    """However often it is submitted; others are queued beside it."""
    first, *others = catalog.states()
    assert queue.submit(first, Trigger.SCHEDULE)
    assert not queue.submit(first, Trigger.SCHEDULE)
    assert queue.submit_all([first, *others], Trigger.SCHEDULE) == len(others)
    assert queue.busy() == {state.id for state in catalog.states()}
    assert queue.counts() == (0, 3)
    assert queue.withdraw(first.id)
    assert queue.busy() == {state.id for state in others}


def test_what_waits_for_a_former_home_is_dropped(
    catalog: SqlCatalog, queue: ClusterQueue
) -> None:
    """That machine may be gone for good; its new home would wait for ever."""
    first, *others = catalog.states()
    assert queue.submit_all([first, *others], Trigger.SCHEDULE) == 1 + len(others)
    moved = replace(first, home="elsewhere")
    assert queue.drop_strays([moved, *others]) == 1
    assert queue.busy() == {state.id for state in others}
    assert queue.submit(moved, Trigger.SCHEDULE)
    assert queue.drop_strays([moved, *others]) == 0


def test_what_no_machine_keeps_is_not_queued(
    catalog: SqlCatalog, queue: ClusterQueue
) -> None:
    """Nobody would ever take it."""
    catalog.reconcile([(RepoName.parse("acme/new"), "normal")], NOW)
    assert not queue.submit(catalog.states()[0], Trigger.SCHEDULE)
    assert queue.busy() == set()


def test_a_job_ends_when_its_result_is_stored(
    catalog: SqlCatalog, queue: ClusterQueue, start: Start, url: str
) -> None:
    """Until then the mirror is in hand, and nothing of it stays in the tables."""
    hands = Idle()
    start(hands)
    state = catalog.states()[0]
    queue.submit_all([state], Trigger.COMMAND, hinted=True)
    until(lambda: hands.begun, "the visit", 10)
    name = str(state.name)
    assert hands.begun == [Visit(state.id, name, Trigger.COMMAND, hinted=True)]
    assert queue.counts() == (1, 0)
    assert not queue.withdraw(state.id)
    assert hands.stored == 0
    hands.held.clear()
    until(lambda: not queue.busy(), "the end", 10)
    assert hands.stored == 1
    assert one(url, "SELECT count(*) FROM procrastinate_jobs") == 0
    assert one(url, "SELECT count(*) FROM procrastinate_events") == 0


def test_no_mirror_is_in_two_hands(
    catalog: SqlCatalog, queue: ClusterQueue, start: Start
) -> None:
    """One that is submitted again while it runs waits for its end."""
    workers = [Idle(), Idle()]
    for hands in workers:
        start(hands)
    state = catalog.states()[0]
    queue.submit(state, Trigger.SCHEDULE)
    until(lambda: workers[0].begun or workers[1].begun, "the visit", 10)
    queue.submit(state, Trigger.SCHEDULE)
    time.sleep(0.3)
    assert sum(len(hands.begun) for hands in workers) == 1
    for hands in workers:
        hands.held.clear()
    until(lambda: sum(len(h.begun) for h in workers) == 2, "the second visit", 10)


def test_a_worker_takes_its_machines_runs_only(
    catalog: SqlCatalog, queue: ClusterQueue, start: Start
) -> None:
    """Those of others wait for them."""
    hands, other = Idle(), Idle()
    start(other, "b")
    queue.submit(catalog.states()[0], Trigger.SCHEDULE)
    time.sleep(0.3)
    assert other.begun == []
    start(hands)
    until(lambda: hands.begun, "the visit", 10)


def test_the_run_of_a_dead_worker_is_tried_again(
    catalog: SqlCatalog, queue: ClusterQueue, start: Start, url: str
) -> None:
    """Another worker of the machine takes it, once it was silent for too long."""
    dead, alive = Idle(), Idle()
    worker = start(dead)
    queue.submit(catalog.states()[0], Trigger.SCHEDULE)
    until(lambda: dead.begun, "the visit", 10)
    vanish(worker, url)
    one(url, "DELETE FROM procrastinate_workers")
    start(alive)
    until(lambda: alive.begun == dead.begun, "another attempt", 10)


def test_a_worker_that_stops_gives_back_what_it_has_in_hand(
    catalog: SqlCatalog, queue: ClusterQueue, start: Start, url: str
) -> None:
    """At once: others need not wait for a silence, and it is no worker any more."""
    hands, others = Idle(), Idle()
    worker = start(hands)
    queue.submit(catalog.states()[0], Trigger.SCHEDULE)
    until(lambda: hands.begun, "the visit", 10)
    worker.close()
    assert queue.counts() == (0, 1)
    assert one(url, "SELECT count(*) FROM procrastinate_workers") == 0
    start(others)
    until(lambda: others.begun, "another attempt", 10)


def test_a_job_that_is_not_to_be_done_is_dropped(
    catalog: SqlCatalog, queue: ClusterQueue, start: Start
) -> None:
    """The scheduler submits it again, if it still thinks so."""
    start(Idle(refuses=True))
    queue.submit_all(catalog.states(), Trigger.SCHEDULE)
    until(lambda: not queue.busy(), "an empty queue", 10)


def test_a_restart_of_the_database_ends_no_run(
    catalog: SqlCatalog, queue: ClusterQueue, start: Start, url: str
) -> None:
    """What is in hand stays so, ends as it should, and new ones are taken."""
    hands = Idle()
    start(hands)
    first, second, _ = catalog.states()
    queue.submit(first, Trigger.SCHEDULE)
    until(lambda: hands.begun, "the visit", 10)
    for _ in range(3):
        cut(url)
        time.sleep(0.1)
    until(lambda: _submitted(queue, second), "the queue", 10)
    until(lambda: len(hands.begun) == 2, "the next visit", 10)
    hands.held.clear()
    until(lambda: not queue.busy(), "the end", 10)
    assert [visit.mirror_id for visit in hands.begun] == [first.id, second.id]


def test_a_job_that_was_taken_but_never_begun_is_not_lost(
    catalog: SqlCatalog, queue: ClusterQueue, start: Start, url: str
) -> None:
    """As when the database went away in between: who has it lives, and returns it."""
    hands = Idle()
    start(hands)
    first, second, _ = catalog.states()
    queue.submit(first, Trigger.SCHEDULE)
    until(lambda: hands.begun, "the visit", 10)
    lost = (
        b"UPDATE procrastinate_jobs SET status = 'doing',"
        b" worker_id = (SELECT min(id) FROM procrastinate_workers) WHERE lock = %s"
    )
    with psycopg.connect(url) as connection:  # one transaction: nobody is quicker
        path = f"SET search_path TO {SCHEMA}, public"
        connection.execute(path.encode())
        _insert(connection, second)
        connection.execute(lost, (f"mirror:{second.id}",))
    until(lambda: len(hands.begun) == 2, "the visit that was lost", 20)
    assert hands.begun[1].mirror_id == second.id
    hands.held.clear()
    until(lambda: not queue.busy(), "the end", 10)


def _insert(connection: psycopg.Connection, state: RepoState) -> None:
    """Queue a visit within a transaction."""
    args = json.dumps(
        {
            "mirror": state.id,
            "name": str(state.name),
            "trigger": Trigger.SCHEDULE.value,
            "hinted": False,
        }
    )
    lock = f"mirror:{state.id}"
    statement = (
        b"INSERT INTO procrastinate_jobs"
        b" (queue_name, task_name, lock, queueing_lock, args)"
        b" VALUES ('a', 'visit', %s, %s, %s)"
    )
    connection.execute(statement, (lock, lock, args))


def _submitted(queue: ClusterQueue, state: RepoState) -> bool:
    try:
        return queue.submit(state, Trigger.SCHEDULE)
    except CatalogBusy:
        return False


def test_a_database_that_is_away_is_told_as_such() -> None:
    """The scheduler's tick fails, and the next one tries again."""
    connection = database.libpq("postgresql://postgres@127.0.0.1:9/none")
    queue = ClusterQueue(connection)
    with pytest.raises(CatalogBusy, match="does not answer"):
        queue.busy()
    queue.close()


def test_a_long_name_of_a_machine_has_a_queue_too(
    catalog: SqlCatalog, queue: ClusterQueue, start: Start
) -> None:
    """Channels have 63 bytes in Postgres, machines may have as long a name."""
    long = "a" * 63
    assert queue_of(long) != queue_of("a" * 62)
    (state, *_) = catalog.states()
    event = AuditEvent(NOW, "tester", "rehome", "acme/r0")
    catalog.rehome(state, long, event, stamp=None)
    hands = Idle()
    start(hands, long)
    queue.submit(catalog.state(state.name), Trigger.SCHEDULE)
    until(lambda: hands.begun, "the visit", 10)


class Taken:
    """A work queue that remembers, and never ends anything."""

    def __init__(self) -> None:
        self.states: list[RepoState] = []

    def submit(self, state: RepoState, _trigger: Trigger) -> bool:
        """Remember a mirror."""
        self.states.append(state)
        return True

    def busy(self) -> set[int]:
        """Return what was submitted."""
        return {state.id for state in self.states}

    def flush(self) -> None:
        """Store nothing."""


def hands_of(catalog: SqlCatalog, work: Taken, known: set[RepoName]) -> LocalHands:
    """Return machine a's hands."""
    tools = Tools(catalog, work, work, known.__contains__, set[int]().add)
    return LocalHands("a", tools, former=set, on_stranger=known.clear)


def test_hands_look_whether_a_job_still_stands(catalog: SqlCatalog) -> None:
    """Paused, removed, moved and unknown ones are not begun."""
    work, states = Taken(), {state.name: state for state in catalog.states()}
    hands = hands_of(catalog, work, set(NAMES))
    visits = [Visit(states[n].id, str(n), Trigger.SCHEDULE) for n in NAMES]
    event = AuditEvent(NOW, "tester", "pause", "acme/r0")
    catalog.set_paused(NAMES[0], event, paused=True)
    catalog.rehome(states[NAMES[1]], "b", event, stamp=None)
    assert [hands.begin(visit) for visit in visits] == [False, False, True]
    assert hands.begin(visits[0]._replace(trigger=Trigger.COMMAND))
    assert not hands.begin(visits[2]._replace(mirror_id=visits[0].mirror_id))
    catalog.reconcile([], NOW)
    assert catalog.state(NAMES[2]).activity is Activity.REMOVED
    assert not hands.begin(visits[2])


def test_hands_ask_for_a_newer_configuration_of_a_stranger(catalog: SqlCatalog) -> None:
    """What to mirror of it is not known here: the defaults might be wrong."""
    work, known = Taken(), {NAMES[1]}
    hands = hands_of(catalog, work, known)
    state = catalog.state(NAMES[0])
    assert not hands.begin(Visit(state.id, str(state.name), Trigger.SCHEDULE))
    assert known == set()
    assert work.states == []


def test_one_process_leads_and_another_takes_over(url: str) -> None:
    """As soon as the first one leaves, or its session ends."""
    first, second = Leadership(database.connect(url)), Leadership(database.connect(url))
    assert first.hold()
    assert not second.hold()
    assert first.hold()
    first.release()
    assert second.hold()
    assert not first.hold()
    cut(url)
    assert not second.hold()
    until(first.hold, "a new connection", 10)
    first.release()
    second.release()


def test_a_leader_that_hangs_is_replaced_and_finds_out(url: str) -> None:
    """Its session is ended by who waits; when it wakes up it leads no more."""
    hung = Leadership(database.connect(url))
    patient = Leadership(database.connect(url), timedelta(hours=1))
    waiting = Leadership(database.connect(url), timedelta(seconds=0.2))
    assert hung.hold()
    assert not patient.hold()
    time.sleep(0.3)
    # The server ends a session soon after it was told to.
    until(waiting.hold, "the end of the silent session", 30)
    assert not hung.hold()
    assert waiting.hold()
    for each in (hung, patient, waiting):
        each.release()


def test_a_leader_that_speaks_stays(url: str) -> None:
    """However long it leads, and however often others ask."""
    silence = timedelta(seconds=1)
    leader = Leadership(database.connect(url))
    other = Leadership(database.connect(url), silence)
    until(lambda: stays(leader, other, 1.5 * silence), "a second without a pause", 30)
    leader.release()
    other.release()


def stays(leader: Leadership, other: Leadership, lasts: timedelta) -> bool:
    """Let one lead and the other ask for so long; False if this test was silent.

    Where others use the processor it may be, and then says nothing of the election.
    """
    other.release()
    until(leader.hold, "the lead", 10)
    began = time.monotonic()
    while time.monotonic() - began < lasts.total_seconds():
        spoke = time.monotonic()
        assert leader.hold()
        time.sleep(0.1)
        taken = other.hold()
        if time.monotonic() - spoke > 0.9:
            return False
        assert not taken
    return True


def test_without_a_database_nobody_leads() -> None:
    """Two halves of a network never both do."""
    lost = Leadership(database.connect("postgresql://postgres@127.0.0.1:9/none"))
    assert not lost.hold()
    lost.release()
