"""LFS over a wire: whom we ask, what is sent along, and what goes wrong."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Timer
from time import monotonic
from traceback import format_exception
from typing import TYPE_CHECKING, Literal

import pytest

from syncer.errors import (
    AccessDenied,
    EgressRefused,
    Expired,
    IntegrityError,
    Interrupted,
    Moved,
    NotFound,
    OverQuota,
    PermanentError,
    ProtocolError,
    RateLimited,
    SyncerError,
    TransientError,
    Truncated,
    Unavailable,
)
from syncer.model.lfs import Grant, LfsEndpoint, Refusal
from syncer.upstream import connections, watch
from tests.fakes import FakeClock
from tests.fakes_forge import host
from tests.lfs_upstream import HOST, NAME, OWNED, lfs_clients
from tests.servers.git_http import GitServer
from tests.servers.http_faults import Fault, html_page, redirect, status
from tests.servers.lfs import Generated
from tests.upstream_client import SECRET, RealClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lfs_upstream import LfsClient
    from tests.servers.lfs_client import GitLfs

BATCH, OBJECT = "objects/batch", "GET /lfs-objects/"
BODY = bytes(range(256)) * 8000
SIGNATURE = "s3cret"


@pytest.fixture
def connect() -> Iterator[Callable[..., LfsClient]]:
    """Yield what makes clients."""
    with lfs_clients() as make:
        yield make


@pytest.fixture
def client(git_server: GitServer, connect: Callable[..., LfsClient]) -> LfsClient:
    """Return a client of the server on loopback."""
    return connect(git_server)


@pytest.fixture
def storage(git_server: GitServer) -> Iterator[GitServer]:
    """Serve the same objects on another host, where they are granted."""
    with GitServer(lfs=git_server.lfs) as server:
        git_server.lfs.storage = server.url
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a second instead of many: what goes well takes less on any machine."""
    monkeypatch.setattr(connections, "CONNECT", 1.0)
    monkeypatch.setattr(connections, "READ", 1.0)
    monkeypatch.setattr(watch, "PATIENCE", 0.5)
    monkeypatch.setattr(watch, "TICK", 0.05)


def authority(server: GitServer) -> str:
    """Return a server's name and port."""
    return server.url.partition("://")[2]


def told(error: BaseException) -> str:
    """Return everything a log may show of an error."""
    hint = getattr(error, "hint", "")
    return "".join(format_exception(error)) + str(hint)


def test_a_request_is_what_the_reference_client_sends(client: LfsClient) -> None:
    """Path, type and body are the batch API's; no object has a token of ours."""
    pointer = client.server.lfs.add(OWNED, BODY)
    client.server.lfs.header = {"X-Grant": "yes", "Authorization": "Basic granted"}

    assert client.get(pointer) == BODY

    batch, download = client.asked()
    assert batch.line == "POST /acme/widget.git/info/lfs/objects/batch"
    assert batch.headers["accept"] == "application/vnd.git-lfs+json"
    assert batch.headers["content-type"] == "application/vnd.git-lfs+json"
    assert download.method == "GET"
    assert download.headers["authorization"] == "Basic granted"
    assert download.headers["x-grant"] == "yes"
    assert download.headers["accept-encoding"] == "identity"
    assert "range" not in download.headers


def test_our_token_goes_to_the_batch_alone(
    git_server: GitServer, storage: GitServer, connect: Callable[..., LfsClient]
) -> None:
    """The repository's own server gets it; the storage does not, whoever it is."""
    git_server.require_token = SECRET
    entry = host(
        HOST,
        token=SECRET,
        git=git_server.url,
        private=True,
        downloads=(authority(storage),),
    )
    client = connect(git_server, others={HOST: entry})
    pointer = git_server.lfs.add(OWNED, BODY)

    assert client.get(pointer) == BODY
    git_server.lfs.storage = None
    assert client.get(pointer) == BODY

    for request in client.asked(git_server, storage):
        assert ("authorization" in request.headers) == (request.method == "POST")


