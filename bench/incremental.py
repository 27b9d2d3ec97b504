"""A small change, from probe to finish row, against `git fetch --prune`.

Both over TLS from the same upstream, both with a commit graph, git with its
default settings: loose objects, refs moved one by one, nothing synced to disk
before it says so.  Ours runs in a warm process, as in the daemon.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.harness import (
    Bar,
    Spent,
    middle,
    report,
    run_git,
    spent,
    upstream,
    write_config,
)
from syncer.bootstrap import build
from syncer.catalog import database
from syncer.config import load
from syncer.model.runs import Outcome, Trigger
from tests.servers.bulk import build as build_repository

if TYPE_CHECKING:
    from bench.harness import Upstream
    from syncer.bootstrap import App
    from tests.servers.repositories import Repository

ROUNDS = 15
_REFSPECS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


def main() -> int:
    """Measure both cases and print the verdict."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        place = Path(name)
        small = build_repository(
            place / "up/o/small.git", commits=300, branches=25, tags=25
        )
        large = build_repository(
            place / "up/o/large.git", commits=6000, branches=2750, tags=2750
        )
        with upstream(place / "up") as server:
            first = _compare(place / "a", server, "o/small", small, commits=1)
            second = _compare(place / "b", server, "o/large", large, commits=3)
    facts = {}
    bars = []
    for title, (ours, git) in {"50 refs": first, "5,500 refs": second}.items():
        facts[f"{title}, syncer"] = _shown(ours)
        facts[f"{title}, git fetch --prune"] = _shown(git)
        bars.append(
            Bar(f"{title}: wall, ours / git", ours.wall / git.wall, 1.0, at_least=False)
        )
        facts[f"{title}, CPU ours / git"] = f"{ours.cpu / git.cpu:.2f}"
    return report("incremental", bars, facts)


def _compare(
    place: Path, server: Upstream, name: str, repository: Repository, *, commits: int
) -> tuple[Spent, Spent]:
    place.mkdir()
    config = load(write_config(place, server, [name]), {})
    config.data.mkdir(parents=True)
    database.upgrade(config.catalog_url)
    app = build(config)
    app.reconcile()
    _sync(app)
    app.pipeline.maintain(app.catalog.states()[0], idle=True)
    clone = place / "clone.git"
    url = f"{server.url}/{name}.git"
    run_git("clone", "--bare", url, str(clone), ca=server.ca)
    run_git("commit-graph", "write", "--reachable", at=clone)
    ours, git = [], []
    for number in range(ROUNDS + 1):
        for step in range(commits):
            text = f"{number} {step}"
            repository.commit("main", {f"round/{number}-{step}": text}, text)

        def fetch() -> None:
            run_git("fetch", "--prune", url, *_REFSPECS, at=clone, ca=server.ca)

        if number % 2:
            mine, theirs = spent(lambda: _sync(app)), spent(fetch)
        else:
            theirs, mine = spent(fetch), spent(lambda: _sync(app))
        if number:  # the first round warms up
            ours.append(mine)
            git.append(theirs)
    app.close()
    return middle(ours), middle(git)


def _sync(app: App) -> None:
    state = app.catalog.states()[0]
    visit = app.pipeline.probe(state, Trigger.SCHEDULE)
    run = app.pipeline.sync(visit, Trigger.SCHEDULE)
    if run.outcome is not Outcome.CHANGED:
        sys.exit(f"not changed but {run.outcome}: {run.error}")


def _shown(cost: Spent) -> str:
    return f"{cost.wall * 1000:.1f} ms, CPU {cost.cpu * 1000:.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
