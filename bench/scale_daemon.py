"""The real daemon over very many mirrors: its memory, and its share of a processor.

Upstream replays one answer on loopback, so that every probe finds nothing new: what
is left is what the daemon does by itself.  It is asked for its metrics meanwhile, as
Prometheus asks.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench import scale_stock as stock
from bench.harness import ROOT
from syncer import presence
from syncer.bootstrap import build
from syncer.catalog import database
from syncer.catalog.operations import SqlOperations
from syncer.config import load
from syncer.git import packed_refs
from syncer.model.content import DEFAULT_SCOPE
from syncer.model.names import RepoName
from tests.servers import bulk
from tests.servers.replay import ReplayServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Seconds between two scrapes, and the most that the whole may take.
_SCRAPE, _PATIENCE = 15.0, 900.0
#: How often every mirror is probed at least before the verdict.
SWEEPS = 2
#: How often it is asked afterwards what its last tick took, and seconds between.
_CALM, _BEAT = 5, presence.BEAT
_MIB = 1 << 20
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Watched:
    """What was seen of a daemon; bytes, seconds and shares of one processor."""

    started: float = 0.0
    rss_at_start: float = 0.0
    rss: float = 0.0
    peak: float = 0.0
    cpu: float = 0.0
    probes: float = 0.0
    scrapes: list[float] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)
    calm: list[float] = field(default_factory=list)

    def facts(self) -> dict[str, str]:
        """Return it in words."""
        scraped = max(self.scrapes, default=None)
        slowest = "nobody listens" if scraped is None else f"{scraped:.2f} s at most"
        return {
            "started": f"after {self.started:.1f} s",
            "resident": f"{self.rss_at_start / _MIB:.0f} MiB after the start, "
            f"{self.rss / _MIB:.0f} at the end, {self.peak / _MIB:.0f} at most",
            "processor": f"{self.cpu:.0%} of one, {self.probes:.0f} probes a second",
            "scrapes": f"{len(self.scrapes)}, {slowest}",
            "ticks while it does": _told(self.ticks),
            "ticks at the default budget": _told(self.calm),
        }

    @property
    def peak_mib(self) -> float:
        """The most that was resident."""
        return self.peak / _MIB

    @property
    def tick_ms(self) -> float:
        """What a tick takes at the default budget: the median."""
        return 1000 * median(self.calm)


def _told(ticks: list[float]) -> str:
    """Return the median and the longest of what the daemon said its ticks took."""
    return f"{1000 * median(ticks):.0f} ms, {1000 * max(ticks):.0f} ms at most"


def answer(url: str, ca: Path, place: Path) -> tuple[str, str]:
    """Return what the upstream's answer is known by: digest and question."""
    asking = place / "asking"
    file = asking / "repos.toml"
    (asking / "mirror").mkdir(parents=True)
    file.write_text(config_text(asking, ca=ca, upstream=url), encoding="utf-8")
    config = load(file, {})
    database.upgrade(config.catalog_url)
    app = build(config)
    probe = app.forge.probe(RepoName.parse(stock.name(0)), DEFAULT_SCOPE)
    app.close()
    return probe.digest, probe.asked


def lay_out(data: Path, mirrors: int) -> list[str]:
    """Make a small repository for every mirror; return their stamps."""
    first = bulk.build(data / "first.git", commits=3, files=2).path
    shutil.rmtree(first / "hooks", ignore_errors=True)
    stamps = []
    for number in range(mirrors):
        path = data / "git/github.com" / f"{stock.name(number)}.git"
        # Their files are one and the same: what is changed is renamed into place.
        shutil.copytree(first, path, copy_function=os.link)
        stamps.append(packed_refs.stamp(path) or "")
    shutil.rmtree(first)
    return stamps


