"""What the face shows from: the ports, and the configuration in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer import freshness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from syncer.model.mirrors import RepoState
    from syncer.ports import Catalog, Clock, GitStore, Operations, ReleaseIndex
    from syncer.schedule.lag import Freshness
    from syncer.settings import Config


def _unchecked() -> None:
    """Find nothing wrong."""


@dataclass(frozen=True)
class View:
    """Everything a request may look at; a reload puts another in its place."""

    config: Config
    catalog: Catalog
    operations: Operations
    releases: ReleaseIndex
    store: GitStore
    clock: Clock
    #: When this process began.
    started: datetime
    #: Raises what is wrong with the catalog's schema.
    check_schema: Callable[[], None] = _unchecked

    def fresh(self, now: datetime) -> list[Freshness]:
        """Return how fresh each configured mirror is, by name."""
        states = freshness.configured(self.config, self.catalog.states())
        return freshness.fresh(self.config, states, now)

    @property
    def is_guarded(self) -> bool:
        """Whether readers have shown the token, and so may know of everything."""
        return self.config.syncer.web.token is not None

    def listed(self) -> Callable[[RepoState], bool]:
        """Return what says whether a mirror may be shown to those who read.

        Whoever has shown the token sees all.  Where none is configured, a private
        repository stays unnamed; so does one of which upstream has not told yet,
        if our credentials may be what lets us see it.
        """
        if self.is_guarded:
            return _everything
        private = self.releases.visibility()
        hosts = {repo.name.host for repo in self.config.repo}
        trusting = frozenset(host for host in hosts if _may_be_private(self, host))

        def is_public(state: RepoState) -> bool:
            known = private.get(state.id)
            return not known if known is not None else state.name.host not in trusting

        return is_public

    def public(self, found: Iterable[Freshness]) -> list[Freshness]:
        """Return those that may be shown to those who read, in the order given."""
        listed = self.listed()
        return [each for each in found if listed(each.state)]


def _everything(_state: RepoState) -> bool:
    return True


def _may_be_private(view: View, name: str) -> bool:
    """Return whether a host gives us what it may not give to everybody."""
    host = view.config.target_host(name)
    return host.is_authorised or host.protocol == "ssh"