@pytest.mark.parametrize("path", ["", "/info/lfs", ".git", ".git/info/lfs/"])
def test_an_own_address_in_any_spelling_gets_our_token(
    git_server: GitServer, connect: Callable[..., LfsClient], path: str
) -> None:
    """A `.lfsconfig` that names the repository itself changes nothing."""
    entry = host(HOST, token=SECRET, git=git_server.url, private=True)
    client = connect(git_server, others={HOST: entry})
    git_server.fault(BATCH, status(500))

    with pytest.raises(Unavailable):
        client.batch(lfsconfig=f"{git_server.url}/Acme/widget{path}")

    (request,) = client.asked()
    assert "authorization" in request.headers


@pytest.mark.parametrize(
    "path",
    [
        "acme/secret.git/info/lfs",
        "acme/widget-2/info/lfs",
        "lfs",
        "",
        "acme/widget.git/../secret.git/info/lfs",
        "acme/widget.git/%2e%2e/secret.git/info/lfs",
    ],
)
def test_another_repository_is_asked_as_a_stranger(
    git_server: GitServer, connect: Callable[..., LfsClient], path: str
) -> None:
    """What only our token can read is not got by naming it in a `.lfsconfig`."""
    entry = host(HOST, token=SECRET, git=git_server.url, private=True)
    client = connect(git_server, others={HOST: entry})
    git_server.require_token = SECRET
    pointer = git_server.lfs.add("acme/secret", BODY)
    endpoint = LfsEndpoint(f"{git_server.url}/{path}")

    with pytest.raises(AccessDenied):
        client.source.batch(NAME, endpoint, [pointer])

    (request,) = client.asked()
    assert "authorization" not in request.headers


def test_a_lfsconfig_may_name_a_host_on_the_list(
    git_server: GitServer, connect: Callable[..., LfsClient]
) -> None:
    """An allowed host is asked without a token, and may serve what it grants."""
    with GitServer() as other:
        other.repository("big/files")
        pointer = other.lfs.add("big/files", BODY)
        place = f"{other.url}/big/files/info/lfs"
        allowed = connect(git_server, downloads=(authority(other),))
        entry = host("x", token=SECRET, git=other.url, private=True)
        configured = connect(git_server, others={authority(other): entry})
        for client in (allowed, configured):
            assert client.source.endpoint(NAME, place) == LfsEndpoint(place)
            assert client.read(client.grant(pointer, place)) == BODY
        assert git_server.requests == []
        assert all("authorization" not in each.headers for each in other.requests)


@pytest.mark.parametrize(
    "place",
    [
        "https://evil.example/lfs",
        "https://evil.example:22/lfs",
        "file:///etc/passwd",
        "ssh://git@upstream.test/acme/widget",
        "git@upstream.test:acme/widget.git",
        "../other",
        "http://[::1",
        "https://user:s3cret@evil.example/",
        "https://evil.example/a b",
        "https://evil.example/\x1b[2J",
        "\x00",
        "https://" + "a" * 100_000,
        "https://evil.example:99999/",
    ],
)
def test_a_lfsconfig_that_names_a_stranger_is_ignored(
    client: LfsClient, place: str
) -> None:
    """The usual place is asked, and a note says why; nothing is raised."""
    usual = client.source.endpoint(NAME, None)

    found = client.source.endpoint(NAME, place)

    assert found.url == usual.url == f"{client.server.url}/{OWNED}.git/info/lfs"
    assert found.note is not None
    assert SIGNATURE not in found.note
    assert found.note.isprintable()
    with pytest.raises(EgressRefused):
        client.source.batch(NAME, LfsEndpoint(place), [])


