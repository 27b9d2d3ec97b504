"""What the measurements share: an upstream of its own, clocks, and verdicts."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.servers.repositories import git_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Spent:
    """Seconds of the wall clock, and of processor time with all children."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Bar:
    """One figure held against what it must reach."""

    name: str
    value: float
    bar: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the figure reaches its bar."""
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def line(self) -> str:
        """Return the verdict as one line."""
        sign = ">=" if self.at_least else "<="
        word = "OK  " if self.met else "MISS"
        return f"{word}  {self.name}: {self.value:.3g}  (bar {sign} {self.bar:g})"


def spent(action: Callable[[], object]) -> Spent:
    """Do it and return what it cost, children included."""
    before, began = _cpu(), time.perf_counter()
    action()
    return Spent(time.perf_counter() - began, _cpu() - before)


def _cpu() -> float:
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        total += used.ru_utime + used.ru_stime
    return total


def middle(values: Sequence[Spent]) -> Spent:
    """Return the medians, each of its own."""
    return Spent(median(v.wall for v in values), median(v.cpu for v in values))


def report(title: str, bars: Sequence[Bar], facts: dict[str, Any]) -> int:
    """Print figures and verdicts; return the exit status: 1 if a bar is missed."""
    if "--json" in sys.argv:
        document = {
            "schema": "syncer.bench/v1",
            "bench": title,
            "facts": facts,
            "bars": [{**vars(bar), "met": bar.met} for bar in bars],
        }
        print(json.dumps(document))
    else:
        print(title)
        for name, value in facts.items():
            print(f"      {name}: {value}")
        for bar in bars:
            print(bar.line())
    return 0 if all(bar.met for bar in bars) else 1


@dataclass(frozen=True)
class Upstream:
    """A git server in a process of its own, so that it shares no lock with us."""

    url: str
    ca: Path
    pid: int


@contextmanager
def upstream(root: Path, core: int | None = None) -> Iterator[Upstream]:
    """Serve the repositories below `root` over TLS."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.harness", str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        if process.stdout is None or process.stdin is None:
            sys.exit("the upstream has no pipes")
        url, ca = process.stdout.readline().split()
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        yield Upstream(url, Path(ca), process.pid)
    finally:
        process.communicate(timeout=30)  # the end of its stdin stops it


def run_git(*args: str, at: Path | None = None, ca: Path | None = None) -> None:
    """Run git as a person with default settings would, but for the authority."""
    environment = {**git_environment(), "GIT_CONFIG_COUNT": "0"}
    if ca is not None:
        environment["GIT_SSL_CAINFO"] = str(ca)
    place = ["-C", str(at)] if at is not None else []
    subprocess.run(
        ["git", *place, *args],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def write_config(
    place: Path, upstream: Upstream, names: Sequence[str], *, extra: str = ""
) -> Path:
    """Write a `repos.toml` that mirrors `names` from the upstream."""
    repos = "".join(f'[[repo]]\nname = "{name}"\n\n' for name in names)
    path = place / "repos.toml"
    path.write_text(
        f'[syncer]\ndata = "{place / "mirror"}"\n{extra}\n\n'
        f'[host."github.com"]\ngit = "{upstream.url}"\nca = "{upstream.ca}"\n'
        f"private = true\nprobes = 100000\n\n{repos}",
        encoding="utf-8",
    )
    return path


def _serve(root: Path) -> None:
    from tests.servers.git_http import GitServer  # noqa: PLC0415 - the child only

    with GitServer(root, tls=True) as server:
        print(server.url, server.ca_pem, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
