"""`status`: is it fresh, and what needs a person."""

from __future__ import annotations

import json
import shutil
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

import syncer
from syncer.cli import allowances, documents, options
from syncer.cli.remedy import needs_attention, remedy
from syncer.cli.render import counted, plural, printable, stamp, styled
from syncer.model.lfs import LfsCounts
from syncer.model.releases import ReleaseCounts
from syncer.model.runs import Word
from syncer.units import duration, size, span

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.cli.records import Records
    from syncer.cli.session import Session
    from syncer.model.mirrors import RepoState
    from syncer.schedule.lag import Freshness

MISSED = 6
_ATTENTION = 12  # mirrors on one screen


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
        slow = _slowest(those)
        told = f"worst lag {duration(worst)}{slow}   target {span(target)}   {met}"
        out.data(f"  {tier:<10}{told}")
    for line in _components(found):
        out.data(line)
    for load in allowances.loads(records, (fresh.state for fresh in found)):
        met = styled("OK" if load.is_met else "LATE")
        out.data(f"  {'api':<10}{load}   {met}")
        if not load.is_met:
            out.data(f"  {'':<10}what helps: {load.remedy}")
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


def _slowest(those: list[Freshness]) -> str:
    """Return ` (releases)` if it is not the refs that are the furthest behind."""
    worst = max(those, key=lambda fresh: fresh.lag)
    name = max(worst.components, key=lambda each: each.lag).name
    return "" if name == worst.components[0].name else f" ({name})"


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
    if fresh.word is Word.PARTIAL and _lacking(state):
        return _lacking(state)
    if fresh.word is Word.PARTIAL and state.releases.error:
        return f"releases could not be listed: {printable(state.releases.error)}"
    if fresh.word in {Word.FAIL, Word.GONE, Word.PARTIAL} and state.error:
        return printable(state.error)
    if fresh.word is Word.NEW:
        return f"not mirrored yet, {duration(fresh.lag)} after it was added"
    what = _slowest([fresh])
    return f"{duration(fresh.lag)} behind{what}, target {span(fresh.target)}"


def _lacking(state: RepoState) -> str:
    """Return which components are not all here."""
    parts = (("lfs", state.lfs), ("assets", state.releases.counts))
    lacking = [(what, each) for what, each in parts if each.present < each.total]
    return "; ".join(f"{what} {counted(each)}" for what, each in lacking)


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
