"""A GitHub in memory and its mirrors: nothing is real but the pipeline.

Time moves when it is told to; whatever a sync does, no blob may be lost by it, and
what is said to be here is here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from syncer.limits import Pace, Room
from syncer.model.mirrors import Selection
from syncer.model.names import GITHUB, RepoName
from syncer.model.releases import AssetState
from syncer.model.runs import AuditEvent, Outcome, Trigger
from syncer.model.selection import ReleaseSelection
from syncer.sync.pipeline import Pipeline
from syncer.sync.transfer import TransferLimits, Transfers
from syncer.sync.world import World
from tests.fakes import FakeClock, FakeProbeLog
from tests.fakes_api import FakeApi
from tests.fakes_blobs import FakeBlobStore, FakeLfsSource, digest_for
from tests.fakes_catalog import FakeCatalog
from tests.fakes_forge import FakeForge
from tests.fakes_git import FakeGitStore, FakeUpstream, lives
from tests.fakes_index import FakeBlobIndex
from tests.fakes_releases import FakeReleaseIndex
from tests.transfers import SleeplessStop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.model.mirrors import RepoState
    from syncer.model.origin import Standing
    from syncer.model.releases import AssetRecord, ReleaseRecord
    from syncer.model.runs import SyncRun
    from tests.servers.github_state import GitHubRepository

WIDGET = RepoName(GITHUB, "acme", "widget")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Killed(BaseException):
    """The process ends here, and nothing after it happens."""


class Mirrored:
    """Repositories on a GitHub, the first of them `acme/widget`, and their mirrors."""

    def __init__(self, *names: str) -> None:
        self.clock = FakeClock()
        self.api = FakeApi(self.clock)
        self.git: dict[int, FakeUpstream] = {}
        self._named: dict[str, FakeUpstream] = {}
        made = [self.create(name) for name in ("acme/widget", *names)]
        self.upstream = made[0]
        self.catalog = FakeCatalog()
        self.configure("acme/widget", *names)
        self.store = FakeGitStore(self._named, timedelta(hours=1))
        self.forge = FakeForge(self.clock)
        self.blobs = FakeBlobStore(clock=self.clock)
        self.index = FakeBlobIndex(self.catalog)
        self.releases = FakeReleaseIndex(self.catalog)
        self.probes = FakeProbeLog()
        self.selections: dict[str, Selection] = {}
        #: The time between two looks at releases.
        self.every = HOUR
        self.stop = SleeplessStop(self.clock)
        limits = TransferLimits(
            workers=1,
            room=Room(128 << 20, self.stop),
            pace=Pace(None, self.clock.monotonic, self.stop.wait),
            lanes=lambda _: 1,
        )
        self.transfers = Transfers(
            self.blobs, self.index, self.clock, self.stop, limits
        )
        self.world = World(
            self.forge,
            self.store,
            self.catalog,
            self.clock,
            self.probes,
            str,
            self.selections,
            self.blobs,
            self.index,
            FakeLfsSource(clock=self.clock),
            self.transfers,
            self.api,
            self.releases,
            lambda _: self.every,
        )
        self.pipeline = Pipeline(self.world)

    def create(self, full_name: str, **named: Any) -> GitHubRepository:  # noqa: ANN401 - any field
        """Create a repository upstream, with one commit."""
        made = self.api.repository(full_name, **named)
        self.git[made.id] = FakeUpstream()
        self.git[made.id].commit()
        return made

    def configure(self, *names: str) -> None:
        """Mirror these repositories from now on."""
        wanted = [(RepoName.parse(name), "normal") for name in names]
        self.catalog.reconcile(wanted, self.clock.now())

    def close(self) -> None:
        """End the threads."""
        self.transfers.close()

    def select(self, name: RepoName = WIDGET, **chosen: Any) -> None:  # noqa: ANN401 - any field of a selection
        """Choose which releases are mirrored."""
        selection = Selection(releases=ReleaseSelection(**chosen))
        self.selections[name.identity] = selection

    def push(self) -> str:
        """Commit upstream."""
        return self.git[self.upstream.id].commit()

    def publish(self) -> None:
        """Let git on GitHub answer as its state is."""
        shown: set[str] = set()
        for found in self.api.state.repositories.values():
            if found.blocked is None and not found.disabled:
                name = RepoName(GITHUB, found.owner.login, found.name)
                self._named[name.identity] = self.git[found.id]
                self.forge.publish(name, self.git[found.id].snapshot())
                shown.add(name.identity)
        for state in self.catalog.states():
            for name in (state.name, state.source):
                if name.identity not in shown:
                    self.forge.remove(name)

    def sync(
        self,
        name: RepoName = WIDGET,
        *,
        after: timedelta = MINUTE,
        trigger: Trigger = Trigger.SCHEDULE,
    ) -> SyncRun:
        """Let time pass and run; no claim and no blob is lost by it."""
        before = set(self.blobs.disk.bodies)
        run = self.run(name, after=after, trigger=trigger)
        assert self.catalog.claims == {}
        assert before <= set(self.blobs.disk.bodies)
        self.check()
        return run

    def run(
        self,
        name: RepoName = WIDGET,
        *,
        after: timedelta = MINUTE,
        trigger: Trigger = Trigger.SCHEDULE,
    ) -> SyncRun:
        """Let time pass, probe, and run what follows."""
        self.publish()
        self.clock.advance(after)
        self.api.forget()
        self.api.downloads.clear()
        visit = self.pipeline.probe(self.catalog.state(name), trigger)
        run = self.pipeline.sync(visit, trigger)
        self.catalog.flush_probes(self.probes.results)
        self.probes.results.clear()
        return run

    def syncs(self, outcome: Outcome = Outcome.CHANGED, **named: Any) -> SyncRun:  # noqa: ANN401 - `sync`'s
        """Run once, to this outcome."""
        run = self.sync(**named)
        assert run.outcome is outcome, run
        return run

    def check(self) -> None:
        """Check that every asset which is said to be here is here, and right."""
        for _, each in self.assets():
            if each.state is AssetState.PRESENT:
                assert each.blob is not None
                body = self.blobs.body(each.blob)
                assert digest_for(body) == each.blob
                assert len(body) == each.asset.size

    @property
    def state(self) -> RepoState:
        """What the catalog knows of the first mirror."""
        return self.catalog.state(WIDGET)

    def standing(self) -> Standing:
        """Return how the first mirror's repository stands upstream."""
        return self.state.standing

    @property
    def rows(self) -> int:
        """How many runs are on record."""
        return len(self.catalog.runs(None, 9999))

    def asked(self, *leaving_out: str) -> list[str]:
        """Return what the last sync asked the API, in order."""
        return [q.what for q in self.api.asked if q.what not in leaving_out]

    def records(self, name: RepoName = WIDGET) -> list[ReleaseRecord]:
        """Return what is known of a mirror's releases."""
        return self.releases.releases(self.catalog.state(name).id)

    def assets(self, name: RepoName = WIDGET) -> Iterator[tuple[str, AssetRecord]]:
        """Yield each asset with its release's tag, tombstones too."""
        for record in self.records(name):
            for each in record.assets:
                yield record.release.tag, each

    def asset(self, tag: str, name: str) -> AssetRecord:
        """Return the one asset of this name that is no tombstone."""
        found = [
            each
            for owner, each in self.assets()
            if (owner, each.asset.name, each.gone) == (tag, name, None)
        ]
        assert len(found) == 1, found
        return found[0]

    def events(self) -> list[str]:
        """Return what the audit trail was told of upstream, oldest first."""
        told = self.catalog.audit_events(9999)[::-1]
        return [event.action for event in told if event.actor == "upstream"]

    def accept(self, name: RepoName = WIDGET) -> None:
        """Accept what holds a mirror."""
        event = AuditEvent(self.clock.now(), "tester", "accept", str(name))
        self.catalog.accept(name, event, oid=None)

    def head(self, name: RepoName = WIDGET) -> str | None:
        """Return the commit that consumers of a mirror see on `main`."""
        path = self.catalog.state(name).path
        if self.store.stamp(path) is None:
            return None
        with self.store.lease(path) as repository:
            return repository.published().refs["refs/heads/main"].oid

    def dies_at(self, step: str) -> None:
        """Let the process be killed at a step of the next promotion."""

        def die(at: str) -> None:
            if at == step:
                raise Killed

        self.store.died = die

    def lives(self) -> None:
        """Let processes live again."""
        self.store.died = lives
