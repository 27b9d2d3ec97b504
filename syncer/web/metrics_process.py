"""The process that was asked, under the names that every Prometheus client uses.

prometheus.io/docs/instrumenting/writing_clientlibs, "Process metrics".  Not the
client's own collector: that reads /proc/stat, which a unit with `ProcSubset=pid` hides.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from datetime import datetime

    from prometheus_client import Metric

_SELF = Path("/proc/self")


def families(started: datetime) -> list[Metric]:
    """Return the process's age and what it takes; what cannot be read is left out."""
    used = time.process_time()
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    found: list[Metric] = [
        GaugeMetricFamily(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970.",
            started.timestamp(),
        ),
        CounterMetricFamily(
            "process_cpu_seconds",
            "CPU time of the process in seconds; git's own is not in it.",
            used,
        ),
        GaugeMetricFamily(
            "process_max_fds", "Files that the process may have open.", most
        ),
    ]
    try:
        # proc(5): the second number is resident pages.
        pages = int((_SELF / "statm").read_text().split()[1])
        descriptors = sum(1 for _ in (_SELF / "fd").iterdir())
    except OSError:
        return found
    memory = "process_resident_memory_bytes"
    size = pages * resource.getpagesize()
    return [
        *found,
        GaugeMetricFamily(memory, "Memory that the process has.", size),
        GaugeMetricFamily("process_open_fds", "Files it has open.", descriptors),
    ]
