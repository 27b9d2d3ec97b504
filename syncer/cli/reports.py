"""`status` and `lag`: is it fresh, and what needs a person."""

from __future__ import annotations

import json
import shutil
import socket
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

import syncer
from syncer.cli import documents, lfs, options
from syncer.cli.render import (
    ago,
    counted,
    duration,
    plural,
    printable,
    size,
    span,
    stamp,
    styled,
)
from syncer.cli.render import table as lines_of
from syncer.cli.session import check_tier
from syncer.model.runs import Word

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.cli.session import Records, Session
    from syncer.schedule.lag import Freshness, Summary

MISSED = 6
_MONTH = timedelta(days=30)
_ATTENTION = 12  # mirrors on one screen


def needs_attention(fresh: Freshness) -> bool:
    """Return whether a person should look at a mirror."""
    if fresh.word is Word.NEW:
        return fresh.lag > fresh.target
    return fresh.word not in {Word.OK, Word.PAUSED}


def remedy(fresh: Freshness) -> str:
    """Return what to type about a mirror that needs attention."""
    name, held = fresh.state.name, fresh.state.held
    if fresh.word is Word.HELD and held is not None:
        return f"syncer accept {name}" + (f" --object {held.oid}" if held.oid else "")
    if fresh.word is Word.PARTIAL and fresh.state.lfs.damaged:
        return f"syncer verify {name} --repair"
    if fresh.word in {Word.GONE, Word.PARTIAL}:
        return f"syncer show {name}"
    return f"syncer sync {name}"


@click.command("status", epilog=options.statuses(6))
@click.option("--check", is_flag=True, help="Exit with 6 if anything needs attention.")
@options.as_json
@click.pass_obj
def status_command(session: Session, *, check: bool, as_json: bool) -> int:
    """Show on one screen whether all is well, and what to type if not."""
    from syncer.schedule.lag import worst_first

    with session.records() as records:
        found = worst_first(records.freshness())
        attention = [fresh for fresh in found if needs_attention(fresh)]
        if as_json:
            session.output.document("status", _status(records, found, attention))
        else:
            _print_status(session, records, found, attention)
        return MISSED if check and attention else 0


def _status(
    records: Records, found: list[Freshness], attention: list[Freshness]
) -> dict[str, Any]:
    config = records.config
    words = Counter(fresh.word for fresh in found)
    return {
        "version": syncer.__version__,
        "at": stamp(records.now),
        "data": str(config.data),
        "free_bytes": _free(config.data),
        "daemon": _daemon(config.data),
        "counts": {word.value: words[word] for word in Word},
        "size_bytes": sum(fresh.state.size for fresh in found),
        "lfs": documents.counts(lfs.total(fresh.state for fresh in found)),
        "tiers": [
            {
                "tier": tier,
                "mirrors": len(those),
                "worst_lag_seconds": max(f.lag for f in those).total_seconds(),
                "target_seconds": config.tier[tier].target.total_seconds(),
            }
            for tier, those in _by_tier(found).items()
        ],
        "attention": [documents.mirror(fresh) for fresh in attention],
    }


def _print_status(
    session: Session,
    records: Records,
    found: list[Freshness],
    attention: list[Freshness],
) -> None:
    out, config = session.output, records.config
    daemon = _daemon(config.data)
    engine = config.catalog_url.partition(":")[0].partition("+")[0]
    runs = f"daemon running (process {daemon})" if daemon else "no daemon running"
    out.data(f"syncer {syncer.__version__}   {runs}   catalog {engine}")
    out.data()
    words = Counter(fresh.word for fresh in found)
    told = "   ".join(f"{words[w]:,} {styled(w)}" for w in Word if words[w])
    out.data(f"  {'mirrors':<10}{len(found):,} in all   {told}".rstrip())
    for tier, those in _by_tier(found).items():
        worst, target = max(fresh.lag for fresh in those), config.tier[tier].target
        met = styled("LATE" if worst > target else "OK")
        told = f"worst lag {duration(worst)}   target {span(target)}   {met}"
        out.data(f"  {tier:<10}{told}")
    counts = lfs.total(fresh.state for fresh in found)
    if counts.total:
        out.data(f"  {'lfs':<10}{counted(counts)}   {size(counts.size)}")
    used = size(sum(fresh.state.size for fresh in found))
    out.data(f"  {'store':<10}{used} of git, {size(_free(config.data))} free")
    if attention:
        _print_attention(session, attention)
    first = attention or found
    if first:
        out.say()
        out.next(f"syncer show {first[0].state.name}")
    else:
        out.next("syncer add OWNER/NAME")


