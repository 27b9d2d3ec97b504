"""`list` and `show`: which mirrors there are, and everything about one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from syncer.cli import documents, options
from syncer.cli.history import run_table
from syncer.cli.render import ago, duration, plural, printable, size, span, stamp, table
from syncer.cli.render import styled as styled_word
from syncer.model.runs import Activity, Outcome, Word

if TYPE_CHECKING:
    from syncer.cli.output import Output
    from syncer.cli.session import Records, Session
    from syncer.model.content import Finding
    from syncer.model.names import RepoName
    from syncer.model.runs import RepoState, SyncRun
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
            ("REPOSITORY", "STATE", "TIER", "LAG", "REFS", "SIZE", "CHANGED"),
            [_row(fresh, records) for fresh in found],
            right=("LAG", "REFS", "SIZE"),
        ):
            out.data(line)
        first = next((f for f in found if f.word is not Word.OK), found[0])
        out.next(f"syncer show {first.state.name}")


def _row(fresh: Freshness, records: Records) -> tuple[str, ...]:
    state = fresh.state
    return (
        state.name.short,
        fresh.word,
        state.tier,
        duration(fresh.lag) if state.last_success else "-",
        f"{state.ref_count:,}" if state.generation else "-",
        size(state.size) if state.generation else "-",
        ago(state.last_change, records.now),
    )


@click.command("show", epilog=options.statuses(12))
@options.name()
@options.as_json
@click.pass_obj
def show_command(
    session: Session, names: tuple[RepoName, ...], *, as_json: bool
) -> None:
    """Tell everything about one mirror."""
    from syncer.schedule.lag import freshness

    with session.records() as records:
        state = records.state(names[0])
        default = records.config.tier["normal"]
        fresh = freshness(
            state, records.config.tier.get(state.tier, default), records.now
        )
        known = state.id != 0
        runs = records.catalog.runs(state.name, _RUNS) if known else []
        findings = records.catalog.findings(state.id) if known else []
        reason = _reason(records, state)
        if as_json:
            _document(session.output, fresh, runs, findings, reason)
            return
        for label, text in _facts(records, fresh, findings, reason):
            session.output.data(f"{label:<10}{text}".rstrip())
        if runs:
            session.output.data()
            for line in run_table(runs, records.now, named=False):
                session.output.data(line)
        session.output.next(_next(fresh))


def _document(
    out: Output,
    fresh: Freshness,
    runs: list[SyncRun],
    findings: list[Finding],
    reason: str,
) -> None:
    out.document(
        "show",
        {
            "mirror": documents.mirror(fresh),
            "next": reason,
            "runs": [documents.run(run) for run in runs],
            "findings": [documents.finding(found) for found in findings],
        },
    )


def _reason(records: Records, state: RepoState) -> str:
    """Return when the mirror is probed next, and why, as the daemon decides it."""
    from syncer.schedule.due import decide

    config = records.config
    others = [s for s in records.states() if s.name.host == state.name.host]
    states = [state, *(other for other in others if other.id != state.id)]
    budgets = {state.name.host: config.target_host(state.name.host).probes}
    return decide(states, config.tier, budgets, records.now)[0].reason


def _facts(
    records: Records, fresh: Freshness, findings: list[Finding], reason: str
) -> list[tuple[str, str]]:
    state, config, now = fresh.state, records.config, records.now
    host = config.target_host(state.name.host)
    facts = [
        (f"{state.name}", f" {styled_word(fresh.word)}  tier {state.tier}"),
        ("upstream", host.url(state.name)),
        ("path", str(config.data / "git" / state.path)),
    ]
    if state.activity is Activity.REMOVED:
        facts.append(("removed", "no longer configured; what was mirrored is kept"))
    if state.generation:
        head = printable(state.head or "nothing")
        refs = f"{plural(state.ref_count, 'ref')}, HEAD names {head}"
        facts.append(("refs", f"{refs}, generation {state.generation}"))
        facts.append(("size", size(state.size)))
    if state.last_success:
        told = (
            f"behind {duration(fresh.behind)}, checked {ago(state.last_success, now)}"
        )
        lag = f"{duration(fresh.lag)}: {told}; target {span(fresh.target)}"
        facts.append(("lag", lag))
    facts.append(("next", reason))
    facts += _troubles(state, now_text=ago(state.held.since, now) if state.held else "")
    checks = Counter(found.check for found in findings)
    for check, count in checks.most_common():
        facts.append(("fsck", f"{check}: {plural(count, 'object')}"))
    return facts


def _troubles(state: RepoState, now_text: str) -> list[tuple[str, str]]:
    facts = []
    if state.error and state.outcome is not Outcome.HELD:
        facts.append(("error", printable(state.error)))
    if state.held is None:
        return facts
    accepted = ", accepted" if state.held.accepted else ""
    facts.append(("held", f"{printable(state.held.reason)} ({now_text}{accepted})"))
    facts += [("", f"gone: {printable(r)}") for r in state.held.deletions[:_SHOWN_REFS]]
    left = len(state.held.deletions) - _SHOWN_REFS
    if left > 0:
        facts.append(("", f"and {left:,} more"))
    return facts


def _next(fresh: Freshness) -> str:
    name, held = fresh.state.name, fresh.state.held
    if fresh.state.activity is Activity.REMOVED:
        return f"syncer add {name}"
    if fresh.word is Word.HELD and held is not None:
        extra = f" --object {held.oid}" if held.oid else ""
        return f"syncer accept {name}{extra}"
    if fresh.word is Word.PAUSED:
        return f"syncer resume {name}"
    if fresh.word is Word.OK:
        return f"syncer history {name} --refs"
    return f"syncer sync {name}"
