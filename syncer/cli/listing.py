"""`add` and `remove`: what `repos.toml` lists, and the catalog with it."""

from __future__ import annotations

import sys
from difflib import unified_diff
from typing import TYPE_CHECKING

import click

from syncer.cli import options
from syncer.cli.owner import acting_for
from syncer.cli.render import plural, printable, span
from syncer.cli.session import check_tier, event, unknown
from syncer.cli.verdict import exit_status
from syncer.errors import (
    AccessDenied,
    ConfigError,
    NotFound,
    PermanentError,
    SyncerError,
    UnknownMirror,
)
from syncer.model.content import DEFAULT_SCOPE
from syncer.model.mirrors import Activity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syncer.bootstrap import App
    from syncer.cli.output import Output
    from syncer.cli.session import Session
    from syncer.config import Config
    from syncer.model.names import RepoName

    Change = Callable[[str], str]

_REFUSED = "it does not exist, or is private and no token may see it"


@click.command("add", epilog=options.statuses(4, 5))
@options.names(required=True)
@click.option("--tier", help="How often to ask, and the lag aimed for.")
@options.dry_run("Only print how repos.toml would change.")
@click.option("--no-check", is_flag=True, help="Do not ask upstream first.")
@click.pass_obj
def add_command(
    session: Session,
    names: tuple[RepoName, ...],
    *,
    tier: str | None,
    dry_run: bool,
    no_check: bool,
) -> int:
    """Mirror repositories from now on.

    NAME is OWNER/NAME on github.com, HOST/OWNER/NAME, or any address that git
    would take. repos.toml is edited and keeps its comments.
    """
    from syncer.catalog import repos_file

    out, config, path = session.output, session.look(), session.path()
    check_tier(tier, config)
    new = _not_listed(out, config, names)

    def change(text: str) -> str:
        return repos_file.add(text, [(name, tier) for name in new])

    if dry_run:
        _print_diff(out, path, change)
        wanted = " ".join(map(str, names)) + (f" --tier {tier}" if tier else "")
        out.next(f"syncer add {wanted}")
        return 0
    if new:
        with session.app(for_good=False) as app:
            status = 0 if no_check else _check_upstream(out, app, new)
            if status:
                return status
            _edit(session, app, path, change)
            for name in new:
                app.catalog.audit(event(app, "add", name, tier or ""))
        _tell_added(out, config, path, new, tier)
    out.next(f"syncer sync {' '.join(map(str, names))}")
    return 0


def _not_listed(
    out: Output, config: Config, names: tuple[RepoName, ...]
) -> list[RepoName]:
    """Return the names that are new, each once; tell of the others."""
    new: dict[str, RepoName] = {}
    for name in names:
        repo = config.find(name)
        if repo is None:
            new.setdefault(name.identity, name)
        else:
            out.say(f"{repo.name} is listed already, in tier {repo.tier}")
    return list(new.values())


def _check_upstream(out: Output, app: App, names: list[RepoName]) -> int:
    """Ask whether the repositories are there; return the status if one is not."""
    failed = []
    for name in names:
        try:
            refs = app.forge.probe(name, DEFAULT_SCOPE).read()
        except SyncerError as exc:
            _tell_refused(out, name, exc)
            failed.append(exc.exit_code)
            continue
        kinds = [ref.split("/")[1] for ref in refs.refs]
        branches = plural(kinds.count("heads"), "branch", "branches")
        tags = plural(kinds.count("tags"), "tag")
        head = printable((refs.head or "none").removeprefix("refs/heads/"))
        found = f"{branches}, {tags}, default branch {head}"
        out.say(f"{name} ... found: {found if refs.refs else 'it is empty'}")
    return exit_status(failed, len(failed))


def _tell_refused(out: Output, name: RepoName, exc: SyncerError) -> None:
    if isinstance(exc, (NotFound, AccessDenied)):
        out.error(f"upstream does not show {name}: {_REFUSED}; nothing was changed")
        out.hint("check the spelling; for tokens: syncer help environment")
        return
    said = str(exc)
    end = "" if "nothing was changed" in said else "; nothing was changed"
    out.error(f"{said}{end}")
    out.hint(exc.hint)


