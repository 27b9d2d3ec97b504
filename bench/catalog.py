"""What the catalog costs the daemon: one tick over many mirrors, one flush.

The flush is held against what an object mapper does by itself: load a row,
change it, commit, five hundred times.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session, registry

from bench.harness import Bar, report
from syncer.catalog import database, tables
from syncer.catalog.sql import SqlCatalog
from syncer.model.names import RepoName
from syncer.model.runs import ProbeResult
from syncer.schedule.due import due
from syncer.settings import DEFAULT_TIERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

MIRRORS = 10_000
BATCH = 500
ROUNDS = 7


class _Row:
    """A mapped row of `mirror`."""

    id: int
    last_attempt: datetime
    last_success: datetime


def main() -> int:
    """Measure and print the verdict."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        url = f"sqlite:///{Path(name) / 'catalog.db'}"
        database.upgrade(url)
        engine = database.connect(url)
        catalog = SqlCatalog(engine)
        now = datetime.now(UTC)
        names = [RepoName.parse(f"owner{n % 97}/name{n}") for n in range(MIRRORS)]
        catalog.reconcile([(repo, "normal") for repo in names], now)
        ids = [state.id for state in catalog.states()]
        for first in range(0, MIRRORS, BATCH):
            chunk = ids[first : first + BATCH]
            catalog.flush_probes([ProbeResult(i, now) for i in chunk])
        tick = _median(lambda: _tick(catalog, now))
        flush = _median(lambda: _flush(catalog, ids[:BATCH]))
        mapped = _median(lambda: _orm(engine, ids[:BATCH]), rounds=3)
        catalog.close()
    facts = {
        "tick": f"{tick * 1000:.0f} ms over {MIRRORS:,} mirrors",
        "flush": f"{flush * 1000:.1f} ms for {BATCH} probes",
        "one ORM commit each": f"{mapped * 1000:.0f} ms",
    }
    bars = [
        Bar("tick, ms", tick * 1000, 250, at_least=False),
        Bar("flush, times as fast as ORM commits", mapped / flush, 15, at_least=True),
    ]
    return report("catalog", bars, facts)


def _median(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return median(taken)


def _tick(catalog: SqlCatalog, now: datetime) -> None:
    due(catalog.states(), DEFAULT_TIERS, {"github.com": 20.0}, now)


def _flush(catalog: SqlCatalog, ids: list[int]) -> None:
    later = datetime.now(UTC)
    catalog.flush_probes([ProbeResult(mirror_id, later) for mirror_id in ids])


def _orm(engine: Engine, ids: list[int]) -> None:
    mapper = registry()
    mapper.map_imperatively(_Row, tables.mirror)
    later = datetime.now(UTC) + timedelta(seconds=1)
    for mirror_id in ids:
        with Session(engine) as session:
            row = session.get_one(_Row, mirror_id)
            row.last_attempt = row.last_success = later
            session.commit()
    mapper.dispose()


if __name__ == "__main__":
    sys.exit(main())
