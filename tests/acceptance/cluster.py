"""Several machines on one: each with a store and a configuration of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.acceptance.blob_places import in_bucket
from tests.acceptance.command import Command, name_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.servers.git_http import GitServer
    from tests.servers.s3 import S3Server

_ROOT = Path(__file__).parents[2]
#: Seconds after which a silent worker counts as dead, in these tests.
SILENCE = "3s"


@dataclass
class Process:
    """One process of a machine, and what it printed."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        """All that it printed so far."""
        return self.log.read_text()


@dataclass
class Cluster:
    """Machines by name, and every process that was started on them."""

    place: Path
    server: GitServer
    store: S3Server
    catalog: str
    names: Sequence[str]
    #: Where new mirrors go; the others are placed.
    homes: dict[str, str] = field(default_factory=dict)
    interval: str = "1s"
    started: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._bucket = self.store.bucket()

    def machine(self, name: str) -> Command:
        """Return the command as it is on a machine."""
        place = self.place / name
        place.mkdir(exist_ok=True)
        machine = Command(place)
        machine.environ |= {
            "SYNCER_CATALOG": self.catalog,
            "SYNCER_HOST": name,
            "SYNCER_LOG": "json",
            "SYNCER_WEB_LISTEN": "off",
        }
        in_bucket(machine, self.store, self._bucket)
        machine.file.write_text(self._text())
        return machine

    def _text(self) -> str:
        host = self.server.url.partition("//")[2]
        parts = [
            "[syncer]\nmin_free = 0",
            f'[tier.normal]\ninterval = "{self.interval}"\ntarget = "1h"',
            f'[host."{host}"]\ngit = "{self.server.url}"\nprivate = true',
        ]
        for name in self.names:
            parts.append(f'[[repo]]\nname = "{name_on(self.server, name)}"')
            if name in self.homes:
                parts.append(f'host = "{self.homes[name]}"')
        return "\n".join(parts)

    def worker(self, name: str, *words: str) -> Process:
        """Start a worker on a machine."""
        machine = self.machine(name)
        program = ["-m", "syncer", "--config", str(machine.file), "worker"]
        return self._start(machine, [*program, "--silence", SILENCE, *words])

    def scheduler(self, name: str) -> Process:
        """Start a daemon that only schedules, on a machine."""
        machine = self.machine(name)
        program = ["-m", "syncer", "--config", str(machine.file), "daemon"]
        return self._start(machine, [*program, "--scheduler-only"])

    def _start(self, machine: Command, words: Iterable[str]) -> Process:
        log = machine.place / f"{time.monotonic_ns()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=machine.place,
                env=os.environ | {"PYTHONPATH": str(_ROOT)} | machine.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.started.append(Process(process, log))
        return self.started[-1]

    def copy(self, machine: str, name: str) -> Path:
        """Return where a mirror's repository lies on a machine."""
        full = name_on(self.server, name)
        return self.place / machine / "mirror" / "git" / f"{full}.git"

    def end(self) -> None:
        """Kill what still runs."""
        for each in self.started:
            if each.process.poll() is None:
                each.process.kill()
                each.process.wait()