def _print_attention(session: Session, attention: list[Freshness]) -> None:
    out = session.output
    out.data()
    out.data("  NEEDS ATTENTION")
    for fresh in attention[:_ATTENTION]:
        pad = " " * (8 - len(fresh.word))
        out.data(f"  {styled(fresh.word)}{pad}{fresh.state.name}: {_trouble(fresh)}")
        out.data(f"          {remedy(fresh)}")
    left = len(attention) - _ATTENTION
    if left > 0:
        out.data(f"          and {left:,} more: syncer list")


def _trouble(fresh: Freshness) -> str:
    state = fresh.state
    if fresh.word is Word.HELD and state.held is not None:
        return printable(state.held.reason)
    if fresh.word is Word.PARTIAL and state.lfs.total:
        return f"lfs {counted(state.lfs)}"
    if fresh.word in {Word.FAIL, Word.GONE, Word.PARTIAL} and state.error:
        return printable(state.error)
    if fresh.word is Word.NEW:
        return f"not mirrored yet, {duration(fresh.lag)} after it was added"
    return f"{duration(fresh.lag)} behind, target {span(fresh.target)}"


def _by_tier(found: list[Freshness]) -> dict[str, list[Freshness]]:
    """Return the mirrors in the schedule by tier, the strictest tier first."""
    tiers: dict[str, list[Freshness]] = {}
    for fresh in sorted(found, key=lambda each: each.target):
        if fresh.word is not Word.PAUSED:
            tiers.setdefault(fresh.state.tier, []).append(fresh)
    return tiers


def _free(data: Path) -> int:
    there = next(path for path in (data, *data.parents) if path.exists())
    return shutil.disk_usage(there).free


def _daemon(data: Path) -> int | None:
    """Return the process of the daemon that works on a store, if it lives here."""
    from syncer.git.lease import born

    try:
        note = json.loads((data / "daemon.lock").read_bytes())
        process = int(note["pid"])
        here = note["host"] == socket.gethostname()
        return process if here and note["born"] == born(process) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never started, ended in peace, or on another machine


@click.command("lag", epilog=options.statuses(6))
@click.option("--tier", help="Only the mirrors of this tier.")
@click.option(
    "--max",
    "most",
    metavar="DURATION",
    callback=options.parse_span,
    help="Exit with 6 if a lag is above this, for example 15m.",
)
@options.as_json
@click.pass_obj
def lag_command(
    session: Session, *, tier: str | None, most: timedelta | None, as_json: bool
) -> int:
    """Show how far behind upstream each mirror is.

    BEHIND counts from the first sight of a change that is not published yet,
    CHECKED from the last time both were known to be equal; LAG is the worse.
    """
    from syncer.schedule.lag import summarise

    with session.records() as records:
        check_tier(tier, records.config)
        found = _watched(records, tier)
        targets = {fresh.state.id: fresh.target for fresh in found}
        samples = records.catalog.lag_samples(records.now - _MONTH)
        month = summarise((s for s in samples if s.mirror_id in targets), targets)
        missed = [f for f in found if most is not None and f.lag > most]
        if as_json:
            session.output.document("lag", _lag(records, found, month, missed))
        else:
            _print_lag(session, found, month, most, records)
        return MISSED if missed else 0


def _watched(records: Records, tier: str | None) -> list[Freshness]:
    """Return the mirrors in the schedule, the worst lag first."""
    found = [f for f in records.freshness() if f.word is not Word.PAUSED]
    those = [f for f in found if tier in {None, f.state.tier}]
    return sorted(those, key=lambda fresh: fresh.lag, reverse=True)


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
            ago(fresh.state.last_success, records.now),
            fresh.word,
        )
        for fresh in found
    ]
    headers = ("REPOSITORY", "TIER", "LAG", "BEHIND", "CHECKED", "STATE")
    for line in lines_of(headers, rows, right=("LAG", "BEHIND")):
        out.data(line)
    met = sum(fresh.lag <= (most or fresh.target) for fresh in found)
    target = f"target {span(most)}: met" if most else "targets met"
    out.data(f"worst {duration(found[0].lag)}, {target} by {met:,} of {len(found):,}")
    if month.count and month.attained is not None:
        share = f"{month.attained:.2%}".replace("%", " %")
        changes = plural(month.count, "change")
        p90 = f"median {duration(month.median)}, p90 {duration(month.p90)}"
        out.data(f"last 30 days: {changes}, {share} published in time; {p90}")
    out.next(f"syncer show {found[0].state.name}")
