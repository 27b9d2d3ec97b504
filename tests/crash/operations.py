"""What `syncer` does to a store, as operations that a sweep can cut anywhere."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import alembic.config  # noqa: F401 - a warm server imports once what each point needs
import git.cmd  # noqa: F401 - as above; it would start `git version` at each point

from syncer.bootstrap import App, build
from syncer.catalog import database
from syncer.config import load
from syncer.model.runs import Outcome, SyncRun, Trigger

if TYPE_CHECKING:
    from pathlib import Path


def wire(world: Path) -> App:
    """Return the program on a world's store, as a command would start it."""
    app = build(load(world / "repos.toml", {}))
    app.reconcile()
    return app


def prepare(world: Path, url: str) -> None:
    """Write a configuration that mirrors `o/r` from `url`, and an empty catalog."""
    (world / "repos.toml").write_text(
        f'[syncer]\ndata = "{world / "data"}"\nmin_free = 0\n\n'
        f'[host."github.com"]\ngit = "{url}"\nprivate = true\nprobes = 10000\n\n'
        '[[repo]]\nname = "o/r"\n',
        encoding="utf-8",
    )
    (world / "data").mkdir()
    database.upgrade(load(world / "repos.toml", {}).catalog_url)


def run(app: App) -> SyncRun:
    """Run the only mirror once."""
    state = app.catalog.states()[0]
    visit = app.pipeline.probe(state, Trigger.SCHEDULE)
    return app.pipeline.sync(visit, Trigger.SCHEDULE)


def sync(world: Path) -> None:
    """Mirror what changed upstream."""
    app = wire(world)
    done = run(app)
    app.close()
    if done.outcome not in {Outcome.CHANGED, Outcome.UNCHANGED}:
        sys.exit(f"{done.outcome}: {done.error}")


def maintain(world: Path) -> None:
    """Roll packs together, and remove what an earlier roll-up replaced."""
    app = wire(world)
    state = app.catalog.states()[0]
    app.pipeline.maintain(state)
    later = app.clock.now() + timedelta(days=100)
    with app.store.lease(state.path) as repository:
        repository.drop_expired(later, timedelta(days=90), dry_run=False)
    app.close()
