"""How far behind upstream the mirrors are, in words and numbers.

*behind* counts from the moment we first saw an upstream change that is not yet
published; *staleness* from the start of the last probe after which we knew to be
equal, and so bounds what we cannot have seen.  Refs and releases have both of their
own, since an asset that is added to an old tag moves no ref; LFS objects come with
the refs that need them.  A mirror's lag is the worst of all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from syncer.model.mirrors import Activity, RepoState
from syncer.model.runs import Outcome, Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from syncer.model.runs import LagSample, Published

_Value = TypeVar("_Value")

_NONE = timedelta()
#: What needs a person comes first, what asks for nothing last.
_SEVERITY = {
    word: place
    for place, word in enumerate(
        (
            Word.HELD,
            Word.FAIL,
            Word.GONE,
            Word.PARTIAL,
            Word.LATE,
            Word.NEW,
            Word.OK,
            Word.PAUSED,
        )
    )
}


class Tier(Protocol):
    """What lag is held against."""

    @property
    def target(self) -> timedelta:
        """The lag aimed for."""


#: What asks nothing of us all day is not late after a quarter of an hour.
_QUIET_TARGET = timedelta(days=2)


class ComponentLag(NamedTuple):
    """How fresh one kind of content is: "refs" or "releases"."""

    name: str
    behind: timedelta
    staleness: timedelta

    @property
    def lag(self) -> timedelta:
        """The worse of behind and staleness."""
        return max(self.behind, self.staleness)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh one mirror is at one moment: as its worst component."""

    state: RepoState
    word: Word
    behind: timedelta
    staleness: timedelta
    target: timedelta
    components: tuple[ComponentLag, ...] = ()

    @property
    def lag(self) -> timedelta:
        """The worse of behind and staleness."""
        return max(self.behind, self.staleness)


@dataclass(frozen=True, slots=True)
class Summary:
    """How long changes took from being seen to being published.

    `attained` is the share of them that met their target; all but `count` are
    None when nothing was published.
    """

    count: int
    median: timedelta | None = None
    p90: timedelta | None = None
    p99: timedelta | None = None
    worst: timedelta | None = None
    attained: float | None = None


def behind(state: RepoState, now: datetime) -> timedelta:
    """Return how long an upstream change has been waiting; nothing when equal."""
    return _since(state.behind_since, now)


def staleness(state: RepoState, now: datetime) -> timedelta:
    """Return how long ago we last knew to be equal to upstream.

    A mirror that never was counts from the moment it was added.
    """
    return _since(state.last_success or state.added, now)


def lag(state: RepoState, now: datetime, *, releases: bool = False) -> timedelta:
    """Return the worst of behind and staleness; `releases`: they are mirrored too."""
    return max(each.lag for each in components(state, now, releases=releases))


def components(
    state: RepoState, now: datetime, *, releases: bool
) -> tuple[ComponentLag, ...]:
    """Return how fresh each component is that is mirrored."""
    refs = ComponentLag("refs", behind(state, now), staleness(state, now))
    if not releases:
        return (refs,)
    known = state.releases
    waiting = _since(known.behind_since, now)
    unseen = _since(known.checked or state.added, now)
    return refs, ComponentLag("releases", waiting, unseen)


def _since(start: datetime | None, now: datetime) -> timedelta:
    # Of every mirror several times, at each look: `max` would take twice as long.
    return _NONE if start is None or start >= now else now - start


def target(state: RepoState, tier: Tier) -> timedelta:
    """Return the lag aimed for; what is archived or gone is looked at daily."""
    return max(tier.target, _QUIET_TARGET) if state.standing.is_quiet else tier.target


def word(
    state: RepoState, tier: Tier, now: datetime, *, releases: bool = False
) -> Word:
    """Return the one word that a person sees for a mirror."""
    return freshness(state, tier, now, releases=releases).word


def _word(  # noqa: PLR0911 - a list of words, the first that holds
    state: RepoState, found: tuple[ComponentLag, ...], *, late: bool
) -> Word:
    """Return the word of a mirror whose components are so fresh."""
    if state.activity is not Activity.ACTIVE:
        return Word.PAUSED
    if state.outcome is Outcome.GONE:
        return Word.GONE
    if state.held is not None and not state.held.accepted:
        return Word.HELD
    if state.failures > 0:
        return Word.FAIL
    if state.last_success is None:
        return Word.NEW
    if state.outcome is Outcome.PARTIAL or state.lfs.present < state.lfs.total:
        return Word.PARTIAL
    if len(found) > 1 and _lacks_releases(state):
        return Word.PARTIAL
    return Word.LATE if late else Word.OK


def _lacks_releases(state: RepoState) -> bool:
    """Return whether assets are missing, or releases could not be listed."""
    known = state.releases
    return known.failures > 0 or known.counts.present < known.counts.total


def freshness(
    state: RepoState, tier: Tier, now: datetime, *, releases: bool = False
) -> Freshness:
    """Return how fresh a mirror is; `releases`: its releases are mirrored too."""
    found = components(state, now, releases=releases)
    _, waiting, unseen = found[0]
    for each in found[1:]:
        waiting = max(waiting, each.behind)
        unseen = max(unseen, each.staleness)
    aim = target(state, tier)
    said = _word(state, found, late=waiting > aim or unseen > aim)
    return Freshness(state, said, waiting, unseen, aim, found)


def worst_first(found: Iterable[Freshness]) -> list[Freshness]:
    """Return the mirrors by what they ask of a person, then by lag over target."""
    return sorted(
        found,
        key=lambda each: (
            _SEVERITY[each.word],
            -(each.lag / each.target),
            each.state.name.identity,
        ),
    )


def delay(sample: LagSample | Published) -> timedelta:
    """Return the time from seeing a change to publishing it."""
    late = sample.published - sample.observed
    return max(_NONE, late)


def percentile(sorted_values: Sequence[_Value], share: float) -> _Value:
    """Return the least value that at least `share` of all do not exceed.

    The nearest-rank method: always one of the values, which come sorted.

    Raises:
        ValueError: there are no values, or `share` is not above 0 and at most 1.
    """
    if not sorted_values or not 0 < share <= 1:
        msg = "a percentile needs values, and a share above 0 and at most 1"
        raise ValueError(msg)
    return sorted_values[max(0, math.ceil(share * len(sorted_values)) - 1)]


def attainment(
    samples: Iterable[LagSample | Published], targets: Mapping[int, timedelta]
) -> float | None:
    """Return the share of changes published within their mirror's target.

    A mirror without a target is left out; None when nothing is left.
    """
    return _attained(((s.mirror_id, delay(s)) for s in samples), targets)


def _attained(
    delays: Iterable[tuple[int, timedelta]], targets: Mapping[int, timedelta]
) -> float | None:
    met = [late <= targets[id_] for id_, late in delays if id_ in targets]
    return sum(met) / len(met) if met else None


def summarise(
    samples: Iterable[LagSample | Published], targets: Mapping[int, timedelta]
) -> Summary:
    """Return the percentiles and the attainment of published changes."""
    those = [(sample.mirror_id, delay(sample)) for sample in samples]
    delays = sorted(late for _, late in those)
    if not delays:
        return Summary(0)
    return Summary(
        len(delays),
        percentile(delays, 0.50),
        percentile(delays, 0.90),
        percentile(delays, 0.99),
        delays[-1],
        _attained(those, targets),
    )
