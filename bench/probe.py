#!/usr/bin/env python3
"""What it costs to learn that nothing changed, beside what git takes for it.

TLS on loopback; the client has one processor to itself and the upstream,
which replays its answers, another.  Medians of several rounds, in which both
sides take turns.  Exits 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sqlalchemy import Engine, event  # noqa: E402 - as below

from syncer.bootstrap import build as start  # noqa: E402 - as below
from syncer.catalog import database  # noqa: E402 - as below
from syncer.config import load  # noqa: E402 - as below
from syncer.model.content import DEFAULT_SCOPE  # noqa: E402 - found by the line above
from syncer.model.names import GITHUB, RepoName  # noqa: E402 - as above
from syncer.model.runs import Trigger  # noqa: E402 - as above
from syncer.upstream.egress import Egress  # noqa: E402 - as above
from syncer.upstream.refs import HttpForge  # noqa: E402 - as above
from syncer.upstream.session import Session  # noqa: E402 - as above
from tests.fakes_forge import Capabilities, host  # noqa: E402 - as above
from tests.servers.bulk import build  # noqa: E402 - as above
from tests.servers.replay import ReplayServer, synthetic  # noqa: E402 - as above
from tests.servers.repositories import git_environment  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THREADS = 32
MIRRORS = 8
SWEPT = 1000
UPSTREAM = "upstream.example"


@dataclass(frozen=True)
class Ratio:
    """One comparison: how many times better than git, and the bar for that."""

    what: str
    ratio: float
    bar: float
    ours: str
    theirs: str

    @property
    def reached(self) -> bool:
        """Whether the bar is reached."""
        return self.ratio >= self.bar

    def __str__(self) -> str:
        word = "ok    " if self.reached else "MISSED"
        said = f"{self.ours}, git {self.theirs}"
        return f"{word} {self.ratio:7.1f} x  (bar {self.bar:g})  {self.what}: {said}"


class Cost(NamedTuple):
    """What one operation took on average; both in seconds."""

    wall: float
    cpu: float


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def measure(count: int, work: Callable[[], None]) -> Cost:
    """Return what one of the `count` operations in `work` costs, children included."""
    cpu, wall = _cpu(), time.perf_counter()
    work()
    return Cost((time.perf_counter() - wall) / count, (_cpu() - cpu) / count)


def _cpu() -> float:
    used = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, used))


def alternate(
    rounds: int, ours: Callable[[], Cost], theirs: Callable[[], Cost]
) -> tuple[Cost, Cost]:
    """Return the medians of both sides, measured in turns."""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return _median([pair[0] for pair in pairs]), _median([pair[1] for pair in pairs])


def _median(costs: list[Cost]) -> Cost:
    return Cost(median(c.wall for c in costs), median(c.cpu for c in costs))


def git(server: ReplayServer, *words: str) -> None:
    """Run git as it comes, trusting what we trust: the system and the upstream."""
    environ = git_environment() | {"GIT_SSL_CAINFO": str(trusted(server))}
    subprocess.run(["git", *words], env=environ, check=True, capture_output=True)


def trusted(server: ReplayServer) -> Path:
    """Return the system's certificates and the upstream's in one file."""
    bundle = server.ca_pem.with_name("bundle.pem")
    if not bundle.exists():
        system = ssl.get_default_verify_paths().cafile
        known = Path(system).read_bytes() if system else b""
        part = bundle.with_suffix(f".{threading.get_ident()}")
        part.write_bytes(known + server.ca_pem.read_bytes())
        part.replace(bundle)
    return bundle


def sweep(server: ReplayServer, repositories: int) -> Callable[[], Cost]:
    """Return a measurement of probing so many unchanged repositories.

    Connections are warm and digests known, as they are in a daemon.
    """
    clock = SystemClock()
    upstream = host(
        UPSTREAM,
        git=server.url,
        private=True,
        ca=server.ca_pem,
        probes=1e9,
        connections=THREADS,
    )
    forge = HttpForge(
        lambda _: upstream,
        Session(Egress(clock), clock=clock),
        ls_remote=_never,
        capabilities=Capabilities(),
        clock=clock,
    )
    names = [RepoName(UPSTREAM, "owner", f"r{n}") for n in range(repositories)]
    pool = ThreadPoolExecutor(THREADS)
    probes = pool.map(lambda name: forge.probe(name, DEFAULT_SCOPE), names)
    stored = {name: probe.digest for name, probe in zip(names, probes, strict=True)}

    def changed(name: RepoName) -> bool:
        return forge.probe(name, DEFAULT_SCOPE).digest != stored[name]

    def work() -> None:
        assert not any(pool.map(changed, names))

    return lambda: measure(repositories, work)


def _never(name: RepoName) -> bytes:
    msg = f"{name} was asked for with git"
    raise AssertionError(msg)


def small(rounds: int, cores: tuple[int, int]) -> Iterator[Ratio]:
    """Compare repositories of 50 refs with `git ls-remote`."""
    count = 100
    with ReplayServer(synthetic(50), core=cores[1]) as server:

        def listing(number: int) -> None:
            git(server, "ls-remote", f"{server.url}/owner/r{number}.git")

        def work() -> None:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(listing, range(count)))

        ours, theirs = alternate(
            rounds, sweep(server, 1000), lambda: measure(count, work)
        )
    what = "1,000 unchanged repositories of 50 refs"
    yield Ratio(
        f"{what}, rate against `git ls-remote`, {THREADS} at once",
        theirs.wall / ours.wall,
        100,
        f"{1 / ours.wall:,.0f}/s",
        f"{1 / theirs.wall:,.1f}/s",
    )
    yield Ratio(
        f"{what}, processor time against `git ls-remote`",
        theirs.cpu / ours.cpu,
        100,
        f"{ours.cpu * 1e3:.3f} ms",
        f"{theirs.cpu * 1e3:.1f} ms",
    )


def large(rounds: int, cores: tuple[int, int]) -> Iterator[Ratio]:
    """Compare repositories of 4,500 refs with a `git fetch` that finds nothing."""
    with tempfile.TemporaryDirectory(prefix="bench-probe-") as place:
        origin = build(Path(place) / "0.git", commits=500, branches=1500, tags=3000)
        refs = [(oid, name, None) for name, oid in sorted(origin.refs().items())]
        mirrors = [origin.path] + [
            shutil.copytree(origin.path, Path(place) / f"{n}.git")
            for n in range(1, MIRRORS)
        ]
        with ReplayServer(refs, core=cores[1]) as server:

            def fetches(mirror: Path) -> None:
                refspecs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
                url = f"{server.url}/owner/large.git"
                for _ in range(3):
                    words = ("fetch", "--quiet", "--prune", url)
                    git(server, "--git-dir", str(mirror), *words, *refspecs)

            def work() -> None:
                with ThreadPoolExecutor(MIRRORS) as pool:
                    list(pool.map(fetches, mirrors))

            ours, theirs = alternate(
                rounds, sweep(server, 1000), lambda: measure(3 * MIRRORS, work)
            )
    yield Ratio(
        f"unchanged repositories of {len(refs):,} refs, rate against `git fetch`",
        theirs.wall / ours.wall,
        60,
        f"{1 / ours.wall:,.0f}/s",
        f"{1 / theirs.wall:,.1f}/s",
    )


def process(rounds: int, cores: tuple[int, int]) -> Iterator[Ratio]:
    """Compare the whole `syncer sync` process with `git fetch` in parallel.

    Start-up included, on all processors, over mirrors that are real.
    """
    os.sched_setaffinity(0, set(cores))
    with tempfile.TemporaryDirectory(prefix="bench-probe-") as name:
        place = Path(name)
        origin = build(place / "0.git", commits=200, branches=25, tags=25)
        refs = [(oid, name, None) for name, oid in sorted(origin.refs().items())]
        with ReplayServer(refs, core=cores[1]) as server:
            config = _mirrored(place, origin.path, server)
            commits, rows = _written(config)
            words = [sys.executable, "-m", "syncer", "--config", str(config), "sync"]

            def sync() -> None:
                done = subprocess.run(
                    words, cwd=ROOT, check=True, capture_output=True, text=True
                )
                assert f" {SWEPT:,} unchanged" in done.stdout, done.stdout

            count = 100
            refspecs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")

            def fetch(number: int) -> None:
                mirror = place / f"mirror/git/github.com/owner/r{number}.git"
                url = f"{server.url}/owner/r{number}.git"
                words = ("fetch", "--quiet", "--prune", url)
                git(server, "--git-dir", str(mirror), *words, *refspecs)

            def work() -> None:
                with ThreadPoolExecutor(MIRRORS) as pool:
                    list(pool.map(fetch, range(count)))

            ours, theirs = alternate(
                rounds,
                lambda: measure(SWEPT, sync),
                lambda: measure(count, work),
            )
    what = f"`syncer sync` over {SWEPT:,} unchanged mirrors"
    yield Ratio(
        f"{what}, start-up included, against `git fetch`, {MIRRORS} at once",
        theirs.wall / ours.wall,
        20,
        f"{ours.wall * SWEPT:.2f} s",
        f"{theirs.wall * SWEPT:.1f} s",
    )
    yield Ratio(
        f"{what}: ten commits allowed by those made",
        10 / commits,
        1,
        f"{commits} commits, {rows} ref rows",
        "moves no ref either",
    )
    assert rows == 0


def _mirrored(place: Path, origin: Path, server: ReplayServer) -> Path:
    """Lay out mirrors that are equal to what the upstream says; return the file."""
    repos = "".join(f'[[repo]]\nname = "owner/r{n}"\n' for n in range(SWEPT))
    path = place / "repos.toml"
    path.write_text(
        f'[syncer]\ndata = "mirror"\n[host."github.com"]\ngit = "{server.url}"\n'
        f'ca = "{server.ca_pem}"\nprivate = true\nprobes = 1e9\n{repos}',
        encoding="utf-8",
    )
    config = load(path, {})
    config.data.mkdir()
    database.upgrade(config.catalog_url)
    app = start(config)
    app.reconcile()
    for state in app.catalog.states():
        shutil.copytree(origin, app.store.path(state.path))
        probe = app.forge.probe(state.name, DEFAULT_SCOPE)
        stamp = app.store.stamp(state.path) or ""
        app.catalog.confirm(state, probe, stamp, probe.read())
        app.world.index.mark_scanned(state.id, app.clock.now())
    app.close()
    return path


def _written(config: Path) -> tuple[int, int]:
    """Return how many commits and rows of refs one sweep makes."""
    app = start(load(config, {}))
    commits = 0

    def count(_connection: object) -> None:
        nonlocal commits
        commits += 1

    event.listen(Engine, "commit", count)
    workers = app.workers(on_end=lambda _run: None)
    for state in app.catalog.states():
        workers.submit(state, Trigger.COMMAND)
    workers.join()
    app.probes.flush()
    event.remove(Engine, "commit", count)
    name = RepoName(GITHUB, "owner", "r0")
    rows = len(app.catalog.ref_changes(name, 10))
    workers.close()
    app.close()
    return commits, rows


#: Each section compares one workload; it is given rounds and (ours, upstream's) core.
SECTIONS = (small, large, process)


def main() -> int:
    """Run the sections and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one document on stdout")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each section")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    pair = (cores[0], cores[-1])
    # Threads and git's processes inherit it.
    os.sched_setaffinity(0, {pair[0]})
    ratios = []
    for section in SECTIONS:
        for ratio in section(options.rounds, pair):
            ratios.append(ratio)
            if not options.json:
                print(ratio, flush=True)
    if options.json:
        results = [asdict(ratio) | {"reached": ratio.reached} for ratio in ratios]
        print(json.dumps({"schema": 1, "results": results}, indent=2))
    return 0 if all(ratio.reached for ratio in ratios) else 1


if __name__ == "__main__":
    sys.exit(main())
