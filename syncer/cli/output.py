"""Where words go: data to stdout, everything else to stderr.

The only module that writes to either, so that colour, `-q` and text that no
terminal can show are decided once.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass, field
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

import click

from syncer.cli.render import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from syncer.errors import SyncerError


@dataclass(frozen=True)
class Output:
    """How this command talks; `color` is None to ask each stream."""

    color: bool | None = None
    quiet: bool = False
    verbose: int = 0
    #: Take secrets out of warnings and errors, which may quote upstream's words.
    cleaners: list[Callable[[str], str]] = field(default_factory=list, compare=False)

    def data(self, text: str = "") -> None:
        """Print what was asked for."""
        self._write(sys.stdout, text)

    def document(self, schema: str, body: Mapping[str, Any]) -> None:
        """Print one JSON document, its schema first; ASCII suits every reader."""
        self.data(json.dumps({"schema": f"syncer.{schema}/v1", **body}, indent=2))

    def text(self, text: str) -> None:
        """Print a document that has its own line ends, byte for byte."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def say(self, text: str = "") -> None:
        """Tell a person what goes on; not with `-q`."""
        if not self.quiet:
            self._write(sys.stderr, text)

    def next(self, *commands: str) -> None:
        """Suggest what to type next."""
        for index, command in enumerate(commands):
            self.say(f"{'Next: ' if not index else '      '} {command}")

    def warn(self, text: str) -> None:
        """Tell a person what may need one, `-q` or not."""
        self._labelled("warning", "yellow", text)

    def error(self, text: str) -> None:
        """Tell what went wrong, and what was not changed."""
        self._labelled("error", "red", text)

    def hint(self, text: str | None) -> None:
        """Tell what to do about it, on a line of its own."""
        if text:
            self._labelled("hint", "cyan", text)

    def failure(self, exc: SyncerError) -> None:
        """Tell an error of ours: what happened, every problem, the hint."""
        self.error(str(exc))
        for problem in getattr(exc, "problems", ()):
            self._write(sys.stderr, f"  {printable(problem)}")
        self.hint(exc.hint)

    def _labelled(self, label: str, color: str, text: str) -> None:
        for clean in self.cleaners:
            text = clean(text)
        styled = click.style(f"{label}:", fg=color, bold=True)
        lines = [printable(line) for line in text.splitlines()] or [""]
        self._write(sys.stderr, "\n  ".join([f"{styled} {lines[0]}", *lines[1:]]))

    def _write(self, stream: TextIO, text: str) -> None:
        # Not `click.echo`, which goes around whoever stands in for a stream,
        # as the live display does.
        colored = stream.isatty() if self.color is None else self.color
        stream.write(f"{text if colored else click.unstyle(text)}\n")
        stream.flush()


def chosen(environ: Mapping[str, str], *, quiet: bool, verbose: int) -> Output:
    """Return how to talk, as the environment wants it.

    https://no-color.org and https://bixense.com/clicolors: NO_COLOR wins.
    """
    color: bool | None = None
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        color = False
    elif environ.get("CLICOLOR_FORCE", "0") != "0":
        color = True
    elif environ.get("CLICOLOR") == "0":
        color = False
    return Output(color, quiet, verbose)


def tolerant_streams() -> None:
    """Let no character that a terminal's encoding lacks end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


class Warnings(logging.Handler):
    """Shows the program's warnings as sentences; their traces need `-v`."""

    def __init__(self, output: Output) -> None:
        super().__init__(logging.WARNING)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Print one warning: the sentence, then the facts that name its subject."""
        facts = [str(getattr(record, key, "")) for key in ("repo", "error", "reason")]
        told = [fact for fact in facts if fact]
        self._output.warn(": ".join([record.getMessage(), *told]))

    def install(self) -> None:
        """Take over from what logging would print by itself."""
        logging.basicConfig(level=logging.WARNING, handlers=[self], force=True)
        for noisy in ("urllib3", "git", "alembic", "sqlalchemy"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
