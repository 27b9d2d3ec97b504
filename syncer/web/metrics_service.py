"""Level 2: how it works; its machines, runs and allowances, and what went wrong."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from math import isinf
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from syncer.model.incidents import Kind
from syncer.model.machines import Role
from syncer.model.runs import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from prometheus_client import Metric

    from syncer.model.incidents import Incident
    from syncer.model.machines import Machine
    from syncer.model.origin import Allowance

#: What `Operations.counters` returns: amounts by (name, label).
Counted: TypeAlias = "Mapping[tuple[str, str], float]"

#: A machine that did not tell of itself for longer is down.
_SEEN = timedelta(seconds=60)
_NONE = timedelta()


def machines(known: Iterable[Machine], now: datetime) -> list[Metric]:
    """Return how machines are; of one that is down only that, and since when.

    A machine that died as leader leads no more.
    """
    label = ["machine"]
    leader = GaugeMetricFamily(
        "syncer_leader",
        "Whether a machine decides which mirrors are due.",
        labels=label,
    )
    seen = GaugeMetricFamily(
        "syncer_machine_seen_timestamp_seconds",
        "When a machine last told of itself, in seconds since 1970.",
        labels=label,
    )
    up = GaugeMetricFamily(
        "syncer_machine_up",
        "Whether a machine told of itself within the last minute.",
        labels=label,
    )
    tick, queue, oldest, workers = work = _work()
    for each in known:
        is_up = now - each.seen <= _SEEN
        up.add_metric([each.name], is_up)
        seen.add_metric([each.name], each.seen.timestamp())
        if Role.SCHEDULER in each.roles:
            leader.add_metric([each.name], is_up and each.leader)
        if not is_up:
            continue
        if Role.SCHEDULER in each.roles:
            tick.add_metric([each.name], each.tick)
        waited = _NONE if each.oldest is None else max(_NONE, now - each.oldest)
        queue.add_metric([each.name, "running"], each.running)
        queue.add_metric([each.name, "waiting"], each.waiting)
        oldest.add_metric([each.name], waited.total_seconds())
        workers.add_metric([each.name], each.capacity)
    return [leader, seen, up, *work]


def _work() -> tuple[GaugeMetricFamily, ...]:
    """Return the families of what machines have in hand, without samples."""
    queue = "Runs that move objects, and runs that wait to."
    return (
        GaugeMetricFamily(
            "syncer_tick_seconds",
            "How long the last decision about all mirrors took.",
            labels=["machine"],
        ),
        GaugeMetricFamily("syncer_queue_depth", queue, labels=["machine", "kind"]),
        GaugeMetricFamily(
            "syncer_job_oldest_seconds",
            "Age of the oldest of these runs; 0 without any.",
            labels=["machine"],
        ),
        GaugeMetricFamily(
            "syncer_workers",
            "Runs that may move objects at the same time.",
            labels=["machine"],
        ),
    )


def runs(counted: Counted) -> list[Metric]:
    """Return what was counted of probes, runs and published changes."""
    return [
        counter(
            "syncer_syncs",
            "Runs that ended, by how.",
            "outcome",
            {each.value: 0 for each in Outcome} | labelled(counted, "syncs"),
        ),
        _sync_seconds(counted),
        counter(
            "syncer_probes",
            "Questions to upstream whether a mirror is current, by what they found.",
            "result",
            {"unchanged": 0, "changed": 0, "failed": 0} | labelled(counted, "probes"),
        ),
        counter(
            "syncer_bytes_fetched",
            "Bytes received from upstream.",
            "kind",
            {"git": 0, "lfs": 0, "assets": 0} | labelled(counted, "bytes"),
        ),
        _publish_lag(counted),
    ]


def labelled(counted: Counted, name: str) -> dict[str, float]:
    """Return the counters of one name, by label."""
    return {label: value for (each, label), value in counted.items() if each == name}


def counter(
    name: str, meaning: str, label: str, values: Mapping[str, float]
) -> CounterMetricFamily:
    """Return a counter with one label; `name` is without its `_total`."""
    family = CounterMetricFamily(name, meaning, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family


def _sync_seconds(counted: Counted) -> Metric:
    family = HistogramMetricFamily(
        "syncer_sync_seconds", "How long runs took that ended by themselves.", labels=[]
    )
    total = counted.get(("sync_seconds_sum", ""), 0)
    family.add_metric([], _buckets(labelled(counted, "sync_seconds_bucket")), total)
    return family


def _publish_lag(counted: Counted) -> Metric:
    family = HistogramMetricFamily(
        "syncer_publish_lag_seconds",
        "Time from seeing a change upstream to publishing it.",
        labels=["component"],
    )
    series: dict[str, dict[str, float]] = {"refs": {}, "releases": {}}
    for label, value in labelled(counted, "lag_seconds_bucket").items():
        component, _, bound = label.partition("/")
        series.setdefault(component, {})[bound] = value
    for component, buckets in series.items():
        total = counted.get(("lag_seconds_sum", component), 0)
        family.add_metric([component], _buckets(buckets), total)
    return family


def _buckets(found: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return the buckets of a histogram in order, and always the last.

    Prometheus 3 writes bounds as 300.0, so that 300 would be another series there.
    """
    those = sorted((float(bound), value) for bound, value in found.items())
    return [
        ("+Inf" if isinf(bound) else repr(bound), value) for bound, value in those
    ] or [("+Inf", 0)]


def allowances(granted: Iterable[tuple[str, Allowance]], now: datetime) -> list[Metric]:
    """Return what is left of hosts' API allowances.

    One with a token counts before one without.  After its window nobody knows what
    is left until the host's next answer, so nothing is said.
    """
    names = ["host", "resource"]
    remaining = GaugeMetricFamily(
        "syncer_ratelimit_remaining",
        "Requests that a host's API still grants in this window.",
        labels=names,
    )
    limit = GaugeMetricFamily(
        "syncer_ratelimit_limit", "Requests it grants in a window.", labels=names
    )
    reset = GaugeMetricFamily(
        "syncer_ratelimit_reset_timestamp_seconds",
        "When the window ends, in seconds since 1970.",
        labels=names,
    )
    current = [(host, each) for host, each in granted if each.reset > now]
    current.sort(key=lambda one: one[1].authorised)
    latest = {(host, each.resource): each for host, each in current}
    for labels, each in sorted(latest.items()):
        remaining.add_metric(labels, each.remaining)
        limit.add_metric(labels, each.limit)
        reset.add_metric(labels, each.reset.timestamp())
    return [remaining, limit, reset]


def incidents(lasting: Iterable[Incident]) -> Metric:
    """Return how many incidents last, by kind."""
    numbers = Counter(each.kind for each in lasting)
    family = GaugeMetricFamily(
        "syncer_incidents_open",
        "What went wrong and is not over; see also `syncer alert list`.",
        labels=["kind"],
    )
    for kind in Kind:
        family.add_metric([kind.value], numbers[kind])
    return family
