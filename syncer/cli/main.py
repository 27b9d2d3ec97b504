"""The command `syncer`: finds the command, turns errors into exit statuses.

Nothing but click is imported until a command is chosen, so that `--help` and
completion answer at once.
"""

from __future__ import annotations

import gc
import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

import syncer
from syncer.cli import output
from syncer.cli.session import Session
from syncer.errors import SyncerError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

INTERRUPTED = 130


class Entry(NamedTuple):
    """Where a command lives, and what the overview says of it."""

    section: str
    module: str
    help: str


COMMANDS = {
    "init": Entry("Mirrors", "start", "Create repos.toml, the store and the catalog."),
    "add": Entry("Mirrors", "listing", "Mirror repositories from now on."),
    "remove": Entry("Mirrors", "listing", "Stop mirroring a repository."),
    "list": Entry("Mirrors", "mirrors", "List the mirrors and the state of each."),
    "show": Entry("Mirrors", "mirrors", "Tell everything about one mirror."),
    "sync": Entry("Runs", "runs", "Bring mirrors up to date now."),
    "daemon": Entry("Runs", "runs", "Keep all mirrors up to date, until stopped."),
    "worker": Entry("Runs", "worker", "Take this machine's runs, until stopped."),
    "pause": Entry("Runs", "activity", "Take mirrors out of the schedule."),
    "resume": Entry("Runs", "activity", "Take paused mirrors back in."),
    "accept": Entry("Runs", "activity", "Let pass what a mirror is held for."),
    "status": Entry("Reports", "status", "Show on one screen whether all is well."),
    "lag": Entry("Reports", "lag", "Show how far behind upstream each mirror is."),
    "report": Entry("Reports", "report", "Tell how fresh they were, and at what cost."),
    "history": Entry("Reports", "history", "Show past runs, or how refs changed."),
    "audit": Entry("Reports", "audit", "Show what was done, and by whom."),
    "alert": Entry("Reports", "alerts", "Show and try whom to tell of trouble."),
    "verify": Entry("Care", "verify", "Check that every LFS object is here and right."),
    "pin": Entry("Care", "pins", "Keep tags and their assets for good."),
    "unpin": Entry("Care", "pins", "Take a pin back."),
    "gc": Entry("Care", "care", "Remove what has expired, put packs in order."),
    "doctor": Entry("Care", "doctor", "Find what is wrong, and say what to type."),
    "rehome": Entry("Care", "rehome", "Let this machine keep another one's mirror."),
    "db": Entry("Care", "database", "Look after the catalog's tables."),
    "config": Entry("Care", "configuration", "Show and check the configuration."),
    "completion": Entry("More", "topics", "Print the completion script of a shell."),
    "help": Entry("More", "topics", "Explain a command, or a topic."),
}
ALIASES = {"rm": "remove", "ls": "list"}


class Commands(click.Group):
    """Imports the module of a command when the command is asked for."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; whatever ends it becomes words and an exit status."""
        try:
            return super().invoke(ctx)
        except SyncerError as exc:
            _talk(ctx).failure(exc)
            ctx.exit(exc.exit_code)
        except click.ClickException as exc:
            ctx.exit(_refuse(_talk(ctx), exc))
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as exc:  # noqa: BLE001 - the boundary: no trace reaches a user
            ctx.exit(_defect(_talk(ctx), exc))

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order of the overview."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Return a command, by its name or alias."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module = import_module(f"syncer.cli.{COMMANDS[name].module}")
        found: click.Command = getattr(module, f"{name}_command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed, or tell the nearest."""
        name = args[0]
        known = name in COMMANDS or name in ALIASES
        if not known and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, [*COMMANDS, *ALIASES], n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            ctx.fail(f"there is no command `{name}`{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the overview by section, without importing any command."""
        for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [(n, e.help) for n, e in COMMANDS.items() if e.section == section]
                )


def _talk(ctx: click.Context) -> output.Output:
    return ctx.obj.output if isinstance(ctx.obj, Session) else output.Output()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit statuses: syncer help exit-codes",
)
@click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Use this configuration file.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print data and errors only.")
@click.option("-v", "--verbose", count=True, help="Log what happens; twice: in detail.")
@click.version_option(syncer.__version__, message="syncer %(version)s")
@click.pass_context
def cli(ctx: click.Context, file: Path | None, *, quiet: bool, verbose: int) -> None:
    """Mirror git repositories, and tell how fresh the copies are."""
    from syncer.config import environment

    talk = output.chosen(environment(), quiet=quiet, verbose=verbose)
    output.Warnings(talk).install()
    ctx.color = talk.color
    ctx.obj = Session(file, talk)


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    gc.disable()  # until there is garbage: `session.collect_again`
    output.tolerant_streams()
    try:
        status = _run(args)
        sys.stdout.flush()
        if args is None:  # the process ends: nobody has to look for garbage once more
            gc.freeze()
    except BrokenPipeError:
        # Whoever read us has enough; the interpreter's own flush must not fail.
        sys.stdout = sys.stderr = Path("/dev/null").open("w")  # noqa: SIM115 - for the rest of the process
        return 1
    return status


def _run(args: Sequence[str] | None) -> int:
    try:
        ended = cli.main(args, prog_name="syncer", standalone_mode=False)
    except click.ClickException as exc:  # an option before the command
        return _refuse(output.Output(), exc)
    except click.Abort:
        output.Output().error("interrupted; published refs are unchanged")
        return INTERRUPTED
    return ended if isinstance(ended, int) else 0


def _refuse(talk: output.Output, exc: click.ClickException) -> int:
    talk.error(exc.format_message())
    if isinstance(exc, click.UsageError):
        where = exc.ctx.command_path if exc.ctx is not None else "syncer"
        talk.hint(f"{where} --help")
    return exc.exit_code


def _defect(talk: output.Output, exc: Exception) -> int:
    logging.getLogger(__name__).info("the command ended by a defect", exc_info=exc)
    talk.error(f"a defect in syncer: {type(exc).__name__}: {exc}")
    talk.hint("please report it, with what the same command prints after `syncer -v`")
    return 1
