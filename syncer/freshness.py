"""The mirrors that are configured, as the catalog knows them, and how fresh they are.

Whoever tells of mirrors asks here: commands, the HTTP face, reports and alerts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from syncer.model.lfs import LfsCounts
from syncer.model.mirrors import RepoState
from syncer.model.releases import ReleaseState
from syncer.schedule.lag import Freshness, freshness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from syncer.settings import Config


def configured(config: Config, known: Iterable[RepoState]) -> list[RepoState]:
    """Return every configured mirror by name, also one never heard of.

    What is not mirrored of it any more asks nothing of a person.
    """
    stored = {state.name.identity: state for state in known}
    found = []
    for repo in config.repo:
        state = stored.get(repo.name.identity)
        if state is None:
            state = RepoState(0, repo.name, repo.name.path, repo.tier)
        lfs = state.lfs if repo.lfs else LfsCounts()
        releases = state.releases if repo.has_releases else ReleaseState()
        told = (repo.name, repo.tier, lfs, releases)
        # A copy of each of 10,000 would take longer than reading them.
        if told != (state.name, state.tier, state.lfs, state.releases):
            known_as = replace(state, name=repo.name, tier=repo.tier)
            state = replace(known_as, lfs=lfs, releases=releases)
        found.append(state)
    return sorted(found, key=lambda state: state.name.identity)


def fresh(
    config: Config, states: Iterable[RepoState], now: datetime
) -> list[Freshness]:
    """Return how fresh configured mirrors are, in the order given."""
    listed = listing(config)
    tiers = config.tier
    return [
        freshness(state, tiers[state.tier], now, releases=listed(state))
        for state in states
    ]


def listing(config: Config) -> Callable[[RepoState], bool]:
    """Return what says whether a mirror's releases are mirrored, too."""
    without = {repo.name.identity for repo in config.repo if not repo.has_releases}
    has_api = cache(config.has_api)
    return lambda state: state.name.identity not in without and has_api(state.name.host)
