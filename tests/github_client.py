"""The client of GitHub's API, for one server on loopback."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

from syncer.upstream.egress import Egress
from syncer.upstream.github import GitHubApi
from syncer.upstream.session import Session
from tests.fakes_forge import host

if TYPE_CHECKING:
    from syncer.endpoints import Host
    from syncer.ports import Clock
    from tests.servers.github import GitHubServer

HOST = "github.test"
SECRET = "ghp_s3cret"  # noqa: S105 - no token of anybody


class GitHubClient:
    """A `GitHubApi` for one server, and everything it stands on."""

    def __init__(
        self,
        server: GitHubServer,
        clock: Clock,
        *,
        token: str | None = None,
        **settings: Any,  # noqa: ANN401 - any key of `[host."NAME"]`
    ) -> None:
        self._settings: dict[str, Any] = {
            "git": server.url,
            "api": server.api,
            "private": True,
            "probes": 1e6,
            "downloads": (server.assets_host,),
        }
        if server.url.startswith("https"):
            self._settings["ca"] = server.ca_pem
        self._settings |= settings
        self._host = host(HOST, token=token, **self._settings)
        self._strange = host("elsewhere.test", git="https://elsewhere.test")
        self.session = Session(Egress(clock), clock=clock)
        self.api = GitHubApi(self._entry, self.session, clock=clock, stop=Event())

    def forget_token(self) -> None:
        """Ask without a token from now on."""
        self._host = host(HOST, **self._settings)

    def close(self) -> None:
        """End its downloads and close its connections."""
        self.api.close()
        self.session.close()

    def _entry(self, name: str) -> Host:
        return self._host if name == HOST else self._strange
