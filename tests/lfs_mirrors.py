"""Mirrors of which nothing is real but the pipeline and its transfer engine.

Every call to a port is written down, and any of them may be the process's last.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from syncer.limits import Pace, Room
from syncer.model.lfs import LfsState
from syncer.model.mirrors import Selection
from syncer.model.names import RepoName
from syncer.model.runs import AuditEvent, Outcome, Trigger
from syncer.sync.pipeline import Pipeline
from syncer.sync.transfer import TransferLimits, Transfers
from syncer.sync.world import World
from tests.fakes import FakeClock, FakeProbeLog
from tests.fakes_blobs import FakeBlobStore, FakeLfsSource, digest_for
from tests.fakes_catalog import FakeCatalog
from tests.fakes_forge import FakeForge
from tests.fakes_git import FakeGitStore, FakeUpstream
from tests.fakes_index import FakeBlobIndex
from tests.transfers import SleeplessStop
from tests.unasked import unasked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syncer.errors import SyncerError
    from syncer.model.content import RefSnapshot
    from syncer.model.lfs import LfsObject, LfsPointer
    from syncer.model.mirrors import RepoState
    from syncer.model.runs import SyncRun

NAME = RepoName("upstream.test", "acme", "widget")
OTHER = RepoName("upstream.test", "acme", "gadget")
MINUTE = timedelta(minutes=1)


class Killed(BaseException):
    """The process ends here, and nothing after it happens."""


class Steps:
    """The calls to ports, in order; `before` is told of each and may raise.

    A process that was killed makes no further call.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.before: Callable[[str], object] = str
        self._is_dead = False

    def take(self, name: str) -> None:
        """Note a call, unless it is never made."""
        if self._is_dead:
            raise Killed
        try:
            self.before(name)
        except Killed:
            self._is_dead = True
            raise
        self.names.append(name)

    def forget(self) -> None:
        """Begin anew, with a living process."""
        self.names.clear()
        self.before = str
        self._is_dead = False


