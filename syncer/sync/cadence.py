"""How often each mirror's releases are looked at, within what its host allows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from syncer.schedule import releases as schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from syncer.model.mirrors import RepoState, Selection
    from syncer.model.names import RepoName
    from syncer.ports import Catalog, Clock, ForgeApi

#: What the mirrors of a host need is reckoned anew after this.
_KEPT = timedelta(minutes=10)
_UNKNOWN_TIER = timedelta(minutes=30)


class Tier(Protocol):
    """What the cadence needs to know of a tier."""

    @property
    def interval(self) -> timedelta:
        """The longest time between two looks, where the allowance lasts."""


class Cadence:
    """Reckons the intervals of all mirrors; usable from many threads."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that an interval depends on
        self,
        catalog: Catalog,
        api: ForgeApi,
        clock: Clock,
        tiers: Mapping[str, Tier],
        selection: Callable[[RepoName], Selection],
        reserve: Callable[[str], float],
    ) -> None:
        """Leave the share `reserve` of a host's allowance to others."""
        self._catalog = catalog
        self._api = api
        self._clock = clock
        self._tiers = tiers
        self._selection = selection
        self._reserve = reserve
        self._loads: dict[str, tuple[datetime, schedule.Load]] = {}

    def every(self, state: RepoState) -> timedelta:
        """Return the time between two looks at a mirror's releases."""
        wanted = self._wanted(state)
        load = self.load(state.name.host)
        return schedule.stretched(wanted, load.needed, load.allowed)

    def load(self, host: str) -> schedule.Load:
        """Return what a host's mirrors need of its API, and what it allows."""
        now = self._clock.now()
        kept = self._loads.get(host)
        if kept is None or not timedelta() <= now - kept[0] < _KEPT:
            kept = now, self._reckoned(host)
            self._loads[host] = kept
        return kept[1]

    def _reckoned(self, host: str) -> schedule.Load:
        demands = (
            (state, self._wanted(state))
            for state in self._catalog.states()
            if state.name.host == host and self._selection(state.name).releases.wanted
        )
        told = [each for each in self._api.allowances(host) if each.resource == "core"]
        return schedule.load(
            demands,
            authorised=self._api.is_authorised(host),
            reserve=self._reserve(host),
            granted=told[0].limit if told else None,
        )

    def _wanted(self, state: RepoState) -> timedelta:
        tier = self._tiers.get(state.tier)
        interval = _UNKNOWN_TIER if tier is None else tier.interval
        return schedule.tier_interval(state, interval)
