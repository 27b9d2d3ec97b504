"""An LFS source for one real server, and everything it stands on."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any

from syncer.model.lfs import Grant
from syncer.model.names import RepoName
from syncer.upstream.egress import Egress
from syncer.upstream.lfs import HttpLfs
from syncer.upstream.session import Session
from tests.fakes import FakeClock
from tests.fakes_forge import host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syncer.endpoints import Host
    from syncer.model.lfs import BatchReply, LfsPointer
    from syncer.ports import Clock
    from tests.servers.git_http import GitServer
    from tests.servers.http_faults import Request

HOST = "upstream.test"
OWNED = "acme/widget"
NAME = RepoName(HOST, "acme", "widget")


class LfsClient:
    """Asks one server, as the host `upstream.test`; further hosts are `others`."""

    def __init__(
        self,
        server: GitServer,
        *,
        clock: Clock | None = None,
        others: dict[str, Host] | None = None,
        **settings: Any,  # noqa: ANN401 - any key of `[host."NAME"]`
    ) -> None:
        clock = FakeClock() if clock is None else clock
        defaults: dict[str, Any] = {"git": server.url, "private": True}
        if server.url.startswith("https"):
            defaults["ca"] = server.ca_pem
        hosts = {HOST: host(HOST, **(defaults | settings))} | (others or {})
        server.repository(OWNED)
        self.server = server
        self.stop = Event()
        self.session = Session(Egress(clock), clock=clock, stop=self.stop)
        self.source = HttpLfs(
            lambda name: hosts.get(name) or host(name),
            self.session,
            configured=frozenset(hosts),
            clock=clock,
            stop=self.stop,
        )

    def batch(self, *wanted: LfsPointer, lfsconfig: str | None = None) -> BatchReply:
        """Ask for objects, where the repository says."""
        endpoint = self.source.endpoint(NAME, lfsconfig)
        return self.source.batch(NAME, endpoint, wanted)

    def grant(self, pointer: LfsPointer, lfsconfig: str | None = None) -> Grant:
        """Ask for one object that upstream gives."""
        (answer,) = self.batch(pointer, lfsconfig=lfsconfig)
        assert isinstance(answer, Grant)
        return answer

    def read(self, grant: Grant, offset: int = 0) -> bytes:
        """Download to the end."""
        with self.source.open(NAME, grant, offset) as blocks:
            return b"".join(blocks)

    def get(self, pointer: LfsPointer) -> bytes:
        """Ask for an object and download it."""
        return self.read(self.grant(pointer))

    def asked(self, *servers: GitServer) -> list[Request]:
        """Return the requests since the last look."""
        found = []
        for server in servers or (self.server,):
            found += server.requests
            server.forget()
        return found


@contextmanager
def lfs_clients() -> Iterator[Callable[..., LfsClient]]:
    """Yield what makes clients; they are closed afterwards."""
    made: list[LfsClient] = []

    def make(server: GitServer, **named: Any) -> LfsClient:  # noqa: ANN401 - passed on
        made.append(LfsClient(server, **named))
        return made[-1]

    yield make
    for client in made:
        client.source.close()
        client.session.close()
