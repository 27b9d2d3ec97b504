"""Mirrors of a local upstream: first runs, quiet ones, storms; then clones."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deploy.stress.clock import Clock
from deploy.stress.upstream import Upstream, git, grow

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from deploy.stress.clock import Row

_PARTIAL = 3  # an exit status: done, but upstream lacks something
_GOOD = {"changed", "partial"}


class Ended(NamedTuple):
    """What the program printed, how long it took, and what it cost."""

    out: str
    elapsed: float
    cost: tuple[float, float]


def mirrors(asked: argparse.Namespace) -> Iterable[Row]:
    """Mirror many repositories from nothing, unchanged, and all changed at once."""
    with tempfile.TemporaryDirectory(prefix="syncer-stress-", dir=asked.dir) as place:
        top = Path(place)
        names = [f"stress/r{n:05}" for n in range(asked.count)]
        with Upstream(top / "upstream") as server:
            for name in names:
                grow(server.root / f"{name}.git", asked.kib)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            _configure(top / "repos.toml", server.where, names, asked.workers)
            _syncer(asked, top, "init")
            yield _storm(asked, top, "first runs")
            yield _storm(asked, top, "nothing new", quiet=True)
            for name in names:
                grow(server.root / f"{name}.git", max(1, asked.kib // 16))
            yield _storm(asked, top, "all changed")
            server.shutdown()
        yield _clones(asked, top)


def _configure(file: Path, where: str, names: Iterable[str], workers: int) -> None:
    head = (
        f'[syncer]\nmin_free = 0\nworkers = {workers}\n[syncer.web]\nlisten = "off"\n'
    )
    host = f'[host."{where}"]\ngit = "http://{where}"\nprivate = true\nprobes = 10000\n'
    host += f"fetches = {workers}\n"
    repos = "".join(f'[[repo]]\nname = "{where}/{n}"\nlfs = false\n' for n in names)
    file.write_text(head + host + repos)


def _syncer(asked: argparse.Namespace, top: Path, *words: str) -> Ended:
    """Run the program to its end; what it costs is its own, and its gits'."""
    command = [*shlex.split(asked.syncer), "--config", str(top / "repos.toml"), *words]
    with (top / "out").open("w+") as out, (top / "err").open("w+") as err:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        elapsed = time.perf_counter() - start
        for file in (out, err):
            file.seek(0)
        if child.returncode not in {0, _PARTIAL}:
            sys.exit(f"error: syncer {words[0]} failed: {err.read().strip()}")
        cpu, rss = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
        return Ended(out.read(), elapsed, (cpu, rss))


def _storm(
    asked: argparse.Namespace, top: Path, what: str, *, quiet: bool = False
) -> Row:
    """Run `syncer sync` over all mirrors, and read how long each run took."""
    done = _syncer(asked, top, "--quiet", "sync")
    count: int = asked.count
    if quiet:  # such runs leave no record: only their number is known
        clock = Clock([done.elapsed / count] * count)
        return clock.row(what, done.elapsed, done.cost)
    told = _syncer(asked, top, "history", "--json", "-n", str(count))
    runs = json.loads(told.out)["runs"]
    good = [run for run in runs if run["outcome"] in _GOOD]
    clock = Clock([run["took_seconds"] for run in good])
    clock.bytes = sum(run["received_bytes"] for run in good)
    clock.errors = count - len(good)
    return clock.row(what, done.elapsed, done.cost)


def _clones(asked: argparse.Namespace, top: Path) -> Row:
    """Clone the mirrors as who has mounted the store does, packs and all."""
    found = sorted((top / "mirror").rglob("r?????.git"))
    clock = Clock([])

    def clone(numbered: tuple[int, Path]) -> None:
        target = top / f"clone-{numbered[0]}"

        def work() -> int:
            git("clone", "--quiet", "--bare", "--no-local", numbered[1], target)
            return sum(p.stat().st_size for p in target.rglob("*") if p.is_file())

        clock(work)
        shutil.rmtree(target, ignore_errors=True)

    start = time.perf_counter()
    with ThreadPoolExecutor(asked.clients) as pool:
        list(pool.map(clone, enumerate(found)))
    return clock.row("clones by path", time.perf_counter() - start)
