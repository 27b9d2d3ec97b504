"""`gc`: what has expired goes, packs that piled up are put in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from syncer.cli import options
from syncer.cli.render import plural, size
from syncer.cli.session import configured
from syncer.cli.verdict import exit_status
from syncer.errors import SyncerError

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from syncer.bootstrap import App
    from syncer.cli.session import Session
    from syncer.model.names import RepoName
    from syncer.model.runs import RepoState


@dataclass(frozen=True)
class Swept:
    """What expired in one mirror, and whether its packs want care."""

    state: RepoState
    tips: list[str]
    packs: list[str]
    freed: int
    maintained: bool

    def __bool__(self) -> bool:
        return bool(self.tips or self.packs or self.maintained)

    def text(self, *, dry_run: bool) -> str:
        """Return it in words."""
        verb = "would remove" if dry_run else "removed"
        parts = []
        if self.tips:
            parts.append(f"{verb} {plural(len(self.tips), 'old tip')}")
        if self.packs:
            packs = plural(len(self.packs), "replaced pack")
            parts.append(f"{verb} {packs} ({size(self.freed)})")
        if self.maintained:
            parts.append("would put packs in order" if dry_run else "packs in order")
        return f"{self.state.name}: {', '.join(parts)}"


@click.command("gc", epilog=options.statuses(3, 11, 12))
@options.names()
@options.dry_run("Only tell what would be done.")
@options.as_json
@click.pass_obj
def gc_command(
    session: Session, names: tuple[RepoName, ...], *, dry_run: bool, as_json: bool
) -> int:
    """Remove what has expired, and put packs in order.

    Expired are old tips of force-pushed and deleted branches past `keep`, and
    packs that a newer one replaced, after `grace`. Nothing upstream has goes.
    """
    out = session.output
    found, failed = [], []
    with session.app() as app:
        states = _chosen(app, names)
        for state in states:
            try:
                swept = _sweep(app, state, dry_run=dry_run)
            except SyncerError as exc:
                out.failure(exc)
                failed.append(exc.exit_code)
                continue
            found.append(swept)
            if swept and not as_json:
                out.data(swept.text(dry_run=dry_run))
    if as_json:
        told = [_document(swept) for swept in found if swept]
        out.document("gc", {"dry_run": dry_run, "mirrors": told})
    else:
        done = [swept for swept in found if swept]
        freed = size(sum(swept.freed for swept in done))
        would = "would be freed" if dry_run else "freed"
        of = f"{len(done):,} of {plural(len(states), 'mirror')}"
        out.say(f"{of} had something to do, {freed} {would}")
    out.next("syncer gc" if dry_run and any(found) else "syncer status")
    return exit_status(failed, len(states))


def _chosen(app: App, names: tuple[RepoName, ...]) -> list[RepoState]:
    """Return the named mirrors, or all, as far as they have a repository."""
    wanted = {name.identity for name in configured(app.config, names)}
    states = app.catalog.states()
    return [
        state
        for state in states
        if state.generation > 0 and (not wanted or state.name.identity in wanted)
    ]


def _sweep(app: App, state: RepoState, *, dry_run: bool) -> Swept:
    now, keep = app.clock.now(), _retention(app, state)
    with app.store.lease(state.path) as repository:
        gone = repository.drop_expired(now, keep, dry_run=True)
        packs = [name for name in gone if name.endswith(".pack")]
        tips = [name for name in gone if not name.endswith(".pack")]
        freed = sum(_bytes(app.store.path(state.path), name) for name in packs)
        if not dry_run:
            repository.drop_expired(now, keep, dry_run=False)
        due = repository.needs_maintenance(idle=True)
    if due and not dry_run:
        app.pipeline.maintain(state, idle=True)
    return Swept(state, tips, packs, freed, due)


def _retention(app: App, state: RepoState) -> timedelta:
    repo = app.config.find(state.name)
    return (repo.keep if repo is not None else None) or app.config.syncer.keep


def _bytes(repository: Path, pack: str) -> int:
    try:
        return (repository / "objects" / "pack" / pack).stat().st_size
    except FileNotFoundError:
        return 0


def _document(swept: Swept) -> dict[str, object]:
    return {
        "repository": swept.state.name.short,
        "tips": swept.tips,
        "packs": swept.packs,
        "freed_bytes": swept.freed,
        "maintained": swept.maintained,
    }
