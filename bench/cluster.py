"""How many unchanged mirrors one scheduler and one worker visit, on Postgres.

    python -m bench.cluster [--mirrors N] [--seconds S] [--json]

Both are the real processes, with a catalog as it is after a year of work and every
mirror due all the time; upstream replays one answer on loopback.  What 10,000 mirrors
need at an interval of five minutes is the bar.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import update

from bench import scale_daemon, scale_stock
from bench.harness import ROOT, Bar, report
from syncer.catalog import database
from syncer.catalog.operations import SqlOperations
from syncer.catalog.tables import mirror
from syncer.workers import cluster_schema
from tests.servers import postgres
from tests.servers.s3 import S3Server
from tests.servers.s3_kinds import MINIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.servers.replay import ReplayServer

MIRRORS = 10_000
INTERVAL = 300.0
MACHINE = scale_stock.MACHINE
#: Seconds until both are at work, and those that are measured.
_START, _WARM, _LASTS = 60.0, 15.0, 60.0


def main() -> int:
    """Measure and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mirrors", type=int, default=MIRRORS)
    parser.add_argument("--seconds", type=float, default=_LASTS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-cluster-") as name,
        scale_daemon.upstream() as server,
        postgres.running() as engine,
        S3Server(MINIO) as store,
    ):
        engine.prepare()
        with engine.migrated() as url:
            place = Path(name)
            file = _stocked(place, url, server, options.mirrors)
            found = _measured(file, url, _object_store(store), options.seconds)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    facts = {
        "mirrors": f"{options.mirrors:,}",
        "scheduler": f"{found.scheduler:.0%} of a processor",
        "worker": f"{found.worker:.0%} of a processor",
        "load of the machine": load,
    }
    need = MIRRORS / INTERVAL
    bars = [Bar("unchanged visits a second", found.rate, round(need), at_least=True)]
    return report("cluster", bars, facts)


def _object_store(store: S3Server) -> dict[str, str]:
    """Return where objects are kept; several machines need one place for them."""
    return {
        "SYNCER_BLOBS": f"s3://{store.bucket()}",
        "SYNCER_S3_ENDPOINT": store.endpoint,
        "SYNCER_S3_ACCESS_KEY": store.access_key,
        "SYNCER_S3_SECRET_KEY": store.secret_key,
    }


@dataclass(frozen=True)
class Found:
    """Visits a second, and the shares of a processor that they took."""

    rate: float
    scheduler: float
    worker: float


def _stocked(place: Path, url: str, server: ReplayServer, mirrors: int) -> Path:
    """Fill a catalog whose mirrors one machine keeps; return the configuration."""
    known = scale_daemon.answer(server.url, server.ca_pem, place)
    stamps = scale_daemon.lay_out(place / "mirror", mirrors)
    scale_stock.fill(url, scale_stock.Rows(mirrors, *known), stamps)
    engine = database.connect(url)
    with engine.begin() as conn:
        conn.execute(update(mirror).values(home=MACHINE))
    engine.dispose()
    cluster_schema.upgrade(database.libpq(url))
    text = scale_daemon.config_text(
        place, mirrors=mirrors, catalog=url, upstream=server.url, ca=server.ca_pem
    )
    # As many connections as anybody has who does not say.
    text = text.replace("connections = 64\n", "")
    file = place / "cluster.toml"
    file.write_text(text, encoding="utf-8")
    return file


def _measured(
    file: Path, url: str, environ: Mapping[str, str], seconds: float
) -> Found:
    engine = database.connect(url)
    counted = SqlOperations(engine)
    with (
        _running(file, environ, "daemon", "--scheduler-only") as scheduler,
        _running(file, environ, "worker") as worker,
    ):
        before, deadline = _probes(counted), time.monotonic() + _START
        while _probes(counted) == before:
            for each in (scheduler, worker):
                if each.poll() is not None or time.monotonic() > deadline:
                    logs = [log.read_text() for log in file.parent.glob("*.log")]
                    sys.exit("\n".join(["nothing is visited:", *logs])[-4000:])
            time.sleep(0.2)
        time.sleep(_WARM)
        pids = (scheduler.pid, worker.pid)
        cpu = [scale_daemon.processor(pid) for pid in pids]
        first, began = _probes(counted), time.monotonic()
        time.sleep(seconds)
        lasted = time.monotonic() - began
        visits = _probes(counted) - first
        used = [scale_daemon.processor(pid) - cpu[n] for n, pid in enumerate(pids)]
    engine.dispose()
    return Found(visits / lasted, *(each / lasted for each in used))


@contextmanager
def _running(
    file: Path, environ: Mapping[str, str], *words: str
) -> Iterator[subprocess.Popen[bytes]]:
    named = {"PYTHONPATH": str(ROOT), "SYNCER_HOST": MACHINE, "SYNCER_LOG": "json"}
    named["PYTHONPYCACHEPREFIX"] = str(file.parent / "compiled")
    log = file.with_name(f"{words[0]}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "syncer", "--config", str(file), *words],
            cwd=ROOT,
            env={**os.environ, **environ, **named},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _probes(counted: SqlOperations) -> float:
    found = counted.counters()
    return sum(value for (name, _), value in found.items() if name == "probes")


if __name__ == "__main__":
    sys.exit(main())
