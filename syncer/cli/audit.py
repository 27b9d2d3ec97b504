"""`audit`: what people, the program and upstream did that somebody may ask about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncer.cli import options
from syncer.cli.render import printable, stamp, table

if TYPE_CHECKING:
    from syncer.cli.session import Session
    from syncer.model.names import RepoName
    from syncer.model.runs import AuditEvent

_LINE = 110  # where a detail is cut; `--json` has it whole
_MOST = 100_000  # of which `--alarms` are picked


@click.command("audit", epilog=options.statuses(12))
@options.name(required=False)
@click.option("--alarms", is_flag=True, help="Only what asks for a person.")
@options.newest
@options.as_json
@click.pass_obj
def audit_command(
    session: Session,
    names: tuple[RepoName, ...],
    *,
    alarms: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show what people, the program and upstream did.

    Upstream's part are renamed repositories, changed licences, replaced assets and
    the like. What is marked with ! asks for a person.
    """
    out = session.output
    with session.records() as records:
        name = records.state(names[0]).name if names else None
        subject = None if name is None else name.short
        found = records.catalog.audit_events(
            _MOST if alarms else limit, subject=subject
        )
        events = [each for each in found if each.alarming or not alarms][:limit]
        if as_json:
            out.document("audit", {"events": [_document(each) for each in events]})
            return
        if not events:
            out.say("nothing happened that is on record")
        rows = [_row(each) for each in events]
        if rows:
            headers = ("WHEN", "", "WHO", "WHAT", "OF", "DETAIL")
            for line in table(headers, rows, width=_LINE):
                out.data(line)
        out.next(f"syncer show {name}" if name else "syncer status")


def _row(event: AuditEvent) -> tuple[str, ...]:
    return (
        stamp(event.at) or "",
        "!" if event.alarming else "",
        printable(event.actor),
        printable(event.action),
        printable(event.subject),
        printable(event.detail),
    )


def _document(event: AuditEvent) -> dict[str, object]:
    return {
        "at": stamp(event.at),
        "actor": printable(event.actor),
        "action": printable(event.action),
        "subject": printable(event.subject),
        "detail": printable(event.detail),
        "alarming": event.alarming,
    }