def test_hosts_that_git_reaches_by_ssh_are_asked_by_https(
    git_server: GitServer, connect: Callable[..., LfsClient]
) -> None:
    """The LFS server of such a host is where the reference client looks for it."""
    entry = host(HOST, git=f"ssh://git@{HOST}:2222", protocol="ssh")
    client = connect(git_server, others={HOST: entry})

    endpoint = client.source.endpoint(NAME, None)

    assert endpoint.url == f"https://{HOST}/{OWNED}.git/info/lfs"


def test_storage_elsewhere_needs_permission(
    git_server: GitServer, storage: GitServer, connect: Callable[..., LfsClient]
) -> None:
    """The error names the host and the key that allows it, never the signature."""
    client = connect(git_server)
    grant = client.grant(git_server.lfs.add(OWNED, BODY))

    with pytest.raises(EgressRefused, match=r"127\.0\.0\.1") as caught:
        client.read(grant)

    assert f'downloads = ["{authority(storage)}"]' in str(caught.value.hint)
    assert SIGNATURE not in told(caught.value)
    assert storage.requests == []
    allowed = connect(git_server, downloads=(authority(storage),))
    assert allowed.read(grant) == BODY


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//127.0.0.1/x",
        "http://user@127.0.0.1/",
        "http://127.0.0.1:1/x",
        "http://127.0.0.1\x00/",
        "",
        "http://127.0.0.1 /x",
    ],
)
def test_no_address_but_those_allowed_is_connected_to(
    client: LfsClient, href: str
) -> None:
    """An absurd address is refused before anything is resolved."""
    pointer = client.server.lfs.add(OWNED, BODY)

    with pytest.raises(EgressRefused):
        client.read(Grant(pointer, href, {}))
    assert client.asked() == []


def test_private_addresses_of_storage_need_permission_too(
    git_server: GitServer, connect: Callable[..., LfsClient]
) -> None:
    """An allowed name is no way into the network behind us."""
    client = connect(git_server, private=False, downloads=(authority(git_server),))
    pointer = git_server.lfs.add(OWNED, BODY)
    grant = Grant(pointer, f"{git_server.url}/lfs-objects/x", {})

    with pytest.raises(EgressRefused, match="loopback"):
        client.read(grant)
    with pytest.raises(EgressRefused, match="loopback"):
        client.batch(pointer)
    assert client.asked() == []


