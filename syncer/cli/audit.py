"""`audit`: what people, the program and upstream did that somebody may ask about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import click

from syncer.cli import instants, options
from syncer.cli.render import printable, stamp, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import timedelta

    from syncer.cli.records import Records
    from syncer.cli.session import Session
    from syncer.model.names import RepoName
    from syncer.model.runs import AuditEvent

_LINE = 110  # where a detail is cut; `--json` has it whole
_MOST = 100_000  # of which those that are wanted are picked
_EVER = datetime.min.replace(tzinfo=UTC)
_NEWEST = 20


@dataclass(frozen=True)
class _Wanted:
    """Which events are asked for."""

    subject: str | None
    actions: tuple[str, ...]
    alarms: bool
    since: datetime | None
    until: datetime | None

    @property
    def is_picky(self) -> bool:
        """Whether it says more than the catalog is asked for."""
        return bool(self.actions) or self.alarms or self.until is not None

    def picked(self, events: Iterable[AuditEvent]) -> Iterator[AuditEvent]:
        """Yield those of events that are wanted."""
        for each in events:
            if (
                self.subject in {None, each.subject}
                and (not self.actions or each.action in self.actions)
                and (each.alarming or not self.alarms)
                and (self.until is None or each.at < self.until)
            ):
                yield each


@click.command("audit", epilog=options.statuses(12))
@options.name(required=False)
@click.option("--alarms", is_flag=True, help="Only what asks for a person.")
@click.option("--action", "actions", multiple=True, help="Only such, like `rename`.")
@click.option(
    "--since",
    metavar="WHEN",
    callback=instants.parse,
    help="What happened since: how long ago, like 7d, or a date.",
)
@click.option(
    "--until",
    metavar="WHEN",
    callback=instants.parse,
    help="What happened before, likewise.",
)
@click.option(
    "-n",
    "limit",
    type=click.IntRange(1),
    help=f"So many, the newest first.  [default: {_NEWEST}]",
)
@click.option(
    "--format",
    "shape",
    type=click.Choice(["jsonl"]),
    help="For export: all of them, the oldest first, one JSON document a line.",
)
@options.as_json
@click.pass_obj
def audit_command(  # noqa: PLR0913 - one parameter an option
    session: Session,
    names: tuple[RepoName, ...],
    *,
    alarms: bool,
    actions: tuple[str, ...],
    since: timedelta | datetime | None,
    until: timedelta | datetime | None,
    limit: int | None,
    shape: str | None,
    as_json: bool,
) -> None:
    """Show what people, the program and upstream did.

    Upstream's part are renamed repositories, changed licences, replaced assets and
    the like. What is marked with ! asks for a person.

    Nothing here can be changed or removed; what is older than `audit` in [syncer]
    says is dropped.
    """
    if shape and (as_json or limit):
        msg = "--format jsonl has all events; it takes neither --json nor -n"
        raise click.UsageError(msg)
    with session.records() as records:
        name = records.state(names[0]).name if names else None
        wanted = _Wanted(
            subject=None if name is None else name.short,
            actions=actions,
            alarms=alarms,
            since=instants.within(since, records.now),
            until=instants.within(until, records.now),
        )
        if shape:
            _export(session, records, wanted)
        else:
            events = _newest(records, wanted, limit or _NEWEST)
            _show(session, events, name, as_json=as_json)


def _newest(records: Records, wanted: _Wanted, limit: int) -> list[AuditEvent]:
    found = records.catalog.audit_events(
        _MOST if wanted.is_picky else limit,
        subject=wanted.subject,
        since=wanted.since,
    )
    return list(islice(wanted.picked(found), limit))


def _export(session: Session, records: Records, wanted: _Wanted) -> None:
    """Print every event that is wanted as it is read: there may be very many."""
    out = session.output
    events = records.operations().events_between(wanted.since or _EVER, wanted.until)
    for each in wanted.picked(events):
        document = {"schema": "syncer.audit-event/v1", **_document(each)}
        out.data(json.dumps(document))
    out.next("syncer audit --alarms")


def _show(
    session: Session, events: list[AuditEvent], name: RepoName | None, *, as_json: bool
) -> None:
    out = session.output
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
