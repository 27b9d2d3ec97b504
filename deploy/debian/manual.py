"""Print the manual page of the command, from what it says of itself (man(7)).

Run by the environment that is being packaged: `python deploy/debian/manual.py`.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from syncer import __version__
from syncer.cli.main import COMMANDS, cli
from syncer.cli.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FILES = (
    ("/etc/syncer/repos.toml", "What to mirror, and how."),
    ("/etc/syncer/credentials/", "Secrets, one file each; the service gets copies."),
    ("/var/lib/syncer/", "The mirrors, and the catalog unless it is PostgreSQL."),
    ("/usr/share/doc/syncer/examples/repos.toml", "Every key with its default."),
    ("/usr/share/syncer/", "Rules for Prometheus, dashboards for Grafana."),
)


def page() -> Iterator[str]:
    """Yield the lines of the page."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    day = datetime.fromtimestamp(seconds, UTC).date()
    context = click.Context(cli, info_name="syncer")
    yield f'.TH SYNCER 1 "{day}" "syncer {__version__}" "User Commands"'
    yield from (".SH NAME", r"syncer \- mirror git repositories on schedule")
    yield from (".SH SYNOPSIS", r".B syncer", r"[\fIOPTION\fR]... \fICOMMAND\fR ...")
    yield from (".SH DESCRIPTION", _plain(cli.help or ""))
    yield from (".SH OPTIONS", *_options(context))
    yield ".SH COMMANDS"
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if command is not None:
            yield from _command(command, context, name)
    yield from (".SH FILES", *_pairs(_FILES))
    for topic, title in (
        ("environment", "ENVIRONMENT"),
        ("exit-codes", "EXIT STATUS"),
        ("words", "STATES"),
    ):
        yield from (f".SH {title}", ".nf", _plain(TOPICS[topic]), ".fi")


def _command(command: click.Command, above: click.Context, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=above)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f".SS {_plain(context.command_path)} {_plain(usage)}",)
    for paragraph in (command.help or "").strip().split("\n\n"):
        yield from (_plain(" ".join(paragraph.split())), ".PP")
    yield from _options(context)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _command(found, context, inner)


def _options(context: click.Context) -> Iterator[str]:
    records = (p.get_help_record(context) for p in context.command.get_params(context))
    yield from _pairs(record for record in records if record is not None)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, said in pairs:
        yield from (".TP", rf"\fB{_plain(term)}\fR", _plain(said))


def _plain(text: str) -> str:
    """Return a text in which groff finds nothing of its own."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("\b\n", "")
    lines = (
        rf"\&{ln}" if ln.startswith((".", "'")) else ln for ln in escaped.splitlines()
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
