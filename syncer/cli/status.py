"""`status`: is it fresh, and what needs a person."""

from __future__ import annotations

import json
import shutil
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

import syncer
from syncer.cli import allowances, documents, options, service
from syncer.cli.attention import lines as attention_lines
from syncer.cli.attention import slowest
from syncer.cli.remedy import needs_attention
from syncer.cli.render import counted, stamp, styled
from syncer.cli.service import Service
from syncer.model.lfs import LfsCounts
from syncer.model.releases import ReleaseCounts
from syncer.model.runs import Word
from syncer.reports.growth import floor_of, forecast
from syncer.schedule.lag import percentile
from syncer.units import duration, plural, size, span

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.cli.records import Records
    from syncer.cli.session import Session
    from syncer.schedule.lag import Freshness

MISSED = 6


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
            _print(session, records, found, attention)
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
        "free_bytes": _free(config.data)[0],
        "daemon": _daemon(config.data),
        "counts": {word.value: words[word] for word in Word},
        "size_bytes": sum(fresh.state.size for fresh in found),
        "refs": sum(fresh.state.ref_count for fresh in found),
        "lfs": documents.counts(LfsCounts.summed(f.state.lfs for f in found)),
        "releases": documents.release_counts(
            ReleaseCounts.summed(f.state.releases.counts for f in found)
        ),
        "tiers": [
            {
                "tier": tier,
                "mirrors": len(those),
                "worst_lag_seconds": max(f.lag for f in those).total_seconds(),
                "target_seconds": config.tier[tier].target.total_seconds(),
            }
            for tier, those in _by_tier(found).items()
        ],
        "api": [
            {
                "host": load.host,
                "needed_per_hour": round(load.needed, 1),
                "allowed_per_hour": round(load.allowed, 1),
                "authorised": load.authorised,
            }
            for load in allowances.loads(records, (fresh.state for fresh in found))
        ],
        **service.document(Service.of(records), records.now),
        "attention": [documents.mirror(fresh) for fresh in attention],
    }


def _print(
    session: Session,
    records: Records,
    found: list[Freshness],
    attention: list[Freshness],
) -> None:
    out, told = session.output, Service.of(records)
    for line in [
        _headline(records, told),
        "",
        *_mirrors(found, records),
        *_components(found),
        *service.lines(told, records.now),
        *_api(records, found, told),
        _store(records, found, told),
        *attention_lines(attention, told.incidents, records.now),
    ]:
        out.data(line)
    first = attention or found
    out.say()
    out.next(f"syncer show {first[0].state.name}" if first else "syncer add OWNER/NAME")


def _headline(records: Records, told: Service) -> str:
    config = records.config
    daemon = _daemon(config.data)
    engine = config.catalog_url.partition(":")[0].partition("+")[0]
    runs = f"daemon running (process {daemon})" if daemon else "no daemon running"
    here = told.here(config.machine, records.now)
    up = f", up {duration(records.now - here.started)}" if daemon and here else ""
    return f"syncer {syncer.__version__}   {runs}{up}   catalog {engine}"


def _mirrors(found: list[Freshness], records: Records) -> list[str]:
    """Return how many mirrors are how, and how each tier does."""
    words = Counter(fresh.word for fresh in found)
    told = "   ".join(f"{words[w]:,} {styled(w)}" for w in Word if words[w])
    lines = [f"  {'mirrors':<10}{len(found):,} in all   {told}".rstrip()]
    for tier, those in _by_tier(found).items():
        lags = sorted(fresh.lag for fresh in those)
        worst, target = lags[-1], records.config.tier[tier].target
        met = styled("LATE" if worst > target else "OK")
        most = f"   p95 {duration(percentile(lags, 0.95))}" if len(lags) > 1 else ""
        what = f"worst lag {duration(worst)}{slowest(those)}{most}"
        lines.append(f"  {tier:<10}{what}   target {span(target)}   {met}")
    return lines


def _api(records: Records, found: list[Freshness], told: Service) -> list[str]:
    """Return what each host's API is asked for, and what it has left."""
    lines = []
    granted = dict(told.left(records.now))
    for load in allowances.loads(records, (fresh.state for fresh in found)):
        met = styled("OK" if load.is_met else "LATE")
        left = granted.get(load.host)
        rest = f"; {left}" if left else ""
        lines.append(f"  {'api':<10}{load}{rest}   {met}")
        if not load.is_met:
            lines.append(f"  {'':<10}what helps: {load.remedy}")
    return lines


def _store(records: Records, found: list[Freshness], told: Service) -> str:
    """Return how much of git is stored, and how much more fits, for how long."""
    config = records.config
    used = size(sum(fresh.state.size for fresh in found))
    free, capacity = _free(config.data)
    floor = floor_of(config.syncer.min_free, capacity)
    line = f"  {'store':<10}{used} of git, {size(free)} free"
    if free < floor:
        return f"{line}, below the floor of {size(floor)}   {styled('FAIL')}"
    left = forecast(told.samples(config.machine), floor)
    full = "" if left is None else f", full in {duration(left)} as it grows now"
    return f"{line}{full}"


def _components(found: list[Freshness]) -> list[str]:
    """Return how much of each kind is here, of all mirrors."""
    objects = LfsCounts.summed(fresh.state.lfs for fresh in found)
    assets = ReleaseCounts.summed(fresh.state.releases.counts for fresh in found)
    refs = sum(fresh.state.ref_count for fresh in found)
    lines = [f"  {'refs':<10}{refs:,}"] if refs else []
    if objects.total:
        lines.append(f"  {'lfs':<10}{counted(objects)}   {size(objects.size)}")
    if assets.releases:
        told = f"{counted(assets)}   {size(assets.size)}" if assets.total else "none"
        of = plural(assets.releases, "release")
        lines.append(f"  {'assets':<10}{told}   of {of}")
    return lines


def _by_tier(found: list[Freshness]) -> dict[str, list[Freshness]]:
    """Return the mirrors in the schedule by tier, the strictest tier first."""
    tiers: dict[str, list[Freshness]] = {}
    for fresh in sorted(found, key=lambda each: each.target):
        if fresh.word is not Word.PAUSED:
            tiers.setdefault(fresh.state.tier, []).append(fresh)
    return tiers


def _free(data: Path) -> tuple[int, int]:
    """Return the free bytes of the file system of the store, and all."""
    there = next(path for path in (data, *data.parents) if path.exists())
    usage = shutil.disk_usage(there)
    return usage.free, usage.total


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
