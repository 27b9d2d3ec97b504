"""What is configured and what is known of it, for commands that only read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from syncer.cli.session import unknown
from syncer.errors import UnknownMirror
from syncer.model.lfs import LfsCounts
from syncer.model.mirrors import Activity, RepoState
from syncer.model.releases import ReleaseState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from syncer.config import Config
    from syncer.model.names import RepoName
    from syncer.ports import BlobIndex, Catalog, ReleaseIndex
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
            releases = state.releases if repo.has_releases else ReleaseState()
            known_as = replace(state, name=repo.name, tier=repo.tier)
            found.append(replace(known_as, lfs=lfs, releases=releases))
        return sorted(found, key=lambda state: state.name.identity)

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
        from syncer.schedule.lag import freshness

        tiers, now = self.config.tier, self.now
        return [
            freshness(state, tiers[state.tier], now, releases=self.has_releases(state))
            for state in self.states()
        ]

    def has_releases(self, state: RepoState) -> bool:
        """Return whether a mirror's releases are mirrored, too."""
        off = state.name.identity in self._without_releases
        return not off and self.config.has_api(state.name.host)

    @cached_property
    def _without_releases(self) -> frozenset[str]:
        repos = self.config.repo
        return frozenset(r.name.identity for r in repos if not r.has_releases)
