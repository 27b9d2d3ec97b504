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
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.catalog.database import check_schema, connect
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.sql import SqlCatalog
from syncer.credentials import Redactor
from syncer.git import version
from syncer.git.bare import BareStore
from syncer.git.command import GitCommand
from syncer.git.remote import ls_remote
from syncer.git.repository import Limits
from syncer.limits import Pace, Room, give_memory_back
from syncer.model.mirrors import Selection
from syncer.remotes import Remotes
from syncer.store.directory import DirectoryStore
from syncer.store.s3 import S3Store
from syncer.store.s3_address import S3Address
from syncer.sync.pipeline import Pipeline
from syncer.sync.probes import ProbeBuffer
from syncer.sync.sweep import BlobSweeper
from syncer.sync.transfer import TransferLimits, Transfers
from syncer.sync.verify import Verifier
from syncer.sync.world import World
from syncer.upstream.egress import Egress
from syncer.upstream.lfs import HttpLfs
from syncer.upstream.refs import HttpForge
from syncer.upstream.session import Session
from syncer.workers.local import Bounds, LocalWorkers

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from syncer.config import Config
    from syncer.model.mirrors import RepoState
    from syncer.model.runs import Progress, SyncRun
    from syncer.ports import UploadLog

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
    #: What is closed at the end, the last first.
    _resources: ExitStack

    @property
    def verifier(self) -> Verifier:
        """What looks whether blobs are there and right."""
        return Verifier(self.world, self.stop)

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
        """Make the catalog's active mirrors those of the configuration."""
        wanted = [(repo.name, repo.tier) for repo in self.config.repo]
        self.catalog.reconcile(wanted, self.clock.now())

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
    catalog = SqlCatalog(engine)
    git = GitCommand(
        config.syncer.git,
        max_file=config.syncer.max_file,
        stop=stop,
        first=version.check,
    )
    proxy = config.syncer.proxy
    egress = Egress(clock, proxied=proxy is not None)
    session = Session(egress, clock=clock, stop=stop, proxy=proxy)
    remotes = Remotes(config, egress)
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
    limits = _limits(config, clock, stop)
    blobs = _blob_store(config, index, clock, limits.room, stop)
    lfs = HttpLfs(
        config.target_host,
        session,
        clock=clock,
        stop=stop,
        configured=frozenset(config.host),
    )
    transfers = Transfers(blobs, index, lfs, clock, stop, limits)
    world = World(
        forge,
        store,
        catalog,
        clock,
        probes,
        Redactor(config.secrets()).clean,
        _selections(config),
        blobs,
        index,
        lfs,
        transfers,
    )
    resources = ExitStack()
    resources.callback(catalog.close)
    resources.callback(probes.flush)
    if isinstance(blobs, S3Store):
        resources.callback(blobs.close)
    resources.callback(lfs.close)
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
        resources,
    )


def _selections(config: Config) -> dict[str, Selection]:
    """Return what to mirror of each repository, by identity."""
    return {
        repo.name.identity: Selection(
            repo.refs, lfs=repo.lfs, hold_missing=repo.lfs_missing == "hold"
        )
        for repo in config.repo
    }


def _limits(
    config: Config, clock: SystemClock, stop: threading.Event
) -> TransferLimits:
    syncer = config.syncer
    give_memory_back()
    return TransferLimits(
        workers=syncer.transfers,
        room=Room(syncer.in_flight, stop),
        pace=Pace(syncer.bandwidth, clock.monotonic, stop.wait),
        lanes=lambda host: config.target_host(host).transfers,
    )


def _blob_store(
    config: Config,
    uploads: UploadLog,
    clock: SystemClock,
    room: Room,
    stop: threading.Event,
) -> DirectoryStore | S3Store:
    """Return the store that `[syncer] blobs` names; S3 is not contacted yet."""
    place = config.blobs_place
    if isinstance(place, Path):
        # Parts become blobs by a rename, so both are on one file system.
        embedded = place.is_relative_to(config.data)
        incoming = config.data / "incoming" if embedded else place / ".incoming"
        floor = config.syncer.min_free
        return DirectoryStore(place, incoming, min_free=floor, stop=stop)
    s3 = config.syncer.s3
    address = S3Address(
        place.bucket,
        place.prefix,
        endpoint=s3.endpoint,
        region=s3.region,
        ca=s3.ca,
        keys=s3.keys,
        public_endpoint=s3.public_endpoint,
    )
    return S3Store(address, uploads=uploads, clock=clock, room=room, stop=stop)
