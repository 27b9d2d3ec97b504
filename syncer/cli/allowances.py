"""What looking at releases needs of each host's API, and what that allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import ConfigError
from syncer.model.mirrors import Activity
from syncer.schedule import releases as schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.cli.records import Records
    from syncer.model.mirrors import RepoState


class Load(NamedTuple):
    """Requests an hour: what the tiers ask for, and what the host grants by rule.

    What it really grants is known to the process that asks it.
    """

    host: str
    needed: float
    allowed: float
    authorised: bool

    @property
    def is_met(self) -> bool:
        """Whether releases are looked at as often as the tiers say."""
        return self.needed <= self.allowed

    def __str__(self) -> str:
        """Return `github.com: 340 of 4,500 requests an hour`."""
        what = f"{self.needed:,.0f} of {self.allowed:,.0f} requests an hour"
        return f"{self.host}: releases take {what}"

    @property
    def remedy(self) -> str:
        """What helps if it is not met."""
        if self.authorised:
            return "longer intervals of the tiers, or a GitHub App"
        return "a token, which has 5,000 requests an hour: syncer help environment"


def loads(records: Records, states: Iterable[RepoState]) -> list[Load]:
    """Return what each host with an API is asked for, by host."""
    config = records.config
    by_host: dict[str, list[RepoState]] = {}
    has_releases = records.has_releases
    intervals = {name: tier.interval for name, tier in config.tier.items()}
    for state in states:
        if state.activity is Activity.ACTIVE and has_releases(state):
            by_host.setdefault(state.name.host, []).append(state)
    found = []
    for host in sorted(by_host):
        try:
            authorised = config.target_host(host).is_authorised
        except ConfigError:  # `config validate` says why
            authorised = False
        demands = [
            (state, schedule.tier_interval(state, intervals[state.tier]))
            for state in by_host[host]
        ]
        reserve = config.reserve(host)
        load = schedule.load(demands, authorised=authorised, reserve=reserve)
        found.append(Load(host, *load))
    return found
