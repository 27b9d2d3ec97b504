"""A demonstration without internet: `python -m tests.servers.demo`.

Starts a git server on loopback with a few repositories that change while you
watch, points `syncer daemon` at it, and shows what it says of itself every few
seconds.  Everything lives in a temporary directory that is gone at the end.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.git_http import GitServer
from tests.servers.repositories import GitFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.repositories import Repository

NAMES = ("demo/library", "demo/application", "demo/documents")
EVERY = 4.0  # seconds from one change to the next
PATIENCE = 60.0  # seconds for the daemon to end

CONFIG = """\
# Written by the demonstration.
[syncer]
data = "./mirror"

[tier.demo]
interval = "2s"
target = "10s"

[host."github.com"]
git = "{url}"
private = true
"""


class Upstream:
    """A few repositories and the people who push to them."""

    def __init__(self, server: GitServer) -> None:
        self._repositories = [server.repository(name) for name in NAMES]
        for repository, name in zip(self._repositories, NAMES, strict=True):
            for number in range(20):
                files = {f"chapter-{number % 5}.txt": f"{name}, edition {number}\n"}
                repository.commit(files=files, message=f"Edition {number}")
        self._deeds = cycle(
            [
                (0, self._commit),
                (1, self._branch),
                (2, self._commit),
                (1, self._rewind),
                (0, self._tag),
                (1, self._delete),
            ]
        )

    def change(self) -> str:
        """Push something, and return what in words."""
        index, deed = next(self._deeds)
        return f"{NAMES[index]}: {deed(self._repositories[index])}"

    def _commit(self, repository: Repository) -> str:
        return f"a commit to main, {repository.commit()[:10]}"

    def _branch(self, repository: Repository) -> str:
        repository.branch("topic")
        repository.commit("topic")
        return f"a new branch `topic`, {repository.commit('topic')[:10]}"

    def _rewind(self, repository: Repository) -> str:
        return f"`topic` is force-pushed, {repository.force('topic')[:10]}"

    def _delete(self, repository: Repository) -> str:
        repository.delete("topic")
        return "`topic` is deleted; its last commit stays in the mirror"

    def _tag(self, repository: Repository) -> str:
        count = len([ref for ref in repository.refs() if ref.startswith("refs/tags/")])
        repository.tag(f"v1.{count}")
        return f"a tag `v1.{count}`"


def main() -> int:
    """Run until Ctrl-C, or for `--seconds`; return the daemon's exit status."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=float("inf"), metavar="N")
    seconds = parser.parse_args().seconds
    # A flag, not an exception: one raised inside a finalizer would be lost.
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with (
        tempfile.TemporaryDirectory(prefix="syncer-demo-") as place,
        GitServer() as server,
    ):
        upstream = Upstream(server)
        config = Path(place) / "repos.toml"
        entries = "".join(
            f'\n[[repo]]\nname = "{name}"\ntier = "demo"\n' for name in NAMES
        )
        config.write_text(CONFIG.format(url=server.url) + entries, encoding="utf-8")
        print(f"Upstream listens on {server.url}; the mirror is in {place}/mirror")
        with daemon(config) as process:
            watch(config, process, upstream.change, seconds, stop)
            print("\nStopping ...")
        if process.returncode:
            print((Path(place) / "log").read_text(encoding="utf-8"), file=sys.stderr)
        return process.returncode


def environment() -> dict[str, str]:
    """Return our environment without tokens: the demonstration needs none."""
    return {
        name: text
        for name, text in os.environ.items()
        if "TOKEN" not in name and not name.startswith("SYNCER_")
    }


def syncer(config: Path, *words: str) -> list[str]:
    """Return the command line of a `syncer` command."""
    return [sys.executable, "-m", "syncer", "--config", str(config), *words]


@contextmanager
def daemon(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon, its log beside its configuration; end it cleanly."""
    with (
        (config.parent / "log").open("wb") as log,
        subprocess.Popen(
            syncer(config, "daemon"),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=environment(),
            # Ctrl-C is ours: we pass it on once.
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def watch(
    config: Path,
    process: subprocess.Popen[bytes],
    change: Callable[[], str],
    seconds: float,
    stop: threading.Event,
) -> None:
    """Show the status, change something, and again, until the time is up."""
    ends = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < ends:
        if stop.wait(min(EVERY, max(0.0, ends - time.monotonic()))):
            return
        print(f"\n--- {time.strftime('%H:%M:%S')}")
        for words in (["status"], ["history", "-n", "3"]):
            print(f"$ syncer {' '.join(words)}\n{said(config, *words)}\n")
        if time.monotonic() < ends:
            print(f"> upstream: {change()}", flush=True)


def said(config: Path, *words: str) -> str:
    """Return what a `syncer` command prints."""
    done = subprocess.run(
        syncer(config, *words),
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    return (done.stdout or done.stderr).rstrip()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GitFailed as error:
        sys.exit(f"error: {error}")
