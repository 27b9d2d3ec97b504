"""`history`: past runs, and how refs changed, force pushes included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncer.cli import documents, options
from syncer.cli.render import (
    ago,
    duration,
    received,
    size,
    stamp,
    summary,
    table,
    word_of,
)
from syncer.errors import UnknownMirror

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from syncer.cli.records import Records
    from syncer.cli.session import Session
    from syncer.model.names import RepoName
    from syncer.model.runs import SyncRun

_SHORT = 10  # of an object id
_LINE = 110  # where an error's sentence is cut; `--json` has it whole


def run_table(
    runs: Sequence[SyncRun], now: datetime, *, named: bool = True
) -> list[str]:
    """Return runs as lines, with or without the repositories they were of."""
    rows = [
        (
            *((run.name.short,) if named else ()),
            ago(run.started, now),
            word_of(run) or "running",
            duration(run.took),
            size(received(run)) if received(run) else "-",
            summary(run),
        )
        for run in runs
    ]
    headers = ("STARTED", "STATE", "TOOK", "RECEIVED", "WHAT")
    return table(
        ("REPOSITORY", *headers) if named else headers,
        rows,
        right=("TOOK", "RECEIVED"),
        width=_LINE if max((len(row[-1]) for row in rows), default=0) > _LINE else None,
    )


@click.command("history", epilog=options.statuses(12))
@options.name(required=False)
@click.option("--refs", is_flag=True, help="Show how refs changed, not the runs.")
@options.newest
@options.as_json
@click.pass_obj
def history_command(
    session: Session,
    names: tuple[RepoName, ...],
    *,
    refs: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show past runs, or how refs changed.

    A run that found nothing new is not kept: only its time is.
    """
    if refs and not names:
        msg = "name the repository whose refs are asked for"
        raise click.UsageError(msg)
    with session.records() as records:
        name = records.state(names[0]).name if names else None
        if refs and name is not None:
            _refs(session, records, name, limit, as_json=as_json)
        else:
            _runs(session, records, name, limit, as_json=as_json)


def _runs(
    session: Session,
    records: Records,
    name: RepoName | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    runs = _known(records, name, limit)
    if as_json:
        session.output.document("history", {"runs": [documents.run(r) for r in runs]})
        return
    if not runs:
        session.output.say("no run changed anything yet, and none failed")
        session.output.next(f"syncer sync {name or ''}".rstrip())
        return
    for line in run_table(runs, records.now, named=name is None):
        session.output.data(line)
    session.output.next(f"syncer history {name or runs[0].name} --refs")


def _known(records: Records, name: RepoName | None, limit: int) -> list[SyncRun]:
    try:
        return records.catalog.runs(name, limit)
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
