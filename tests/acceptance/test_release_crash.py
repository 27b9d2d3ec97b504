"""Killed, or without power, while releases are mirrored: old names or new, all right.

After each point every asset that is called present has its bytes, no blob is wrong,
and names are exactly the old or the new ones, new only with the refs of their run.
Recovery leaves no claim, one more run reaches upstream's state, and a `gc` without
grace, before it or after it, removes nothing that anybody needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncer.errors import SyncerError
from syncer.model.blobs import blob_key, digest_of
from syncer.model.releases import AssetState
from syncer.model.runs import Outcome
from tests.crash import operations, releases
from tests.crash.release_upstream import Shown, Upstream, names
from tests.crash.releases import MUTANTS, Mutant
from tests.crash.sweep import Sweep
from tests.servers.github import GitHubServer
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syncer.bootstrap import App
    from tests.crash.sweep import Point

SAMPLE = 8

pytestmark = pytest.mark.crash


@dataclass
class Story:
    """What changes upstream, what readers saw before, and what they are to see."""

    prepare: Callable[[Path], None]
    upstream: Upstream
    old: Shown
    new: Shown
    #: What the audit trail is told of upstream, once.
    events: tuple[str, ...] = ()

    def check(self, point: Point) -> None:
        """Hold one cut world against the oracle."""
        app = operations.wire(point.path)
        try:
            look = Look(point, app)
            # Refs first, then names.
            between = Shown(self.new.refs, self.old.names)
            assert look.shown() in (self.old, between, self.new), point.result
            app.pipeline.recover(app.catalog.states()[0])
            # A call that failed cost the releases their turn, and no ref its own.
            allowed = [self.old, self.new]
            allowed += [between] if point.result.mode.startswith("errno") else []
            self._is_settled(look, allowed)
            if point.result.at % 2:
                # Nothing is left of what the dead run brought.
                releases.sweep(app)
                self._is_settled(look, allowed)
            self._go_on(look)
        finally:
            app.close()

    def _is_settled(self, look: Look, allowed: list[Shown]) -> None:
        """Check what holds whenever no run is under way."""
        app, told = look.app, look.point.result
        state = app.catalog.states()[0]
        shown = look.shown()
        assert shown in allowed, told
        # No open run, no intent, no claim.
        assert app.catalog.unfinished() == [], told
        counts = state.releases.counts
        assert counts.present == counts.total == _living(shown), told

    def _go_on(self, look: Look) -> None:
        """Check that the next run does what is left, and the one after it nothing."""
        app, told = look.app, look.point.result
        again = releases.run(app)
        assert again.outcome in {Outcome.CHANGED, Outcome.UNCHANGED}, again
        self._is_settled(look, [self.new])
        state = app.catalog.states()[0]
        # A run that published nothing says which generation it left.
        ended = {run.generation for run in app.catalog.runs(None, 100)}
        assert ended - {0} == set(range(1, state.generation + 1)), told
        heard = [e.action for e in app.catalog.audit_events(100)]
        assert sorted(e for e in heard if "-" in e) == sorted(self.events), told
        releases.sweep(app)
        self._is_settled(look, [self.new])
        assert set(look.blobs()) == look.needed(), told
        assert app.world.blobs.leftovers() == [], told
        self.upstream.downloads()
        assert releases.run(app).outcome is Outcome.UNCHANGED, told
        assert self.upstream.downloads() == [], told


@dataclass(frozen=True)
class Look:
    """A world, as its readers see it."""

    point: Point
    app: App

    def shown(self) -> Shown:
        """Return the refs and the names, all of whose bytes are right."""
        mirror = self.point.path / "data/git/github.com/o/r.git"
        refs = Repository(mirror).refs() if mirror.exists() else None
        there = self.blobs()
        records = self.app.world.releases.releases(self.app.catalog.states()[0].id)
        for each in (a for record in records for a in record.assets):
            if each.state is AssetState.PRESENT:
                assert each.blob in there, (each, self.point.result)
                assert there[each.blob] == each.asset.size, (each, self.point.result)
        assert self.needed() <= there.keys(), self.point.result
        return Shown(refs, names(records))

    def blobs(self) -> dict[str, int]:
        """Return the lengths of the blobs that are visible, each of them right."""
        store, found = self.point.path / "data/blobs", {}
        for path in (p for p in store.rglob("*") if p.is_file()):
            body, key = path.read_bytes(), path.relative_to(store).as_posix()
            assert key == blob_key(sha256(body).hexdigest()), (key, self.point.result)
            found[str(digest_of(key))] = len(body)
        return found

    def needed(self) -> set[str]:
        """Return the blobs that the catalog says its assets need."""
        mirror_id = self.app.catalog.states()[0].id
        return {each.digest for each in self.app.world.index.asset_blobs(mirror_id)}


def _living(shown: Shown) -> int:
    return sum(departure is None for *_, departure in shown.names)


def _first(server: GitHubServer) -> Story:
    """Mirror a repository with its releases for the first time."""
    upstream = Upstream(server)
    nothing = Shown(None, frozenset())
    return Story(upstream.prepare, upstream, nothing, upstream.shown)


def _both(server: GitHubServer) -> Story:
    """Mirror a push that came with changes of an old release."""
    upstream = Upstream(server)
    old = upstream.shown
    upstream.commit()
    return _changed(upstream, old)


def _alone(server: GitHubServer) -> Story:
    """Mirror changes of an old release that no ref goes with."""
    upstream = Upstream(server)
    return _changed(upstream, upstream.shown)


def _changed(upstream: Upstream, old: Shown) -> Story:
    tombstones = upstream.change()
    shown = upstream.shown
    new = Shown(shown.refs, shown.names | tombstones)
    events = ("asset-deleted", "asset-replaced")
    return Story(upstream.prepare_old, upstream, old, new, events)


STORIES: dict[str, Callable[[GitHubServer], Story]] = {
    "first": _first,
    "both": _both,
    "alone": _alone,
}


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    """Serve an upstream for the length of a sweep."""
    with GitHubServer(validate=False) as running:
        yield running


@pytest.fixture(scope="module")
def sweep() -> Iterator[Sweep]:
    """Keep one warm server for all worlds."""
    with Sweep("tests.crash.releases:sync", Path("nothing yet")) as running:
        yield running


def _cut(sweep: Sweep, story: Story, mode: str, sample: int | None = SAMPLE) -> None:
    sweep.renew(story.prepare)
    for number in sweep.points(sweep.count(mode), sample):
        with sweep.point(number, mode) as point:
            story.check(point)


@pytest.mark.parametrize("name", STORIES)
def test_a_kill_at_any_call_leaves_old_or_new_names(
    server: GitHubServer, sweep: Sweep, name: str
) -> None:
    """Whatever call the process dies at, no name is without its bytes."""
    _cut(sweep, STORIES[name](server), "kill")


@pytest.mark.power
def test_a_power_cut_at_any_call_leaves_old_or_new_names(
    server: GitHubServer, sweep: Sweep
) -> None:
    """A name that is there has bytes that are on the disk."""
    _cut(sweep, _both(server), "power", 5)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.power] if each.mode == "power" else [])
        for name, each in MUTANTS.items()
    ],
)
def test_a_sweep_notices_deliberate_mistakes(
    server: GitHubServer, sweep: Sweep, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mistake breaks the oracle at one point at least, or proves it blind."""
    mutant, story = MUTANTS[name], _both(server)

    def prepare(world: Path) -> None:
        story.prepare(world)
        (world / "mistake").write_text(name)

    sweep.renew(prepare)
    points = _until(sweep, mutant)
    mutant.apply(monkeypatch.setattr)
    for number in reversed(points):
        try:
            with sweep.point(number, mutant.mode) as point:
                story.check(point)
        except (AssertionError, SyncerError):
            return
    pytest.fail(f"none of {len(points)} points shows that {name}")


def _until(sweep: Sweep, mutant: Mutant) -> range:
    """Return the points up to the last call where a mistake shows."""
    if mutant.call is None:
        return range(1, sweep.count(mutant.mode) + 2)
    found = [n for n, call in enumerate(sweep.calls(), 1) if mutant.call in call]
    # Counts differ a little from run to run.
    return range(1, found[-1] + 4)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["kill", "power", "errno:28", "errno:5"])
@pytest.mark.parametrize("name", STORIES)
def test_every_single_call_may_be_the_last(
    server: GitHubServer, sweep: Sweep, name: str, mode: str
) -> None:
    """All points of all operations, and each call failing with ENOSPC and EIO."""
    _cut(sweep, STORIES[name](server), mode, None)
