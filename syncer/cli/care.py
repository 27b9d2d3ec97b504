"""`gc`: what has expired goes, packs that piled up are put in order.

Blobs go in two steps: what nothing needs is condemned by one call and removed by
another, a grace period later.  Those of assets that left are needed until `keep` is
over.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from syncer.cli import documents, options
from syncer.cli.render import stamp
from syncer.cli.session import configured, kept_here
from syncer.cli.verdict import exit_status
from syncer.errors import SyncerError
from syncer.model.care import Swept
from syncer.model.releases import Departure
from syncer.units import plural, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from syncer.bootstrap import App
    from syncer.cli.output import Output
    from syncer.cli.session import Session
    from syncer.model.blobs import Blob, Leftover
    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName
    from syncer.model.releases import AssetRecord

#: What is said of assets by how they left.
_LEFT = {
    Departure.DELETED: "deleted upstream",
    Departure.REPLACED: "replaced upstream",
    None: "not selected since",
}


@dataclass(frozen=True)
class Cleared:
    """What expired in one mirror, and whether its packs want care."""

    state: RepoState
    tips: list[str]
    packs: list[str]
    freed: int
    #: Assets whose bytes are given up, with their tags, and before when they left.
    assets: list[tuple[str, AssetRecord]]
    before: datetime
    maintained: bool

    def __bool__(self) -> bool:
        return bool(self.tips or self.packs or self.assets or self.maintained)

    def text(self, *, dry_run: bool) -> str:
        """Return it in words."""
        verb = "would remove" if dry_run else "removed"
        parts = []
        if self.tips:
            parts.append(f"{verb} {plural(len(self.tips), 'old tip')}")
        if self.packs:
            packs = plural(len(self.packs), "replaced pack")
            parts.append(f"{verb} {packs} ({size(self.freed)})")
        parts += expired(self.assets, self.before, dry_run=dry_run)
        if self.maintained:
            parts.append("would put packs in order" if dry_run else "packs in order")
        return f"{self.state.name}: {', '.join(parts)}"


def expired(
    assets: Sequence[tuple[str, AssetRecord]], before: datetime, *, dry_run: bool
) -> list[str]:
    """Return which assets' bytes are given up, by how they left, in words.

    Whether their blobs go is seen later: something else may need the same bytes.
    """
    verb = "would give up" if dry_run else "gave up"
    told = []
    for departure, how in _LEFT.items():
        those = [each.asset for _, each in assets if each.departure is departure]
        if those:
            amount = size(sum(asset.size for asset in those))
            left = f"{plural(len(those), 'asset')} {how} before {before:%Y-%m-%d}"
            told.append(f"{verb} {left} ({amount})")
    return told


@click.command("gc", epilog=options.statuses(3, 5, 11, 12))
@options.names()
@click.option(
    "--orphans", is_flag=True, help="Also take blobs in hand that nobody recorded."
)
@options.dry_run("Only tell what would be done.")
@options.as_json
@click.pass_obj
def gc_command(
    session: Session,
    names: tuple[RepoName, ...],
    *,
    orphans: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Remove what has expired, and put packs in order.

    Expired are old tips of force-pushed and deleted branches past `keep`, and
    packs that a newer one replaced, after `grace`; and the bytes of assets that
    upstream deleted or replaced, or that are not wanted any more, past `keep`,
    unless their tag is pinned. Nothing that upstream has and you want goes.

    Without names, blobs that no mirror needs are condemned, those condemned for
    longer than `grace` are removed, and unfinished transfers go after `stale`.
    """
    if orphans and names:
        msg = "blobs belong to no single mirror: leave out the names"
        raise click.UsageError(msg)
    with session.app() as app:
        done = _Round(app, session.output, dry_run, silent=as_json)
        done.mirrors(mirrors_of(app, names))
        if not names:
            done.blobs(orphans=orphans)
    if as_json:
        _print_document(session.output, done)
    else:
        _print_end(session.output, done)
    return exit_status(done.failed, done.total)


@dataclass
class _Round:
    """Clears one thing after another; one that cannot be cleared stops no other."""

    app: App
    out: Output
    dry_run: bool
    silent: bool
    #: Mirrors, and parts in all.
    asked: int = 0
    total: int = 0
    cleared: list[Cleared] = field(default_factory=list)
    swept: Swept = field(default_factory=Swept)
    #: Statuses of what could not be cleared.
    failed: list[int] = field(default_factory=list)

    def mirrors(self, states: list[RepoState]) -> None:
        self.asked = len(states)
        for state in states:
            with self._part():
                cleared = _clear(self.app, state, dry_run=self.dry_run)
                self.cleared.append(cleared)
                if cleared:
                    self._tell(cleared.text(dry_run=self.dry_run))

    def blobs(self, *, orphans: bool) -> None:
        sweeper = self.app.sweeper
        with self._part():
            self.swept = sweeper.sweep(dry_run=self.dry_run, orphans=orphans)
            if self.swept:
                self._tell(f"blobs: {words_of(self.swept, dry_run=self.dry_run)}")

    def _tell(self, line: str) -> None:
        if not self.silent:
            self.out.data(line)

    @contextmanager
    def _part(self) -> Iterator[None]:
        self.total += 1
        try:
            yield
        except SyncerError as exc:
            self.out.failure(exc)
            self.failed.append(exc.exit_code)


