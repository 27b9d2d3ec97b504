"""What happens to several machines in a year, within minutes, and what must hold.

Upstream never rests; processes die and stall, the database stops, mirrors are paused
and moved.  After each of it there is a moment of quiet, in which all is looked at.
"""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import psycopg

from syncer.errors import CatalogBusy
from syncer.model.names import RepoName
from syncer.workers.cluster_queue import SCHEMA
from tests.acceptance.blob_places import of_bucket
from tests.acceptance.cluster import overlapping
from tests.acceptance.command import name_on
from tests.acceptance.running import gits, until
from tests.servers.pointers import pointer_file
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from syncer.catalog.sql import SqlCatalog
    from syncer.model.mirrors import RepoState
    from tests.acceptance.cluster import Cluster, Process
    from tests.acceptance.command import Command
    from tests.servers.postgres import Postgres

#: A stalled process: longer than workers (3 s) and the leader (15 s) may be silent.
_STALL, _LONG_STALL = 5.0, 18.0
#: Seconds until all is settled, whatever came before.
_QUIET = 120.0
_LFS = "objects"
_JOBS = b"SELECT id, status, lock, queue_name, worker_id FROM procrastinate_jobs"
_WORKERS = b"SELECT id, now() - last_heartbeat FROM procrastinate_workers"
_OPEN = b"SELECT id, mirror_id, machine, started FROM run WHERE outcome IS NULL"


class Pushes:
    """People who push without a pause, in a thread, until told to wait."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._random = random.Random(seed)  # noqa: S311 - content, no secret
        self._stopping = threading.Event()
        self.count = 0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Push for the length of a block; all is there when it ends."""
        self._stopping.clear()
        thread = threading.Thread(target=self._push, name="pushes")
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    def _push(self) -> None:
        while not self._stopping.is_set():
            self.one(self._random.choice(self._cluster.names))
            self._stopping.wait(self._random.uniform(0.05, 0.4))

    def one(self, name: str) -> None:
        """Push something to a repository."""
        repository = self._cluster.server.repository(name)
        self.count += 1
        kind = self._random.choice(("commit", "commit", "force", "lfs", "branch"))
        if kind == "commit":
            repository.commit("main", {f"{self.count}": f"{self.count}\n"})
        elif kind == "force":
            repository.commit("main", {"forced": f"{self.count}\n"})
            repository.force("main")
        elif kind == "branch":
            repository.branch(f"topic-{self.count % 5}")
        else:
            data = self._random.randbytes(2000)
            pointer = self._cluster.server.lfs.add(name, data)
            path = f"{_LFS}/{self.count % 7}"
            repository.commit("main", {path: pointer_file(pointer)})


