"""What the HTTP face shows from, in memory: some mirrors in every state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.config import load
from syncer.model.machines import Machine, Role
from syncer.model.names import RepoName
from syncer.model.origin import Facts, Origin
from syncer.web.view import View
from tests.fakes import NOW, FakeClock
from tests.fakes_catalog import FakeCatalog
from tests.fakes_git import FakeGitStore
from tests.fakes_operations import FakeOperations
from tests.fakes_releases import FakeReleaseIndex

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from syncer.config import Config
    from syncer.model.mirrors import RepoState


@dataclass
class Stage:
    """A view, and the fakes behind it."""

    view: View
    catalog: FakeCatalog
    operations: FakeOperations
    releases: FakeReleaseIndex
    store: FakeGitStore
    clock: FakeClock

    def put(self, name: str, **changes: Any) -> RepoState:  # noqa: ANN401 - any field of a state
        """Change what is known of a mirror, and return it."""
        state = replace(self.catalog.state(RepoName.parse(name)), **changes)
        self.catalog.put(state)
        return state

    def describe(self, name: str, *, private: bool) -> None:
        """Let upstream tell whether a repository is private."""
        state = self.catalog.state(RepoName.parse(name))
        facts = Facts(state.id, f"R_{state.id}", state.name, private=private)
        self.releases.describe(state.id, Origin(facts), (), NOW)

    def tick(
        self,
        ago: timedelta = timedelta(seconds=1),
        *,
        name: str | None = None,
        leader: bool = True,
    ) -> None:
        """Let a scheduler, ours unless it has a name, have ended a tick."""
        seen = self.clock.now() - ago
        name = name or self.view.config.machine
        roles = (Role.SCHEDULER,)
        self.operations.seen(Machine(name, "1", roles, seen, seen, leader=leader))


def configured(place: Path, *names: str, keys: str = "", environ: Any = None) -> Config:  # noqa: ANN401 - a mapping, or nothing
    """Return a configuration of mirrors, with further keys before them."""
    file = place / "repos.toml"
    repos = "".join(f'[[repo]]\nname = "{name}"\n' for name in names)
    file.write_text(f"{keys}\n{repos}")
    return load(file, environ or {})


def stage(config: Config, store: FakeGitStore | None = None) -> Stage:
    """Return a view of a configuration; nothing is mirrored yet."""
    clock, catalog = FakeClock(), FakeCatalog()
    catalog.reconcile([(repo.name, repo.tier) for repo in config.repo], NOW)
    operations, releases = FakeOperations(catalog), FakeReleaseIndex(catalog)
    store = store or FakeGitStore({}, timedelta())
    view = View(config, catalog, operations, releases, store, clock, NOW)
    return Stage(view, catalog, operations, releases, store, clock)
