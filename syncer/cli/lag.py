"""`lag`: how far behind upstream each mirror is, and how it was lately."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from syncer.cli import documents, options
from syncer.cli.render import ago, stamp, table
from syncer.cli.session import check_tier
from syncer.cli.status import MISSED
from syncer.model.runs import Word
from syncer.units import duration, plural, span

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.cli.records import Records
    from syncer.cli.session import Session
    from syncer.schedule.lag import Freshness, Summary

_MONTH = timedelta(days=30)
_FORMATS = ("table", "csv", "md", "prom")
_SORTS = ("lag", "behind", "checked", "state", "tier", "name")


@click.command("lag", epilog=options.statuses(6))
@click.option("--tier", help="Only the mirrors of this tier.")
@click.option(
    "--max",
    "most",
    metavar="DURATION",
    callback=options.parse_span,
    help="Exit with 6 if a lag is above this, for example 15m.",
)
@click.option(
    "--sort",
    type=click.Choice(_SORTS),
    default="lag",
    show_default=True,
    help="What comes first: the worst, or by name.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="table",
    show_default=True,
    help="prom: for node_exporter's textfile collector.",
)
@options.as_json
@click.pass_obj
def lag_command(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    tier: str | None,
    most: timedelta | None,
    sort: str,
    form: str,
    as_json: bool,
) -> int:
    """Show how far behind upstream each mirror is.

    BEHIND counts from the first sight of a change that is not published yet,
    CHECKED from the last time both were known to be equal; LAG is the worse. Paused
    mirrors are left out.
    """
    if as_json and form != "table":
        msg = f"--json and --format {form} exclude each other"
        raise click.UsageError(msg)
    with session.records() as records:
        check_tier(tier, records.config)
        found = _watched(records, tier, sort)
        missed = [f for f in found if most is not None and f.lag > most]
        if as_json:
            month = _month(records, found)
            session.output.document("lag", _lag(records, found, month, missed))
        elif form != "table":
            from syncer.cli.lag_forms import written

            session.output.text(written(found, form))
            session.output.next("syncer lag --max 15m")
        else:
            _print_lag(session, found, _month(records, found), most, records)
        return MISSED if missed else 0


def _month(records: Records, found: list[Freshness]) -> Summary:
    from syncer.schedule.lag import summarise

    targets = {fresh.state.id: fresh.target for fresh in found}
    samples = records.catalog.published(records.now - _MONTH)
    return summarise((s for s in samples if s.mirror_id in targets), targets)


def _watched(records: Records, tier: str | None, sort: str) -> list[Freshness]:
    """Return the mirrors in the schedule, in the order that is asked for."""
    from syncer.schedule.lag import worst_first

    found = [f for f in records.freshness() if f.word is not Word.PAUSED]
    those = [f for f in found if tier in {None, f.state.tier}]
    if sort == "state":
        return worst_first(those)
    if sort == "name":
        return those
    if sort == "tier":
        return sorted(those, key=lambda f: (f.target, f.state.tier, -f.lag))
    by = {"lag": "lag", "behind": "behind", "checked": "staleness"}[sort]
    return sorted(those, key=lambda f: getattr(f, by), reverse=True)


def _lag(
    records: Records,
    found: list[Freshness],
    month: Summary,
    missed: list[Freshness],
) -> dict[str, Any]:
    def seconds(value: timedelta | None) -> float | None:
        return None if value is None else value.total_seconds()

    return {
        "at": stamp(records.now),
        "worst_lag_seconds": seconds(max((f.lag for f in found), default=None)),
        "missed": [fresh.state.name.short for fresh in missed],
        "mirrors": [documents.mirror(fresh) for fresh in found],
        "last_30_days": {
            "changes": month.count,
            "median_seconds": seconds(month.median),
            "p90_seconds": seconds(month.p90),
            "p99_seconds": seconds(month.p99),
            "worst_seconds": seconds(month.worst),
            "attained": month.attained,
        },
    }


def _checked(fresh: Freshness, now: datetime) -> str:
    """Return when all components of a mirror were last known to be equal."""
    if fresh.state.last_success is None:
        return ago(None, now)
    return ago(now - fresh.staleness, now)


def _print_lag(
    session: Session,
    found: list[Freshness],
    month: Summary,
    most: timedelta | None,
    records: Records,
) -> None:
    out = session.output
    if not found:
        out.say("no mirror is in the schedule")
        out.next("syncer list")
        return
    rows = [
        (
            fresh.state.name.short,
            fresh.state.tier,
            duration(fresh.lag),
            duration(fresh.behind),
            _checked(fresh, records.now),
            fresh.word,
        )
        for fresh in found
    ]
    headers = ("REPOSITORY", "TIER", "LAG", "BEHIND", "CHECKED", "STATE")
    # One write: 10,000 would take as long as all the rest.
    out.data("\n".join(table(headers, rows, right=("LAG", "BEHIND"))))
    met = sum(fresh.lag <= (most or fresh.target) for fresh in found)
    target = f"target {span(most)}: met" if most else "targets met"
    worst = max(found, key=lambda fresh: fresh.lag)
    out.data(f"worst {duration(worst.lag)}, {target} by {met:,} of {len(found):,}")
    if month.count and month.attained is not None:
        share = f"{month.attained:.2%}".replace("%", " %")
        changes = plural(month.count, "change")
        p90 = f"median {duration(month.median)}, p90 {duration(month.p90)}"
        out.data(f"last 30 days: {changes}, {share} published in time; {p90}")
    out.next(f"syncer show {worst.state.name}", "syncer report")