def _edit(session: Session, app: App, path: Path, change: Change) -> None:
    """Change the file and the catalog; if that fails the file is as it was."""
    from syncer.catalog import repos_file

    before: list[str] = []

    def checked(text: str) -> str:
        before.append(text)
        return change(text)

    directory = path.resolve().parent
    with acting_for(directory):
        repos_file.edit(path, checked)
    after = change(before[0])
    try:
        with acting_for(directory):
            app.config = session.look()
        app.reconcile()
    except BaseException:
        with acting_for(directory):
            repos_file.edit(path, lambda text: before[0] if text == after else text)
        raise


def _tell_added(
    out: Output, config: Config, path: Path, names: list[RepoName], tier: str | None
) -> None:
    chosen = config.tier[tier or "normal"]
    out.say(f"Added to {path}:")
    for name in names:
        out.data(f'\n    [[repo]]\n    name = "{name}"')
        if tier is not None:
            out.data(f'    tier = "{tier}"')
    often = f"asked at least every {span(chosen.interval)}"
    out.say(f"\n{often}, late above {span(chosen.target)}")


def _print_diff(out: Output, path: Path, change: Change) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        msg = f"{path} cannot be read: {exc.strerror}"
        raise ConfigError(msg) from None
    lines = unified_diff(
        text.splitlines(), change(text).splitlines(), str(path), str(path), lineterm=""
    )
    for line in lines:
        out.data(printable(line))


@click.command("remove", epilog=options.statuses(11, 12))
@options.name()
@click.option("--purge", is_flag=True, help="Delete what was mirrored, too.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before deleting.")
@options.dry_run("Only print what would change.")
@click.pass_obj
def remove_command(
    session: Session,
    names: tuple[RepoName, ...],
    *,
    purge: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Stop mirroring a repository.

    What was mirrored is kept, and `syncer add` takes it up again. --purge
    deletes it and its history for good.
    """
    from syncer.catalog import repos_file

    out, config, path = session.output, session.look(), session.path()
    name = names[0]
    repo = config.find(name)
    if repo is None and not purge:
        raise unknown(name, config)

    def change(text: str) -> str:
        return text if repo is None else repos_file.remove(text, name)

    if dry_run:
        _print_diff(out, path, change)
        if purge:
            out.data(f"would delete {name}, its repository and its history")
        return
    with session.app(for_good=False) as app:
        stored = _stored(app, name, config)
        if purge and not yes:
            _ask(out, name, app.store.path(stored))
        if repo is not None:
            _edit(session, app, path, change)
            app.catalog.audit(event(app, "remove", name))
            out.say(f"{name} is not mirrored any more")
        if purge:
            _purge(app, name, stored)
            out.say(f"deleted the repository and the history of {name}")
            out.next("syncer list")
        else:
            out.say(f"its copy is kept: {app.store.path(stored)}")
            out.next(f"syncer remove {name} --purge", f"syncer add {name}")


def _stored(app: App, name: RepoName, config: Config) -> str:
    try:
        return app.catalog.state(name).path
    except UnknownMirror:
        raise unknown(name, config) from None


def _ask(out: Output, name: RepoName, repository: Path) -> None:
    """Have the name typed before anything is deleted for good."""
    if not sys.stdin.isatty():
        msg = f"deleting {name} needs --yes; nothing was changed"
        raise ConfigError(msg)
    out.warn(f"this deletes {repository} and its history for good")
    if click.prompt(f"Type {name} to go on", err=True).strip() != name.short:
        msg = "that is another name; nothing was changed"
        raise PermanentError(msg)


def _purge(app: App, name: RepoName, stored: str) -> None:
    if app.catalog.state(name).activity is not Activity.REMOVED:
        msg = f"{name} is configured again; nothing was deleted"
        raise PermanentError(msg)
    app.store.discard(stored)
    app.catalog.purge(name, event(app, "purge", name))