def _print_end(out: Output, done: _Round) -> None:
    mirrors = [cleared for cleared in done.cleared if cleared]
    freed = sum(cleared.freed for cleared in mirrors)
    freed += _bytes_of((*done.swept.removed, *done.swept.aborted))
    would = "would be freed" if done.dry_run else "freed"
    of = f"{len(mirrors):,} of {plural(done.asked, 'mirror')}"
    out.say(f"{of} had something to do, {size(freed)} {would}")
    again = done.dry_run and (mirrors or done.swept)
    out.next("syncer gc" if again else "syncer status")


def words_of(swept: Swept, *, dry_run: bool) -> str:
    """Return what became of blobs: `3 blobs condemned (1.2 GiB), ...`."""
    would = "would be " if dry_run else ""
    kinds: tuple[tuple[str, str, tuple[Blob | Leftover, ...]], ...] = (
        ("blob", "condemned", swept.condemned),
        ("blob", "removed", swept.removed),
        ("unrecorded blob", "condemned", swept.adopted),
        ("unfinished transfer", "removed", swept.aborted),
    )
    return ", ".join(
        f"{plural(len(those), noun)} {would}{verb} ({size(_bytes_of(those))})"
        for noun, verb, those in kinds
        if those
    )


def _bytes_of(those: tuple[Blob | Leftover, ...]) -> int:
    return sum(each.size for each in those)


def mirrors_of(app: App, names: tuple[RepoName, ...]) -> list[RepoState]:
    """Return the named mirrors, or all, as far as they have a repository here.

    Raises:
        Locked: another machine keeps a mirror that was named.
    """
    wanted = {name.identity for name in configured(app.config, names)}
    states = [
        state
        for state in app.catalog.states()
        if state.generation > 0 and (not wanted or state.name.identity in wanted)
    ]
    return kept_here(app.config.syncer.host, states, named=bool(wanted))


def _clear(app: App, state: RepoState, *, dry_run: bool) -> Cleared:
    now, keep = app.clock.now(), _retention(app, state)
    with app.store.lease(state.path) as repository:
        gone = repository.drop_expired(now, keep, dry_run=True)
        packs = [name for name in gone if name.endswith(".pack")]
        tips = [name for name in gone if not name.endswith(".pack")]
        freed = sum(_bytes(app.store.path(state.path), name) for name in packs)
        if not dry_run:
            repository.drop_expired(now, keep, dry_run=False)
        before, releases = now - keep, app.world.releases
        assets = releases.expire(state.id, before, now, dry_run=dry_run)
        due = repository.needs_maintenance(idle=True)
    if due and not dry_run:
        app.pipeline.maintain(state, idle=True)
    return Cleared(state, tips, packs, freed, assets, before, due)


def _retention(app: App, state: RepoState) -> timedelta:
    repo = app.config.find(state.name)
    return (repo.keep if repo is not None else None) or app.config.syncer.keep


def _bytes(repository: Path, pack: str) -> int:
    try:
        return (repository / "objects" / "pack" / pack).stat().st_size
    except FileNotFoundError:
        return 0


def _print_document(out: Output, done: _Round) -> None:
    blobs = done.swept
    body = {
        "dry_run": done.dry_run,
        "mirrors": [_document(cleared) for cleared in done.cleared if cleared],
        "blobs": {
            "condemned": [_blob(blob) for blob in blobs.condemned],
            "removed": [_blob(blob) for blob in blobs.removed],
            "adopted": [_blob(blob) for blob in blobs.adopted],
            "aborted": [
                {
                    "place": left.place,
                    "oid": left.digest,
                    "size_bytes": left.size,
                    "since": stamp(left.since),
                }
                for left in blobs.aborted
            ],
        },
    }
    out.document("gc", body)


def _blob(blob: Blob) -> dict[str, object]:
    return {"oid": blob.digest, "size_bytes": blob.size}


def _document(cleared: Cleared) -> dict[str, object]:
    return {
        "repository": cleared.state.name.short,
        "tips": cleared.tips,
        "packs": cleared.packs,
        "freed_bytes": cleared.freed,
        "assets": [
            {**documents.name_of("tag", tag), **documents.asset(each)}
            for tag, each in cleared.assets
        ],
        "maintained": cleared.maintained,
    }
