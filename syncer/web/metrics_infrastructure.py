"""Level 1: what it stands on; the catalog, and the disks of its machines."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.core import GaugeMetricFamily

from syncer import __version__
from syncer.reports import growth

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from prometheus_client import Metric

    from syncer.model.storage import StorageSample, Usage
    from syncer.settings import Config

#: A machine that has not told of its disk for longer has no disk to show.
_CURRENT = timedelta(hours=3)


class Space(NamedTuple):
    """A disk as it is right now; bytes."""

    free: int
    capacity: int


def built(*, catalog_up: bool) -> list[Metric]:
    """Return which version answers, and whether it could read the catalog."""
    build = GaugeMetricFamily(
        "syncer_build_info", "The version that answers; always 1.", labels=["version"]
    )
    build.add_metric([__version__], 1)
    return [
        build,
        GaugeMetricFamily(
            "syncer_catalog_up",
            "Whether the catalog could be read; if not, most of the rest is not here.",
            float(catalog_up),
        ),
    ]


def local(config: Config) -> Space | None:
    """Return this machine's disk that has the bare repositories, if it answers."""
    place = config.data / "git"
    try:
        there = next(path for path in (place, *place.parents) if path.exists())
        usage = shutil.disk_usage(there)
    except OSError:
        return None
    return Space(usage.free, usage.total)


def disks(
    config: Config,
    local: Space | None,
    samples: Iterable[StorageSample],
    now: datetime,
) -> list[Metric]:
    """Return how full the disks are: this machine's now, the others' as last told."""
    told = {
        machine: those
        for machine, those in growth.by_machine(samples).items()
        if now - those[-1].at <= _CURRENT
    }
    spaces = {
        machine: Space(those[-1].free, those[-1].capacity)
        for machine, those in told.items()
    }
    if local is not None:
        spaces[config.machine] = local
    min_free = config.syncer.min_free
    free = _of_machines("free_bytes", "Free space below the bare repositories.")
    capacity = _of_machines("capacity_bytes", "Size of the file system of these.")
    floor = _of_machines("floor_bytes", "Free space below which nothing new starts.")
    for machine, space in sorted(spaces.items()):
        free.add_metric([machine], space.free)
        capacity.add_metric([machine], space.capacity)
        floor.add_metric([machine], growth.floor_of(min_free, space.capacity))
    return [free, capacity, floor, _full(told, min_free, now)]


def _full(
    told: dict[str, list[StorageSample]], min_free: float, now: datetime
) -> GaugeMetricFamily:
    meaning = "Seconds until free space reaches the floor; absent: not in sight."
    family = _of_machines("full_seconds", meaning)
    for machine, those in told.items():
        last = those[-1]
        floor = growth.floor_of(min_free, last.capacity)
        forecast = growth.forecast(those, floor)
        if forecast is not None:
            left = max(timedelta(), forecast - (now - last.at))
            family.add_metric([machine], left.total_seconds())
    return family


def _of_machines(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"syncer_store_{name}", meaning, labels=["machine"])


def stored(usage: Usage) -> Metric:
    """Return the bytes that are stored, by kind."""
    meaning = (
        "Bytes that are mirrored. Stored are git and blobs; lfs and assets are what "
        "mirrors need of the blobs, shared is what they need more than once."
    )
    family = GaugeMetricFamily("syncer_store_bytes", meaning, labels=["kind"])
    for kind in ("git", "lfs", "assets", "blobs", "shared"):
        family.add_metric([kind], getattr(usage, kind))
    return family
