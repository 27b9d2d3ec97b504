"""`report`: how fresh the mirrors were in a span of time, and at what cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncer.cli import instants, options
from syncer.cli.session import check_tier

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from syncer.cli.records import Records
    from syncer.cli.session import Session
    from syncer.reports.period import Report
    from syncer.reports.spans import Span

    Moment = timedelta | datetime

FORMATS = ("text", "md", "html", "json", "csv")
_BY_SUFFIX = {".html": "html", ".htm": "html", ".json": "json", ".csv": "csv"}
_BY_SUFFIX |= {".md": "md", ".markdown": "md"}


@click.command("report", epilog=options.statuses())
@click.option(
    "--since",
    metavar="WHEN",
    default="7d",
    show_default=True,
    callback=instants.parse,
    help="From when on: so long ago, or a date.",
)
@click.option(
    "--until", metavar="WHEN", callback=instants.parse, help="Until when; now."
)
@click.option("--tier", help="Only the mirrors of this tier.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="In which form; else as FILE is named, or text.",
)
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it to this file, whole or not at all.",
)
@options.as_json
@click.pass_obj
def report_command(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    since: Moment,
    until: Moment | None,
    tier: str | None,
    form: str | None,
    file: Path | None,
    as_json: bool,
) -> None:
    """Tell how fresh the mirrors were, and at what cost.

    By tier and mirror: how long changes took to be published, how much of the time
    the target was met, bytes, failures, and how long the disk lasts. CSV and JSON
    have every mirror, the other forms the worst ones.
    """
    form = _form(form, file, as_json=as_json)
    with session.records() as records:
        check_tier(tier, records.config)
        period = _period(since, until, records.now)
        told = _read(records, period, tier)
        if form == "text" and not told.mirrors:
            session.output.say("no mirror is configured")
            session.output.next("syncer add OWNER/NAME")
            return
        text = written(told, form)
    if file is None:
        session.output.text(text)
    else:
        _store(file, text)
        session.output.say(f"the report is in {file}")
    _next(session, told, form)


def _form(form: str | None, file: Path | None, *, as_json: bool) -> str:
    if as_json and form not in {None, "json"}:
        msg = f"--json and --format {form} exclude each other"
        raise click.UsageError(msg)
    named = _BY_SUFFIX.get(file.suffix.lower(), "text") if file else "text"
    return "json" if as_json else form or named


def _period(since: Moment, until: Moment | None, now: datetime) -> Span:
    from syncer.reports.spans import Span

    try:
        begin = instants.resolve(since, now)
        end = now if until is None else min(now, instants.resolve(until, now))
    except OverflowError:
        msg = "the calendar does not reach so far back"
        raise click.UsageError(msg) from None
    if begin >= end:
        msg = "--since is not before --until, or not before now"
        raise click.UsageError(msg)
    return Span(begin, end)


def _read(records: Records, period: Span, tier: str | None) -> Report:
    from syncer.reports.period import Scope
    from syncer.reports.reading import read

    return read(
        records.operations(),
        [each for each in records.freshness() if tier in {None, each.state.tier}],
        Scope(period, records.now, tier),
        min_free=records.config.syncer.min_free,
    )


def written(told: Report, form: str) -> str:
    """Return a report in one of the forms; each imports what it needs."""
    if form == "html":
        from syncer.reports.page import page

        return page(told)
    if form == "md":
        from syncer.reports.markdown import markdown

        return markdown(told)
    if form == "csv":
        from syncer.reports.sheet import sheet

        return sheet(told)
    if form == "json":
        from syncer.cli.report_document import text_of

        return text_of(told)
    from syncer.cli.report_text import screen

    return screen(told)


def _store(file: Path, text: str) -> None:
    import os

    from syncer.durable import replace, translated

    content = text.encode()
    with translated(f"{file} was not written", unchanged="nothing was changed"):
        if file.exists() and not file.is_file():
            file.write_bytes(content)  # a pipe, or a device
            return
        replace(file, content, lock=file.with_name(f".{file.name}.{os.getpid()}"))


def _next(session: Session, told: Report, form: str) -> None:
    worst = next((each for each in told.mirrors if each.record.breaches), None)
    if worst is not None:
        session.output.next(f"syncer show {worst.name}")
    elif form == "text":
        session.output.next("syncer report --output report.html")
    else:
        session.output.next("syncer lag")
