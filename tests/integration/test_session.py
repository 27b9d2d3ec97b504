"""Probes over a wire: what is sent, what goes wrong, and what is never told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from time import monotonic
from traceback import format_exception
from typing import TYPE_CHECKING

import pytest

from syncer.errors import (
    AccessDenied,
    Interrupted,
    Moved,
    NotFound,
    PermanentError,
    ProtocolError,
    RateLimited,
    SyncerError,
    Truncated,
    Unavailable,
)
from syncer.model.content import DEFAULT_SCOPE
from syncer.model.names import RepoName
from syncer.upstream import channel, connections
from tests.fakes import FakeClock
from tests.fakes_forge import Capabilities, host
from tests.servers.git_http import GitServer
from tests.servers.http_faults import Fault, garbage, html_page, redirect, status
from tests.servers.repositories import git
from tests.upstream_client import HOST, NAME, SECRET, RealClock, clients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.repositories import Repository
    from tests.upstream_client import Client

POST = r"^POST "


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Yield what makes clients."""
    with clients() as make:
        yield make


@pytest.fixture
def widget(upstream: Callable[[str], Repository]) -> Repository:
    """Return a repository with one commit on `main`."""
    return upstream("acme/widget")


@pytest.fixture
def client(
    git_server: GitServer, widget: Repository, connect: Callable[..., Client]
) -> Client:
    """Return a client that has asked once, so that the host is known."""
    made = connect(git_server)
    assert made.refs() == widget.refs()
    git_server.forget()
    return made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a second instead of many: what goes well takes less on any machine."""
    monkeypatch.setattr(connections, "CONNECT", 1.0)
    monkeypatch.setattr(connections, "READ", 1.0)
    monkeypatch.setattr(channel, "WHOLE", 1.0)


def test_a_probe_is_one_request_on_a_warm_connection(client: Client) -> None:
    """A known host is asked by one POST, that git itself would send alike."""
    first = client.forge.probe(NAME, DEFAULT_SCOPE)
    second = client.forge.probe(NAME, DEFAULT_SCOPE)

    assert first.digest == second.digest
    one, two = client.server.requests
    assert one.line == "POST /acme/widget.git/git-upload-pack command=ls-refs"
    assert one.connection == two.connection
    assert one.headers["git-protocol"] == "version=2"
    assert one.headers["content-type"] == "application/x-git-upload-pack-request"
    assert one.headers["accept-encoding"] == "identity"
    assert one.headers["user-agent"].startswith("git/")
    assert one.headers["host"] == client.server.url.removeprefix("http://")
    assert "authorization" not in one.headers


def test_a_host_is_asked_once_a_day_what_it_can_do(
    git_server: GitServer, widget: Repository, connect: Callable[..., Client]
) -> None:
    """Capabilities are asked at first, kept for other processes, and for a day."""
    clock = FakeClock()
    first = connect(git_server, clock=clock)
    assert first.refs() == widget.refs()
    assert first.asked() == ["GET", "POST ls-refs"]
    assert first.refs() == widget.refs()
    assert first.asked() == ["POST ls-refs"]

    later = connect(git_server, clock=clock, capabilities=first.capabilities)
    asked = later.forge.probe(NAME, DEFAULT_SCOPE).asked
    assert later.asked() == ["POST ls-refs"]

    clock.advance(timedelta(days=1))
    assert later.forge.probe(NAME, DEFAULT_SCOPE).asked == asked
    assert later.asked() == ["GET", "POST ls-refs"]
    assert later.refs() == widget.refs()
    assert later.asked() == ["POST ls-refs"]


@pytest.mark.parametrize("kept", ["", "{", "[]", '{"at": 1}', '{"at": "2026-03-01"}'])
def test_what_another_version_kept_is_asked_again(
    git_server: GitServer,
    widget: Repository,
    connect: Callable[..., Client],
    kept: str,
) -> None:
    """Unreadable capabilities are no error."""
    capabilities = Capabilities()
    capabilities.kept[HOST] = kept
    client = connect(git_server, capabilities=capabilities)
    assert client.refs() == widget.refs()
    assert client.asked() == ["GET", "POST ls-refs"]


def test_a_token_goes_out_with_the_first_byte(
    git_server: GitServer, widget: Repository, connect: Callable[..., Client]
) -> None:
    """No request is made without the token, so none is made twice."""
    git_server.require_token = SECRET
    client = connect(git_server)
    client.host = host(HOST, token=SECRET, git=git_server.url, private=True)

    assert client.refs() == widget.refs()
    assert [r.headers["authorization"][:6] for r in git_server.requests] == [
        "Basic "
    ] * 2


@pytest.mark.parametrize("token", [None, "ghp_wrong"])
def test_a_refused_token_is_not_shown(
    git_server: GitServer,
    widget: Repository,
    connect: Callable[..., Client],
    token: str | None,
) -> None:
    """The error names the repository, says it is kept, and holds no secret."""
    assert widget.refs()
    git_server.require_token = SECRET
    client = connect(git_server)
    client.host = host(HOST, token=token, git=git_server.url, private=True)

    with pytest.raises(AccessDenied, match=r"upstream\.test/acme/widget") as caught:
        client.refs()
    assert "ghp_wrong" not in str(caught.value.hint)
    assert "ghp_wrong" not in "".join(format_exception(caught.value))
    assert client.listed == []


def test_redirects_are_not_followed(client: Client) -> None:
    """The place is named, nobody there is asked, and no token goes anywhere."""
    with GitServer() as other:
        target = f"{other.url}/new/name.git/info/refs?token={SECRET}"
        client.server.fault("", redirect(target))
        with pytest.raises(Moved, match=r"127\.0\.0\.1/new/name\.git") as caught:
            client.refs()
        assert other.requests == []
    assert SECRET not in str(caught.value)
    assert client.asked() == ["POST ls-refs", "GET"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [(401, AccessDenied), (403, AccessDenied), (404, NotFound), (410, NotFound)],
)
def test_the_handshake_confirms_what_is_final(
    client: Client, code: int, kind: type[SyncerError]
) -> None:
    """A repository is called gone or refused only after the second question."""
    client.server.fault("", status(code))
    with pytest.raises(kind, match="kept as it is"):
        client.refs()
    assert client.asked() == ["POST ls-refs", "GET"]
    assert client.listed == []


@pytest.mark.parametrize(
    "fault", [status(400), status(404), status(405), html_page(), garbage()]
)
def test_a_surprise_leads_to_the_handshake(
    client: Client, widget: Repository, fault: Fault
) -> None:
    """What one POST cannot find out, the full handshake may; the digest is its."""
    before = client.forge.probe(NAME, DEFAULT_SCOPE)
    client.server.forget()
    client.server.fault(POST, fault, times=1)

    after = client.forge.probe(NAME, DEFAULT_SCOPE)

    assert client.asked() == ["POST ls-refs", "GET", "POST ls-refs"]
    assert (after.digest, after.asked) == (before.digest, before.asked)
    assert set(after.read().refs) == set(widget.refs())
    assert client.listed == []


@pytest.mark.parametrize("fault", [status(400), html_page()])
def test_the_last_resort_is_git_itself(
    client: Client, widget: Repository, fault: Fault
) -> None:
    """Where the handshake fails too, `git ls-remote` answers, under its own name."""
    posted = client.forge.probe(NAME, DEFAULT_SCOPE)
    client.server.fault("", fault)

    first, second = (client.forge.probe(NAME, DEFAULT_SCOPE) for _ in range(2))

    assert (first.digest, first.asked) == (second.digest, second.asked)
    assert first.asked != posted.asked
    assert set(first.read().refs) == set(widget.refs())
    assert len(client.listed) == 2


def test_a_dumb_server_is_left_to_git(
    git_server: GitServer, widget: Repository, connect: Callable[..., Client]
) -> None:
    """A host that only serves files is no error."""
    page = Fault(body=b"", content_type="text/plain")
    git_server.fault("", page)
    client = connect(git_server)
    assert client.refs() == widget.refs()
    assert client.listed == [NAME]


def test_a_reply_that_cannot_be_read_is_left_to_git(
    client: Client, widget: Repository
) -> None:
    """What the parser refuses, git reads, if the reply is the same afterwards."""
    odd = Fault(body=b"0009oddly0000")
    client.server.fault(POST, odd)

    probe = client.forge.probe(NAME, DEFAULT_SCOPE)
    assert client.listed == []
    assert set(probe.read().refs) == set(widget.refs())
    assert client.listed == [NAME]

    changing = client.forge.probe(NAME, DEFAULT_SCOPE)
    client.server.heal()
    with pytest.raises(Unavailable, match="changed while"):
        changing.read()


def test_a_repository_of_sha256_is_refused(
    git_server: GitServer, connect: Callable[..., Client]
) -> None:
    """Another object format is an error that says so."""
    git_server.root.mkdir(exist_ok=True)
    path = git_server.path("acme/widget")
    git("init", "--quiet", "--bare", "--object-format=sha256", path)
    tree = git("mktree", at=path).decode().strip()
    commit = git("commit-tree", tree, "-m", "x", at=path).decode().strip()
    git("update-ref", "refs/heads/main", commit, at=path)

    with pytest.raises(ProtocolError, match="SHA-1"):
        connect(git_server).refs()


@pytest.mark.parametrize("headers", [{"retry_after": "90"}, {}])
@pytest.mark.parametrize("code", [429, 403])
def test_a_limit_pauses_the_whole_host(
    git_server: GitServer,
    widget: Repository,
    connect: Callable[..., Client],
    code: int,
    headers: dict[str, str],
) -> None:
    """Until the time upstream named, or a minute, nobody asks it anything."""
    if code == 403:
        headers = headers or {"x_ratelimit_remaining": "0"}
    clock = FakeClock()
    client = connect(git_server, clock=clock)
    assert client.refs() == widget.refs()
    client.asked()
    git_server.fault("", status(code, **headers))
    with pytest.raises(RateLimited):
        client.refs()
    assert client.asked() == ["POST ls-refs"]

    git_server.heal()
    seconds = 90 if "retry_after" in headers else 60
    clock.advance(timedelta(seconds=seconds - 1))
    with pytest.raises(RateLimited) as caught:
        client.forge.probe(RepoName(HOST, "acme", "other"), DEFAULT_SCOPE)
    assert caught.value.retry_after == timedelta(seconds=1)
    assert client.asked() == []
    clock.advance(timedelta(seconds=1))
    assert client.refs() == widget.refs()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (status(500), Unavailable),
        (status(502), Unavailable),
        (status(503), Unavailable),
        (status(503, retry_after="5"), RateLimited),
        (Fault(truncate=20), SyncerError),
        (Fault(truncate=20, framing="close"), Truncated),
        (Fault(short=20), Truncated),
        (Fault(short=0), Truncated),
        (Fault(reset=20), SyncerError),
        (Fault(reset=0), Unavailable),
        (Fault(hang="accept"), Unavailable),
        (Fault(hang="headers"), Unavailable),
        (Fault(hang=10), Unavailable),
        (Fault(drip=(1, 0.1)), Unavailable),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_failing_host_is_asked_again_later(
    git_server: GitServer,
    widget: Repository,
    connect: Callable[..., Client],
    fault: Fault,
    kind: type[SyncerError],
) -> None:
    """Each failure is a transient error, soon, and the next probe is well again."""
    client = connect(git_server, clock=RealClock(), connections=1)
    assert client.refs() == widget.refs()
    git_server.fault(POST, fault)
    began = monotonic()
    with pytest.raises(kind) as caught:
        client.refs()
    assert monotonic() - began < 5
    assert caught.value.exit_code == 5
    assert client.listed == []

    git_server.heal()
    if kind is not RateLimited:
        assert client.refs() == widget.refs()


def test_an_endless_answer_ends(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No upstream fills the memory, and git is not asked to do it either."""
    monkeypatch.setattr(channel, "LARGEST", 1 << 20)
    client.server.fault(POST, Fault(endless=b"x" * 4096))
    with pytest.raises(PermanentError, match="more than 1 MiB"):
        client.refs()
    assert client.listed == []