def test_redirects_are_followed_without_what_was_granted(
    git_server: GitServer, storage: GitServer, connect: Callable[..., LfsClient]
) -> None:
    """Headers of a grant go to its own address; the range goes to each."""
    client = connect(git_server, downloads=(authority(storage),))
    pointer = git_server.lfs.add(OWNED, BODY)
    final = client.grant(pointer).href
    git_server.lfs.storage = None
    git_server.lfs.header = {"X-Grant": SIGNATURE}
    grant = client.grant(pointer)
    git_server.lfs.header = {}
    git_server.fault(OBJECT, redirect(final, 302), times=1)
    client.asked()

    assert client.read(grant, 1000) == BODY[1000:]

    first, second = client.asked(git_server, storage)
    assert first.headers["x-grant"] == SIGNATURE
    assert "x-grant" not in second.headers
    assert second.headers["range"] == "bytes=1000-"


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("https://evil.example/?token=s3cret", EgressRefused),
        ("file:///etc/passwd", EgressRefused),
        ("http://[bad", EgressRefused),
        ("/lfs-objects/again", ProtocolError),
        ("", ProtocolError),
    ],
)
def test_redirects_are_checked_and_end(
    client: LfsClient, location: str, kind: type[SyncerError]
) -> None:
    """Each step obeys the policy, and there are three at most."""
    grant = client.grant(client.server.lfs.add(OWNED, BODY))
    client.server.fault(OBJECT, redirect(location, 307))
    client.asked()

    with pytest.raises(kind) as caught:
        client.read(grant)
    assert SIGNATURE not in told(caught.value)
    assert len(client.asked()) == (4 if kind is ProtocolError else 1)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (status(401), AccessDenied),
        (status(403), AccessDenied),
        (status(404), NotFound),
        (status(410), NotFound),
        (status(413), ProtocolError),
        (status(422), ProtocolError),
        (status(400), ProtocolError),
        (status(301, location="https://elsewhere.example/x"), Moved),
        (status(307, location="https://elsewhere.example/x"), Moved),
        (status(429, retry_after="7"), RateLimited),
        (status(429), RateLimited),
        (status(503, retry_after="7"), RateLimited),
        (status(500), Unavailable),
        (status(503), Unavailable),
        (status(507), OverQuota),
        (status(509), OverQuota),
        (Fault(403, body='{"message": "over its data quota"}'), OverQuota),
        (Fault(429, body='{"message": "buy more data packs"}'), OverQuota),
        (Fault(429, body='{"message": "too fast"}'), RateLimited),
        (html_page(), ProtocolError),
        (Fault(200, body="{", content_type="application/json"), ProtocolError),
        (Fault(200, body="[]", content_type="application/json"), ProtocolError),
        (Fault(truncate=20), TransientError),
        (Fault(reset=0), Unavailable),
        (Fault(hang="headers"), Unavailable),
        (Fault(hang="accept"), Unavailable),
        (Fault(endless=b"x" * 65536), PermanentError),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_each_failure_of_a_batch_has_its_error(
    client: LfsClient, fault: Fault, kind: type[SyncerError]
) -> None:
    """None of them is taken for a word about an object, and all of them pass."""
    pointer = client.server.lfs.add(OWNED, BODY)
    client.server.fault(BATCH, fault)

    with pytest.raises(kind) as caught:
        client.batch(pointer)

    assert type(caught.value) is kind or kind is TransientError
    if kind is NotFound:
        assert "lfs = false" in str(caught.value.hint)
    client.server.heal()
    if kind is not RateLimited:
        assert client.get(pointer) == BODY


def test_a_limit_holds_for_the_whole_host(
    git_server: GitServer, connect: Callable[..., LfsClient]
) -> None:
    """Until the time upstream named, no batch is sent to it."""
    clock = FakeClock()
    client = connect(git_server, clock=clock)
    pointer = git_server.lfs.add(OWNED, BODY)
    git_server.fault(BATCH, status(429, retry_after="7"), times=1)
    with pytest.raises(RateLimited) as caught:
        client.batch(pointer)
    assert caught.value.retry_after == timedelta(seconds=7)

    with pytest.raises(RateLimited):
        client.batch(pointer)
    assert len(client.asked()) == 1
    clock.advance(timedelta(seconds=7))
    assert client.get(pointer) == BODY


def test_a_server_that_takes_fewer_is_asked_for_halves(client: LfsClient) -> None:
    """All the answers come, in order."""
    client.server.lfs.limit = 3
    wanted = [client.server.lfs.add(OWNED, bytes([n])) for n in range(10)]

    reply = client.batch(*wanted)

    assert [answer.pointer for answer in reply] == wanted
    assert all(isinstance(answer, Grant) for answer in reply)


