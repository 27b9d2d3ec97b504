"""`config`: what is configured, where it came from, and whether it is right."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from syncer.cli import options
from syncer.units import plural, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.cli.session import Session
    from syncer.config import Config

_PASSWORD = re.compile(r"(?P<start>[a-z0-9+]+://[^/:@\s]*):[^/@\s]*@")
_SHARES = {"min_free", "api_reserve"}
_TABLES = {"s3", "web"}  # of their own, not keys
STARS = "********"


@click.group("config", epilog=options.statuses())
def config_command() -> None:
    """Show and check the configuration."""


@config_command.command("show", epilog=options.statuses())
@click.option("--origin", is_flag=True, help="Tell where each value came from.")
@options.as_json
@click.pass_obj
def show(session: Session, *, origin: bool, as_json: bool) -> None:
    """Show every setting, the defaults included; secrets are stars."""
    config = session.look()
    settings = list(_settings(config))
    if as_json:
        values = {f"{where}.{key}": value for where, key, value, _ in settings}
        origins = {f"{where}.{key}": source for where, key, _, source in settings}
        body = {"file": str(config.path), "values": values, "origins": origins}
        session.output.document("config", body)
        return
    section = ""
    for where, key, value, source in settings:
        if where != section:
            if section:
                session.output.data()
            section = where
            session.output.data(_header(where))
        line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
        session.output.data(f"{line:<40}  # {source}" if origin else line)
    session.output.next("syncer config validate")


@config_command.command("path", epilog=options.statuses())
@click.pass_obj
def path(session: Session) -> None:
    """Print which configuration file is used."""
    session.output.data(str(session.path().absolute()))
    session.output.next("syncer config show --origin")


@config_command.command("validate", epilog=options.statuses())
@click.pass_obj
def validate(session: Session) -> None:
    """Check the configuration; every problem is listed with file and line."""
    config = session.look()
    config.secrets()  # reads the credential files
    if config.alert:
        from syncer.notify.channels import opened

        opened(config.alert)
    count = plural(len(config.repo), "repository", "repositories")
    if config.owner:
        count += f", {plural(len(config.owner), 'owner')}"
    session.output.say(f"{config.path} is right: {count}")
    session.output.next(
        "syncer status" if config.repo or config.owner else "syncer add OWNER/NAME"
    )


def _header(where: str) -> str:
    """Return a table's header; `repo.3` is one entry of a list."""
    listed = re.fullmatch(r"(repo|owner|alert)\.\d+", where)
    if listed is not None:
        return f"[[{listed[1]}]]"
    kind, _, name = where.partition(".")
    if not name:
        return f"[{kind}]"
    return f"[{kind}.{name if name.isidentifier() else json.dumps(name)}]"


def _settings(config: Config) -> Iterator[tuple[str, str, Any, str]]:
    """Yield (table, key, value, origin) of everything that is set."""
    s3 = config.syncer.s3
    tables: list[tuple[str, Any]] = [("syncer", config.syncer), ("syncer.s3", s3)]
    tables.append(("syncer.web", config.syncer.web))
    tables += [(f"tier.{name}", tier) for name, tier in config.tier.items()]
    hosts = sorted(config.hosts)
    tables += [(f"host.{name}", config.target_host(name)) for name in hosts]
    tables += [(f"repo.{index}", repo) for index, repo in enumerate(config.repo)]
    tables += [(f"owner.{index}", owner) for index, owner in enumerate(config.owner)]
    tables += [(f"alert.{index}", alert) for index, alert in enumerate(config.alert)]
    for where, model in tables:
        for key in sorted(
            type(model).model_fields, key="name".__ne__
        ):  # it comes first
            value = None if key in _TABLES else getattr(model, key)
            if key in _SHARES and isinstance(value, float):
                value = f"{value * 100:g}%"
            if value is not None:
                source = config.origins.get(f"{where}.{key}", "default")
                yield where, key, plain(value), source
        if where.startswith("host.") and model.token is not None:
            yield where, "token", STARS, "a credential"
        if where.startswith("host.") and model.app is not None:
            yield where, "app_key", STARS, "a credential"
        if where == "syncer.s3" and model.keys is not None:
            yield where, "access_key", STARS, "a credential"
            yield where, "secret_key", STARS, "a credential"
        if where == "syncer.web" and model.token is not None:
            yield where, "token", STARS, "a credential"
        if where.startswith("alert.") and model.url is not None:
            yield where, "url", STARS, "a credential"


def plain(value: object) -> object:
    """Return a setting as the file would write it, without any password."""
    if isinstance(value, timedelta):
        return span(value)
    if isinstance(value, str):
        return _PASSWORD.sub(rf"\g<start>:{STARS}@", value)
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value if isinstance(value, (bool, int, float)) else str(value)
