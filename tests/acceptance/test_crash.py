"""Killed, or without power, at any call that changes a file: old or new, never else.

The oracle is SQLite's: after each point the branches and tags are exactly those
of before or of after (a renamed default branch may show both names), HEAD
resolves, recovery leaves nothing behind and loses no history, and one more run
reaches upstream's state.  `make test` takes 40 points of each operation, `make
test-long` all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from syncer.errors import SyncerError
from syncer.model.runs import Outcome
from tests.crash import operations
from tests.crash.mutants import MUTANTS
from tests.crash.sweep import Sweep
from tests.servers.git_http import GitServer
from tests.servers.repositories import GitFailed, Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.bootstrap import App
    from tests.crash.sweep import Point

SAMPLE = 40
#: Deliberate mistakes that show at once; the others take a sweep of many points each.
QUICK = ("finish_before_refs", "no_intent", "head_without_its_branch")
Refs = dict[str, str]
Change = tuple[str, str | None, str | None]

pytestmark = pytest.mark.crash


@dataclass
class Story:
    """An operation, and what readers may see when it is cut."""

    operation: str
    sweep: Sweep
    upstream: Repository
    #: Refs before and after; None is a mirror that is not there yet.
    allowed: tuple[Refs | None, ...]
    #: Old tips that must stay reachable, whatever happens.
    precious: tuple[str, ...] = ()
    #: All changes that the catalog must tell once the new state is published.
    told: frozenset[Change] = frozenset()

    def check(self, point: Point) -> None:
        """Hold one cut world against the oracle."""
        mirror = point.path / "data/git/github.com/o/r.git"
        assert _seen(mirror) in self.allowed, point.result
        app = operations.wire(point.path)
        try:
            self._recover(app, mirror, point)
            self._go_on(app, mirror, point)
        finally:
            app.close()

    def _recover(self, app: App, mirror: Path, point: Point) -> None:
        state = app.catalog.states()[0]
        app.pipeline.recover(state)
        assert app.catalog.intent(state.id) is None, point.result
        assert _seen(mirror) in self.allowed, point.result
        assert _leftovers(mirror) == [], point.result
        self._keeps_history(mirror, point)

    def _go_on(self, app: App, mirror: Path, point: Point) -> None:
        again = operations.run(app)
        assert again.outcome in {Outcome.CHANGED, Outcome.UNCHANGED}, (
            again.error,
            point.result,
        )
        assert _seen(mirror) == _published(self.upstream), point.result
        assert _leftovers(mirror) == [], point.result
        state = app.catalog.states()[0]
        assert state.head == self.upstream.head(), point.result
        self._is_told_once(app, point)
        self._keeps_history(mirror, point)
        Repository(mirror).git("fsck", "--connectivity-only", "--no-dangling")
        started = app.git.started
        last = operations.run(app)
        assert last.outcome is Outcome.UNCHANGED, (last.error, point.result)
        assert app.git.started == started, "an unchanged mirror started git"

    def _is_told_once(self, app: App, point: Point) -> None:
        """Check that the catalog tells each change once, and each run's end."""
        state = app.catalog.states()[0]
        told: list[Change] = [
            (change.ref, change.old, change.new)
            for _, _, change in app.catalog.ref_changes(state.name, 1000)
        ]
        assert len(told) == len(set(told)), point.result
        assert self.told <= set(told), point.result
        runs = app.catalog.runs(None, 1000)
        assert all(run.outcome is not None for run in runs), point.result
        done = sorted(run.generation for run in runs if run.generation)
        assert done == list(range(1, state.generation + 1)), point.result

    def _keeps_history(self, mirror: Path, point: Point) -> None:
        if not mirror.exists():
            return
        reached = Repository(mirror).git("rev-list", "--all", "--objects").split()
        assert set(self.precious) <= set(reached), point.result


def _published(repository: Repository) -> Refs:
    return {
        name: oid
        for name, oid in repository.refs().items()
        if name.startswith(("refs/heads/", "refs/tags/", "refs/notes/"))
    }


def _seen(mirror: Path) -> Refs | None:
    """Return the refs that a reader sees, who needs HEAD to resolve."""
    if not mirror.exists():
        return None
    repository = Repository(mirror)
    repository.git("rev-parse", "--verify", "HEAD")
    return _published(repository)


def _leftovers(mirror: Path) -> list[str]:
    """Return what no dead process may leave after recovery."""
    names = [str(p.relative_to(mirror)) for p in mirror.rglob("*")]
    marks = (".lock", ".keep", "tmp_", ".tmp-", "packed-refs.new")
    incoming = mirror.with_name(f"{mirror.name}.incoming")
    left = [name for name in names if any(mark in name for mark in marks)]
    if incoming.exists() and not (incoming / "checked").exists():
        left.append(incoming.name)
    return left


@pytest.fixture
def server() -> Iterator[GitServer]:
    """Serve an upstream for the length of a sweep."""
    with GitServer() as running:
        yield running


