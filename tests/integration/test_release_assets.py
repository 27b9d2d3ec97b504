"""Assets that arrive badly, are replaced, expire: what is visible is right, or absent.

Of what goes wrong, the first line of an asset's own bytes tells the server.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.model.blobs import blob_key
from syncer.model.care import Depth
from syncer.model.releases import AssetState, Departure, Pin, Proof
from syncer.model.runs import AuditEvent, Outcome
from tests.release_store import NAME, WIDGET, Ahead, ReleaseStore, random_bytes
from tests.servers.github import GitHubServer
from tests.servers.github_releases import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HALF, SIZE = 150_000, 300_000
HOURS = timedelta(hours=3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReleaseStore]:
    """Provide a store whose mirror was never synced."""
    clock = Ahead()
    with GitHubServer(clock) as server:
        yield ReleaseStore(tmp_path, server, clock)


def spoilt(fault: str) -> bytes:
    """Return an asset that goes wrong, and that no other test has."""
    return b"fault:%b\n" % fault.encode() + random_bytes(SIZE)


@pytest.mark.parametrize("digest", [True, False], ids=["digest", "no digest"])
@pytest.mark.parametrize("fault", ["truncate-at", "short", "reset-at"])
def test_what_breaks_off_goes_on_where_it_did(
    store: ReleaseStore, fault: str, *, digest: bool
) -> None:
    """One run is enough: the second request asks for the rest alone."""
    body = spoilt(f"{fault}={HALF},times=1")
    store.upstream.release("v1").asset("a.bin", body, digest=digest)

    run = store.sync()

    assert run.outcome is Outcome.CHANGED, run
    first, second = store.ranges()
    assert first == ""
    start = int(second.removeprefix("bytes=").removesuffix("-"))
    # The end of what comes before a reset may be lost on the way.
    assert 0 < start <= HALF
    assert start == HALF or fault == "reset-at"
    asset = store.asset("a.bin")
    assert asset.proof is (Proof.VERIFIED if digest else Proof.PINNED)
    assert list(store.blobs().values()) == [body]


@pytest.mark.parametrize(
    "fault",
    ["slow=100000@0.05", "status=503,times=2", "expired,times=1", "html,times=1"],
)
def test_what_passes_is_waited_for(store: ReleaseStore, fault: str) -> None:
    """Slowness, a refusal, an address that ran out, a page for people: one run."""
    body = spoilt(fault)
    store.upstream.release("v1").asset("a.bin", body)

    run = store.sync()

    assert run.outcome is Outcome.CHANGED, run
    assert list(store.blobs().values()) == [body]


@pytest.mark.parametrize(
    "fault", ["wrong-bytes", "too-long", "too-long,chunked", "html", "status=503"]
)
def test_what_is_wrong_is_never_visible(store: ReleaseStore, fault: str) -> None:
    """The rest is published, what is missing is named, and comes once it is right."""
    good, bad = random_bytes(1000), spoilt(fault)
    release = store.upstream.release("v1")
    release.asset("good.bin", good)
    spoiled = release.asset("bad.bin", bad)

    run = store.sync()

    assert run.outcome is Outcome.PARTIAL
    assert "v1/bad.bin" in " ".join(run.notes)
    assert list(store.blobs().values()) == [good]
    assert store.asset("good.bin").state is AssetState.PRESENT
    missing = store.asset("bad.bin")
    assert (missing.state, missing.blob) == (AssetState.MISSING, None)
    assert missing.reason
    right = random_bytes(SIZE)
    spoiled.content, spoiled.digest = right, digest_of(right)
    store.clock.by += HOURS
    assert store.sync().outcome is Outcome.CHANGED
    assert store.agrees()


def test_a_lie_about_the_digest_is_not_believed(store: ReleaseStore) -> None:
    """Bytes that are not what the listing promises are taken by no name."""
    body = random_bytes(1000)
    asset = store.upstream.release("v1").asset("a.bin", body)
    asset.sends = random_bytes(1000)
    assert store.sync().outcome is Outcome.PARTIAL
    assert store.blobs() == {}
    asset.sends = None
    store.clock.by += HOURS

    assert store.sync().outcome is Outcome.CHANGED

    assert list(store.blobs().values()) == [body]


def test_an_unchanged_mirror_costs_a_request_a_page(store: ReleaseStore) -> None:
    """300 releases, 1,500 assets: three conditional pages, and not one download."""
    store.server.validate = False
    for number in range(300):
        release = store.upstream.release(f"v{number}")
        for part in range(5):
            # Bytes that are here already are linked, which keeps the test short.
            release.asset(f"part-{part}.bin", b"%d of %d" % (part, number % 10))
    run = store.sync()
    assert (run.outcome, run.releases.changed) == (Outcome.CHANGED, 300)
    assert store.agrees()
    rows = set(store.kept().assets)
    assert len(rows) == 1500

    # Our own downloads changed the counts that the pages show, once.
    for statuses in ({200, 304}, {304}):
        store.server.forget()
        run = store.sync()
        assert run.outcome is Outcome.UNCHANGED
        pages = [s for s in store.server.requests if s.path.endswith("/releases")]
        assert [seen.conditional for seen in pages] == [True] * 3
        assert {seen.status for seen in pages} == statuses
        others = [s for s in store.server.requests if s not in pages]
        assert sorted((s.host, s.status, s.conditional) for s in others) == [
            ("api", 304, True),
            ("git", 200, False),
        ]
    assert store.kept().assets == rows


def test_retention_gives_up_what_left_long_ago(store: ReleaseStore) -> None:
    """Replaced and deleted bytes stay for weeks; a pinned tag's stay for good."""
    for tag in ("v1", "v2"):
        release = store.upstream.release(tag)
        release.asset(f"{tag}.bin", f"{tag} old".encode())
        release.asset(f"{tag}.txt", f"{tag} text".encode())
    assert store.sync().outcome is Outcome.CHANGED
    for release in store.upstream.releases:
        release.assets[0].replace(f"{release.tag} new".encode())
        release.assets[0].delete()
    store.clock.by += HOURS
    assert store.sync().outcome is Outcome.CHANGED
    left = {
        (each.asset.name, each.departure)
        for record in store.records()
        for each in record.assets
        if each.gone is not None
    }
    assert left == {
        ("v1.bin", Departure.REPLACED),
        ("v1.txt", Departure.DELETED),
        ("v2.bin", Departure.REPLACED),
        ("v2.txt", Departure.DELETED),
    }
    sweep(store, timedelta(days=30))
    assert len(store.blobs()) == 6

    with store.process() as app:
        now = store.clock.now()
        pinned = AuditEvent(now, "tester", "pin", WIDGET, "v1")
        state = app.catalog.state(NAME)
        app.world.releases.pin(state.id, Pin("v1", now, "tester"), pinned)
    store.clock.by += timedelta(days=31)
    sweep(store, timedelta(days=30))

    assert set(store.blobs().values()) == {
        *(b"v1 old", b"v1 text", b"v1 new"),
        b"v2 new",
    }
    store.check()
    assert store.sync().outcome is Outcome.UNCHANGED


