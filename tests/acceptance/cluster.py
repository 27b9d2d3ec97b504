"""Several machines on one: each with a store and a configuration of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tests.acceptance.blob_places import in_bucket
from tests.acceptance.command import Command, name_on
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from syncer.model.runs import SyncRun
    from tests.servers.git_http import GitServer
    from tests.servers.s3 import S3Server

_ROOT = Path(__file__).parents[2]
#: Seconds after which a silent worker counts as dead, in these tests.
SILENCE = "3s"
_KEPT = "refs/syncer/"


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
        self.bucket = self.store.bucket()

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
        in_bucket(machine, self.store, self.bucket)
        # By one rename: processes of the machine may look at any moment.
        fresh = machine.file.with_suffix(".new")
        fresh.write_text(self._text())
        fresh.replace(machine.file)
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

    def daemon(self, name: str) -> Process:
        """Start a daemon that schedules and takes runs, on a machine."""
        machine = self.machine(name)
        program = ["-m", "syncer", "--config", str(machine.file), "daemon"]
        return self._start(machine, program)

    def unnamed(self, name: str) -> Process:
        """Start a daemon on a machine that takes itself for the only one."""
        machine = self.machine(name)
        del machine.environ["SYNCER_HOST"]
        program = ["-m", "syncer", "--config", str(machine.file), "daemon"]
        return self._start(machine, program)

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

    def published(self, machine: str, name: str) -> dict[str, str]:
        """Return a mirror's refs on a machine, without the old tips that it keeps."""
        place = self.copy(machine, name)
        refs = Repository(place).refs() if place.exists() else {}
        return {ref: oid for ref, oid in refs.items() if not ref.startswith(_KEPT)}

    def end(self) -> None:
        """Kill what still runs."""
        for each in self.started:
            if each.process.poll() is None:
                each.process.kill()
                each.process.wait()


def overlapping(runs: list[SyncRun]) -> list[tuple[SyncRun, SyncRun]]:
    """Return the runs of one mirror that went on at the same time.

    Of a run that died only its beginning is known.
    """
    found = []
    by_mirror: dict[int, list[SyncRun]] = {}
    for run in sorted(runs, key=lambda run: run.started):
        by_mirror.setdefault(run.mirror_id, []).append(run)
    for those in by_mirror.values():
        for first, second in pairwise(those):
            died = first.error is not None and "the process died" in first.error
            if not died and (first.ended is None or second.started < first.ended):
                found.append((first, second))
    return found
