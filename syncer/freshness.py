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
    from syncer.wanted import Repo

_NO_LFS, _NO_RELEASES = LfsCounts(), ReleaseState()


def configured(config: Config, known: Iterable[RepoState]) -> list[RepoState]:
    """Return every configured mirror by name, also one never heard of.

    What is not mirrored of it any more asks nothing of a person.
    """
    wanted = {repo.name.identity: repo for repo in config.repo}
    found = []
    for state in known:
        repo = wanted.pop(state.name.identity, None)
        if repo is not None:
            found.append(_as_wanted(state, repo))
    names = ((repo.name, repo.tier) for repo in wanted.values())
    found += [RepoState(0, name, name.path, tier) for name, tier in names]
    return sorted(found, key=lambda state: state.name.identity)


def _as_wanted(state: RepoState, repo: Repo) -> RepoState:
    """Return a mirror without what is not mirrored of it; a copy only if it differs."""
    if (state.name, state.tier) != (repo.name, repo.tier):
        state = replace(state, name=repo.name, tier=repo.tier)
    if not (repo.lfs or state.lfs == _NO_LFS):
        state = replace(state, lfs=_NO_LFS)
    if not (repo.has_releases or state.releases == _NO_RELEASES):
        state = replace(state, releases=_NO_RELEASES)
    return state


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
