"""The daemon as systemd runs it: started, listened to, ended with the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from tests.acceptance.command import Command

    Found = TypeVar("Found")

#: Seconds for what takes a moment on a machine that does nothing else.
PATIENCE = 40.0
_POLL = 0.03


def until(
    look: Callable[[], Found], what: object = "it", within: float = PATIENCE
) -> Found:
    """Return what `look` finds as soon as that is true.

    Raises:
        AssertionError: it never was; the message says `what`.
    """
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not happen in {within:g} s"
        time.sleep(_POLL)
    return found


class Daemon:
    """A daemon in a process of its own; its log is JSON unless told otherwise."""

    def __init__(self, syncer: Command, wrapper: Sequence[str] = ()) -> None:
        root = Path(__file__).parents[2]
        named = {
            "PYTHONPATH": str(root),
            "SYNCER_LOG": "json",
            # Each would want the same port.
            "SYNCER_WEB_LISTEN": "off",
        }
        self._file = syncer.place / f"daemon-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "syncer", "--config", str(syncer.file)]
        with self._file.open("wb") as output:
            self.process = subprocess.Popen(
                [*wrapper, *command, "daemon"],
                cwd=syncer.place,
                env=os.environ | named | syncer.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def output(self) -> str:
        """All that it printed so far."""
        return self._file.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """Return its log, oldest first; anything else in it is a failure."""
        whole, _, _ = self.output.rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def said(self, event: str, **facts: object) -> list[dict[str, Any]]:
        """Return the lines that tell of an event with such facts."""
        return [
            line
            for line in self.lines()
            if line["event"] == event
            and all(line.get(key) == value for key, value in facts.items())
        ]

    def tells(self, event: str, **facts: object) -> dict[str, Any]:
        """Wait for the first line that tells of an event, and return it."""
        found = until(lambda: self.said(event, **facts), f"{event} {facts}")
        return found[0]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ends(self, within: float = PATIENCE) -> int:
        """Wait for its end and return its exit status."""
        return self.process.wait(within)

    def stop(self) -> None:
        """End it as systemd does, and check that it went well."""
        self.signal(signal.SIGTERM)
        assert self.ends() == 0, self.output
        assert "Traceback" not in self.output


@contextmanager
def running(syncer: Command, *wrapper: str) -> Iterator[Daemon]:
    """Run a daemon for the length of a block, and not a moment longer."""
    daemon = Daemon(syncer, wrapper)
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
        end(gits(syncer.place))


def gits(place: Path) -> list[int]:
    """Return the git processes that work below a directory.

    They carry the mirror's path in their environment or their arguments.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes()
            told = words + (entry / "environ").read_bytes()
            name = words.split(b"\0")[0].rpartition(b"/")[2]
            if name.startswith(b"git") and os.fsencode(place) in told:
                found.append(int(entry.name))
    return found


def end(processes: list[int]) -> None:
    """Kill what a failed test may have left."""
    for number in processes:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def configure(
    syncer: Command,
    *names: str,
    hosts: dict[str, str],
    interval: str = "1s",
    settings: str = "",
    host_settings: str = "",
) -> None:
    """Write a configuration of mirrors with a short interval.

    `hosts` are addresses by the name that mirrors use; `settings` belong to
    `[syncer]`, and `host_settings` to every host.
    """
    parts = [f"[syncer]\nmin_free = 0\n{settings}"]
    parts.append(f'[tier.normal]\ninterval = "{interval}"\ntarget = "1h"\n')
    parts += [
        f'[host."{host}"]\ngit = "{url}"\nprivate = true\n{host_settings}'
        for host, url in hosts.items()
    ]
    parts += [f'[[repo]]\nname = "{name}"\n' for name in names]
    # By one rename, as editors do: the daemon may look at any moment.
    fresh = syncer.file.with_suffix(".new")
    fresh.write_text("\n".join(parts))
    fresh.replace(syncer.file)
