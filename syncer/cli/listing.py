"""`add` and `remove`: what `repos.toml` lists, and the catalog with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from syncer.cli import options
from syncer.cli.editing import edit_file, print_diff
from syncer.cli.session import check_tier, event, unknown
from syncer.cli.verdict import exit_status
from syncer.errors import ConfigError, Locked, PermanentError, UnknownMirror
from syncer.model.mirrors import Activity
from syncer.units import span

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.bootstrap import App
    from syncer.cli.options import Choices
    from syncer.cli.output import Output
    from syncer.cli.session import Session
    from syncer.config import Config
    from syncer.model.names import OwnerName, RepoName


@click.command("add", epilog=options.statuses(4, 5))
@options.names_or_owner(many=True)
@click.option("--tier", help="How often to ask, and the lag aimed for.")
@options.dry_run("Only print how repos.toml would change.")
@click.option("--no-check", is_flag=True, help="Do not ask upstream first.")
@options.choices
@options.as_json
@click.pass_obj
def add_command(  # noqa: PLR0913 - one parameter an option
    session: Session,
    names: tuple[RepoName, ...] | OwnerName,
    *,
    tier: str | None,
    dry_run: bool,
    no_check: bool,
    choices: Choices,
    as_json: bool,
) -> int:
    """Mirror repositories from now on.

    NAME is OWNER/NAME on github.com, HOST/OWNER/NAME, or any address that git
    would take. repos.toml is edited and keeps its comments.

    org:OWNER or user:OWNER stands for all repositories of an organisation or
    user that fit, also those that it will have. With --dry-run it lists them.
    """
    check_tier(tier, session.look())
    if not isinstance(names, tuple):
        from syncer.cli import owners

        keys = choices.keys | ({} if tier is None else {"tier": tier})
        if dry_run:
            return owners.plan(session, names, keys, as_json=as_json)
        _refuse_json(as_json=as_json)
        return owners.add(session, names, keys, no_check=no_check)
    if choices.keys:
        msg = f"--{next(iter(choices.given))} is for org:OWNER, not for a repository"
        raise click.UsageError(msg)
    _refuse_json(as_json=as_json)
    return _add(session, names, tier, dry_run=dry_run, no_check=no_check)


def _refuse_json(*, as_json: bool) -> None:
    if as_json:
        msg = "--json is for what org:OWNER --dry-run lists"
        raise click.UsageError(msg)


def _add(
    session: Session,
    names: tuple[RepoName, ...],
    tier: str | None,
    *,
    dry_run: bool,
    no_check: bool,
) -> int:
    from syncer.catalog import repos_file

    out, config, path = session.output, session.look(), session.path()
    new = _not_listed(out, config, names)

    def change(text: str) -> str:
        return repos_file.add(text, [(name, tier) for name in new])

    if dry_run:
        print_diff(out, path, change)
        wanted = " ".join(map(str, names)) + (f" --tier {tier}" if tier else "")
        out.next(f"syncer add {wanted}")
        return 0
    if new:
        with session.app(for_good=False) as app:
            if not no_check:
                status, found = _ask_upstream(out, app, new)
                if status:
                    return status
                new = _not_listed(out, config, found)
            if new:
                edit_file(session, app, path, change)
            for name in new:
                app.catalog.audit(event(app, "add", name, tier or ""))
        if new:
            _tell_added(out, config, path, new, tier)
    out.next(f"syncer sync {' '.join(map(str, new or names))}")
    return 0


def _not_listed(
    out: Output, config: Config, names: tuple[RepoName, ...]
) -> tuple[RepoName, ...]:
    """Return the names that are new, each once; tell of the others."""
    new: dict[str, RepoName] = {}
    for name in names:
        repo = config.find(name)
        if repo is None:
            new.setdefault(name.identity, name)
        else:
            out.say(f"{repo.name} is listed already, in tier {repo.tier}")
    return tuple(new.values())


def _ask_upstream(
    out: Output, app: App, names: tuple[RepoName, ...]
) -> tuple[int, tuple[RepoName, ...]]:
    """Return the status if one is not there, and the names as upstream has them."""
    from syncer.cli.asking import Asker

    ask = Asker(out, app.forge, app.world.api)
    found = tuple(ask(name) for name in names)
    return exit_status(ask.failed, len(ask.failed)), found


def _tell_added(
    out: Output,
    config: Config,
    path: Path,
    names: tuple[RepoName, ...],
    tier: str | None,
) -> None:
    chosen = config.tier[tier or "normal"]
    out.say(f"Added to {path}:")
    for name in names:
        out.data(f'\n    [[repo]]\n    name = "{name}"')
        if tier is not None:
            out.data(f'    tier = "{tier}"')
    often = f"asked at least every {span(chosen.interval)}"
    out.say(f"\n{often}, late above {span(chosen.target)}")


@click.command("remove", epilog=options.statuses(11, 12))
@options.names_or_owner(many=False)
@click.option("--purge", is_flag=True, help="Delete what was mirrored, too.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before deleting.")
@options.dry_run("Only print what would change.")
@click.pass_obj
def remove_command(
    session: Session,
    names: tuple[RepoName, ...] | OwnerName,
    *,
    purge: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Stop mirroring a repository, or what org:OWNER stands for.

    What was mirrored is kept, and `syncer add` takes it up again. --purge
    deletes it and its history for good.
    """
    if not isinstance(names, tuple):
        from syncer.cli import owners

        if purge:
            msg = "--purge deletes one repository: name it; nothing was changed"
            raise click.UsageError(msg)
        owners.remove(session, names, dry_run=dry_run)
        return
    _remove(session, names[0], purge=purge, yes=yes, dry_run=dry_run)


