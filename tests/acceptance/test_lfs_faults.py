"""When the object store goes wrong: what is said, what stays, and what comes back."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.blob_places import in_bucket, of_bucket
from tests.acceptance.command import Command, name_on
from tests.acceptance.running import configure, running, until
from tests.servers.pointers import pointer_file
from tests.servers.repositories import Repository
from tests.servers.s3_faults import (
    S3Fault,
    internal_error,
    lost_answer,
    slow_down,
    storage_full,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.acceptance.command import Ended
    from tests.servers.git_http import GitServer
    from tests.servers.s3_proxy import S3Proxy

    Trouble = Callable[["World"], AbstractContextManager[object]]

WIDGET, PLAIN = "acme/widget", "acme/plain"
#: Every object, and nothing else that lies below the prefix.
BLOBS = r" /bucket-\d+/blobs/[0-9a-f]{2}/"
KEPT = "published refs are unchanged"


@dataclass
class World:
    """A mirror with LFS objects in MinIO, one without, and what was said of them."""

    syncer: Command
    server: GitServer
    proxy: S3Proxy
    bucket: str
    said: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def push(self, count: int = 3) -> None:
        """Push new objects to the one, and a commit to the other."""
        bodies = [os.urandom(200_000) for _ in range(count)]
        pointers = [self.server.lfs.add(WIDGET, body) for body in bodies]
        files = {f"{p.oid}.bin": pointer_file(p) for p in pointers}
        self.upstream(WIDGET).commit("main", files)
        self.upstream(PLAIN).commit("main")
        self.bodies += bodies

    def sync(self, *words: str) -> tuple[Ended, dict[str, dict[str, Any]]]:
        """Run `sync`; return how it ended, and its runs by repository."""
        done = self.syncer("sync", "--json", *words)
        self.said += [done.out, done.err]
        runs = done.document()["runs"]
        return done, {run["repository"].rpartition("/")[2]: run for run in runs}

    def upstream(self, name: str) -> Repository:
        """Return a repository as its people have it."""
        return Repository(self.server.path(name))

    def mirror(self, name: str) -> Repository:
        """Return a repository as consumers see it."""
        path = self.syncer.place / "mirror/git" / f"{name_on(self.server, name)}.git"
        return Repository(path)

    def agrees(self, name: str) -> bool:
        """Return whether consumers see what upstream has."""
        return self.mirror(name).refs() == self.upstream(name).refs()

    def stored(self) -> list[bytes]:
        """Return every blob of the bucket, in order."""
        client = self.proxy.server.client()
        return sorted(of_bucket(client, self.bucket).values())


@pytest.fixture
def world(syncer: Command, git_server: GitServer, s3_proxy: S3Proxy) -> Iterator[World]:
    """Provide both mirrors, synced once; nothing that is said may hold a secret."""
    made = World(syncer, git_server, s3_proxy, s3_proxy.server.bucket())
    in_bucket(syncer, s3_proxy.server, made.bucket, s3_proxy.endpoint)
    made.push()
    names = [name_on(git_server, name) for name in (WIDGET, PLAIN)]
    host = names[0].partition("/")[0]
    configure(syncer, *names, hosts={host: git_server.url})
    assert syncer("init").status == 0
    done, _ = made.sync()
    assert done.status == 0, done.out + done.err
    yield made
    made.said += [syncer(*words).out for words in (("history",), ("status",))]
    text = "\n".join(made.said)
    assert "Traceback" not in text
    catalog = (syncer.place / "mirror/catalog.db").read_bytes()
    for secret in _secrets(made):
        assert secret not in text
        assert secret.encode() not in catalog


def _secrets(world: World) -> list[str]:
    """Return what nobody may read: keys, and what signatures look like."""
    server = world.proxy.server
    keys = [server.access_key, server.secret_key, world.syncer.environ["OTHER_KEY"]]
    return [*keys, "Signature=", "AWS4-HMAC", "s3cret", "grant="]


@pytest.fixture(autouse=True)
def _other_key(syncer: Command) -> None:
    """Have a key that the object store does not know."""
    syncer.environ["OTHER_KEY"] = "made-up-and-therefore-wrong"


def _fault(match: str, fault: S3Fault) -> Trouble:
    @contextmanager
    def trouble(world: World) -> Iterator[None]:
        world.proxy.fault(match, fault)
        yield
        world.proxy.heal()

    return trouble


def _stopped(world: World) -> AbstractContextManager[object]:
    return world.proxy.server.stopped()


@contextmanager
def _environ(syncer: Command, name: str, value: str) -> Iterator[None]:
    before = syncer.environ[name]
    syncer.environ[name] = value
    yield
    syncer.environ[name] = before


def _wrong_keys(world: World) -> AbstractContextManager[object]:
    other = world.syncer.environ["OTHER_KEY"]
    return _environ(world.syncer, "SYNCER_S3_SECRET_KEY", other)


def _no_bucket(world: World) -> AbstractContextManager[object]:
    return _environ(world.syncer, "SYNCER_BLOBS", "s3://absent")


@pytest.mark.parametrize(
    ("trouble", "status", "words", "hint"),
    [
        pytest.param(_stopped, 5, "did not answer", None, id="down"),
        pytest.param(
            _wrong_keys, 4, "refuses our keys", "check the keys", id="wrong keys"
        ),
        pytest.param(
            _fault(f"PUT{BLOBS}", storage_full()), 5, "is full", "make room", id="full"
        ),
        pytest.param(
            _fault("", internal_error()),
            5,
            "cannot answer: status 500",
            None,
            id="500",
            marks=pytest.mark.long,
        ),
        pytest.param(
            _fault(f"PUT{BLOBS}", slow_down()),
            5,
            "cannot answer: status 503, SlowDown",
            None,
            id="slow down",
            marks=pytest.mark.long,
        ),
        pytest.param(
            _fault(f"PUT{BLOBS}", S3Fault(cut=1000)),
            5,
            "did not answer",
            None,
            id="cut",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_store_that_fails_keeps_the_refs_as_they_were(
    world: World, trouble: Trouble, status: int, words: str, hint: str | None
) -> None:
    """It is told clearly; mirrors without LFS go on; the next run heals by itself."""
    before = world.mirror(WIDGET).refs()
    world.push()

    with trouble(world):
        done, runs = world.sync()

    failed = runs["widget"]
    assert done.status in {status, 3}, done.out + done.err
    assert (failed["outcome"], failed["exit_code"]) == ("failed", status), failed
    assert failed["stage"] == "transferring"
    assert words in failed["error"]
    assert KEPT in failed["error"] or "no blob was changed" in failed["error"]
    if hint is not None:
        assert hint in failed["hint"]
    assert world.mirror(WIDGET).refs() == before
    assert runs["plain"]["outcome"] == "changed"
    assert world.agrees(PLAIN)
    done, runs = world.sync()
    assert done.status == 0, done.out + done.err
    assert runs["widget"]["outcome"] == "changed"
    assert runs["plain"]["outcome"] == "unchanged"
    assert world.agrees(WIDGET)
    assert world.stored() == sorted(world.bodies)


PUTS = f"PUT{BLOBS}"
LISTS = r"GET /bucket-\d+\?.*list-type"
#: What a store may do now and then: to which requests, and how often.
STUMBLES = {
    "slow": (PUTS, S3Fault(delay=0.4), None),
    "500": (PUTS, internal_error(), 2),
    "slow down": (PUTS, slow_down(), 2),
    "lost answers": (PUTS, lost_answer(), 3),
    "broken off uploads": (PUTS, S3Fault(cut=70_000), 2),
    "truncated answers": (LISTS, S3Fault(truncate=200), 2),
}


def test_a_store_that_stumbles_is_waited_for(world: World) -> None:
    """Once more, and once more: each run ends well, and each blob is right."""
    for kind, (match, fault, times) in STUMBLES.items():
        count = 20 if match == LISTS else 3
        world.push(count)
        world.proxy.forget()
        world.proxy.fault(match, fault, times)

        done, runs = world.sync()

        assert done.status == 0, f"{kind}: {done.out}{done.err}"
        lfs = runs["widget"]["lfs"]
        assert (runs["widget"]["outcome"], lfs["fetched"]) == ("changed", count), kind
        assert world.agrees(WIDGET), kind
        spoiled = [r for r in world.proxy.requests if re.search(match, r.line)]
        assert len(spoiled) == (1 if match == LISTS else 3) + (times or 0), kind
        world.proxy.heal()
    assert world.stored() == sorted(world.bodies)


def test_what_is_read_goes_on_where_it_broke_off(world: World) -> None:
    """Half an answer is the store's trouble: no blob is called damaged for it."""
    world.proxy.forget()
    world.proxy.fault(f"GET{BLOBS}", S3Fault(truncate=90_000))

    done = world.syncer("verify", "--read-data", "--json")

    world.said += [done.out, done.err]
    assert done.status == 0, done.out + done.err
    found = done.document()["mirrors"]
    assert [each["damaged"] for each in found] == [[], []]
    assert [each["read"] for each in found] == [0, 3]
    ranges = [each.request.headers.get("range") for each in world.proxy.requests]
    assert ranges.count("bytes=90000-") == ranges.count("bytes=180000-") == 3


