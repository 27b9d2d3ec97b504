"""`list` and `show`: which mirrors there are, and everything about one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from syncer.cli import documents, lfs, options, origins, releases
from syncer.cli.history import run_table
from syncer.cli.remedy import accepting, is_damaged
from syncer.cli.render import ago, printable, stamp, table
from syncer.cli.render import styled as styled_word
from syncer.model.mirrors import Activity
from syncer.model.origin import UNKNOWN
from syncer.model.runs import Outcome, Word
from syncer.units import duration, plural, size, span

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.cli.output import Output
    from syncer.cli.records import Records
    from syncer.cli.session import Session
    from syncer.config import Config
    from syncer.model.content import Finding
    from syncer.model.lfs import LfsObject
    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName
    from syncer.model.origin import Origin
    from syncer.model.releases import Pin, ReleaseRecord
    from syncer.model.runs import SyncRun
    from syncer.schedule.lag import Freshness

_RUNS = 5
_SHOWN_REFS = 10


@click.command("list", epilog=options.statuses())
@options.as_json
@click.pass_obj
def list_command(session: Session, *, as_json: bool) -> None:
    """List the mirrors and the state of each."""
    out = session.output
    with session.records() as records:
        found = records.freshness()
        if as_json:
            mirrors = [documents.mirror(fresh) for fresh in found]
            out.document("list", {"at": stamp(records.now), "mirrors": mirrors})
            return
        if not found:
            out.say("no repository is mirrored yet")
            out.next("syncer add OWNER/NAME")
            return
        for line in table(
            (
                *("REPOSITORY", "STATE", "TIER", "LAG", "REFS"),
                *("LFS", "ASSETS", "SIZE", "CHANGED"),
            ),
            [_row(fresh, records) for fresh in found],
            right=("LAG", "REFS", "LFS", "ASSETS", "SIZE"),
        ):
            out.data(line)
        first = next((f for f in found if f.word is not Word.OK), found[0])
        out.next(f"syncer show {first.state.name}")


def _row(fresh: Freshness, records: Records) -> tuple[str, ...]:
    state, assets = fresh.state, fresh.state.releases.counts
    return (
        state.name.short,
        fresh.word,
        state.tier,
        duration(fresh.lag) if state.last_success else "-",
        f"{state.ref_count:,}" if state.generation else "-",
        f"{state.lfs.present:,}/{state.lfs.total:,}" if state.lfs.total else "-",
        f"{assets.present:,}/{assets.total:,}" if assets.total else "-",
        size(state.size) if state.generation else "-",
        ago(state.last_change, records.now),
    )


@dataclass(frozen=True)
class _Known:
    """Everything that is known of one mirror."""

    fresh: Freshness
    runs: list[SyncRun]
    findings: list[Finding]
    absent: list[LfsObject]
    #: When it is probed next, and why.
    reason: str
    origin: Origin
    aliases: list[str]
    pins: list[Pin]
    releases: list[ReleaseRecord]


@click.command("show", epilog=options.statuses(12))
@options.name()
@click.option(
    "--assets",
    "tag",
    metavar="[TAG]",
    is_flag=False,
    flag_value="",
    help="Only its assets: those of one release, or of the newest ones.",
)
@click.option("--all", "every", is_flag=True, help="All releases, not the newest ten.")
@options.as_json
@click.pass_obj
def show_command(
    session: Session,
    names: tuple[RepoName, ...],
    *,
    tag: str | None,
    every: bool,
    as_json: bool,
) -> None:
    """Tell everything about one mirror.

    With --json, that is all releases with all of their assets.
    """
    out = session.output
    with session.records() as records:
        known = _look_up(records, names[0])
        if as_json:
            out.document("show", _document(known))
            return
        shown = known.releases if every else known.releases[: releases.NEWEST]
        if tag is not None:
            those = releases.of_tag(known.releases, tag) if tag else shown
            _print_assets(out, those, records.now)
            out.next(f"syncer show {known.fresh.state.name}")
            return
        for label, text in _facts(records, known):
            out.data(f"{label:<10}{text}".rstrip())
        _print_releases(out, known, shown)
        if known.runs:
            out.data()
            for line in run_table(known.runs, records.now, named=False):
                out.data(line)
        out.next(_next(known.fresh))


def _print_releases(out: Output, known: _Known, shown: list[ReleaseRecord]) -> None:
    if not shown:
        return
    out.data()
    for line in releases.release_table(shown, {pin.tag for pin in known.pins}):
        out.data(line)
    left = len(known.releases) - len(shown)
    if left:
        out.data(f"and {plural(left, 'older release')}: --all has them")


def _print_assets(out: Output, those: list[ReleaseRecord], now: datetime) -> None:
    if not those:
        out.say("it has no releases that are known")
    for index, record in enumerate(those):
        if index:
            out.data()
        if len(those) > 1:
            out.data(printable(record.release.tag))
        for line in releases.asset_table(record, now):
            out.data(line)


def _look_up(records: Records, name: RepoName) -> _Known:
    from syncer.schedule.lag import freshness

    state = records.state(name)
    default = records.config.tier["normal"]
    tier = records.config.tier.get(state.tier, default)
    stored = state.id != 0
    return _Known(
        freshness(state, tier, records.now, releases=records.has_releases(state)),
        records.catalog.runs(state.name, _RUNS) if stored else [],
        records.catalog.findings(state.id) if stored else [],
        lfs.absent(records, state),
        _reason(records, state),
        *_upstream(records, state),
    )


def _upstream(
    records: Records, state: RepoState
) -> tuple[Origin, list[str], list[Pin], list[ReleaseRecord]]:
    """Return who it is upstream, and its releases."""
    if state.id == 0:
        return UNKNOWN, [], [], []
    index = records.releases()
    return (
        index.origin(state.id),
        index.aliases(state.id),
        index.pins(state.id),
        index.releases(state.id),
    )


def _document(known: _Known) -> dict[str, object]:
    return {
        "mirror": documents.mirror(known.fresh),
        "next": known.reason,
        "runs": [documents.run(run) for run in known.runs],
        "findings": [documents.finding(found) for found in known.findings],
        "lfs_absent": [documents.absent(found) for found in known.absent],
        "origin": documents.origin(known.origin, known.aliases),
        "pins": [documents.pin(pin) for pin in known.pins],
        "releases": [documents.release(each) for each in known.releases],
    }


def _reason(records: Records, state: RepoState) -> str:
    """Return when the mirror is probed next, and why, as the daemon decides it."""
    from syncer.schedule.due import decide

    config = records.config
    others = [s for s in records.states() if s.name.host == state.name.host]
    states = [state, *(other for other in others if other.id != state.id)]
    budgets = {state.name.host: config.target_host(state.name.host).probes}
    return decide(states, config.tier, budgets, records.now)[0].reason


def _facts(records: Records, known: _Known) -> list[tuple[str, str]]:
    fresh, config, now = known.fresh, records.config, records.now
    state = fresh.state
    host = config.target_host(state.name.host)
    facts = [
        (f"{state.name}", f" {styled_word(fresh.word)}  tier {state.tier}"),
        ("upstream", host.url(state.source)),
        *origins.facts(state, known.origin, known.aliases),
        *_place(config, state),
    ]
    if state.activity is Activity.REMOVED:
        facts.append(("removed", "no longer configured; what was mirrored is kept"))
    if state.generation:
        head = printable(state.head or "nothing")
        refs = f"{plural(state.ref_count, 'ref')}, HEAD names {head}"
        facts.append(("refs", f"{refs}, generation {state.generation}"))
        facts.append(("size", size(state.size)))
        facts += lfs.facts(records, state, known.absent)
        facts += releases.facts(records, state, known.releases)
    facts += origins.pinned(known.pins)
    facts += _lags(fresh, now)
    facts.append(("next", known.reason))
    facts += _troubles(state, now_text=ago(state.held.since, now) if state.held else "")
    checks = Counter(found.check for found in known.findings)
    for check, count in checks.most_common():
        facts.append(("fsck", f"{check}: {plural(count, 'object')}"))
    return facts


def _place(config: Config, state: RepoState) -> list[tuple[str, str]]:
    """Return where the repository lies: maybe on another one of several machines."""
    path, home = str(config.data / "git" / state.path), state.home
    if home is None:
        return [("path", path)]
    if home == config.syncer.host:
        return [("home", f"{home}, this machine"), ("path", path)]
    there = f"git/{printable(state.path)} below `data` of {home}"
    return [("home", f"{home}, another machine"), ("path", there)]


def _lags(fresh: Freshness, now: datetime) -> list[tuple[str, str]]:
    """Return the lag of a mirror, and what it comes from."""
    if fresh.state.last_success is None:
        return []
    refs, *others = fresh.components
    checked = ago(fresh.state.last_success, now)
    told = f"behind {duration(refs.behind)}, checked {checked}"
    facts = [("lag", f"{duration(fresh.lag)}: {told}; target {span(fresh.target)}")]
    for each in others:
        seen = f"behind {duration(each.behind)}, checked {duration(each.staleness)} ago"
        facts.append(("", f"{each.name}: {seen}"))
    return facts


def _troubles(state: RepoState, now_text: str) -> list[tuple[str, str]]:
    facts = []
    if state.error and state.outcome is not Outcome.HELD:
        facts.append(("error", printable(state.error)))
    if state.held is None:
        return facts
    accepted = ", accepted" if state.held.accepted else ""
    facts.append(("held", f"{printable(state.held.reason)} ({now_text}{accepted})"))
    gone = [f"gone: {printable(ref)}" for ref in state.held.deletions]
    gone += [f"missing: {oid}" for oid in state.held.missing]
    facts += [("", text) for text in gone[:_SHOWN_REFS]]
    left = len(gone) - _SHOWN_REFS
    if left > 0:
        facts.append(("", f"and {left:,} more"))
    return facts


def _next(fresh: Freshness) -> str:
    name, held = fresh.state.name, fresh.state.held
    if fresh.state.activity is Activity.REMOVED:
        return f"syncer add {name}"
    if fresh.word is Word.HELD and held is not None:
        return f"syncer accept {name}{accepting(held)}"
    if fresh.word is Word.PAUSED:
        return f"syncer resume {name}"
    if fresh.word is Word.PARTIAL and is_damaged(fresh.state):
        return f"syncer verify {name} --repair"
    if fresh.word is Word.OK or not fresh.state.standing.is_reachable:
        return f"syncer history {name} --refs"
    return f"syncer sync {name}"
