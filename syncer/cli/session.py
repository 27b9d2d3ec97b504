"""What one command works with, opened only when it asks for it.

Commands that only read open the catalog alone; nothing they do writes, not
even the mirrors that `repos.toml` has and the catalog has not heard of yet.
"""

from __future__ import annotations

import gc
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from syncer.cli.owner import become_owner, read_secrets
from syncer.errors import ConfigError, Locked, NotInitialised, UnknownMirror

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from syncer.bootstrap import App
    from syncer.cli.output import Output
    from syncer.cli.records import Records
    from syncer.config import Config
    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName
    from syncer.model.runs import AuditEvent
    from syncer.ports import BlobIndex, Operations, ReleaseIndex

#: So many new objects are looked through for garbage at once.
_GARBAGE = 100_000


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
        read_secrets(config)
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
        from syncer.cli.records import Records

        config = self.config()

        def index() -> BlobIndex:
            from syncer.catalog.index import SqlBlobIndex

            return SqlBlobIndex(engine)

        def releases() -> ReleaseIndex:
            from syncer.catalog.release_index import SqlReleaseIndex

            return SqlReleaseIndex(engine)

        def operations() -> Operations:
            from syncer.catalog.operations import SqlOperations

            return SqlOperations(engine)

        engine = connect(config.catalog_url)
        with closing(SqlCatalog(engine)) as catalog:
            check_schema(engine)
            if config.owner:
                config = config.with_owned(releases())
            now = datetime.now(UTC)
            yield Records(config, catalog, now, index, releases, operations)

    @contextmanager
    def app(
        self,
        *,
        for_good: bool = True,
        stop: threading.Event | None = None,
        reconcile: bool = True,
    ) -> Iterator[App]:
        """Open everything, with the catalog told what is configured.

        Without `reconcile` nothing is written.
        """
        from syncer.bootstrap import build

        with closing(build(self.config(for_good=for_good), stop=stop)) as app:
            self.output.cleaners.append(app.world.clean)
            if reconcile:
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

    A tick of the daemon makes an object or two for each of 10,000 mirrors, none of
    them garbage: to look through them after every 700 would take a third of it.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE, 10, 10)
    gc.enable()


def event(app: App, action: str, subject: object, detail: str = "") -> AuditEvent:
    """Return the audit event of a command."""
    from syncer.model.runs import AuditEvent

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


def kept_here(
    machine: str | None, states: list[RepoState], *, named: bool
) -> list[RepoState]:
    """Return the mirrors that this machine keeps; all, where only one works.

    Raises:
        Locked: another one keeps a mirror that was named.
    """
    if machine is None:
        return states
    others = [state for state in states if state.home not in {machine, None}]
    if others and named:
        msg = f"{others[0].name} is kept by {others[0].home}; nothing was visited"
        raise Locked(msg, hint=f"run it there, or: syncer rehome {others[0].name}")
    return [state for state in states if state.home == machine]