@pytest.mark.parametrize(
    ("code", "message", "kept"),
    [
        (403, "over its data quota", 509),  # whatever it calls it: one kind of refusal
        (509, "bandwidth", 509),
        (507, "full", 507),
        (404, "gone", 404),
    ],
)
def test_an_object_over_quota_is_refused_by_itself(
    client: LfsClient, code: int, message: str, kept: int
) -> None:
    """The other objects of the batch are granted."""
    one, other = (client.server.lfs.add(OWNED, bytes([n])) for n in range(2))
    client.server.lfs.refusals[one.oid] = (code, message)

    refusal, grant = client.batch(one, other)

    assert refusal == Refusal(one, kept, f"`{message}`")
    assert isinstance(grant, Grant)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (status(401), Expired),
        (status(403), Expired),
        (status(400), Expired),
        (status(404), NotFound),
        (status(410), NotFound),
        (status(416), ProtocolError),
        (status(429, retry_after="7"), RateLimited),
        (status(503, retry_after="7"), RateLimited),
        (status(503), Unavailable),
        (status(500), Unavailable),
        (status(418), ProtocolError),
        (status(204), ProtocolError),
        (status(206), ProtocolError),
        (html_page(), Truncated),
        (Fault(truncate=1000), TransientError),
        (Fault(truncate=1000, framing="close"), Truncated),
        (Fault(short=1000), Truncated),
        (Fault(short=0), Truncated),
        (Fault(reset=1000), TransientError),
        (Fault(reset=0), Unavailable),
        (Fault(hang="headers"), Unavailable),
        (Fault(hang="accept"), Unavailable),
        (Fault(hang=1000), Unavailable),
        (Fault(drip=(100, 0.05)), Unavailable),
        (Fault(endless=b"x" * 4096), IntegrityError),
        (Fault(endless=b"x" * 4096, framing="close"), IntegrityError),
        (Fault(headers={"Content-Encoding": "gzip"}), ProtocolError),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_each_failure_of_a_download_has_its_error(
    git_server: GitServer,
    connect: Callable[..., LfsClient],
    fault: Fault,
    kind: type[SyncerError],
) -> None:
    """It comes soon, tells no signature, and the next download is well again."""
    client = connect(git_server, clock=RealClock(), transfers=1)
    grant = client.grant(git_server.lfs.add(OWNED, BODY))
    git_server.fault(OBJECT, fault)
    began = monotonic()

    with pytest.raises(kind) as caught:
        client.read(grant)

    assert monotonic() - began < 5
    assert type(caught.value) is kind or kind is TransientError
    assert SIGNATURE not in told(caught.value)
    git_server.heal()
    if kind is RateLimited:
        # The whole storage is left alone as long as it asked.
        with pytest.raises(RateLimited):
            client.read(grant)
    else:
        assert client.read(grant) == BODY


def test_a_declared_length_is_believed_at_once(client: LfsClient) -> None:
    """Nothing is read of a body that says it is too long."""
    pointer = client.server.lfs.add(OWNED, BODY)
    grant = client.grant(pointer)
    client.server.lfs.replace(OWNED, pointer.oid, BODY + b"x")

    with (
        pytest.raises(IntegrityError),
        client.source.open(NAME, grant, 0) as blocks,
    ):
        pytest.fail(f"{len(next(blocks))} bytes were passed on")


@pytest.mark.parametrize("framing", ["chunked", "close", "length"])
@pytest.mark.parametrize("offset", [0, 1, 1_000_000])
def test_each_framing_brings_the_same_bytes(
    client: LfsClient,
    framing: Literal["chunked", "close", "length"],
    offset: int,
) -> None:
    """A body may have a length, chunks, or neither."""
    grant = client.grant(client.server.lfs.add(OWNED, BODY))
    client.server.fault(OBJECT, Fault(framing=framing))

    assert client.read(grant, offset) == BODY[offset:]


def test_nothing_is_unpacked(client: LfsClient) -> None:
    """An object that is an archive arrives as that."""
    data = gzip.compress(BODY)
    pointer = client.server.lfs.add(OWNED, data)
    client.server.fault(OBJECT, Fault(content_type="application/gzip"))

    assert client.get(pointer) == data


def test_a_finished_object_is_not_asked_for(client: LfsClient) -> None:
    """Nothing is left of it to download."""
    grant = client.grant(client.server.lfs.add(OWNED, BODY))
    client.asked()

    assert client.read(grant, len(BODY)) == b""
    assert client.asked() == []


