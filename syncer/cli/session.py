"""What one command works with, opened only when it asks for it.

Commands that only read open the catalog alone; nothing they do writes, not
even the mirrors that `repos.toml` has and the catalog has not heard of yet.
"""

from __future__ import annotations

import gc
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from syncer.cli.owner import become_owner
from syncer.errors import ConfigError, NotInitialised, UnknownMirror
from syncer.model.lfs import LfsCounts
from syncer.model.mirrors import Activity, RepoState
from syncer.model.runs import AuditEvent

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from syncer.bootstrap import App
    from syncer.cli.output import Output
    from syncer.config import Config
    from syncer.model.names import RepoName
    from syncer.ports import BlobIndex, Catalog
    from syncer.schedule.lag import Freshness


@dataclass(frozen=True)
class Records:
    """What is configured and what the catalog knows, to be read only."""

    config: Config
    catalog: Catalog
    now: datetime
    #: What is known of blobs; imported when asked for.
    index: Callable[[], BlobIndex]

    def states(self) -> list[RepoState]:
        """Return every configured mirror by name, also one never heard of."""
        known = {s.name.identity: s for s in self.catalog.states()}
        found = []
        for repo in self.config.repo:
            state = known.get(repo.name.identity)
            if state is None:
                state = RepoState(0, repo.name, repo.name.path, repo.tier)
            # What is not mirrored any more asks nothing of a person.
            lfs = state.lfs if repo.lfs else LfsCounts()
            found.append(replace(state, name=repo.name, tier=repo.tier, lfs=lfs))
        return sorted(found, key=lambda state: state.name.identity)

    def state(self, name: RepoName) -> RepoState:
        """Return one mirror, also one that is no longer configured.

        Raises:
            UnknownMirror: neither the configuration nor the catalog has it.
        """
        for state in self.states():
            if state.name.identity == name.identity:
                return state
        try:
            return replace(self.catalog.state(name), activity=Activity.REMOVED)
        except UnknownMirror:
            raise unknown(name, self.config) from None

    def freshness(self) -> list[Freshness]:
        """Return how fresh each configured mirror is, by name."""
        from syncer.schedule.lag import freshness

        tiers = self.config.tier
        return [freshness(s, tiers[s.tier], self.now) for s in self.states()]


class Session:
    """One command's way to the configuration, the catalog and the program."""

    def __init__(self, file: Path | None, output: Output) -> None:
        self.file = file
        self.output = output

    def path(self) -> Path:
        """Return the configuration file in use.

        Raises:
            NotInitialised: there is none.
        """
        from syncer.config import environment, locate, search_path

        environ = environment()
        path = locate(self.file, environ)
        if path is None:
            places = ", ".join(map(str, search_path(environ)))
            msg = f"there is no repos.toml here (looked for {places})"
            raise NotInitialised(msg, hint="create one: syncer init")
        return path

    def config(self, *, for_good: bool = True) -> Config:
        """Read the configuration, and become the store's owner."""
        config = self.look()
        become_owner(config.data, for_good=for_good)
        self._log(config)
        return config

    def look(self) -> Config:
        """Read the configuration and nothing else."""
        from syncer.config import environment, load

        return load(self.path(), environment())

    @contextmanager
    def records(self) -> Iterator[Records]:
        """Open the catalog for reading."""
        from syncer.catalog.database import check_schema, connect
        from syncer.catalog.sql import SqlCatalog

        config = self.config()

        def index() -> BlobIndex:
            from syncer.catalog.index import SqlBlobIndex

            return SqlBlobIndex(engine)

        engine = connect(config.catalog_url)
        with closing(SqlCatalog(engine)) as catalog:
            check_schema(engine)
            yield Records(config, catalog, datetime.now(UTC), index)

    @contextmanager
    def app(
        self, *, for_good: bool = True, stop: threading.Event | None = None
    ) -> Iterator[App]:
        """Open everything, with the catalog told what is configured."""
        from syncer.bootstrap import build

        with closing(build(self.config(for_good=for_good), stop=stop)) as app:
            app.reconcile()
            collect_again()
            yield app

    def _log(self, config: Config) -> None:
        if self.output.verbose:
            import logging

            from syncer import logs
            from syncer.config import environment

            level = logging.INFO if self.output.verbose == 1 else logging.DEBUG
            logs.configure(environment(), config.secrets(), level=level)


def collect_again() -> None:
    """Collect garbage from here on, but never look at what was imported.

    Commands start without: imports make no garbage, only work for its search,
    a seventh of the time that a short command takes.
    """
    gc.freeze()
    gc.enable()


def event(app: App, action: str, subject: object, detail: str = "") -> AuditEvent:
    """Return the audit event of a command."""
    return AuditEvent(app.clock.now(), app.actor(), action, str(subject), detail)


def configured(config: Config, names: Iterable[RepoName]) -> list[RepoName]:
    """Return the names as the configuration spells them, each once.

    Raises:
        UnknownMirror: one of them is not configured.
    """
    found: dict[str, RepoName] = {}
    for name in names:
        repo = config.find(name)
        if repo is None:
            raise unknown(name, config)
        found[name.identity] = repo.name
    return list(found.values())


def unknown(name: RepoName, config: Config) -> UnknownMirror:
    """Return the error for a name that is not configured, with the nearest one."""
    from difflib import get_close_matches

    spelled = {repo.name.identity: repo.name.short for repo in config.repo}
    near = get_close_matches(name.identity, spelled, n=1, cutoff=0.75)
    hint = f"did you mean {spelled[near[0]]}?" if near else f"run `syncer add {name}`"
    return UnknownMirror(f"{name} is not mirrored; nothing was changed", hint=hint)


def check_tier(tier: str | None, config: Config) -> None:
    """Raise `ConfigError` unless the configuration has a tier of this name."""
    if tier is not None and tier not in config.tier:
        msg = f"there is no tier {tier!r}; nothing was changed"
        raise ConfigError(msg, hint=f"known: {', '.join(sorted(config.tier))}")
