"""What tests use: worlds, points, and what happened at each.

See the package's docstring for how to write an operation.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Self

from tests.crash import disk
from tests.crash.namespace import Order, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    Prepare = Callable[[Path], object]

ROOT = Path(__file__).resolve().parents[2]
_KEPT_OUTPUT = 20_000


@dataclass(frozen=True, slots=True)
class Result:
    """What happened at a point.

    `call` is the call that was cut, None when the operation ended first; `exit`
    is its status then, None when it was killed.
    """

    at: int
    mode: str
    hit: bool
    count: int
    call: str | None
    exit: int | None
    output: str


@dataclass(frozen=True, slots=True)
class Point:
    """A world after its operation was cut, until the next point."""

    path: Path
    result: Result


class Sweep:
    """One operation on copies of one world.

    `prepare` makes the world at the path it is given; it is called once for
    each of the places `kill` and `power` that is used.  A world that exists
    already is given by its path.
    """

    def __init__(
        self,
        operation: str,
        prepare: Prepare | Path,
        *,
        timeout: float = 60.0,
        disk_size: int = 64 << 20,
        mount_options: str = "",
    ) -> None:
        self.operation = operation
        self._prepare = prepare
        self._timeout = timeout
        self._place = disk.scratch()
        self._disk = disk.Disk(self._place, disk_size, mount_options)
        self._prepared: set[str] = set()
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the warm server and remove every copy."""
        if self._server is not None:
            # The end of its input ends it, after the point it is at.
            _pipe(self._server.stdin).close()
            self._server.wait(self._timeout + 10)
            _pipe(self._server.stdout).close()
            self._server = None
        shutil.rmtree(self._place, ignore_errors=True)

    def renew(self, prepare: Prepare | Path) -> None:
        """Begin with another world from here on; the warm server stays."""
        self._prepare = prepare
        self._prepared.clear()
        shutil.rmtree(self._place / "master", ignore_errors=True)

    def path(self, mode: str = "kill") -> Path:
        """Return where the world is during each point."""
        return (self._disk.point if mode == "power" else self._place) / "world"

    def count(self, mode: str = "kill") -> int:
        """Return how many file-changing calls a whole run makes."""
        return self._whole(mode, trace=False).count

    def calls(self) -> list[str]:
        """Return the file-changing calls of a whole run and their files."""
        return self._whole("kill", trace=True).calls

    def points(self, total: int, sample: int | None = None) -> list[int]:
        """Return points from 1 to 3 beyond `total`: all, or one of each stratum.

        Counts differ a little from run to run, hence the 3.  The sample depends
        on the operation's name alone; its last point lies beyond the end.
        """
        last = total + 3
        if sample is None or sample >= last:
            return list(range(1, last + 1))
        choice = random.Random(self.operation)  # noqa: S311  repeatable is meant
        edges = [1 + index * total // (sample - 1) for index in range(sample)]
        strata = itertools.pairwise(edges)
        return [choice.randrange(low, high) for low, high in strata] + [total + 1]

    @contextlib.contextmanager
    def point(self, n: int, mode: str = "kill") -> Iterator[Point]:
        """Run the operation on a fresh world up to call `n`, and show the world."""
        with self.fresh(mode) as world:
            result = self.run(n, mode, world)
            if mode == "power":
                self._disk.power_up()
            yield Point(world, result)

    @contextlib.contextmanager
    def fresh(self, mode: str = "kill") -> Iterator[Path]:
        """Copy the prepared world to `path(mode)`."""
        place: Literal["kill", "power"] = "power" if mode == "power" else "kill"
        if place not in self._prepared:
            self._make(place)
            self._prepared.add(place)
        if place == "power":
            with self._disk.fresh():
                yield self.path(mode)
            return
        world = self.path(mode)
        _copy(self._place / "master", world)
        try:
            yield world
        finally:
            shutil.rmtree(world)

    def run(self, n: int, mode: str, world: Path) -> Result:
        """Run the operation on `world` up to call `n`, -1 for the whole of it.

        Raises:
            RuntimeError: the sweep itself failed, or the operation hung.
        """
        kind, _, number = mode.partition(":")
        report = self._order(n, kind, int(number or 0), world, trace=False)
        return Result(
            at=n,
            mode=mode,
            hit=report.call is not None,
            count=report.count,
            call=report.call,
            exit=report.exit if report.call is None or number else None,
            output=self._output(),
        )

    def _make(self, place: Literal["kill", "power"]) -> None:
        """Prepare the world at its own path, and keep it as the master."""
        world = self.path(place)
        if place == "power":
            self._disk.format()
            with self._disk.filling():
                self._fill(world)
            return
        self._fill(world)
        world.rename(self._place / "master")

    def _fill(self, world: Path) -> None:
        if isinstance(self._prepare, Path):
            _copy(self._prepare, world)
        else:
            world.mkdir()
            self._prepare(world)

    def _whole(self, mode: str, *, trace: bool) -> Report:
        with self.fresh(mode) as world:
            report = self._order(-1, "kill", 0, world, trace=trace)
            if report.exit != 0:
                msg = f"{self.operation} fails uncut: {self._output()}"
                raise RuntimeError(msg)
            return report

    def _order(
        self, n: int, kind: str, errno: int, world: Path, *, trace: bool
    ) -> Report:
        order = Order(
            world=str(world),
            log=str(self._log),
            at=n,
            timeout=self._timeout,
            mode=kind,
            errno=errno,
            mount=str(self._disk.point),
            trace=trace,
        )
        server = self._warm()
        requests = _pipe(server.stdin)
        requests.write(json.dumps(asdict(order)).encode() + b"\n")
        requests.flush()
        report = self._read(server)
        if report.timed_out:
            report.problem = f"it was not over after {self._timeout} s"
        if report.problem is not None:
            msg = f"{self.operation} at {n}: {report.problem}: {self._output()}"
            raise RuntimeError(msg)
        return report

    def _warm(self) -> subprocess.Popen[bytes]:
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.forkserver", self.operation],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            self._read(self._server)
        return self._server

    def _environment(self) -> dict[str, str]:
        """Return the least an operation needs, so that all runs are alike."""
        home = self._place / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "LC_ALL": "C",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
        }

    def _read(self, server: subprocess.Popen[bytes]) -> Report:
        line = _pipe(server.stdout).readline()
        if not line:
            msg = f"{self.operation}: the warm server ended: {server.poll()}"
            raise RuntimeError(msg)
        return Report(**json.loads(line))

    @property
    def _log(self) -> Path:
        return self._place / "output"

    def _output(self) -> str:
        if not self._log.exists():
            return ""
        return self._log.read_bytes()[-_KEPT_OUTPUT:].decode(errors="replace")


def _copy(source: Path, target: Path) -> None:
    disk.run("cp", "-a", "--reflink=auto", source, target)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        msg = "the pipe was not opened"
        raise RuntimeError(msg)
    return pipe
