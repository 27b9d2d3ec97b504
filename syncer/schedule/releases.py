"""How often releases are looked at: what that costs, and what an API allows (pure).

A release that is added or edited moves no ref, so releases are asked for by
themselves, with the first probe after their interval.  Where the API's allowance is
too small for the tiers, all intervals of the host stretch alike, and the mirrors are
honestly LATE.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from syncer.model.releases import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.model.mirrors import RepoState

#: Requests an hour that GitHub grants an address without a token, and a token
#: (docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
ANONYMOUS, AUTHORISED = 60, 5000
#: Nothing changes in what is archived, blocked or gone: one look a day.
QUIET = timedelta(days=1)
_HOUR = timedelta(hours=1)


def cost(state: RepoState, *, authorised: bool) -> int:
    """Return how many requests of the allowance one look at a mirror may take.

    One for each page, since every download changes the counts that a page shows; and
    one for the repository, which is free for a token while nothing changed.
    """
    pages = max(1, -(-state.releases.counts.releases // PAGE))
    return pages if authorised else pages + 1


def need(demands: Iterable[tuple[int, timedelta]]) -> float:
    """Return the requests an hour that (cost, interval) of each mirror come to."""
    return sum(requests * (_HOUR / interval) for requests, interval in demands)


class Load(NamedTuple):
    """What the looks at a host's releases come to, in requests an hour."""

    needed: float
    allowed: float
    authorised: bool


def load(
    demands: Iterable[tuple[RepoState, timedelta]],
    *,
    authorised: bool,
    reserve: float,
    granted: int | None = None,
) -> Load:
    """Return what (mirror, interval) of a host need, and what it allows.

    `granted` is what the host said; else its published limits count.
    """
    if granted is None:
        granted = AUTHORISED if authorised else ANONYMOUS
    costs = ((cost(state, authorised=authorised), every) for state, every in demands)
    return Load(need(costs), granted * (1 - reserve), authorised)


def stretched(interval: timedelta, needed: float, allowed: float) -> timedelta:
    """Return the interval that keeps to what is allowed, both in requests an hour."""
    if allowed <= 0:
        return QUIET
    return max(interval, min(interval * (needed / allowed), QUIET))


def tier_interval(state: RepoState, interval: timedelta) -> timedelta:
    """Return how often a tier wants a mirror's releases to be looked at."""
    return max(interval, QUIET) if state.standing.is_quiet else interval