def sweep(store: ReleaseStore, retention: timedelta) -> None:
    """Do what `gc` does for releases, and wait for the blobs' grace."""
    with store.process() as app:
        now = store.clock.now()
        state = app.catalog.state(NAME)
        app.world.releases.expire(state.id, now - retention, now)
        app.sweeper.sweep()
    store.clock.by += timedelta(days=1)
    with store.process() as app:
        app.sweeper.sweep()


@pytest.mark.parametrize("digest", [True, False], ids=["digest", "no digest"])
def test_a_blob_that_is_lost_is_brought_again(
    store: ReleaseStore, *, digest: bool
) -> None:
    """What verification finds missing comes with the next sync, held to its digest."""
    body, other = random_bytes(SIZE), random_bytes(10)
    release = store.upstream.release("v1")
    release.asset("a.bin", body, digest=digest)
    release.asset("b.bin", other)
    assert store.sync().outcome is Outcome.CHANGED
    path = store.data / "blobs" / blob_key(digest_of(body))
    path.chmod(0o600)
    path.unlink()
    with store.process() as app:
        state = app.catalog.state(NAME)
        app.verifier.verify(state, Depth())
    lost = store.asset("a.bin")
    assert (lost.state, lost.blob) == (AssetState.DAMAGED, digest_of(body))

    run = store.sync()

    assert run.outcome is Outcome.CHANGED, run
    assert set(store.blobs().values()) == {body, other}
    assert store.asset("a.bin").state is AssetState.PRESENT