def _remove(
    session: Session, name: RepoName, *, purge: bool, yes: bool, dry_run: bool
) -> None:
    from syncer.catalog import repos_file

    out, config, path = session.output, session.look(), session.path()
    repo = config.find(name)
    if repo is None and not purge:
        raise _not_removable(session, name, config)

    def change(text: str) -> str:
        return text if repo is None else repos_file.remove(text, name)

    if dry_run:
        print_diff(out, path, change)
        if purge:
            out.data(f"would delete {name}, its repository and its history")
        return
    with session.app(for_good=False) as app:
        stored = _stored(app, name, config)
        if purge:
            _refuse_elsewhere(app, name)
        if purge and not yes:
            _ask(out, name, app.store.path(stored))
        if repo is not None:
            edit_file(session, app, path, change)
            app.catalog.audit(event(app, "remove", name))
            out.say(f"{name} is not mirrored any more")
        if purge:
            _purge(app, name, stored)
            out.say(f"deleted the repository and the history of {name}")
            out.next("syncer list")
        else:
            out.say(f"its copy is kept: {app.store.path(stored)}")
            out.next(f"syncer remove {name} --purge", f"syncer add {name}")


def _not_removable(
    session: Session, name: RepoName, config: Config
) -> ConfigError | UnknownMirror:
    """Return why a repository that is not listed cannot be taken off the list."""
    if not config.owner:
        return unknown(name, config)
    with session.records() as records:
        repo = records.config.find(name)
    if repo is None:
        return unknown(name, config)
    msg = f"{name} is mirrored as one of an [[owner]]'s; nothing was changed"
    hint = f'in repos.toml, give the owner exclude = ["{repo.name.name}"]'
    return ConfigError(msg, hint=hint)


def _stored(app: App, name: RepoName, config: Config) -> str:
    try:
        return app.catalog.state(name).path
    except UnknownMirror:
        raise unknown(name, config) from None


def _refuse_elsewhere(app: App, name: RepoName) -> None:
    """Refuse to delete what another machine keeps, before anything is changed."""
    home, here = app.catalog.state(name).home, app.config.syncer.host
    if home is not None and home != here:
        msg = f"{name} is kept by {home}; nothing was changed"
        raise Locked(msg, hint=f"run it there: syncer remove {name} --purge")


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
