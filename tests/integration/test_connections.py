"""Connections: kept warm, pinned, proven by certificates, led through proxies."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from pathlib import Path
from threading import Thread
from traceback import format_exception
from typing import TYPE_CHECKING, Self

import pytest

from syncer import trust
from syncer.errors import (
    ConfigError,
    EgressRefused,
    SyncerError,
    Unavailable,
)
from syncer.upstream.egress import Egress
from syncer.upstream.session import Session
from tests.fakes import FakeClock
from tests.fakes_forge import host
from tests.servers.replay import ReplayServer, advertisement, listing, synthetic
from tests.servers.repositories import git
from tests.upstream_client import HOST, SECRET, clients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.git_http import GitServer
    from tests.servers.repositories import Repository
    from tests.upstream_client import Client


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Yield what makes clients."""
    with clients() as make:
        yield make


@pytest.fixture
def widget(upstream: Callable[[str], Repository]) -> Repository:
    """Return a repository with one commit on `main`."""
    return upstream("acme/widget")


class Wire:
    """A server of raw connections: `handle` is called with each of them."""

    def __init__(self, handle: Callable[[socket.socket], None]) -> None:
        self._handle = handle
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self._thread = Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # An `accept` that waits does not see its socket closed.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._handle(connection)


def received(connection: socket.socket) -> bytes:
    """Return one request whole, nothing when the client has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length is not None and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(request: bytes) -> bytes:
    """Return what a server of one list of refs says."""
    first = request.startswith(b"GET ")
    body = advertisement() if first else listing(synthetic(3))
    kind = "advertisement" if first else "result"
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize(("served", "needed"), [(1, 4), (2, 2), (9, 1)])
def test_a_connection_that_was_closed_meanwhile_is_no_error(
    connect: Callable[..., Client], served: int, needed: int
) -> None:
    """A server that hangs up just as it is asked again is asked on a new one."""

    def handle(connection: socket.socket) -> None:
        for _ in range(served):
            connection.sendall(answer(received(connection)))
        received(connection)

    with Wire(handle) as server:
        client = connect(server)
        for _ in range(3):
            assert len(client.refs()) == 3
        client.session.close()
        assert server.connections == needed
        assert client.listed == []


def test_a_server_that_always_hangs_up_is_asked_twice(
    connect: Callable[..., Client],
) -> None:
    """A second attempt is for a connection that was idle, not for an ill host."""

    def handle(connection: socket.socket) -> None:
        received(connection)

    with Wire(handle) as server:
        with pytest.raises(Unavailable):
            connect(server).refs()
        assert server.connections == 2


def test_the_next_address_is_tried(
    git_server: GitServer, widget: Repository, connect: Callable[..., Client]
) -> None:
    """An address that takes no connection gives way, and stays behind afterwards."""
    port = git_server.port
    client = connect(
        git_server,
        git=f"http://{HOST}:{port}",
        resolver=lambda *_: ["127.0.0.2", "127.0.0.1"],
    )
    assert client.refs() == widget.refs()
    assert {r.headers["host"] for r in git_server.requests} == {f"{HOST}:{port}"}


def test_nobody_answers(git_server: GitServer, connect: Callable[..., Client]) -> None:
    """A host that refuses connections on all addresses is unavailable, in words."""
    client = connect(
        git_server,
        git=f"http://{HOST}:{git_server.port}",
        resolver=lambda *_: ["127.0.0.2", "127.0.0.3"],
    )
    with pytest.raises(Unavailable, match="refused") as caught:
        client.refs()
    assert "0x" not in str(caught.value)


def test_the_checked_address_is_connected_to(
    git_server: GitServer, connect: Callable[..., Client]
) -> None:
    """A forbidden address gets no packet: the policy stands before the socket."""
    client = connect(git_server, private=False)
    with pytest.raises(EgressRefused):
        client.refs()
    assert git_server.requests == []


def test_certificates_are_checked(
    tls_git_server: GitServer, connect: Callable[..., Client]
) -> None:
    """The pinned address must prove the name; a strange authority proves nothing."""
    port = tls_git_server.port
    repository = tls_git_server.repository("acme/widget")
    repository.commit()
    named = {"resolver": lambda *_: ["127.0.0.1"]}

    good = connect(tls_git_server, git=f"https://localhost:{port}", **named)
    assert good.refs() == repository.refs()
    tls_git_server.forget()

    wrong = connect(tls_git_server, git=f"https://{HOST}:{port}", **named)
    with pytest.raises(Unavailable, match="Hostname mismatch"):
        wrong.refs()
    strange = connect(tls_git_server, ca=None)
    with pytest.raises(Unavailable, match="certificate verify failed") as caught:
        strange.refs()
    assert "`ca`" in str(caught.value.hint)
    assert tls_git_server.requests == []


def test_an_authority_that_cannot_be_read_is_told(
    tls_git_server: GitServer, connect: Callable[..., Client], tmp_path: Path
) -> None:
    """The file is named; nothing is asked without it."""
    client = connect(tls_git_server, ca=tmp_path / "corp.pem")
    with pytest.raises(ConfigError, match=r"corp\.pem"):
        client.refs()


def test_the_systems_authorities_are_found_elsewhere_too(
    tls_git_server: GitServer,
    connect: Callable[..., Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Python that was built for another system finds this one's certificates."""
    repository = tls_git_server.repository("acme/widget")
    repository.commit()
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "/nonexistent")
    bundles = (Path("/nonexistent"), tls_git_server.ca_pem)
    monkeypatch.setattr(trust, "_BUNDLES", bundles)

    assert connect(tls_git_server, ca=None).refs() == repository.refs()