def _history(repository: Repository) -> None:
    """Make the state that every story begins with."""
    for number in range(6):
        repository.commit("main", {f"file{number}": f"{number}\n"}, f"c{number}")
    repository.tag("v1")
    repository.tag("light", annotated=False)
    for name in ("dev", "gone", "dir"):
        repository.branch(name, "main")
        repository.commit(name, {name: name}, name)


def _rewrite(repository: Repository) -> tuple[str, ...]:
    """Change all that a history can change; return the tips that are lost."""
    lost = (
        repository.oid("refs/heads/dev"),
        repository.oid("refs/heads/gone"),
        repository.oid("refs/heads/dir"),
        repository.oid("refs/tags/light"),
        repository.oid("refs/tags/v1"),
    )
    repository.force("dev", 3)
    repository.commit("dev", {"dev": "again"}, "other history")
    repository.delete("refs/heads/gone")
    repository.delete("refs/heads/dir")
    repository.commit("main", {"new": "new"}, "forward")
    repository.branch("dir/file", "main")
    repository.delete("refs/tags/light")
    repository.tag("light", annotated=False)
    repository.delete("refs/tags/v1")
    repository.tag("v1")
    repository.tag("v2")
    repository.rename_head("main", "trunk")
    return lost


def _first(server: GitServer) -> Story:
    upstream = server.repository("o/r")
    _history(upstream)
    name = "tests.crash.operations:sync"
    sweep = Sweep(name, lambda world: operations.prepare(world, server.url))
    return Story("first", sweep, upstream, (None, _published(upstream)))


def _fetch(server: GitServer, operation: str = "tests.crash.operations:sync") -> Story:
    upstream = server.repository("o/r")
    _history(upstream)
    before = _published(upstream)
    spare = upstream.copy(server.path("o/spare"))

    def prepare(world: Path) -> None:
        operations.prepare(world, server.url)
        # The world begins with the old state, whichever place it is made for.
        current, old = server.path("o/r"), server.path("o/spare")
        aside = current.with_name("aside.git")
        current.rename(aside)
        old.rename(current)
        operations.sync(world)
        current.rename(old)
        aside.rename(current)

    assert spare.refs() == upstream.refs()
    lost = _rewrite(upstream)
    after = _published(upstream)
    both = after | {"refs/heads/main": before["refs/heads/main"]}
    told = frozenset(
        (name, before.get(name), after.get(name))
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    )
    sweep = Sweep(operation, prepare)
    return Story("fetch", sweep, upstream, (before, both, after), lost, told)


def _maintenance(server: GitServer) -> Story:
    upstream = server.repository("o/r")
    _history(upstream)

    def prepare(world: Path) -> None:
        operations.prepare(world, server.url)
        for number in range(30):
            upstream.commit("main", {"file": f"{world}{number}"}, f"m{number}")
            operations.sync(world)
            if number == 26:
                operations.maintain(world)
        for number in range(25):
            upstream.commit("main", {"more": f"{world}{number}"}, f"n{number}")
            operations.sync(world)

    sweep = Sweep("tests.crash.operations:maintain", prepare)
    return Story("maintenance", sweep, upstream, ())


STORIES = {"first": _first, "fetch": _fetch, "maintenance": _maintenance}


def _sweep(story: Story, mode: str, sample: int | None) -> None:
    with story.sweep as sweep:
        total = sweep.count(mode)
        if not story.allowed:
            story.allowed = (_published(story.upstream),)
        for number in sweep.points(total, sample):
            with sweep.point(number, mode) as point:
                story.check(point)


@pytest.mark.parametrize("name", STORIES)
def test_a_kill_at_any_call_leaves_old_or_new(server: GitServer, name: str) -> None:
    """Whatever call the process dies at, readers and the next run are unharmed."""
    _sweep(STORIES[name](server), "kill", SAMPLE)


@pytest.mark.power
@pytest.mark.parametrize("name", STORIES)
def test_a_power_cut_at_any_call_leaves_old_or_new(
    server: GitServer, name: str
) -> None:
    """What was not synced is lost, and nobody can tell."""
    _sweep(STORIES[name](server), "power", SAMPLE)


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.long)
        for name in MUTANTS
    ],
)
def test_a_sweep_notices_deliberate_mistakes(
    server: GitServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mistake breaks the oracle at one point at least, or proves it blind."""
    mutant, mode = MUTANTS[name]
    story = _fetch(server, f"tests.crash.mutants:sync_{name}")
    with story.sweep as sweep:
        total = sweep.count(mode)
        mutant(monkeypatch.setattr)
        # Refs and rows move at the end of a run, so that is where it shows first.
        for number in reversed(sweep.points(total)):
            try:
                with sweep.point(number, mode) as point:
                    story.check(point)
            except (AssertionError, GitFailed, SyncerError):
                return
    pytest.fail(f"no point of {total} shows that {name}")


@pytest.mark.long
@pytest.mark.parametrize("mode", ["kill", "power", "errno:28", "errno:5"])
@pytest.mark.parametrize("name", STORIES)
def test_every_single_call_may_be_the_last(
    server: GitServer, name: str, mode: str
) -> None:
    """All points of all operations, and each call failing with ENOSPC and EIO."""
    _sweep(STORIES[name](server), mode, None)