def test_a_person_is_told_what_to_do(world: World) -> None:
    """Without `--json`: what happened, what was not changed, and the next step."""
    before = world.mirror(WIDGET).refs()
    world.push()

    with _no_bucket(world):
        done = world.syncer("sync")

    world.said += [done.out, done.err]
    assert done.status in {1, 3}
    assert "there is no bucket absent" in done.out
    assert KEPT in done.out
    assert "mc mb" in done.out + done.err
    assert "1 synced" in done.out
    assert "1 failed" in done.out
    assert world.mirror(WIDGET).refs() == before
    assert world.agrees(PLAIN)
    assert world.sync()[0].status == 0
    assert world.agrees(WIDGET)


@pytest.mark.long
def test_the_daemon_goes_on_when_the_store_is_back(world: World) -> None:
    """It says why it fails, keeps others fresh, and publishes without being asked."""
    before = world.mirror(WIDGET).refs()
    with running(world.syncer) as daemon:
        daemon.tells("syncer started")
        with world.proxy.server.stopped():
            world.push()
            name = name_on(world.server, WIDGET)
            failed = daemon.tells("sync run ended", repo=name, outcome="failed")
            assert "did not answer" in failed["error"]
            assert KEPT in failed["error"]
            until(lambda: world.agrees(PLAIN), "the mirror without LFS")
            assert world.mirror(WIDGET).refs() == before
        # It stays away for a minute after the first failure.
        until(lambda: world.agrees(WIDGET), "the publication", 4 * 60)
        daemon.stop()
    world.said.append(daemon.output)
    assert world.stored() == sorted(world.bodies)
