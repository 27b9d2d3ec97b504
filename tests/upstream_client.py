"""A forge for one real server, and everything it stands on."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from syncer.model.content import DEFAULT_SCOPE
from syncer.model.names import RepoName
from syncer.upstream.egress import Egress
from syncer.upstream.refs import HttpForge
from syncer.upstream.session import Session
from tests.fakes import FakeClock
from tests.fakes_forge import Capabilities, host
from tests.servers.repositories import git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

    from syncer.ports import Clock
    from tests.servers.git_http import GitServer

HOST = "upstream.test"
NAME = RepoName(HOST, "acme", "widget")
SECRET = "ghp_s3cret"  # noqa: S105 - no token of anybody


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()


class Client:
    """A forge for one server, and everything it stands on."""

    def __init__(  # noqa: PLR0913 - what a test may want otherwise
        self,
        server: GitServer,
        *,
        clock: Clock | None = None,
        resolver: Callable[[str, int], list[str]] | None = None,
        capabilities: Capabilities | None = None,
        stop: Event | None = None,
        proxy: str | None = None,
        **settings: Any,  # noqa: ANN401 - any key of `[host."NAME"]`
    ) -> None:
        clock = FakeClock() if clock is None else clock
        defaults: dict[str, Any] = {"git": server.url, "private": True, "probes": 1e6}
        if server.url.startswith("https"):
            defaults["ca"] = server.ca_pem
        self.host = host(HOST, **(defaults | settings))
        proxied = proxy is not None
        egress = Egress(clock, proxied=proxied)
        if resolver is not None:
            egress = Egress(clock, resolver=resolver, proxied=proxied)
        self.session = Session(egress, clock=clock, stop=stop, proxy=proxy)
        self.server = server
        self.listed: list[RepoName] = []
        self.capabilities = Capabilities() if capabilities is None else capabilities
        self.forge = HttpForge(
            lambda _: self.host,
            self.session,
            ls_remote=self._ls_remote,
            capabilities=self.capabilities,
            clock=clock,
        )

    def _ls_remote(self, name: RepoName) -> bytes:
        self.listed.append(name)
        path = self.server.path(f"{name.owner}/{name.name}")
        return git("ls-remote", "--symref", path)

    def refs(self) -> dict[str, str]:
        """Return what a probe finds, by name."""
        snapshot = self.forge.probe(NAME, DEFAULT_SCOPE).read()
        return {name: ref.oid for name, ref in snapshot.refs.items()}

    def asked(self) -> list[str]:
        """Return the requests since the last look, without their paths."""
        lines = [
            f"{request.method} {request.command}".strip()
            for request in self.server.requests
        ]
        self.server.forget()
        return lines


@contextmanager
def clients() -> Iterator[Callable[..., Client]]:
    """Yield what makes clients; they are closed afterwards."""
    made: list[Client] = []

    def make(server: GitServer, **named: Any) -> Client:  # noqa: ANN401 - passed on
        made.append(Client(server, **named))
        return made[-1]

    yield make
    for client in made:
        client.session.close()
