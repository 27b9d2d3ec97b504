"""A first mirror of a large repository against `git clone --mirror`.

git gets the same fsck and fsync settings, and nothing else of ours.  Ours is
the whole `syncer sync` process, start-up included.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.harness import (
    ROOT,
    Bar,
    Spent,
    middle,
    report,
    spent,
    upstream,
    write_config,
)
from syncer.git.policy import BASE
from tests.servers.bulk import build
from tests.servers.repositories import git_environment

if TYPE_CHECKING:
    from bench.harness import Upstream

ROUNDS = 3
COMMITS = 100_000  # four objects each
#: What a person who wants the same safety of `git clone` would set.
_SAME = tuple(
    pair
    for pair in BASE
    if pair[0].startswith(("core.fsync", "transfer.fsck", "fetch.fsck"))
)


def main() -> int:
    """Measure and print the verdict."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        place = Path(name)
        build(place / "up/o/large.git", commits=COMMITS, branches=200, tags=800)
        ours, git = [], []
        with upstream(place / "up") as server:
            for number in range(ROUNDS):
                ours.append(_syncer(place / f"s{number}", server))
                git.append(_clone(place / "clone.git", server))
            packed = _is_packed(place / "s0/mirror/git/github.com/o/large.git")
    mine, theirs = middle(ours), middle(git)
    facts = {
        "objects": COMMITS * 4,
        "syncer sync": f"{mine.wall:.2f} s, CPU {mine.cpu:.2f} s",
        "git clone --mirror": f"{theirs.wall:.2f} s, CPU {theirs.cpu:.2f} s",
        "refs are packed": packed,
    }
    allowed = 1.10 * theirs.wall + 1.0
    bars = [
        Bar(
            "wall, ours / (1.10 x git + 1 s)", mine.wall / allowed, 1.0, at_least=False
        ),
        Bar("loose refs left", 0 if packed else 1, 0, at_least=False),
    ]
    return report("initial", bars, facts)


def _syncer(place: Path, server: Upstream) -> Spent:
    place.mkdir()
    config = write_config(place, server, ["o/large"])
    command = [sys.executable, "-m", "syncer", "--config", str(config)]
    _run([*command, "init"])
    return spent(lambda: _run([*command, "sync"]))


def _run(command: list[str]) -> None:
    subprocess.run(
        command,
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _clone(target: Path, server: Upstream) -> Spent:
    settings = {"GIT_CONFIG_COUNT": str(len(_SAME)), "GIT_SSL_CAINFO": str(server.ca)}
    for index, (key, value) in enumerate(_SAME):
        settings[f"GIT_CONFIG_KEY_{index}"] = key
        settings[f"GIT_CONFIG_VALUE_{index}"] = value
    url = f"{server.url}/o/large.git"
    cost = spent(
        lambda: subprocess.run(
            ["git", "clone", "--quiet", "--mirror", url, str(target)],
            env={**git_environment(), **settings},
            check=True,
        )
    )
    shutil.rmtree(target)
    return cost


def _is_packed(repository: Path) -> bool:
    loose = [path for path in (repository / "refs").rglob("*") if path.is_file()]
    return not loose and (repository / "packed-refs").stat().st_size > 0


if __name__ == "__main__":
    sys.exit(main())
