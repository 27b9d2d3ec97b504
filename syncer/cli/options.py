"""Arguments that several commands share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from syncer.errors import ConfigError, InvalidName, SyncerError
from syncer.model.names import OwnerName, RepoName
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


_OWNER = ("org:", "user:")


def parse_names_or_owner(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...] | str | None
) -> tuple[RepoName, ...] | OwnerName:
    """Return the repositories that were named, or the one owner.

    Raises:
        InvalidName, ConfigError: with every problem found.
    """
    texts = (value,) if isinstance(value, str) else value or ()
    owners = [text for text in texts if text.startswith(_OWNER)]
    if not owners:
        return parse_names(ctx, param, value)
    if len(texts) > 1:
        msg = f"name {owners[0]} alone"
        raise click.UsageError(msg, ctx)
    return OwnerName.parse(owners[0])


def names_or_owner(*, many: bool) -> Callable[[_Command], _Command]:
    """Take repositories, or one `org:OWNER` or `user:OWNER`."""
    return click.argument(
        "names",
        metavar="NAME..." if many else "NAME",
        nargs=-1 if many else 1,
        required=True,
        callback=parse_names_or_owner,
        shell_complete=_configured,
    )


@dataclass(frozen=True)
class Choices:
    """Which of an owner's repositories are wanted: keys of `[[owner]]` as given.

    `given` are the names of the options.
    """

    keys: dict[str, Any] = field(default_factory=dict)
    given: tuple[str, ...] = ()


_CHOICES = (
    click.option("--include", metavar="GLOB", multiple=True, help="Only such names."),
    click.option("--exclude", metavar="GLOB", multiple=True, help="Not such names."),
    click.option("--forks", is_flag=True, help="Forks too."),
    click.option("--no-archived", is_flag=True, help="Without the archived ones."),
    click.option("--topic", multiple=True, help="Only with one of these topics."),
    click.option("--language", multiple=True, help="Only in one of these languages."),
    click.option(
        "--visibility",
        type=click.Choice(["public", "private", "all"]),
        help="Which ones, of those that the token may see; public by default.",
    ),
)


def choices(command: Callable[..., int]) -> Callable[..., int]:
    """Take what an owner's repositories are chosen by, as one `Choices`."""

    @wraps(command)
    def gathered(*args: object, **values: Any) -> int:  # noqa: ANN401 - click's values
        named = {
            "include": list(values.pop("include")),
            "exclude": list(values.pop("exclude")),
            "forks": values.pop("forks"),
            "no-archived": values.pop("no_archived"),
            "topic": list(values.pop("topic")),
            "language": list(values.pop("language")),
            "visibility": values.pop("visibility"),
        }
        given = {option: value for option, value in named.items() if value}
        keys = {_KEYS.get(o, o): _VALUES.get(o, v) for o, v in given.items()}
        return command(*args, choices=Choices(keys, tuple(given)), **values)

    for option in reversed(_CHOICES):
        gathered = option(gathered)
    return gathered


#: Keys that have another name than their option, and what a flag stands for.
_KEYS = {"no-archived": "archived", "topic": "topics", "language": "languages"}
_VALUES = {"no-archived": False}


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


def newest(command: _Command) -> _Command:
    """Take `-n`, for whatever lists what happened."""
    return click.option(
        "-n",
        "limit",
        type=click.IntRange(1),
        default=20,
        show_default=True,
        help="So many, the newest first.",
    )(command)


def dry_run(text: str) -> Callable[[_Command], _Command]:
    """Take `-n`, for whatever writes."""
    return click.option("-n", "--dry-run", is_flag=True, help=text)


def statuses(*codes: int) -> str:
    """Return the end of a command's help: its exit statuses."""
    always = {0, 1, 2, 10, *codes}
    lines = [f"  {code:<3} {text}" for code, text in STATUSES.items() if code in always]
    return "\b\nExit statuses:\n" + "\n".join(lines)