@pytest.mark.parametrize("fault", [Fault(hang=1000), Fault(drip=(100, 0.1))])
@pytest.mark.parametrize("tls", [False, True])
def test_a_stop_ends_a_download_that_stands_still(
    connect: Callable[..., LfsClient],
    fault: Fault,
    tls: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Whoever waits for bytes leaves within a second, or two."""
    with GitServer(tls=tls) as server:
        client = connect(server, clock=RealClock())
        grant = client.grant(server.lfs.add(OWNED, BODY))
        server.fault(OBJECT, fault)
        timer = Timer(0.3, client.stop.set)
        timer.start()
        began = monotonic()
        with pytest.raises(Interrupted):
            client.read(grant)
        timer.join()
        assert monotonic() - began < 2
        with pytest.raises(Interrupted):
            client.read(grant)


def test_a_stop_ends_a_download_between_blocks(client: LfsClient) -> None:
    """However fast it is."""
    data = Generated(3, 64 << 20)
    grant = client.grant(client.server.lfs.generate(OWNED, data.seed, data.size))

    with client.source.open(NAME, grant, 0) as blocks:
        next(blocks)
        client.stop.set()
        with pytest.raises(Interrupted):
            for _ in blocks:
                pass


def test_large_objects_come_in_large_blocks(client: LfsClient) -> None:
    """Few calls for much, and all of the bytes."""
    data = Generated(5, (32 << 20) + 12_345)
    pointer = client.server.lfs.generate(OWNED, data.seed, data.size)

    with client.source.open(NAME, client.grant(pointer), 0) as blocks:
        found = list(blocks)

    assert len(found) < 45
    assert b"".join(found) == b"".join(data.blocks())


def test_connections_are_kept_and_bounded(
    git_server: GitServer, connect: Callable[..., LfsClient]
) -> None:
    """Many objects use no more connections than the host's entry allows."""
    client = connect(git_server, transfers=3)
    wanted = [git_server.lfs.add(OWNED, bytes([n]) * 5000) for n in range(60)]
    grants = [answer for answer in client.batch(*wanted) if isinstance(answer, Grant)]
    client.asked()

    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(client.read, grants))

    assert bodies == [bytes([n]) * 5000 for n in range(60)]
    assert len({request.connection for request in client.asked()}) <= 3


def test_the_watching_thread_ends(
    client: LfsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there while something is downloaded, and not long after."""
    monkeypatch.setattr(watch, "TICK", 0.01)
    guard = watch.Watch(FakeClock(), client.stop)
    monkeypatch.setattr(client.source._downloads, "_watch", guard)  # noqa: SLF001 - whose thread is looked at
    pointer = client.server.lfs.add(OWNED, BODY)

    for _ in range(2):
        assert client.get(pointer) == BODY
        thread = guard._thread  # noqa: SLF001 - as above
        if thread is not None:
            thread.join(5)
        assert guard._thread is None  # noqa: SLF001 - as above


@pytest.mark.parametrize("tls", [False, True])
def test_what_the_real_client_pushed_is_read_back(
    connect: Callable[..., LfsClient],
    git_lfs: GitLfs,
    tmp_path: Path,
    tls: bool,  # noqa: FBT001 - a parameter
) -> None:
    """The test server speaks what git-lfs speaks, and so do we."""
    files = {"a.bin": b"one", "deep/b.bin": BODY, "c.bin": b"three" * 1000}
    with GitServer(tls=tls) as server:
        client = connect(server)
        if tls:
            git_lfs = type(git_lfs)(git_lfs.name, git_lfs.program, server.ca_pem)
        place = git_lfs.repository(tmp_path / "work", "*.bin")
        git_lfs.commit(place, files)
        git_lfs.push(place, server.address(OWNED))

        stored = git_lfs.stored(place)
        assert server.lfs.objects(OWNED) == stored
        assert len(stored) == len(files)
        for data in stored.values():
            assert client.get(server.lfs.add(OWNED, data)) == data

        mirror = git_lfs.repository(tmp_path / "other", "*.bin")
        git_lfs.git("fetch", "--quiet", str(place), "main:refs/heads/got", at=mirror)
        git_lfs.fetch_all(mirror, server.address(OWNED))
        assert git_lfs.stored(mirror) == stored
