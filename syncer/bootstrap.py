"""The composition root: a `Config` becomes a wired `App`.

The only module below the faces that knows every concrete class.
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import join
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from syncer import __version__
from syncer.catalog.database import check_schema, connect
from syncer.catalog.sql import SqlCatalog
from syncer.credentials import Redactor
from syncer.git import version
from syncer.git.bare import BareStore
from syncer.git.command import GitCommand
from syncer.git.remote import Remote, ls_remote
from syncer.git.repository import Limits
from syncer.sync.pipeline import Pipeline
from syncer.sync.probes import ProbeBuffer
from syncer.sync.world import World
from syncer.upstream.egress import PORTS, Egress
from syncer.upstream.refs import HttpForge
from syncer.upstream.session import Session
from syncer.workers.local import Bounds, LocalWorkers

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from syncer.config import Config, Host
    from syncer.model.names import RepoName
    from syncer.model.runs import Progress, RepoState, SyncRun
    from syncer.upstream.egress import Target

__all__ = ["App", "SystemClock", "build"]


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


@dataclass
class App:
    """Everything wired, for one configuration."""

    config: Config
    catalog: SqlCatalog
    store: BareStore
    forge: HttpForge
    pipeline: Pipeline
    probes: ProbeBuffer
    clock: SystemClock
    git: GitCommand
    #: Set it to end every git process and wait nowhere; runs then fail softly.
    stop: threading.Event

    def workers(
        self,
        *,
        on_end: Callable[[SyncRun], None],
        on_progress: Callable[[RepoState, Progress], None] | None = None,
        lock_wait: timedelta | None = None,
        ahead: int = 0,
    ) -> LocalWorkers:
        """Return workers within the configured limits; close them.

        With `ahead` there is a thread for each mirror in hand, for who hands out
        so many times a host's connections: one that hangs holds up no other.
        """
        hosts = {repo.name.host for repo in self.config.repo}
        connections = [self.config.target_host(h).connections for h in hosts]
        bounds = Bounds(
            probes=max([1, *connections, ahead * sum(connections)]),
            runs=self.config.syncer.workers,
            runs_of=lambda host: self.config.target_host(host).fetches,
            lock_wait=lock_wait,
        )
        return LocalWorkers(
            self.pipeline, bounds, on_end=on_end, on_progress=on_progress
        )

    def actor(self) -> str:
        """Return who acts, for the audit trail."""
        return f"cli@{socket.gethostname()}"

    def reconcile(self) -> None:
        """Make the catalog's active mirrors those of the configuration."""
        wanted = [(repo.name, repo.tier) for repo in self.config.repo]
        self.catalog.reconcile(wanted, self.clock.now())

    def close(self) -> None:
        """Store what waits and give back connections."""
        try:
            self.probes.flush()
        finally:
            self.catalog.close()


def build(config: Config, *, stop: threading.Event | None = None) -> App:
    """Wire everything for a configuration.

    Raises:
        NotInitialised, SchemaOutdated: the catalog is not ready.
    """
    stop = stop or threading.Event()
    clock = SystemClock()
    engine = connect(config.catalog_url)
    check_schema(engine)
    catalog = SqlCatalog(engine)
    git = GitCommand(
        config.syncer.git,
        max_file=config.syncer.max_file,
        stop=stop,
        first=version.check,
    )
    proxy = config.syncer.proxy
    egress = Egress(clock, proxied=proxy is not None)
    remotes = _Remotes(config, egress)
    store = BareStore(
        config.data / "git",
        git,
        remotes.remote,
        Limits(deadline=config.syncer.deadline, grace=config.syncer.grace),
        min_free=config.syncer.min_free,
    )
    forge = HttpForge(
        config.target_host,
        Session(egress, clock=clock, stop=stop, proxy=proxy),
        ls_remote=lambda name: ls_remote(git, remotes.remote(name)),
        capabilities=catalog,
        clock=clock,
    )
    probes = ProbeBuffer(catalog)
    clean = Redactor(config.secrets()).clean
    scopes = {repo.name.identity: repo.refs for repo in config.repo}
    pipeline = Pipeline(World(forge, store, catalog, clock, probes, clean, scopes))
    return App(config, catalog, store, forge, pipeline, probes, clock, git, stop)


class _Remotes:
    """How git reaches each repository: pinned address, scoped header, own CA."""

    def __init__(self, config: Config, egress: Egress) -> None:
        self._config = config
        self._egress = egress

    def remote(self, name: RepoName) -> Remote:
        host = self._config.target_host(name.host)
        if host.protocol == "ssh":
            target = self._egress.target(host)
            return Remote(host.url(name), env=_ssh(host, target))
        parts = urlsplit(host.base)
        origin = f"{parts.scheme}://{parts.netloc}/"
        pairs = [("http.userAgent", f"syncer/{__version__}")]
        token = host.authorization()
        if token is not None:
            pairs.append(
                (f"http.{origin}.extraHeader", f"Authorization: {token.reveal()}")
            )
        if host.ca is not None:
            pairs.append((f"http.{origin}.sslCAInfo", str(host.ca)))
        if self._config.syncer.proxy is not None:
            pairs.append(("http.proxy", self._config.syncer.proxy))
        pinned = self._egress.target(host).curlopt_resolve
        if pinned is not None:
            pairs.append(("http.curloptResolve", pinned))
        return Remote(host.url(name), config=tuple(pairs))


def _ssh(host: Host, target: Target) -> tuple[tuple[str, str], ...]:
    """Return how git calls ssh: nobody's configuration, the address we checked."""
    port = "" if target.port == PORTS["ssh"] else f":{target.port}"
    alias = f"[{target.host}]{port}" if port else target.host
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "15",
        "UserKnownHostsFile": str(host.known_hosts),
        "HostKeyAlias": alias,
    }
    if target.address is not None:
        options["HostName"] = target.address
    words = ["ssh", "-F", "/dev/null", "-i", str(host.ssh_key)]
    words += [part for k, v in options.items() for part in ("-o", f"{k}={v}")]
    return (("GIT_SSH_COMMAND", join(words)),)
