"""What is configured and what is known of it, for commands that only read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from syncer import freshness
from syncer.cli.session import unknown
from syncer.errors import UnknownMirror
from syncer.model.mirrors import Activity

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from syncer.config import Config
    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName
    from syncer.ports import BlobIndex, Catalog, Operations, ReleaseIndex
    from syncer.schedule.lag import Freshness


@dataclass(frozen=True)
class Records:
    """What is configured and what the catalog knows, to be read only."""

    config: Config
    catalog: Catalog
    now: datetime
    #: What is known of blobs; imported when asked for.
    index: Callable[[], BlobIndex]
    #: What is known of releases, and of who a repository is; likewise.
    releases: Callable[[], ReleaseIndex]
    #: What operators are told; likewise.
    operations: Callable[[], Operations]

    def states(self) -> list[RepoState]:
        """Return every configured mirror by name, also one never heard of."""
        return freshness.configured(self.config, self.catalog.states())

    def state(self, name: RepoName) -> RepoState:
        """Return one mirror, also one that is no longer configured.

        A name that it had once, or has upstream by now, will do.

        Raises:
            UnknownMirror: neither the configuration nor the catalog has it.
        """
        configured = {state.name.identity: state for state in self.states()}
        if name.identity in configured:
            return configured[name.identity]
        try:
            stored = self.catalog.state(name)
        except UnknownMirror:
            raise unknown(name, self.config) from None
        removed = replace(stored, activity=Activity.REMOVED)
        return configured.get(stored.name.identity, removed)

    def freshness(self) -> list[Freshness]:
        """Return how fresh each configured mirror is, by name."""
        return freshness.fresh(self.config, self.states(), self.now)

    def has_releases(self, state: RepoState) -> bool:
        """Return whether a mirror's releases are mirrored, too."""
        return self._listing(state)

    @cached_property
    def _listing(self) -> Callable[[RepoState], bool]:
        return freshness.listing(self.config)
