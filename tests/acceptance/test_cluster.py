"""Several machines with one Postgres catalog: real processes, one of which dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from syncer.catalog import database
from syncer.catalog.sql import SqlCatalog
from syncer.model.names import RepoName
from syncer.model.runs import Outcome
from tests.acceptance.cluster import Cluster, overlapping
from tests.acceptance.command import name_on
from tests.acceptance.running import end, gits, until
from tests.servers import postgres
from tests.servers.http_faults import Fault
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.acceptance.command import Command
    from tests.servers.git_http import GitServer
    from tests.servers.s3 import S3Server

    Upstream = Callable[[str], Repository]

pytestmark = pytest.mark.postgres

NAMES = [f"acme/widget-{number}" for number in range(6)]
FETCH = "command=fetch"


@pytest.fixture
def cluster(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    git_server: GitServer,
    minio: S3Server,
    upstream: Upstream,
) -> Iterator[Cluster]:
    """Provide machines without processes, whose queue is ready."""
    for name in NAMES:
        upstream(name)
    with postgres.shared(request.config).migrated() as url:
        made = Cluster(tmp_path, git_server, minio, url, NAMES)
        done = made.machine("a")("db", "upgrade")
        assert done.status == 0, done.err
        assert "the queue went from nothing" in done.err
        try:
            yield made
        finally:
            made.end()
            end(gits(tmp_path))


@pytest.fixture
def catalog(cluster: Cluster) -> Iterator[SqlCatalog]:
    """Provide the catalog, to look at."""
    found = SqlCatalog(database.connect(cluster.catalog))
    yield found
    found.close()


def are_synced(cluster: Cluster, catalog: SqlCatalog) -> bool:
    """Return whether every home has what upstream has, of every mirror."""
    states = {state.name: state for state in catalog.states()}
    if len(states) < len(NAMES):
        return False
    for name in NAMES:
        state = states[RepoName.parse(name_on(cluster.server, name))]
        if state.home is None or not state.generation:
            return False
        if (
            cluster.published(state.home, name)
            != cluster.server.repository(name).refs()
        ):
            return False
    return True


def holder(copy: Path) -> int | None:
    """Return the process that has a mirror in hand, by the note in its lock."""
    lock = copy.with_name(f"{copy.name}.lock")
    note = lock.read_text() if lock.exists() else ""
    return int(json.loads(note)["pid"]) if note else None


def large(repository: Repository) -> None:
    """Push so much that it arrives in many pieces."""
    repository.commit("main", {"large": os.urandom(300_000)})


def test_one_of_three_workers_dies_and_every_mirror_is_synced(
    cluster: Cluster, catalog: SqlCatalog
) -> None:
    """Two schedulers, one of which leads; no mirror is in two hands at once."""
    slow = NAMES[0]
    cluster.homes |= {slow: "a", NAMES[1]: "b"}
    large(cluster.server.repository(slow))
    cluster.server.fault(f"{slow}.git.*{FETCH}", Fault(hang=2000), times=1)
    schedulers = [cluster.scheduler(name) for name in "ab"]
    workers = [cluster.worker(name) for name in "aab"]
    place = cluster.copy("a", slow)
    until(lambda: gits(place), "the fetch that hangs")
    (victim,) = [w for w in workers if w.process.pid == holder(place)]
    victim.process.send_signal(signal.SIGKILL)
    victim.process.wait()
    until(lambda: are_synced(cluster, catalog), "all to be synced")
    for name in NAMES[1:3]:
        cluster.server.repository(name).commit("main", {"more": "of it"})
    until(lambda: are_synced(cluster, catalog), "what came later")
    runs = catalog.runs(None, 1000)
    died = [run for run in runs if "the process died" in (run.error or "")]
    assert name_on(cluster.server, slow) in [run.name.short for run in died]
    assert {run.machine for run in died} == {"a"}
    assert len({run.mirror_id for run in died}) == len(died)
    assert all(run.outcome is Outcome.CHANGED for run in runs if run not in died)
    assert overlapping(runs) == []
    homes = {state.id: state.home for state in catalog.states()}
    assert set(homes.values()) == {"a", "b"}
    assert all(run.machine == homes[run.mirror_id] for run in runs)
    assert sum("leads from now on" in each.output for each in schedulers) == 1
    assert all("failed" not in each.output for each in schedulers)
    for each in workers:
        assert "Traceback" not in each.output


def test_a_mirror_moves_whole_and_the_old_home_is_refused(
    cluster: Cluster, catalog: SqlCatalog
) -> None:
    """A checked copy counts, with its old tips; neither less nor another one does."""
    name = NAMES[0]
    full = name_on(cluster.server, name)
    cluster.homes |= dict.fromkeys(NAMES, "a")
    repository = cluster.server.repository(name)
    a, b = cluster.machine("a"), cluster.machine("b")
    assert a("sync", full).status == 0
    repository.commit("main", {"later": "yes"})
    assert a("sync", full).status == 0
    repository.force("main")
    repository.commit("main", {"instead": "yes"})
    assert a("sync", full).status == 0
    old, new = cluster.copy("a", name), cluster.copy("b", name)
    refused = b("rehome", full)
    assert refused.status == 1
    assert "there is no copy" in refused.err
    new.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(old, new)
    packed = next((new / "objects/pack").glob("pack-*.pack"))
    packed.rename(packed.with_suffix(".away"))
    broken = b("rehome", full)
    assert broken.status == 7
    assert "not whole" in broken.err
    packed.with_suffix(".away").rename(packed)
    repository.commit("main", {"more": "yes"})
    assert a("sync", full).status == 0
    assert "not what was last published" in b("rehome", full).err
    shutil.rmtree(new)
    shutil.copytree(old, new)
    assert catalog.state(RepoName.parse(full)).home == "a"
    done = b("rehome", full)
    assert done.status == 0, done.err
    assert catalog.state(RepoName.parse(full)).home == "b"
    repository.commit("main", {"last": "yes"})
    late = a("sync", full)
    assert late.status == 11
    assert "is kept by b" in late.out + late.err
    listed = a.file.read_text()
    kept = a("remove", full, "--purge", "--yes")
    assert (kept.status, a.file.read_text()) == (11, listed), kept.err
    assert full not in a("verify", "--json").out
    assert a("show", full, "--json").document()["mirror"]["home"] == "b"
    assert b("sync", full).status == 0
    assert "refs/syncer/keep/" in Repository(new).git("for-each-ref")
    event = catalog.audit_events(1)[0]
    assert (event.action, event.detail) == ("rehome", "from a to b")


def test_without_a_name_one_daemon_works_for_a_catalog(
    cluster: Cluster, catalog: SqlCatalog
) -> None:
    """On another machine it is refused; so it is where mirrors have homes."""
    first = cluster.unnamed("a")
    until(lambda: "syncer started" in first.output, "the start of the first one")
    second = cluster.unnamed("b")
    assert second.process.wait(40) == 11
    assert "a daemon on another machine works" in second.output
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(40) == 0
    catalog.place({catalog.states()[0].id: "c"})
    third = cluster.unnamed("b")
    assert third.process.wait(40) == 11
    assert "are kept by c" in third.output


def names(machine: Command) -> list[str]:
    """Return the processes that are known on all machines."""
    known = machine("status", "--json").document()["machines"]
    return [each["name"] for each in known]


def test_workers_without_a_scheduler_say_so(cluster: Cluster) -> None:
    """Nobody decides who is due: `status` and `doctor` tell."""
    dead, a = cluster.worker("a"), cluster.machine("a")
    until(lambda: names(a) == [f"a/{dead.process.pid}"], "its first word")
    dead.process.kill()
    dead.process.wait()
    instead = cluster.worker("a")
    until(lambda: names(a) == [f"a/{instead.process.pid}"], "the word of the next one")
    told = a("status")
    assert "no scheduler   FAIL" in told.out
    assert "no scheduler is elected" in a("doctor").out