class _Calls(list[tuple[str, str]]):
    """The journal of a blob store, which notes the steps too."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    def append(self, call: tuple[str, str], /) -> None:
        self._steps.take(call[0])
        super().append(call)


class _Told:
    """Stands before a port and tells `Steps` of every call."""

    def __init__(self, target: object, steps: Steps) -> None:
        self._target = target
        self._steps = steps

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the target has
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def call(*args: object, **named: object) -> object:
            self._steps.take(name)
            return found(*args, **named)

        return call


class _ToldStore(_Told):
    """The git store, whose leases and repositories are told of too."""

    @contextmanager
    def lease(self, path: str, *, wait: timedelta | None = None) -> Iterator[Any]:
        """Hold a mirror, and say how long."""
        self._steps.take("lease")
        with self._target.lease(path, wait=wait) as repository:  # type: ignore[attr-defined]  # a git store
            yield _Told(repository, self._steps)
        self._steps.take("let go")


class Mirrors:
    """The mirrors `NAME` and `OTHER`, and what their upstreams do."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.upstreams = {name: FakeUpstream() for name in (NAME, OTHER)}
        for upstream in self.upstreams.values():
            upstream.commit()
        self.upstream = self.upstreams[NAME]
        self.steps = Steps()
        self.catalog = FakeCatalog()
        self.catalog.reconcile(
            [(name, "normal") for name in self.upstreams], self.clock.now()
        )
        known = {name.identity: each for name, each in self.upstreams.items()}
        self.store = FakeGitStore(known, timedelta(hours=1))
        self.forge = FakeForge(self.clock)
        self.blobs = FakeBlobStore(clock=self.clock)
        self.blobs.journal = _Calls(self.steps)
        self.index = FakeBlobIndex(self.catalog)
        self.source = FakeLfsSource(clock=self.clock)
        self.selections: dict[str, Selection] = {}
        self._start()

    def _start(self) -> None:
        """Wire a process."""
        index: Any = _Told(self.index, self.steps)
        source: Any = _Told(self.source, self.steps)
        store: Any = _ToldStore(self.store, self.steps)
        catalog: Any = _Told(self.catalog, self.steps)
        self.stop = stop = SleeplessStop(self.clock)
        limits = TransferLimits(
            # One after the other, so that a call has a number.
            workers=1,
            room=Room(128 << 20, stop),
            pace=Pace(None, self.clock.monotonic, stop.wait),
            lanes=lambda _: 1,
        )
        self.transfers = Transfers(self.blobs, index, self.clock, stop, limits)
        world = World(
            self.forge,
            store,
            catalog,
            self.clock,
            FakeProbeLog(),
            str,
            self.selections,
            self.blobs,
            index,
            source,
            self.transfers,
            *unasked(self.clock),
        )
        self.pipeline = Pipeline(world)

    def restart(self) -> None:
        """Go on in another process."""
        self.transfers.close()
        self.steps.forget()
        self._start()

    def close(self) -> None:
        """End the threads."""
        self.transfers.close()

    def select(self, *, lfs: bool = True, hold: bool = False) -> None:
        """Configure the mirror anew."""
        self.selections[NAME.identity] = Selection(lfs=lfs, hold_missing=hold)

    def offer(self, *bodies: bytes, branch: str = "main") -> list[LfsPointer]:
        """Commit objects that upstream has; return their pointers."""
        pointers = [self.source.add(body) for body in bodies]
        self.upstream.track(*pointers, branch=branch)
        return pointers

    def sync(self, name: RepoName = NAME, after: timedelta = MINUTE) -> SyncRun:
        """Let time pass and run; no claim is left, and no ref without its objects."""
        run = self.run(name, after)
        assert self.catalog.claims == {}
        assert self.lacking(name) == []
        return run

    def run(self, name: RepoName = NAME, after: timedelta = MINUTE) -> SyncRun:
        """Let time pass, probe, and run what follows."""
        self.forge.publish(name, self.upstreams[name].snapshot())
        self.clock.advance(after)
        self.steps.names.clear()
        self.source.batches.clear()
        self.source.opened.clear()
        visit = self.pipeline.probe(self.catalog.state(name), Trigger.SCHEDULE)
        return self.pipeline.sync(visit, Trigger.SCHEDULE)

    def syncs(self, outcome: Outcome = Outcome.CHANGED) -> SyncRun:
        """Run once, to this outcome."""
        run = self.sync()
        assert run.outcome is outcome, run
        return run

    def fails_with(self, error: SyncerError, run: SyncRun) -> None:
        """Check that a run failed with an error's own words and status."""
        assert run.outcome is Outcome.FAILED, run
        assert str(error) in str(run.error)
        assert run.exit_code == error.exit_code

    def accept(self) -> None:
        """Accept what holds the mirror."""
        event = AuditEvent(self.clock.now(), "tester", "accept", str(NAME))
        self.catalog.accept(NAME, event, oid=None)

    @property
    def state(self) -> RepoState:
        """What the catalog knows."""
        return self.catalog.state(NAME)

    def published(self, name: RepoName = NAME) -> RefSnapshot:
        """Return the refs consumers see."""
        with self.store.lease(name.path) as repository:
            return repository.published()

    def agrees(self) -> bool:
        """Return whether consumers see what upstream has."""
        return dict(self.published().upstream) == dict(self.upstream.snapshot().refs)

    def row(self, pointer: LfsPointer, name: RepoName = NAME) -> LfsObject | None:
        """Return what is recorded of an object."""
        known = self.index.known(self.catalog.state(name).id, [pointer.oid])
        return known.get(pointer.oid)

    def forget_row(self, pointer: LfsPointer) -> None:
        """Lose what is recorded of an object, as a defect would."""
        del self.catalog.lfs_objects[self.state.id][pointer.oid]

    def lacking(self, name: RepoName = NAME) -> list[LfsPointer]:
        """Return what published refs reach that is neither here nor known missing.

        Nothing where LFS is not mirrored.
        """
        if not self.selections.get(name.identity, Selection()).lfs:
            return []
        refs = self.published(name).upstream.values()
        return self.unaccounted(name, [ref.oid for ref in refs])

    def unaccounted(self, name: RepoName, tips: list[str]) -> list[LfsPointer]:
        """Return the pointers that `tips` reach and that are not accounted for."""
        reached = self.upstreams[name].closure(tips).values()
        found = {pointer for thing in reached for pointer in thing.pointers}
        return sorted(each for each in found if not self._is_accounted(name, each))

    def _is_accounted(self, name: RepoName, pointer: LfsPointer) -> bool:
        row = self.row(pointer, name)
        if row is None:
            return False
        if row.state is LfsState.MISSING:
            return row.reason is not None and row.retry_at is not None
        if row.state is LfsState.UNREACHED:
            return False
        body = self.blobs.body(pointer.oid)
        return digest_for(body) == pointer.oid
