"""The composition root: a `Config` becomes a wired `App`.

The only module below the faces that knows every concrete class.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from syncer.catalog.database import check_schema, connect
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.operations import SqlOperations
from syncer.catalog.release_index import SqlReleaseIndex
from syncer.catalog.sql import SqlCatalog
from syncer.credentials import Redactor
from syncer.git import version
from syncer.git.bare import BareStore
from syncer.git.command import GitCommand
from syncer.git.remote import ls_remote
from syncer.git.repository import Limits
from syncer.remotes import Remotes
from syncer.store.s3 import S3Store
from syncer.sync.cadence import Cadence
from syncer.sync.discovery import Discoverer
from syncer.sync.hints import HintSweep
from syncer.sync.pipeline import Pipeline
from syncer.sync.probes import ProbeBuffer
from syncer.sync.sweep import BlobSweeper
from syncer.sync.transfer import Transfers
from syncer.sync.verify import Verifier
from syncer.sync.world import DEFAULT_SELECTION, World
from syncer.upstream.egress import Egress
from syncer.upstream.github import GitHubApi
from syncer.upstream.lfs import HttpLfs
from syncer.upstream.refs import HttpForge
from syncer.upstream.session import Session
from syncer.wiring import blob_store, selected, transfer_limits
from syncer.workers.local import Bounds, LocalWorkers

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from syncer.config import Config
    from syncer.credentials import Secret
    from syncer.model.mirrors import RepoState
    from syncer.model.runs import Progress, SyncRun

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
    world: World
    operations: SqlOperations
    #: Raises what is wrong with the catalog's tables.
    check_schema: Callable[[], None]
    #: What is closed at the end, the last first.
    _resources: ExitStack

    @property
    def verifier(self) -> Verifier:
        """What looks whether blobs are there and right."""
        return Verifier(self.world, self.stop)

    @property
    def hints(self) -> HintSweep:
        """What asks about many repositories at once."""
        return HintSweep(self.world)

    @property
    def discoverer(self) -> Discoverer:
        """What asks which repositories owners have."""
        return Discoverer(self.world)

    @property
    def sweeper(self) -> BlobSweeper:
        """What removes blobs that nothing needs."""
        return BlobSweeper(
            self.world,
            self.pipeline.recover,
            self.stop,
            grace=self.config.syncer.grace,
            stale=self.config.syncer.stale,
        )

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
        """Make the catalog's active mirrors those of the configuration.

        Those that its owners were found to have are among them.
        """
        self.config = self.config.with_owned(self.world.releases)
        repos = self.config.repo
        wanted = [(repo.name, repo.tier) for repo in repos]
        homes = {repo.name.identity: repo.host for repo in repos if repo.host}
        self.catalog.reconcile(wanted, self.clock.now(), homes)

    def close(self) -> None:
        """Store what waits and give back threads and connections."""
        self._resources.close()


def build(config: Config, *, stop: threading.Event | None = None) -> App:
    """Wire everything for a configuration.

    Raises:
        NotInitialised, SchemaOutdated: the catalog is not ready.
    """
    stop = stop or threading.Event()
    clock = SystemClock()
    engine = connect(config.catalog_url)
    check_schema(engine)
    releases = SqlReleaseIndex(engine)
    config = config.with_owned(releases)
    catalog = SqlCatalog(engine, config.syncer.host)
    git = GitCommand(
        config.syncer.git,
        max_file=config.syncer.max_file,
        stop=stop,
        first=version.check,
    )
    proxy = config.syncer.proxy
    egress = Egress(clock, proxied=proxy is not None)
    redactor = Redactor(config.secrets())
    learn = partial(_learn, redactor)
    session = Session(egress, clock=clock, stop=stop, proxy=proxy, learn=learn)
    remotes = Remotes(config, egress, session.tokens.basic)
    store = BareStore(
        config.data / "git",
        git,
        remotes.remote,
        Limits(deadline=config.syncer.deadline, grace=config.syncer.grace),
        min_free=config.syncer.min_free,
    )
    forge = HttpForge(
        config.target_host,
        session,
        ls_remote=lambda name: ls_remote(git, remotes.remote(name)),
        capabilities=catalog,
        clock=clock,
    )
    probes = ProbeBuffer(catalog)
    index = SqlBlobIndex(engine)
    limits = transfer_limits(config, clock, stop)
    blobs = blob_store(config, index, clock, limits.room, stop)
    lfs = HttpLfs(
        config.target_host,
        session,
        clock=clock,
        stop=stop,
        configured=frozenset(config.host),
    )
    api = GitHubApi(config.target_host, session, clock=clock, stop=stop)
    selections = selected(config)
    cadence = Cadence(
        catalog,
        api,
        clock,
        config.tier,
        lambda name: selections.get(name.identity, DEFAULT_SELECTION),
        lambda host: config.target_host(host).api_reserve,
    )
    transfers = Transfers(blobs, index, clock, stop, limits)
    world = World(
        forge,
        store,
        catalog,
        clock,
        probes,
        redactor.clean,
        selections,
        blobs,
        index,
        lfs,
        transfers,
        api,
        releases,
        cadence.every,
    )
    resources = ExitStack()
    resources.callback(catalog.close)
    resources.callback(probes.flush)
    if isinstance(blobs, S3Store):
        resources.callback(blobs.close)
    resources.callback(lfs.close)
    resources.callback(api.close)
    resources.callback(transfers.close)
    pipeline = Pipeline(world)
    return App(
        config,
        catalog,
        store,
        forge,
        pipeline,
        probes,
        clock,
        git,
        stop,
        world,
        SqlOperations(engine),
        partial(check_schema, engine),
        resources,
    )


def _learn(redactor: Redactor, secret: Secret) -> None:
    """Have a token that was minted redacted everywhere."""
    from syncer import logs  # noqa: PLC0415 - only Apps mint; it takes long to load

    redactor.learn_brief(secret)
    logs.learn_brief(secret)