def test_errors_give_connections_back(client: Client, widget: Repository) -> None:
    """One connection is enough, however often something goes wrong on it."""
    client.host = host(
        HOST, git=client.server.url, private=True, connections=1, probes=1e6
    )
    for fault in (status(404), html_page(), status(500), Fault(truncate=9)) * 3:
        client.server.fault(POST, fault, times=1)
        with pytest.raises(SyncerError):
            client.session.channel(client.host).ask(
                "POST",
                "/acme/widget.git/git-upload-pack",
                what=NAME,
                expect="x/y",
                headers={},
            )
    assert client.refs() == widget.refs()


def test_connections_are_shared_and_bounded(
    git_server: GitServer, widget: Repository, connect: Callable[..., Client]
) -> None:
    """Many threads use no more connections than the host's entry allows."""
    client = connect(git_server, connections=2)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: client.refs(), range(24)))
    assert all(refs == widget.refs() for refs in found)
    assert len({request.connection for request in git_server.requests}) <= 2


def test_a_stop_ends_a_wait_for_the_budget(
    git_server: GitServer, widget: Repository, connect: Callable[..., Client]
) -> None:
    """A probe that waits for its turn leaves at once."""
    stop = Event()
    client = connect(git_server, stop=stop, probes=0.01)
    assert client.refs() == widget.refs()
    stop.set()
    with pytest.raises(Interrupted):
        client.refs()


def test_a_changed_entry_is_obeyed_and_spent_tokens_stay_spent(
    git_server: GitServer, widget: Repository, connect: Callable[..., Client]
) -> None:
    """A reloaded configuration brings another token, not another burst."""
    git_server.require_token = SECRET
    client = connect(git_server)
    with pytest.raises(AccessDenied):
        client.refs()
    before = client.session.channel(client.host)

    settings = {"git": git_server.url, "private": True, "probes": 1e6}
    client.host = host(HOST, token=SECRET, **settings)
    assert client.refs() == widget.refs()

    after = client.session.channel(client.host)
    assert after is not before
    assert after.budget is before.budget
    assert client.session.channel(host(HOST, token=SECRET, **settings)) is after
