"""One mirror with real git on both sides; catalog, forge and time in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING

from syncer.git.bare import BareStore
from syncer.git.command import GitCommand
from syncer.git.remote import Remote
from syncer.git.repository import Limits
from syncer.model.content import DEFAULT_SCOPE, Ref, RefSnapshot
from syncer.model.mirrors import Selection
from syncer.model.names import RepoName
from syncer.model.runs import AuditEvent, Trigger
from syncer.sync.pipeline import Pipeline
from syncer.sync.world import World
from syncer.upstream.egress import Egress
from syncer.upstream.refs import HttpForge
from syncer.upstream.session import Session
from tests.fakes import FakeClock, FakeProbeLog
from tests.fakes_catalog import FakeCatalog
from tests.fakes_forge import Capabilities, FakeForge, host
from tests.fakes_lfs import FakeLfs
from tests.servers.repositories import git
from tests.unasked import unasked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import _GeneratorContextManager
    from pathlib import Path

    from syncer.model.mirrors import RepoState
    from syncer.model.runs import SyncRun
    from tests.servers.git_http import GitServer

NAME = RepoName("upstream.test", "acme", "widget")
GRACE = timedelta(hours=1)
_FORMAT = "%(objectname) %(refname)%00%(*objectname)"


def snapshot(repository: Path, scope: tuple[str, ...] = ("refs/",)) -> RefSnapshot:
    """Return a repository's refs as git tells them, and the branch HEAD names."""
    said = git("for-each-ref", f"--format={_FORMAT}", at=repository)
    refs: dict[str, Ref] = {}
    for line in said.decode("utf-8", "surrogateescape").splitlines():
        oid, _, rest = line.partition(" ")
        name, _, peeled = rest.partition("\0")
        if name.startswith(scope):
            refs[name] = Ref(oid, peeled or None)
    head = (repository / "HEAD").read_bytes().decode("utf-8", "surrogateescape")
    named = head.removeprefix("ref: ").strip() if head.startswith("ref: ") else None
    return RefSnapshot(refs, named)


class _Wired(FakeForge):
    """Refs as they are told, packs as the server gives them."""

    def __init__(self, box: Sandbox) -> None:
        super().__init__(box.clock)
        upstream = host(NAME.host, git=box.server.url, private=True, probes=1e9)
        self._real = HttpForge(
            lambda _name: upstream,
            Session(Egress(box.clock), clock=box.clock),
            ls_remote=lambda _name: b"",
            capabilities=Capabilities(),
            clock=box.clock,
        )
        self._real.probe(NAME, DEFAULT_SCOPE)  # learns what the server can do
        box.server.forget()

    def pack(
        self, name: RepoName, want: Sequence[str], have: Sequence[str]
    ) -> _GeneratorContextManager[Iterator[bytes]]:
        return self._real.pack(name, want, have)


@dataclass
class Sandbox:
    """The mirror `NAME` of a repository on a test's server."""

    server: GitServer
    root: Path
    max_file: int = 0
    min_free: float = 0.0
    deadline: timedelta = timedelta(minutes=1)
    #: Configuration that git gets beside its own, as for a real remote.
    config: Sequence[tuple[str, str]] = ()
    scope: tuple[str, ...] = DEFAULT_SCOPE
    #: Packs come on the connection of a real probe, as in production; else by git.
    wired: bool = False
    stop: Event = field(default_factory=Event)
    clock: FakeClock = field(default_factory=FakeClock)
    catalog: FakeCatalog = field(default_factory=FakeCatalog)
    probes: FakeProbeLog = field(default_factory=FakeProbeLog)

    def __post_init__(self) -> None:
        self.upstream = self.server.repository("acme/widget")
        self.forge = _Wired(self) if self.wired else FakeForge(self.clock)
        self.git = GitCommand(max_file=self.max_file, stop=self.stop)
        limits = Limits(deadline=self.deadline, grace=GRACE)
        self.store = BareStore(
            self.root, self.git, self._remote, limits, min_free=self.min_free
        )
        self._selections = {NAME.identity: Selection(self.scope)}
        self.lfs = FakeLfs(self.catalog, self.clock)
        world = World(
            self.forge,
            self.store,
            self.catalog,
            self.clock,
            self.probes,
            str,
            self._selections,
            self.lfs.blobs,
            self.lfs.index,
            self.lfs.source,
            self.lfs.transfers,
            *unasked(self.clock),
        )
        self.pipeline = Pipeline(world)
        self.catalog.reconcile([(NAME, "normal")], self.clock.now())

    def _remote(self, name: RepoName) -> Remote:
        url = self.server.address(f"{name.owner}/{name.name}")
        return Remote(url, tuple(self.config))

    @property
    def state(self) -> RepoState:
        """What the catalog knows of the mirror."""
        return self.catalog.state(NAME)

    @property
    def mirror(self) -> Path:
        """Where the mirror's repository is, or will be."""
        return self.root / NAME.path

    def narrow(self, scope: tuple[str, ...]) -> None:
        """Change which refs are mirrored, as a new configuration does."""
        self.select(Selection(scope))

    def select(self, selection: Selection) -> None:
        """Change what is mirrored, as a new configuration does."""
        self._selections[NAME.identity] = selection

    def sync(self) -> SyncRun:
        """Probe upstream as it is, and run what follows."""
        self.forge.publish(NAME, snapshot(self.upstream.path))
        visit = self.pipeline.probe(self.state, Trigger.COMMAND)
        return self.pipeline.sync(visit, Trigger.COMMAND)

    def accept(self, oid: str | None = None) -> None:
        """Accept what holds the mirror, as a person does."""
        event = AuditEvent(self.clock.now(), "tester", "accept", str(NAME))
        self.catalog.accept(NAME, event, oid=oid)

    def published(self) -> RefSnapshot:
        """Return what consumers see, by git's own word; empty when new."""
        return snapshot(self.mirror) if self.mirror.exists() else RefSnapshot()

    def agrees(self) -> bool:
        """Return whether consumers see upstream's refs, and all of their objects."""
        git("fsck", "--connectivity-only", "--no-dangling", at=self.mirror)
        theirs = snapshot(self.upstream.path, self._selections[NAME.identity].refs)
        ours = self.published()
        return dict(ours.upstream) == dict(theirs.refs) and ours.head == theirs.head

    def remains(self) -> list[str]:
        """Return what a run left beside and inside the repository, and should not."""
        repository = self.mirror
        found = [repository.with_name(f"{repository.name}.incoming")]
        found += repository.rglob("tmp_*")
        found += repository.rglob(".tmp-*")
        found += repository.rglob("*.lock")
        found += repository.rglob("*.keep")
        return [path.name for path in found if path.exists()]
