"""What a full clone costs the server after a hundred small syncs.

The processor time of `git upload-pack` for one clone of everything, against
the same store with every pack as it arrived.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.harness import Bar, middle, report, spent, upstream, write_config
from syncer.bootstrap import build
from syncer.catalog import database
from syncer.config import load
from syncer.model.runs import Outcome, Trigger
from tests.servers.bulk import build as build_repository
from tests.servers.repositories import git_environment

if TYPE_CHECKING:
    from bench.harness import Spent, Upstream
    from syncer.bootstrap import App

SYNCS = 100
COMMITS = 60_000
#: As many as a large project has: what a walk over trees costs depends on it.
FILES = 20_000
ROUNDS = 3


def main() -> int:
    """Measure and print the verdict."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        place = Path(name)
        repository = build_repository(
            place / "up/o/large.git",
            commits=COMMITS,
            files=FILES,
            branches=50,
            tags=50,
        )
        with upstream(place / "up") as server:
            kept, bare = (_mirror(place / x, server) for x in ("kept", "bare"))
            for number in range(SYNCS):
                repository.commit("main", {f"round/{number}": str(number)}, "more")
                _sync(kept, maintain=True)
                _sync(bare, maintain=False)
        ours = _clone(kept)
        theirs = _clone(bare)
        packs = {a: _packs(app) for a, app in (("kept", kept), ("bare", bare))}
        for app in (kept, bare):
            app.close()
    facts = {
        "objects": COMMITS * 4,
        "with maintenance": f"CPU {ours.cpu:.3f} s, {packs['kept']} packs",
        "without": f"CPU {theirs.cpu:.3f} s, {packs['bare']} packs",
    }
    bars = [Bar("CPU, with / without", ours.cpu / theirs.cpu, 1 / 8, at_least=False)]
    return report("serving_cost", bars, facts)


def _mirror(place: Path, server: Upstream) -> App:
    place.mkdir()
    config = load(write_config(place, server, ["o/large"]), {})
    config.data.mkdir(parents=True)
    database.upgrade(config.catalog_url)
    app = build(config)
    app.reconcile()
    _sync(app, maintain=False)
    return app


def _sync(app: App, *, maintain: bool) -> None:
    state = app.catalog.states()[0]
    run = app.pipeline.sync(
        app.pipeline.probe(state, Trigger.SCHEDULE), Trigger.SCHEDULE
    )
    if run.outcome is not Outcome.CHANGED:
        sys.exit(f"not changed but {run.outcome}: {run.error}")
    if maintain:
        app.pipeline.maintain(state)


def _repository(app: App) -> Path:
    return app.store.path(app.catalog.states()[0].path)


def _packs(app: App) -> int:
    return len(list((_repository(app) / "objects/pack").glob("*.pack")))


def _clone(app: App) -> Spent:
    """Return what serving one clone of everything costs."""
    repository = _repository(app)
    refs = (repository / "packed-refs").read_text().splitlines()
    tips = {
        line[:40]
        for line in refs
        if line[0] not in "#^" and " refs/syncer/" not in line
    }
    lines = ["command=fetch", None, "no-progress", "ofs-delta"]
    lines += [f"want {oid}" for oid in sorted(tips)] + ["done"]
    body = b"".join(
        b"0001" if line is None else f"{len(line) + 5:04x}{line}\n".encode()
        for line in lines
    )
    request = repository.parent / "request"
    request.write_bytes(body + b"0000")

    def serve() -> None:
        with request.open("rb") as stdin:
            subprocess.run(
                ["git", "upload-pack", "--stateless-rpc", str(repository)],
                env={**git_environment(), "GIT_PROTOCOL": "version=2"},
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                check=True,
            )

    return middle([spent(serve) for _ in range(ROUNDS)])


if __name__ == "__main__":
    os.environ.pop("GIT_DIR", None)
    sys.exit(main())