def piped(source: socket.socket, sink: socket.socket) -> None:
    """Copy bytes until one side ends."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_a_proxy_is_told_where_and_no_more(
    tls_git_server: GitServer, connect: Callable[..., Client]
) -> None:
    """The tunnel's end proves the name; the proxy sees its own password alone."""
    told: list[bytes] = []
    port = tls_git_server.port
    repository = tls_git_server.repository("acme/widget")
    repository.commit()
    tls_git_server.require_token = SECRET

    def tunnel(connection: socket.socket) -> None:
        told.append(received(connection))
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as inner:
            back = Thread(target=piped, args=(inner, connection), daemon=True)
            back.start()
            piped(connection, inner)
            back.join()

    with Wire(tunnel) as proxy:
        address = proxy.url.replace("//", "//ada:pr0xy@")
        client = connect(tls_git_server, proxy=address)
        client.host = host(
            HOST,
            token=SECRET,
            git=f"https://localhost:{port}",
            private=True,
            ca=tls_git_server.ca_pem,
        )
        assert client.refs() == repository.refs()
        client.session.close()
    assert told[0].startswith(b"CONNECT localhost:%d " % port)
    assert b"Proxy-Authorization: Basic" in told[0].title().replace(b"basic", b"Basic")
    assert b"\r\nauthorization:" not in told[0].lower()
    assert all("proxy-authorization" not in r.headers for r in tls_git_server.requests)


def test_a_proxy_is_asked_for_plain_addresses_whole(
    connect: Callable[..., Client],
) -> None:
    """For `http:` upstreams the proxy is given the absolute address."""
    told: list[bytes] = []

    def forward(connection: socket.socket) -> None:
        while request := received(connection):
            told.append(request)
            connection.sendall(answer(request))

    with Wire(forward) as proxy:
        client = connect(proxy, git=f"http://{HOST}", proxy=proxy.url)
        assert len(client.refs()) == 3
        client.session.close()
    assert told[0].startswith(b"GET http://upstream.test/acme/widget.git/info/refs?")
    assert b"\r\nHost: upstream.test\r\n" in told[0]


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", b""]
)
def test_a_proxy_that_refuses_is_told_without_its_password(
    tls_git_server: GitServer, connect: Callable[..., Client], reply: bytes
) -> None:
    """Its answer is an error that may pass, and shows no secret."""

    def refuse(connection: socket.socket) -> None:
        received(connection)
        connection.sendall(reply)

    with Wire(refuse) as proxy:
        address = proxy.url.replace("//", "//ada:pr0xy@")
        client = connect(tls_git_server, proxy=address)
        with pytest.raises(SyncerError) as caught:
            client.refs()
        client.session.close()
    assert "pr0xy" not in "".join(format_exception(caught.value))


@pytest.mark.parametrize("address", ["proxy", "ftp://proxy", "http://", "http://p:x"])
def test_what_is_no_proxy_is_refused(address: str) -> None:
    """A bad address is an error of the configuration, and not repeated."""
    clock = FakeClock()
    with pytest.raises(ConfigError, match="is not an address like"):
        Session(Egress(clock, proxied=True), clock=clock, proxy=address)


def test_the_replaying_server_is_real_enough(connect: Callable[..., Client]) -> None:
    """What benchmarks measure with, stock git takes for an upstream."""
    with ReplayServer(synthetic(50)) as server:
        client = connect(server)
        ca = f"http.sslCAInfo={server.ca_pem}"
        url = f"{server.url}/acme/widget.git"
        said = git("-c", ca, "ls-remote", "--symref", url).decode()
        assert client.refs() == {
            name: oid
            for oid, _, name in (line.partition("\t") for line in said.splitlines())
            if name.startswith("refs/") and not name.endswith("^{}")
        }
        assert said.startswith("ref: refs/heads/main\tHEAD\n")
