"""Several mirrors that share a blob store, and processes that work on them.

Git, upstream, store and time are in memory; catalog and index are given.  Each
port call of a process can be met: by a look, by other work, by its death.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import event

from syncer.catalog import database
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.sql import SqlCatalog
from syncer.limits import Pace, Room
from syncer.model.blobs import digest_of
from syncer.model.lfs import LfsState
from syncer.model.names import RepoName
from syncer.model.runs import AuditEvent, Trigger
from syncer.sync.pipeline import Pipeline
from syncer.sync.sweep import BlobSweeper
from syncer.sync.transfer import TransferLimits, Transfers
from syncer.sync.verify import Verifier
from syncer.sync.world import World
from tests.fakes import FakeClock, FakeProbeLog
from tests.fakes_blobs import Disk, FakeBlobStore, FakeLfsSource, digest_for
from tests.fakes_catalog import FakeCatalog
from tests.fakes_forge import FakeForge
from tests.fakes_git import FakeGitStore, FakeUpstream
from tests.fakes_index import FakeBlobIndex
from tests.transfers import SleeplessStop
from tests.unasked import Unasked, unasked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from syncer.model.blobs import Blob
    from syncer.model.care import Depth, Swept, VerifyReport
    from syncer.model.lfs import LfsObject, LfsPointer
    from syncer.model.mirrors import RepoState
    from syncer.model.runs import SyncRun
    from syncer.ports import BlobIndex, BlobStore, Catalog, ProgressSink

ONE, TWO, THREE = NAMES = tuple(
    RepoName("upstream.test", "acme", name) for name in ("one", "two", "three")
)
GRACE = timedelta(minutes=10)
STALE = timedelta(hours=1)
_ROOM = 1 << 20


class Killed(BaseException):
    """The process ends here, and nothing after it happens."""


def nothing(_process: Process, _call: str) -> None:
    """Meet a port call with nothing."""


class Process:
    """Whose port calls these are; `meet` is called before each, with its name."""

    def __init__(self, meet: Callable[[Process, str], None] = nothing) -> None:
        self._meet = meet
        self.dead = False

    def call(self, what: str) -> None:
        """Let a port call be met; a dead process makes none."""
        if not self.dead:
            self._meet(self, what)
        if self.dead:
            raise Killed


class _Met:
    """Stands before a port, and lets its calls be met."""

    def __init__(self, target: object, process: Process) -> None:
        self._target = target
        self._process = process

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        found = getattr(self._target, name)

        def call(*args: object, **named: object) -> object:
            self._process.call(name)
            return found(*args, **named)

        return call


class _MetStore(FakeBlobStore):
    """The blob store as one process sees it."""

    def __init__(self, disk: Disk, clock: FakeClock, process: Process) -> None:
        super().__init__(disk, clock)
        self._process = process

    def _called(self, method: str, digest: str = "") -> None:
        self._process.call(f"{method} {digest}".strip())
        super()._called(method, digest)


class Works(NamedTuple):
    """What a process is made of."""

    world: World
    pipeline: Pipeline
    sweeper: BlobSweeper
    verifier: Verifier


def in_memory() -> tuple[Catalog, BlobIndex]:
    """Return a catalog and its index without a database."""
    catalog = FakeCatalog()
    return catalog, FakeBlobIndex(catalog)


@contextmanager
def on_sqlite(migrated: Path) -> Iterator[Callable[[], tuple[Catalog, BlobIndex]]]:
    """Yield what makes a catalog and its index in a file of their own."""
    with ExitStack() as stack:
        place = stack.enter_context(TemporaryDirectory(dir=migrated.parent))
        shutil.copy(migrated, place)
        engine = database.connect(f"sqlite:///{place}/{migrated.name}")
        event.listen(engine, "connect", _hurry)
        catalog = SqlCatalog(engine)
        stack.callback(catalog.close)
        yield lambda: (catalog, SqlBlobIndex(engine))


def _hurry(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection has no common type
    # Nothing here loses power, and each commit would wait for the disk.
    connection.execute("PRAGMA synchronous = OFF")


@dataclass
class Fleet:
    """Mirrors, what is upstream of them, and where their blobs lie."""

    make: Callable[[], tuple[Catalog, BlobIndex]] = in_memory
    clock: FakeClock = field(default_factory=FakeClock)
    disk: Disk = field(default_factory=Disk)
    #: Where blobs lie, if not on `disk`.
    real: BlobStore | None = None
    stop: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.catalog, self.index = self.make()
        self.upstreams = {name.identity: FakeUpstream() for name in NAMES}
        self.store = FakeGitStore(self.upstreams, GRACE)
        self.forge = FakeForge(self.clock)
        self.source = FakeLfsSource(clock=self.clock)
        self.source.block = 4
        self.probes = FakeProbeLog()
        for upstream in self.upstreams.values():
            upstream.commit()
        self.configure()

    def configure(self, *without: RepoName) -> None:
        """Mirror all repositories but some."""
        wanted = [(name, "normal") for name in NAMES if name not in without]
        self.catalog.reconcile(wanted, self.clock.now())

    def asked(self) -> Unasked:
        """Return what is asked about releases: nobody."""
        return unasked(self.clock)

    def upstream(self, name: RepoName) -> FakeUpstream:
        """Return what a mirror is of."""
        return self.upstreams[name.identity]

    def state(self, name: RepoName) -> RepoState:
        """Return what the catalog knows of a mirror."""
        return self.catalog.state(name)

    def push(self, name: RepoName, *bodies: bytes) -> list[LfsPointer]:
        """Commit LFS objects upstream."""
        pointers = [self.source.add(body) for body in bodies]
        self.upstream(name).track(*pointers)
        return pointers

    @contextmanager
    def process(self, process: Process | None = None) -> Iterator[Works]:
        """Begin a process, with an engine and threads of its own."""
        process = process or Process()
        blobs: Any = _MetStore(self.disk, self.clock, process)
        if self.real is not None:
            blobs = _Met(self.real, process)
        index: Any = _Met(self.index, process)
        source: Any = _Met(self.source, process)
        catalog: Any = _Met(self.catalog, process)
        stop = SleeplessStop(self.clock)
        pace = Pace(None, self.clock.monotonic, stop.wait)
        limits = TransferLimits(2, Room(_ROOM, stop), pace, lambda _host: 2)
        engine = Transfers(blobs, index, self.clock, stop, limits)
        world = World(
            self.forge,
            self.store,
            catalog,
            self.clock,
            self.probes,
            str,
            {},
            blobs,
            index,
            source,
            engine,
            *self.asked(),
        )
        pipeline = Pipeline(world)
        sweeper = BlobSweeper(
            world, pipeline.recover, self.stop, grace=GRACE, stale=STALE
        )
        with closing(engine):
            yield Works(world, pipeline, sweeper, Verifier(world, self.stop))

    def sync(self, name: RepoName, process: Process | None = None) -> SyncRun:
        """Probe upstream as it is, and run what follows."""
        self.forge.publish(name, self.upstream(name).snapshot())
        with self.process(process) as works:
            visit = works.pipeline.probe(self.state(name), Trigger.SCHEDULE)
            return works.pipeline.sync(visit, Trigger.SCHEDULE)

    def sweep(
        self,
        process: Process | None = None,
        *,
        dry_run: bool = False,
        orphans: bool = False,
    ) -> Swept:
        """Sweep the blob store once."""
        with self.process(process) as works:
            return works.sweeper.sweep(dry_run=dry_run, orphans=orphans)

    def verify(
        self,
        name: RepoName,
        depth: Depth,
        *,
        repair: bool = False,
        process: Process | None = None,
        progress: ProgressSink | None = None,
    ) -> VerifyReport:
        """Verify one mirror."""
        with self.process(process) as works:
            state = self.state(name)
            return works.verifier.verify(state, depth, repair=repair, progress=progress)

    def purge(self, name: RepoName) -> None:
        """Remove a mirror with all that is its own, then mirror it anew."""
        self.store.discard(self.state(name).path)
        self.configure(name)
        event = AuditEvent(self.clock.now(), "tester", "purge", str(name))
        self.catalog.purge(name, event)
        self.configure()

    def objects(self, name: RepoName) -> dict[str, LfsObject]:
        """Return what is recorded of a mirror's objects."""
        return {o.pointer.oid: o for o in self.index.objects(self.state(name).id)}

    def stored(self) -> set[str]:
        """Return the digests of the blobs that are there, and right."""
        found = {digest_of(key): body for key, body in self.disk.bodies.copy().items()}
        return {d for d, body in found.items() if d and digest_for(body) == d}

    def blobs(self) -> list[Blob]:
        """Return what lies in the store, right or wrong."""
        return list(FakeBlobStore(self.disk).blobs())

    def needed(self) -> set[str]:
        """Return the digests of all objects that are said to be here."""
        return {
            oid
            for name in NAMES
            for oid, each in self.objects(name).items()
            if each.state is LfsState.PRESENT
        }

    def published(self, name: RepoName) -> set[str]:
        """Return the oids of all pointers that a mirror's repository holds."""
        state = self.state(name)
        if self.store.stamp(state.path) is None:
            return set()
        with self.store.lease(state.path) as repository:
            shown = repository.published()
            things = self.upstream(name).closure(r.oid for r in shown.refs.values())
        return {p.oid for thing in things.values() for p in thing.pointers}
