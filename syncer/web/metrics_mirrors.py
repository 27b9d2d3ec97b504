"""Level 3: what it is for; how fresh and how whole each mirror is.

Only gauges name mirrors: of 10,000 that is 80,000 series, and a histogram would make
it a million.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from syncer.model.origin import Standing
from syncer.model.runs import Word
from syncer.web.exposition import labels, wide
from syncer.web.metrics_service import counter, labelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric

    from syncer.schedule.lag import Freshness
    from syncer.web.metrics_service import Counted


def states(found: Iterable[Freshness], tiers: Iterable[str]) -> Metric:
    """Return how many mirrors of each tier are in each state, also where none is."""
    numbers = Counter((each.word, each.state.tier) for each in found)
    family = GaugeMetricFamily(
        "syncer_repos", "Mirrors that are configured.", labels=["state", "tier"]
    )
    for tier in tiers:
        for word in Word:
            family.add_metric([word.value, tier], numbers[word, tier])
    return family


def unnamed(number: int) -> Metric:
    """Return how many mirrors have no gauges of their own."""
    return GaugeMetricFamily(
        "syncer_repos_unnamed",
        "Mirrors that are counted only: private ones, while the face has no token.",
        number,
    )


def integrity(counted: Counted) -> list[Metric]:
    """Return what was counted of wrong bytes and of history that upstream rewrote."""
    forced = sum(labelled(counted, "force_pushes").values())
    return [
        counter(
            "syncer_hash_mismatch",
            "Bytes that were not what they should be: a blob in the store (blob), or "
            "what a run received (run).",
            "kind",
            {"blob": 0, "run": 0} | labelled(counted, "mismatches"),
        ),
        CounterMetricFamily(
            "syncer_force_pushes", "Refs that upstream rewound.", forced
        ),
    ]


def each(found: Iterable[Freshness]) -> bytes:
    """Return the gauges that name mirrors."""
    named = [(labels(repo=fresh.state.name.short), fresh) for fresh in found]
    tiered = [(f"{of},{labels(tier=fresh.state.tier)}", fresh) for of, fresh in named]
    gauges: tuple[tuple[str, str, Iterable[tuple[str, float]]], ...] = (
        (
            "lag_seconds",
            "The worse of behind and the time since it was last known to be equal.",
            ((of, fresh.lag.total_seconds()) for of, fresh in tiered),
        ),
        (
            "behind_seconds",
            "How long a change that was seen upstream has waited to be published.",
            ((of, fresh.behind.total_seconds()) for of, fresh in tiered),
        ),
        (
            "target_seconds",
            "The lag that is aimed for.",
            ((of, fresh.target.total_seconds()) for of, fresh in tiered),
        ),
        (
            "state",
            "The word that people see for a mirror; always 1.",
            ((f'{of},state="{fresh.word}"', 1) for of, fresh in tiered),
        ),
        (
            "last_success_timestamp_seconds",
            "Start of the last probe after which it was equal, in seconds since 1970.",
            _successes(named),
        ),
        (
            "missing_objects",
            "LFS objects or assets that are wanted and not here, or damaged.",
            _missing(named),
        ),
        (
            "size_bytes",
            "Bytes that it needs: git, LFS objects and assets.",
            ((of, fresh.state.stored) for of, fresh in named),
        ),
        (
            "upstream_state",
            "How it stands upstream, where that is not as usual; always 1.",
            _standings(named),
        ),
    )
    return b"".join(
        wide(f"syncer_repo_{name}", meaning, samples)
        for name, meaning, samples in gauges
    )


def _successes(named: Iterable[tuple[str, Freshness]]) -> Iterator[tuple[str, float]]:
    for of, fresh in named:
        last = fresh.state.last_success
        if last is not None:
            yield of, last.timestamp()


def _missing(named: Iterable[tuple[str, Freshness]]) -> Iterator[tuple[str, float]]:
    """Yield what a mirror lacks of each kind that it has anything of."""
    for of, fresh in named:
        lfs, assets = fresh.state.lfs, fresh.state.releases.counts
        for kind, counts in (("lfs", lfs), ("assets", assets)):
            if counts.total:
                yield f'{of},kind="{kind}"', counts.total - counts.present


def _standings(named: Iterable[tuple[str, Freshness]]) -> Iterator[tuple[str, float]]:
    for of, fresh in named:
        state = fresh.state
        if state.standing is not Standing.NORMAL:
            yield f'{of},state="{state.standing}"', 1
        if state.upstream is not None:
            yield f'{of},state="renamed"', 1
