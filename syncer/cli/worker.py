"""`worker`: one of several machines does its share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncer.cli import options
from syncer.cli.session import collect_again
from syncer.errors import ConfigError

if TYPE_CHECKING:
    from datetime import timedelta

    from syncer.cli.session import Session


@click.command("worker", epilog=options.statuses(5, 11))
@click.option(
    "--concurrency",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Runs that move objects at the same time; default: [syncer] workers.",
)
@click.option(
    "--silence",
    metavar="TIME",
    callback=options.parse_span,
    help="Take over runs of a worker that was silent for so long; default: 30s.",
)
@click.pass_obj
def worker_command(
    session: Session, *, concurrency: int | None, silence: timedelta | None
) -> int:
    """Take runs of this machine's mirrors, in the foreground, until stopped.

    For several machines with one Postgres catalog: `[syncer] host` names this one.
    A daemon on any of them decides who is due. SIGTERM and Ctrl-C end it cleanly,
    and what had not begun goes to other workers; SIGHUP reads repos.toml again.
    """
    session.config()
    try:
        from syncer.worker import serve
        from syncer.workers.cluster_worker import Pace
    except ModuleNotFoundError as exc:
        raise without_procrastinate(exc) from None
    collect_again()
    return serve(session.path(), concurrency, Pace(silence) if silence else None)


def without_procrastinate(exc: ModuleNotFoundError) -> ConfigError:
    """Return the error for an installation that lacks what several machines need."""
    msg = f"several machines need {exc.name}, which is not installed"
    return ConfigError(msg, hint="pip install 'syncer[cluster]'")
