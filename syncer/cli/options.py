"""Arguments that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from syncer.errors import ConfigError, InvalidName, SyncerError
from syncer.model.names import RepoName
from syncer.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

_Command = TypeVar("_Command", bound="Callable[..., object]")

STATUSES = {
    0: "success",
    1: "failed",
    2: "usage or configuration; every problem is listed",
    3: "partial: some mirrors failed, or objects are missing upstream",
    4: "authentication required or refused",
    5: "temporary: network, rate limit, disk full; retry later",
    6: "a lag target is missed (`lag --max`, `status --check`)",
    7: "integrity: bytes are not what they should be",
    10: "not initialised, or the catalog's schema is old",
    11: "locked: another process works on it (`--wait` to queue)",
    12: "unknown mirror",
    130: "interrupted (Ctrl-C)",
    143: "terminated",
}


def parse_names(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001 - click's signature
    value: tuple[str, ...] | str | None,
) -> tuple[RepoName, ...]:
    """Return the repositories that were named.

    Raises:
        InvalidName, ConfigError: with every problem found.
    """
    texts = (value,) if isinstance(value, str) else value or ()
    parsed, refused = [], []
    for text in texts:
        try:
            parsed.append(RepoName.parse(text))
        except InvalidName as exc:
            refused.append(exc)
    if len(refused) == 1:
        msg = f"{refused[0]}; nothing was changed"
        raise InvalidName(msg, hint=refused[0].hint)
    if refused:
        msg = f"{len(refused)} names are not repositories; nothing was changed"
        raise ConfigError(msg, problems=tuple(map(str, refused)))
    return tuple(parsed)


def _configured(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 - click's signature
    incomplete: str,
) -> list[str]:
    """Offer the configured names to a shell."""
    from syncer.cli.output import Output
    from syncer.cli.session import Session

    try:
        repos = Session(ctx.find_root().params.get("file"), Output()).look().repo
    except SyncerError:
        return []
    names = [repo.name.short for repo in repos]
    return [name for name in names if name.lower().startswith(incomplete.lower())]


def names(*, required: bool = False) -> Callable[[_Command], _Command]:
    """Take any number of repositories."""
    return click.argument(
        "names",
        metavar="NAME..." if required else "[NAME]...",
        nargs=-1,
        required=required,
        callback=parse_names,
        shell_complete=_configured,
    )


def name(*, required: bool = True) -> Callable[[_Command], _Command]:
    """Take one repository, as a tuple of one or none."""
    return click.argument(
        "names",
        metavar="NAME" if required else "[NAME]",
        required=required,
        callback=parse_names,
        shell_complete=_configured,
    )


def parse_span(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> timedelta | None:
    """Return a duration as the configuration writes it."""
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None


def as_json(command: _Command) -> _Command:
    """Take `--json`."""
    text = "Print one JSON document."
    return click.option("--json", "as_json", is_flag=True, help=text)(command)


def dry_run(text: str) -> Callable[[_Command], _Command]:
    """Take `-n`, for whatever writes."""
    return click.option("-n", "--dry-run", is_flag=True, help=text)


def statuses(*codes: int) -> str:
    """Return the end of a command's help: its exit statuses."""
    always = {0, 1, 2, 10, *codes}
    lines = [f"  {code:<3} {text}" for code, text in STATUSES.items() if code in always]
    return "\b\nExit statuses:\n" + "\n".join(lines)
