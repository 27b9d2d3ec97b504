"""`init`: from nothing to a store that `add` and `daemon` can work with."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

import syncer
from syncer.cli import options
from syncer.cli.owner import acting_for, become_owner, read_secrets
from syncer.cli.render import styled
from syncer.errors import ConfigError, NotInitialised, PermanentError, SyncerError
from syncer.model.names import GITHUB
from syncer.units import plural, size

if TYPE_CHECKING:
    from syncer.cli.output import Output
    from syncer.cli.session import Session
    from syncer.config import Config

_TEMPLATE = Path(__file__).with_name("template.toml")
_DATA = 'data = "./mirror"'


@click.command("init", epilog=options.statuses())
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where everything embedded lives.  [./mirror beside repos.toml]",
)
@click.pass_obj
def init_command(session: Session, *, data: Path | None) -> int:
    """Create repos.toml, the store and the catalog, and check all three.

    What is there already stays as it is, so it can be run again.
    """
    from syncer.config import environment, load, locate

    out, environ = session.output, environment()
    out.say(f"syncer {syncer.__version__} - first-time setup")
    out.say()
    path = locate(session.file, environ) or Path("repos.toml")
    if path.exists():
        config = load(path, environ)
        _refuse_another(config, path, data)
        out.say(f"Kept {path} as it is.")
    else:
        _write(path, data)
        config = load(path, environ)
        out.say(f"Wrote {path}; everything can be changed later there.")
    read_secrets(config)
    become_owner(config.data)
    failed = _prepare(out, config)
    out.say()
    out.next(_next(config, failed))
    return failed


def _next(config: Config, failed: int) -> str:
    if failed == NotInitialised.exit_code:
        return "syncer db upgrade"
    return "syncer sync" if config.repo else "syncer add OWNER/NAME"


def _refuse_another(config: Config, path: Path, data: Path | None) -> None:
    if data is not None and Path(os.path.abspath(data)) != config.data:  # noqa: PTH100 - as config.py: links stay
        msg = f"{path} exists and names {config.data} as its data; nothing was changed"
        raise ConfigError(msg, hint="edit `[syncer] data` there, or leave --data out")


def _write(path: Path, data: Path | None) -> None:
    """Write the annotated configuration, never over another one."""
    text = _TEMPLATE.read_text(encoding="utf-8")
    if data is not None:
        there = os.path.abspath(data)  # noqa: PTH100 - as config.py: links stay
        text = text.replace(_DATA, f"data = {json.dumps(there, ensure_ascii=False)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with acting_for(path.parent), path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        msg = f"{path} cannot be written; nothing was changed: {exc.strerror}"
        raise PermanentError(msg) from exc


def _prepare(out: Output, config: Config) -> int:
    """Make store and catalog, print a line for each check; return the status."""
    status = 0
    for subject, check in (
        ("store", _store),
        ("catalog", _catalog),
        ("git", _git),
        ("tokens", _tokens),
    ):
        try:
            out.say(f"  {styled('OK')}    {subject:<9}{check(config)}")
        except SyncerError as exc:
            out.say(f"  {styled('FAIL')}  {subject:<9}{exc}")
            out.hint(exc.hint)
            status = status or exc.exit_code
    return status


def _store(config: Config) -> str:
    try:
        (config.data / "git").mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        msg = f"{config.data} cannot be made: {exc.strerror}"
        raise PermanentError(msg) from exc
    if not os.access(config.data, os.W_OK):
        msg = f"{config.data} cannot be written to"
        raise PermanentError(msg, hint="give it to the user that runs syncer")
    free = shutil.disk_usage(config.data).free
    return f"{config.data} is on {_file_system(config.data)}, {size(free)} free"


def _file_system(path: Path) -> str:
    """Return the type of the file system that holds a path (proc(5), mounts)."""
    best, kind = "", "an unknown file system"
    with suppress(OSError):
        for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
            _, point, type_, *_ = line.split(" ")
            inside = path.is_relative_to(point.replace("\\040", " "))
            if inside and len(point) >= len(best):
                best, kind = point, type_
    return kind


def _catalog(config: Config) -> str:
    from syncer.catalog import database

    if config.catalog_url.startswith("sqlite"):
        return database.upgrade(config.catalog_url).removeprefix("the catalog ")
    engine = database.connect(config.catalog_url)
    try:
        # One of several machines must not migrate what the others still use.
        database.check_schema(engine)
    finally:
        engine.dispose()
    return f"the schema is current ({database.head()})"


def _git(config: Config) -> str:
    from syncer.git import version
    from syncer.git.command import GitCommand

    git = GitCommand(config.syncer.git)
    return f"{version.check(git)} at {git.program}"


def _tokens(config: Config) -> str:
    entries = [config.target_host(name) for name in config.hosts | {GITHUB}]
    count = sum(each.token is not None or each.app is not None for each in entries)
    if not count:
        return "none: public repositories only (syncer help environment)"
    return f"{plural(count, 'host')} with a token"
