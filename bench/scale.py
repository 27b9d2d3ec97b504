"""What 10,000 mirrors cost after a year of work: commands, metrics, ticks, the daemon.

    python -m bench.scale [--engine sqlite|postgres|both] [--mirrors N] [--no-daemon]

The catalog is a real one of either engine (`scale_stock`), the commands are processes,
the HTTP face and the daemon the real ones.  Medians of several rounds; processor time
is told beside the clock's, since a machine may have something else to do.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import scale_daemon, scale_stock
from bench.harness import ROOT, Bar, middle, report, spent
from syncer.bootstrap import build
from syncer.catalog import database
from syncer.cli.session import collect_again
from syncer.config import load
from syncer.schedule.due import due
from syncer.schedule.share import admit
from syncer.web.face import Face
from syncer.web.view import View
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.bootstrap import App

ROUNDS = 5
_SYNCER = (sys.executable, "-m", "syncer")
_COMMANDS = ("status", "status --json", "list", "lag")
_PATHS = ("/metrics", "/status/tunasync.json", "/status/mirrorz.json")
_MOST_MIB = 250


def main() -> int:
    """Measure and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("sqlite", "postgres", "both"))
    parser.add_argument("--mirrors", type=int, default=10_000)
    parser.add_argument("--no-daemon", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    both = ["sqlite", "postgres"]
    engines = [options.engine] if options.engine in both else both
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    facts: dict[str, Any] = {"mirrors": f"{options.mirrors:,}", "load before": load}
    bars: list[Bar] = []
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-scale-"))
        place, server = Path(name), stack.enter_context(scale_daemon.upstream())
        known = scale_daemon.answer(server.url, server.ca_pem, place)
        stamps = scale_daemon.lay_out(place / "mirror", options.mirrors)
        for engine in engines:
            with _catalog(engine, place) as url:
                rows = scale_stock.Rows(options.mirrors, *known)
                scale_stock.fill(url, rows, stamps)
                bench = Scale(engine, place, url, options.mirrors)
                bench.commands()
                bench.ticks()
                bench.face()
                if not options.no_daemon:
                    bench.daemon(server.url, server.ca_pem)
            facts |= bench.facts
            bars += bench.bars
    return report("scale", bars, facts)


@contextmanager
def _catalog(engine: str, place: Path) -> Iterator[str]:
    """Yield the address of an empty catalog."""
    if engine == "sqlite":
        url = f"sqlite:///{place / 'mirror/catalog.db'}"
        database.upgrade(url)
        yield url
        return
    with postgres.running() as server:
        server.prepare()
        with server.migrated() as url:
            yield url


class Scale:
    """Measures with one catalog; collects facts and bars."""

    def __init__(self, engine: str, place: Path, url: str, mirrors: int) -> None:
        self.facts: dict[str, Any] = {}
        self.bars: list[Bar] = []
        self._engine = engine
        self._place = place
        self._url = url
        self._mirrors = mirrors
        self._file = place / f"{engine}.toml"
        text = scale_daemon.config_text(place, mirrors=mirrors, catalog=url)
        self._file.write_text(text, encoding="utf-8")

    def commands(self) -> None:
        """Measure commands as processes, modules compiled as they are installed."""
        for words in _COMMANDS:
            self._run(words)
            run = partial(self._run, words)
            taken = middle([spent(run) for _ in range(ROUNDS)])
            what = f"syncer {words}"
            self._fact(what, f"{taken.wall:.2f} s, {taken.cpu:.2f} s of processor time")
            if words.startswith("status"):
                self._bar(f"{what}, s", taken.wall, 1)

    def ticks(self) -> None:
        """Measure what the daemon decides each tick: who is due, and who may begin."""
        with self._app() as app:
            _tick(app)
            collect_again()  # as the daemon does when it starts
            taken = [spent(lambda: _tick(app)) for _ in range(ROUNDS + 2)]
        wall, cpu = (1000 * each for each in vars(middle(taken)).values())
        self._fact("tick", f"{wall:.0f} ms, {cpu:.0f} ms of processor time")
        self._bar("tick, ms", wall, 250)

    def face(self) -> None:
        """Measure what is asked over HTTP, made anew each time."""
        with self._app() as app:
            # Port 0 is any; the default may be taken.
            listen = app.config.syncer.web.model_copy(update={"listen": "127.0.0.1:0"})
            view = View(
                app.config,
                app.catalog,
                app.operations,
                app.world.releases,
                app.store,
                app.clock,
                app.clock.now(),
            )
            face = Face(view, listen)
            face.start()
            try:
                self._ask(face, view)
            finally:
                face.stop()

    def _ask(self, face: Face, view: View) -> None:
        for path in _PATHS:
            taken = []
            for _ in range(ROUNDS):
                face.use(replace(view))  # what was kept is for another view
                began = time.perf_counter()
                size = _get(face, path)
                taken.append(time.perf_counter() - began)
            began = time.perf_counter()
            _get(face, path)
            again = time.perf_counter() - began
            told = f"{taken[0]:.2f} s at first, {median(taken):.2f} s made anew"
            kept = f"{again * 1000:.0f} ms kept, {size / 1e6:.1f} MB"
            self._fact(path, f"{told}, {kept}")
            if path == "/metrics":
                self._bar(f"{path}, first, s", taken[0], 1)
                self._bar(f"{path}, s", median(taken), 1)

    def daemon(self, upstream: str, ca: Path) -> None:
        """Measure the daemon, which probes all mirrors several times."""
        file, port = self._place / f"{self._engine}-daemon.toml", _free_port()
        text, calm = (
            scale_daemon.config_text(
                self._place,
                mirrors=self._mirrors,
                catalog=self._url,
                upstream=upstream,
                ca=ca,
                port=port,
                often=often,
            )
            for often in (True, False)
        )
        file.write_text(text, encoding="utf-8")
        seen = scale_daemon.watch(
            file, calm, self._url, self._mirrors, port, self._environment()
        )
        for what, told in seen.facts().items():
            self._fact(f"daemon, {what}", told)
        self._bar("daemon, MiB resident at most", seen.peak_mib, _MOST_MIB)
        self._bar("daemon, a tick at the default budget, ms", seen.tick_ms, 250)

    @contextmanager
    def _app(self) -> Iterator[App]:
        app = build(load(self._file, {}))
        try:
            yield app
        finally:
            app.close()

    def _run(self, words: str) -> None:
        subprocess.run(
            [*_SYNCER, "--config", str(self._file), *words.split()],
            cwd=ROOT,
            env=self._environment(),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _environment(self) -> dict[str, str]:
        """Return what a process of an installed program has: its modules compiled."""
        ours = ("PYTHONDONTWRITEBYTECODE", "GITHUB_TOKEN", "GH_TOKEN")
        kept = {key: value for key, value in os.environ.items() if key not in ours}
        compiled = str(self._place / "compiled")
        return kept | {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": compiled}

    def _fact(self, what: str, told: str) -> None:
        self.facts[f"{self._engine}: {what}"] = told

    def _bar(self, what: str, value: float, most: float) -> None:
        self.bars.append(Bar(f"{self._engine}: {what}", value, most, at_least=False))


def _tick(app: App) -> None:
    """Do what `Daemon` does, up to the workers."""
    states = app.catalog.states()
    hosts = {state.name.host for state in states}
    known = {host: app.config.target_host(host) for host in hosts}
    budgets = {host: settings.probes for host, settings in known.items()}
    ready = due(states, app.config.tier, budgets, app.clock.now())
    shares = {host: settings.connections for host, settings in known.items()}
    list(admit(ready, (), shares))


def _get(face: Face, path: str) -> int:
    host, port = face.address or ("", 0)
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("GET", path)
    answered = connection.getresponse()
    body = answered.read()
    connection.close()
    if answered.status != http.client.OK:
        sys.exit(f"{path} answered {answered.status}")
    return len(body)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
