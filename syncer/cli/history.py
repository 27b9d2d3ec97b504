"""`history`: past runs, and how refs changed, force pushes included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncer.cli import documents, instants, options
from syncer.cli.render import ago, printable, received, stamp, summary, table, word_of
from syncer.errors import UnknownMirror
from syncer.model.runs import Outcome
from syncer.units import duration, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from syncer.cli.records import Records
    from syncer.cli.session import Session
    from syncer.model.names import RepoName
    from syncer.model.runs import SyncRun

_SHORT = 10  # of an object id
_LINE = 110  # where an error's sentence is cut; `--json` has it whole


def run_table(
    runs: Sequence[SyncRun], now: datetime, *, named: bool = True
) -> list[str]:
    """Return runs as lines, with or without the repositories they were of.

    The machines they took place on are shown where there are several.
    """
    of_several = any(run.machine is not None for run in runs)
    rows = [
        (
            *((run.name.short,) if named else ()),
            ago(run.started, now),
            word_of(run) or "running",
            duration(run.took),
            size(received(run)) if received(run) else "-",
            *((printable(run.machine or "-"),) if of_several else ()),
            summary(run),
        )
        for run in runs
    ]
    where = ("MACHINE",) if of_several else ()
    headers = ("STARTED", "STATE", "TOOK", "RECEIVED", *where, "WHAT")
    return table(
        ("REPOSITORY", *headers) if named else headers,
        rows,
        right=("TOOK", "RECEIVED"),
        width=_LINE if max((len(row[-1]) for row in rows), default=0) > _LINE else None,
    )


@click.command("history", epilog=options.statuses(12))
@options.name(required=False)
@click.option("--refs", is_flag=True, help="Show how refs changed, not the runs.")
@click.option(
    "--since",
    metavar="WHEN",
    callback=instants.parse,
    help="Runs that ended since: how long ago, like 7d, or a date.",
)
@click.option(
    "--outcome",
    type=click.Choice([word.value for word in Outcome]),
    help="Only runs that ended so.",
)
@click.option("--failed", is_flag=True, help="The same as --outcome failed.")
@options.newest
@options.as_json
@click.pass_obj
def history_command(  # noqa: PLR0913 - one parameter an option
    session: Session,
    names: tuple[RepoName, ...],
    *,
    refs: bool,
    since: timedelta | datetime | None,
    outcome: str | None,
    failed: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show past runs, or how refs changed.

    A run that found nothing new is not kept: only its time is.
    """
    if failed and outcome not in {None, Outcome.FAILED}:
        msg = f"--failed and --outcome {outcome} exclude each other"
        raise click.UsageError(msg)
    if failed:
        outcome = Outcome.FAILED
    if refs and not names:
        msg = "name the repository whose refs are asked for"
        raise click.UsageError(msg)
    if refs and (since or outcome):
        msg = "--since and --outcome are about runs, --refs is not"
        raise click.UsageError(msg)
    with session.records() as records:
        name = records.state(names[0]).name if names else None
        if refs and name is not None:
            _refs(session, records, name, limit, as_json=as_json)
            return
        runs = _known(
            records,
            name,
            limit,
            since=instants.within(since, records.now),
            outcome=None if outcome is None else Outcome(outcome),
        )
        if as_json:
            told = [documents.run(run) for run in runs]
            session.output.document("history", {"runs": told})
        elif not runs and (since or outcome):
            session.output.say("no such run is on record")
            session.output.next("syncer history")
        else:
            _print_runs(session, records, name, runs)


def _print_runs(
    session: Session, records: Records, name: RepoName | None, runs: list[SyncRun]
) -> None:
    if not runs:
        session.output.say("no run changed anything yet, and none failed")
        session.output.next(f"syncer sync {name or ''}".rstrip())
        return
    for line in run_table(runs, records.now, named=name is None):
        session.output.data(line)
    session.output.next(f"syncer history {name or runs[0].name} --refs")


def _known(
    records: Records,
    name: RepoName | None,
    limit: int,
    *,
    since: datetime | None,
    outcome: Outcome | None,
) -> list[SyncRun]:
    try:
        return records.catalog.runs(name, limit, since=since, outcome=outcome)
    except UnknownMirror:
        return []  # configured, and not yet heard of


def _refs(
    session: Session, records: Records, name: RepoName, limit: int, *, as_json: bool
) -> None:
    try:
        changes = records.catalog.ref_changes(name, limit)
    except UnknownMirror:
        changes = []
    if as_json:
        told = [documents.change(*entry) for entry in changes]
        session.output.document("refs", {"repository": name.short, "changes": told})
        return
    if not changes:
        session.output.say("no ref changed since the first mirror")
    rows = [
        (
            stamp(when) or "",
            str(generation),
            change.kind.value,
            (change.old or "-")[:_SHORT],
            (change.new or "-")[:_SHORT],
            change.ref,
        )
        for when, generation, change in changes
    ]
    if rows:
        headers = ("WHEN", "GENERATION", "KIND", "OLD", "NEW", "REF")
        for line in table(headers, rows, right=("GENERATION",)):
            session.output.data(line)
    session.output.next(f"syncer show {name}")