class Soak:
    """The machines a, b, c: two daemons, three workers, and one thing after another."""

    def __init__(
        self, cluster: Cluster, catalog: SqlCatalog, server: Postgres, seed: int
    ) -> None:
        self._cluster = cluster
        self._catalog = catalog
        self._server = server
        self._random = random.Random(seed)  # noqa: S311 - an order of events
        self._pushes = Pushes(cluster, seed)
        self._daemons = {name: cluster.daemon(name) for name in "ab"}
        self._workers = {name: cluster.worker(name) for name in "abc"}
        self._paused: set[str] = set()
        self.steps: dict[str, Callable[[], str]] = {
            "a worker dies": self._kill_worker,
            "a daemon dies": self._kill_daemon,
            "a worker stalls and wakes up": self._stall_worker,
            "the leader stalls and wakes up": self._stall_leader,
            "the database stops": self._restart_database,
            "a mirror is paused": self._pause,
            "a mirror moves": self._rehome,
            "the configuration changes": self._reload,
            "a worker is stopped": self._stop_worker,
        }

    def step(self, name: str) -> str:
        """Let one thing happen amid pushes, then look at everything."""
        with self._pushes.going_on():
            time.sleep(self._random.uniform(0.5, 2.5))  # runs are in hand by then
            told = self.steps[name]()
            time.sleep(1)
        self.settle()
        return told

    def settle(self) -> None:
        """Wait until all is quiet and current; then check what must always hold."""
        until(self._is_current, _Waiting(self), _QUIET)
        until(self._is_quiet, _Waiting(self), _QUIET)
        self._check_runs()
        self._check_blobs()
        for each in self._cluster.started:
            assert "Traceback" not in each.output, each.output

    def check_status(self) -> None:
        """Wait until a person is told that all is well, on each machine.

        Processes tell of themselves every ten seconds, so who leads does so, too.
        """
        for name in "abc":
            machine = self._cluster.machine(name)
            until(partial(_is_well, machine), f"good news on {name}")

    def states(self) -> list[RepoState]:
        """Return what the catalog has, as soon as it answers."""
        return until(self._asked, "an answer of the catalog")

    def _asked(self) -> list[RepoState]:
        try:
            return self._catalog.states()
        except CatalogBusy:
            return []

    def behind(self) -> list[str]:
        """Return the mirrors that are not what upstream is, at their homes."""
        found = []
        for state in self.states():
            name = f"{state.name.owner}/{state.name.name}"
            theirs = self._cluster.server.repository(name).refs()
            if self._cluster.published(state.home or "-", name) != theirs:
                found.append(f"{name} on {state.home}: {state.outcome}")
        return found

    def _is_current(self) -> bool:
        known = self.states()
        return len(known) == len(self._cluster.names) and not self.behind()

    def _is_quiet(self) -> bool:
        """Return whether nothing is open, with jobs of the last visits excepted."""
        opened = "SELECT count(*) FROM public.run WHERE outcome IS NULL"
        intents = "SELECT count(*) FROM public.intent"
        return self.one(opened) == 0 and self.one(intents) == 0

    def one(self, statement: str) -> int:
        """Return the number that a statement asks for."""
        with psycopg.connect(self._cluster.catalog, autocommit=True) as connection:
            connection.execute(f"SET search_path TO {SCHEMA}, public".encode())
            row = connection.execute(statement.encode()).fetchone()
            return int(row[0]) if row else 0

    def jobs(self, older: float) -> int:
        """Return the jobs of which nothing was heard for so many seconds."""
        return self.one(
            "SELECT count(*) FROM procrastinate_jobs WHERE id NOT IN (SELECT job_id"  # noqa: S608 - a number
            " FROM procrastinate_events"
            f" WHERE at > now() - make_interval(secs => {older}))"
        )

    def rows(self) -> list[tuple[object, ...]]:
        """Return what is open, to be told when it should not be."""
        with psycopg.connect(self._cluster.catalog, autocommit=True) as connection:
            connection.execute(f"SET search_path TO {SCHEMA}, public".encode())
            return [
                row
                for statement in (_JOBS, _WORKERS, _OPEN)
                for row in connection.execute(statement).fetchall()
            ]

    def _check_runs(self) -> None:
        runs = self._catalog.runs(None, 100_000)
        assert overlapping(runs) == []

    def _check_blobs(self) -> None:
        """Check that all that any published ref needs is in the store, and right."""
        cluster = self._cluster
        client = cluster.store.client()
        stored = set(of_bucket(client, cluster.bucket))
        for name in cluster.names:
            wanted = set(self._pointers(name))
            assert wanted <= stored, f"{name} lacks {wanted - stored}"

    def _pointers(self, name: str) -> Iterator[str]:
        """Yield the digests that the files of every published ref point to."""
        state = self._catalog.state(RepoName.parse(name_on(self._cluster.server, name)))
        copy = Repository(self._cluster.copy(state.home or "", name))
        for tip in set(copy.refs().values()):
            listed = copy.git("ls-tree", "-r", tip, f"{_LFS}/").splitlines()
            for line in listed:
                text = copy.git("cat-file", "blob", line.split()[2])
                yield text.partition("oid sha256:")[2][:64]

    def _kill_worker(self) -> str:
        name = self._random.choice("abc")
        self._die(self._workers[name])
        self._workers[name] = self._cluster.worker(name)
        return name

    def _kill_daemon(self) -> str:
        name = self._random.choice("ab")
        self._die(self._daemons[name])
        self._daemons[name] = self._cluster.daemon(name)
        return name

    def _stop_worker(self) -> str:
        name = self._random.choice("abc")
        process = self._workers[name].process
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, self._workers[name].output
        self._workers[name] = self._cluster.worker(name)
        return name

    @staticmethod
    def _die(victim: Process) -> None:
        assert victim.process.poll() is None, victim.output
        victim.process.kill()
        victim.process.wait()

    def _stall_worker(self) -> str:
        name = self._random.choice("abc")
        with stalled(self._workers[name]):
            time.sleep(_STALL)
        return name

    def _stall_leader(self) -> str:
        found = [n for n, each in self._daemons.items() if self._leads(each)]
        name = found[0] if found else "a"
        with stalled(self._daemons[name]):
            time.sleep(_LONG_STALL)
        return name

    @staticmethod
    def _leads(process: Process) -> bool:
        said = process.output
        return said.rfind("leads from now on") > said.rfind("does not lead any more")

    def _restart_database(self) -> str:
        away = self._random.uniform(0, 4)
        self._server.stop(signal.SIGQUIT)
        time.sleep(away)
        self._server.start()
        return f"{away:.1f} s"

    def _pause(self) -> str:
        name = self._random.choice(self._cluster.names)
        with self._paused_at(name):
            place = self._copy(name)
            before = Repository(place).refs()
            time.sleep(4)
            assert Repository(place).refs() == before, (
                f"{name} was synced while it was paused"
            )
        return name

    def _rehome(self) -> str:
        name = self._random.choice(self._cluster.names)
        home = self._state(name).home
        there = self._random.choice([each for each in "abc" if each != home])
        with self._paused_at(name):
            target = self._cluster.copy(there, name)
            if target.exists():
                shutil.rmtree(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(self._copy(name), target)
            full = name_on(self._cluster.server, name)
            done = self._cluster.machine(there)("rehome", full)
            assert done.status == 0, done.err
        assert self._state(name).home == there
        return f"{name} from {home} to {there}"

    def _reload(self) -> str:
        self._cluster.interval = self._random.choice(("1s", "2s", "3s"))
        for name in "abc":
            self._cluster.machine(name)
        for each in chain(self._daemons.values(), self._workers.values()):
            each.process.send_signal(signal.SIGHUP)
        return self._cluster.interval

    @contextmanager
    def _paused_at(self, name: str) -> Iterator[None]:
        """Pause a mirror for the length of a block that begins when it rests."""
        machine = self._cluster.machine("a")
        full = name_on(self._cluster.server, name)
        assert machine("pause", full).status == 0
        until(lambda: self._rests(name), f"{name} to rest")
        yield
        done = machine("resume", full)
        assert done.status == 0, done.err

    def _rests(self, name: str) -> bool:
        state = self._state(name)
        jobs = f"procrastinate_jobs WHERE lock = 'mirror:{state.id}'"
        opened = f"run WHERE outcome IS NULL AND mirror_id = {state.id}"
        counts = [self.one(f"SELECT count(*) FROM {rows}") for rows in (jobs, opened)]  # noqa: S608 - numbers
        return not any(counts) and not gits(self._copy(name))

    def _state(self, name: str) -> RepoState:
        full = RepoName.parse(name_on(self._cluster.server, name))
        (found,) = [state for state in self.states() if state.name == full]
        return found

    def _copy(self, name: str) -> Path:
        return self._cluster.copy(self._state(name).home or "", name)


def _is_well(machine: Command) -> bool:
    """Return whether `status` has nothing but good to tell."""
    told = machine("status", "--check")
    bad = (", no scheduler", "last heard of")
    return told.status == 0 and not any(each in told.out for each in bad)


class _Waiting:
    """Says what was waited for in vain, when that is asked."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak

    def __str__(self) -> str:
        behind = "; ".join(self._soak.behind())
        return f"quiet ({behind}; {self._soak.rows()})"


@contextmanager
def stalled(process: Process) -> Iterator[None]:
    """Let a process do nothing for the length of a block."""
    process.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.process.send_signal(signal.SIGCONT)
