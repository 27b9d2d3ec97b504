"""Mirroring releases, as an operation to cut; and deliberate mistakes in that.

Before refs move, and before names do, the blobs are swept without any grace, as by a
`gc` that was begun at the worst moment: what the run relies on must stay.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from syncer.catalog import database, releases
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.sql import SqlCatalog
from syncer.config import load
from syncer.git.repository import Repository
from syncer.model.runs import Outcome, SyncRun, Trigger
from syncer.store.parts import Part
from syncer.sync.sweep import BlobSweeper
from tests.crash import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from syncer.bootstrap import App
    from syncer.model.care import Swept
    from syncer.model.runs import Intent
    from tests.crash.mutants import Patch

TOKEN = "ghp_crash"  # noqa: S105 - no token of anybody
_NOW = timedelta()


def prepare(world: Path, url: str, assets: str) -> None:
    """Write a configuration that mirrors `o/r` from a GitHub, and an empty catalog.

    `url` is that of its git and of its API, `assets` the host and port of its assets.
    One asset at a time is brought, so that all runs are alike.
    """
    (world / "token").write_text(TOKEN, encoding="utf-8")
    (world / "token").chmod(0o600)
    (world / "repos.toml").write_text(
        f'[syncer]\ndata = "{world / "data"}"\nmin_free = 0\ntransfers = 1\n\n'
        f'[host."github.com"]\ngit = "{url}"\napi = "{url}"\n'
        f'downloads = ["{assets}"]\ntoken_file = "{world / "token"}"\n'
        'private = true\nprobes = 10000\n\n[[repo]]\nname = "o/r"\n',
        encoding="utf-8",
    )
    (world / "data").mkdir()
    database.upgrade(load(world / "repos.toml", {}).catalog_url)


def run(app: App) -> SyncRun:
    """Look at the only mirror, its releases too, and run it if anything changed."""
    state = app.catalog.states()[0]
    visit = app.pipeline.probe(state, Trigger.COMMAND)
    done = app.pipeline.sync(visit, Trigger.COMMAND)
    app.probes.flush()
    return done


def sweep(app: App) -> Swept:
    """Remove at once every blob and part that nothing needs, orphans too."""
    sweeper = BlobSweeper(
        app.world, app.pipeline.recover, app.stop, grace=_NOW, stale=_NOW
    )
    return sweeper.sweep(orphans=True)


def sync(world: Path) -> None:
    """Mirror what changed upstream, beside a `gc`; as wrongly as the world says."""
    mistake = world / "mistake"
    if mistake.exists():
        # This process is one point's own.
        MUTANTS[mistake.read_text()].apply(setattr)
    app = operations.wire(world)
    with (
        _before(Repository, "promote", lambda: sweep(app)),
        _before(SqlCatalog, "publish_releases", lambda: sweep(app)),
    ):
        done = run(app)
    app.close()
    if done.outcome not in {Outcome.CHANGED, Outcome.UNCHANGED}:
        sys.exit(f"{done.outcome}: {done.error}")


@contextmanager
def _before(owner: Any, method: str, act: Callable[[], object]) -> Iterator[None]:  # noqa: ANN401 - any class
    """Let something happen before each call of a method."""
    original = getattr(owner, method)

    @wraps(original)
    def preceded(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - passed on as they are
        act()
        return original(*args, **named)

    setattr(owner, method, preceded)
    try:
        yield
    finally:
        setattr(owner, method, original)


def names_first(patch: Patch) -> None:
    """Show the names of releases before the refs move."""
    intend = SqlCatalog.intend

    def shown(self: SqlCatalog, intent: Intent) -> None:
        intend(self, intent)
        if intent.releases is not None:
            with self._deciding() as conn:
                releases.write(conn, intent.mirror_id, intent.releases.records)

    patch(SqlCatalog, "intend", shown)


def unclaimed(patch: Patch) -> None:
    """Rely on blobs without saying so."""

    def claim(
        _self: SqlBlobIndex, _mirror_id: int, _digests: Iterable[str], _now: datetime
    ) -> frozenset[str]:
        return frozenset()

    patch(SqlBlobIndex, "claim", claim)


def unsynced(patch: Patch) -> None:
    """Call assets present whose bytes are not on the disk."""
    patch(Part, "sync", lambda _part: None)


class Mutant(NamedTuple):
    """A mistake, how its sweep cuts, and the last call where it shows.

    A part of that call's words; nothing stands for the end.
    """

    apply: Callable[[Patch], None]
    mode: str
    call: str | None = None


MUTANTS = {
    "names_first": Mutant(names_first, "kill", "packed-refs"),
    "unclaimed": Mutant(unclaimed, "kill"),
    "unsynced": Mutant(unsynced, "power"),
}