def config_text(  # noqa: PLR0913 - each is one thing that may be told
    place: Path,
    *,
    mirrors: int = 0,
    catalog: str | None = None,
    upstream: str | None = None,
    ca: Path | None = None,
    port: int | None = None,
    often: bool = True,
) -> str:
    """Return a configuration; with `upstream` all is probed there, maybe `often`."""
    text = f'[syncer]\ndata = "{place / "mirror"}"\nmin_free = 0\n'
    if catalog is not None:
        text += f'catalog = "{catalog}"\n'
    listen = "off" if port is None else f"127.0.0.1:{port}"
    text += f'[syncer.web]\nlisten = "{listen}"\n'
    if upstream is not None:
        text += f'[host."github.com"]\ngit = "{upstream}"\nca = "{ca}"\n'
        text += "private = true\n"
        if often:
            text += "probes = 1000\n"
            for tier in ("core", "normal"):
                text += f'[tier.{tier}]\ninterval = "45s"\ntarget = "1h"\n'
    for number in range(mirrors):
        text += f'[[repo]]\nname = "{stock.name(number)}"\n'
        text += f'tier = "{stock.tier(number)}"\n'
    return text


@contextmanager
def upstream() -> Iterator[ReplayServer]:
    """Serve one list of refs for every repository."""
    refs = [("1" * 40, "refs/heads/main", None), ("2" * 40, "refs/tags/v1", None)]
    with ReplayServer(refs) as server:
        yield server


def watch(  # noqa: PLR0913, PLR0917 - each is one thing that may be told
    file: Path,
    calm: str,
    url: str,
    mirrors: int,
    port: int,
    environ: Mapping[str, str],
) -> Watched:
    """Run the daemon until every mirror was probed so often; return what was seen.

    Then it goes on with `calm` as its configuration for a while.
    """
    log = file.with_suffix(".log")
    command = [sys.executable, "-m", "syncer", "--config", str(file), "daemon"]
    counted = _Counted(url)
    before, began = counted.probes(), time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environ, "SYNCER_LOG": "json"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        seen = Watched()
        _wait(lambda: '"syncer started"' in log.read_text(), process, log)
        seen.started = time.monotonic() - began
        seen.rss_at_start = _memory(process.pid, "VmRSS")
        first, cpu = time.monotonic(), processor(process.pid)
        while counted.probes() - before < SWEEPS * mirrors:
            if process.poll() is not None or time.monotonic() - began > _PATIENCE:
                sys.exit(f"the daemon did not get on:\n{log.read_text()[-2000:]}")
            _scrape(port, seen)
            time.sleep(_SCRAPE)
            seen.ticks.append(counted.tick())
        lasted = time.monotonic() - first
        seen.rss, seen.peak = (_memory(process.pid, k) for k in ("VmRSS", "VmHWM"))
        seen.cpu = (processor(process.pid) - cpu) / lasted
        seen.probes = (counted.probes() - before) / lasted
        file.write_text(calm, encoding="utf-8")
        for _ in range(_CALM):
            time.sleep(_BEAT)
            seen.calm.append(counted.tick())
        del seen.calm[0]  # it read the file
        return seen
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        counted.close()


class _Counted:
    """How many probes the catalog has counted."""

    def __init__(self, url: str) -> None:
        self._engine = database.connect(url)
        self._operations = SqlOperations(self._engine)

    def probes(self) -> float:
        found = self._operations.counters()
        return sum(value for (name, _), value in found.items() if name == "probes")

    def tick(self) -> float:
        """Return the seconds that the daemon said its last tick took."""
        return max(self._operations.machines(), key=lambda each: each.seen).tick

    def close(self) -> None:
        self._engine.dispose()


def _wait(look: object, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not (callable(look) and look()):
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the daemon did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)


def _scrape(port: int, seen: Watched) -> None:
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/metrics")
        answered = connection.getresponse()
        answered.read()
        if answered.status == http.client.OK:
            seen.scrapes.append(time.monotonic() - began)
    except OSError:
        return  # told as "nobody listens"
    finally:
        connection.close()


def _memory(pid: int, key: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return float(line.split()[1]) * 1024
    return 0.0


def processor(pid: int) -> float:
    """Return the seconds of processor time of a process, as proc(5) has it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
