"""D11: whether the APIs and the hosts' probes hold what the tiers ask for."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.doctor.findings import doubtful, or_fine
from syncer.errors import ConfigError
from syncer.freshness import listing
from syncer.model.mirrors import Activity
from syncer.schedule import releases
from syncer.schedule.rate import Demand, steer
from syncer.units import span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.config import Config
    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site
    from syncer.model.mirrors import RepoState

_CORE = "core"


def budgets(site: Site) -> list[Finding]:
    """Look at both budgets of each host."""
    ledger = site.ledger()
    by_host: dict[str, list[RepoState]] = {}
    for state in ledger.states():
        if state.activity is Activity.ACTIVE:
            by_host.setdefault(state.name.host, []).append(state)
    granted = {
        host: each.limit
        for host, each in ledger.operations.allowances()
        if each.resource == _CORE
    }
    found: list[Finding] = []
    told: list[str] = []
    for host, states in sorted(by_host.items()):
        found += probes(ledger.config, host, states)
        found += api(ledger.config, host, states, granted.get(host))
        needed = sum(1 / _longest(ledger.config, state) for state in states)
        allowed = ledger.config.target_host(host).probes
        told.append(f"{host}: {needed:.2f} of {allowed:g} probes a second")
    return or_fine(found, "; ".join(told) or "nothing is mirrored yet")


def probes(config: Config, host: str, states: list[RepoState]) -> Iterator[Finding]:
    """Look whether a host's probes hold the longest intervals of its mirrors."""
    allowed = config.target_host(host).probes
    demands = [Demand(0.0, _longest(config, state)) for state in states]
    stretch = steer(demands, allowed).stretch
    if stretch <= 1:
        return
    needed = sum(1 / demand.cap for demand in demands)
    tiers = sorted({state.tier for state in states if state.tier in config.tier})
    missed = [
        f"{name} ({span(config.tier[name].target)})"
        for name in tiers
        if config.tier[name].interval * stretch > config.tier[name].target
    ]
    text = (
        f"{host}: the tiers ask for {needed:.1f} probes a second, {allowed:g} are "
        f"allowed: every interval is {stretch:.1f} times as long"
    )
    if missed:
        text += f", which misses the targets of {', '.join(missed)}"
    what = f'[host."{host}"] probes = {math.ceil(needed)}'
    yield doubtful(text, f"{what}, or longer intervals of the tiers")


def _longest(config: Config, state: RepoState) -> float:
    """Return the seconds between two probes of a mirror that is never pushed to."""
    tier = config.tier.get(state.tier)
    interval = timedelta(minutes=30) if tier is None else tier.interval
    return releases.tier_interval(state, interval).total_seconds()


def api(
    config: Config, host: str, states: list[RepoState], granted: int | None
) -> Iterator[Finding]:
    """Look whether a host's API holds the looks at releases."""
    listed = listing(config)
    demands = [
        (state, timedelta(seconds=_longest(config, state)))
        for state in states
        if listed(state)
    ]
    if not demands:
        return
    try:
        authorised = config.target_host(host).is_authorised
    except ConfigError:  # D03 says why
        authorised = False
    reserve = config.reserve(host)
    load = releases.load(
        demands, authorised=authorised, reserve=reserve, granted=granted
    )
    if load.needed <= load.allowed:
        return
    text = (
        f"{host}: releases take {load.needed:,.0f} requests an hour, "
        f"{load.allowed:,.0f} are allowed: they are looked at later"
    )
    yield doubtful(
        text, _remedy(load, releases.load(demands, authorised=True, reserve=reserve))
    )


def _remedy(load: releases.Load, known: releases.Load) -> str:
    """Return what it takes; `known` is what it would be with a token."""
    longer = "intervals of the tiers {:.1f} times as long"
    if load.authorised:
        times = load.needed / max(1.0, load.allowed)
        return f"{longer.format(times)}, or a GitHub App"
    known_as = "a token, which has 5,000 requests an hour"
    times = known.needed / max(1.0, known.allowed)
    return known_as if times <= 1 else f"{known_as}, and {longer.format(times)}"
