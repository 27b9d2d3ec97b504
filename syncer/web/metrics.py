"""What Prometheus scrapes: all from the catalog, so that a restart loses nothing.

Three levels: what it stands on (`metrics_infrastructure`), how it works
(`metrics_service`), and what it is for (`metrics_mirrors`).  Whichever machine is asked
answers for all of them; only `process_*` is of the process that was asked.  Private
mirrors are counted, and named to those alone who have shown the token (`View.public`).
docs/metrics.md describes every metric.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from syncer.errors import SyncerError
from syncer.reports import growth
from syncer.web import (
    metrics_infrastructure,
    metrics_mirrors,
    metrics_process,
    metrics_service,
)
from syncer.web.exposition import CONTENT_TYPE, narrow

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.web.view import View

__all__ = ["CONTENT_TYPE", "exposition"]

log = logging.getLogger(__name__)


def exposition(view: View, now: datetime) -> bytes:
    """Return all metrics, as of type `CONTENT_TYPE`.

    Where the catalog cannot be read, `syncer_catalog_up` is 0 and only what is known
    without it is there.
    """
    own = metrics_process.families(view.started)
    local = metrics_infrastructure.local(view.config)
    try:
        known = _known(view, local, now)
    except SyncerError as exc:
        log.warning("metrics lack the catalog", extra={"error": str(exc)})
        disks = metrics_infrastructure.disks(view.config, local, [], now)
        built = metrics_infrastructure.built(catalog_up=False)
        return narrow([*built, *disks, *own])
    return narrow([*metrics_infrastructure.built(catalog_up=True), *own]) + known


def _known(
    view: View, local: metrics_infrastructure.Space | None, now: datetime
) -> bytes:
    """Return what the catalog knows; one call of it after the other."""
    operations = view.operations
    fresh = view.fresh(now)
    named = view.public(fresh)
    machines = operations.machines()
    samples = operations.storage(now - growth.WINDOW)
    counted = operations.counters()
    families = [
        *metrics_infrastructure.disks(view.config, local, samples, now),
        metrics_infrastructure.stored(operations.usage()),
        *metrics_service.machines(machines, now),
        *metrics_service.runs(counted),
        *metrics_service.allowances(operations.allowances(), now),
        metrics_service.incidents(operations.open_incidents()),
        metrics_mirrors.states(fresh, view.config.tier),
        metrics_mirrors.unnamed(len(fresh) - len(named)),
        *metrics_mirrors.integrity(counted),
    ]
    return narrow(families) + metrics_mirrors.each(named)
