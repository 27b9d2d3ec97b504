"""`sync` and `daemon`: the commands that mirror."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

from syncer.cli import documents, options
from syncer.cli.render import received, stamp
from syncer.cli.session import collect_again, configured, kept_here
from syncer.cli.verdict import PARTIAL, exit_status
from syncer.errors import ConfigError
from syncer.model.mirrors import Activity
from syncer.model.runs import Outcome
from syncer.units import duration, plural, size

if TYPE_CHECKING:
    from syncer.bootstrap import App
    from syncer.cli.output import Output
    from syncer.cli.session import Session
    from syncer.cli.sweep import Tally
    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName
    from syncer.model.runs import SyncRun
    from syncer.schedule.due import Decision

_WENT_WELL = {Outcome.UNCHANGED, Outcome.CHANGED}


@click.command("sync", epilog=options.statuses(3, 4, 5, 7, 11, 12, 130, 143))
@options.names()
@click.option("--due", is_flag=True, help="Only those that are due.")
@click.option(
    "--wait", is_flag=True, help="Wait for mirrors that another process works on."
)
@options.dry_run("Only tell which mirrors would be visited, and why.")
@options.as_json
@click.pass_obj
def sync_command(  # noqa: PLR0913 - one parameter an option
    session: Session,
    names: tuple[RepoName, ...],
    *,
    due: bool,
    wait: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Bring mirrors up to date now: the named ones, or all that are not paused.

    Ctrl-C once ends it cleanly, twice at once. Published refs are whole
    whenever it ends.
    """
    from syncer.cli.sweep import Sweep

    out = session.output
    with session.app(stop=threading.Event()) as app:
        decisions = _decide(app, names, due=due)
        if dry_run:
            _print_decisions(out, decisions, as_json=as_json)
            return 0
        states = [decision.state for decision in decisions]
        if not states:
            return _nothing(out, app, as_json=as_json)
        patience = app.config.syncer.deadline if wait else None
        tally = Sweep(app, out, silent=as_json).run(states, patience)
    if as_json:
        out.document("sync", _document(tally))
    else:
        _print_end(out, tally)
    return status_of(tally)


def _decide(app: App, names: tuple[RepoName, ...], *, due: bool) -> list[Decision]:
    """Return whom to visit, the most urgent first."""
    from syncer.schedule import due as schedule

    wanted = {name.identity for name in configured(app.config, names)}
    states = [s for s in app.catalog.states() if _is_wanted(s, wanted)]
    states = kept_here(app.config.syncer.host, states, named=bool(wanted))
    hosts = {state.name.host for state in states}
    budgets = {host: app.config.target_host(host).probes for host in hosts}
    choose = schedule.due if due else schedule.decide
    return choose(states, app.config.tier, budgets, app.clock.now())


def _is_wanted(state: RepoState, wanted: set[str]) -> bool:
    if wanted:
        return state.name.identity in wanted
    return state.activity is Activity.ACTIVE


def _print_decisions(out: Output, decisions: list[Decision], *, as_json: bool) -> None:
    if as_json:
        would = [{"repository": d.name.short, "reason": d.reason} for d in decisions]
        out.document("sync-plan", {"would_visit": would})
        return
    for decision in decisions:
        out.data(f"would visit {decision.name}  ({decision.reason})")
    out.say(f"{plural(len(decisions), 'mirror')}, nothing was done")
    out.next("syncer sync")


def _nothing(out: Output, app: App, *, as_json: bool) -> int:
    if as_json:
        from syncer.cli.sweep import Tally

        out.document("sync", _document(Tally()))
    else:
        out.say("nothing to do")
        out.next("syncer status" if app.config.repo else "syncer add OWNER/NAME")
    return 0


def status_of(tally: Tally) -> int:
    """Return the exit status: a signal's, or what the runs came to."""
    if tally.signal is not None:
        return 128 + tally.signal
    failed = [
        run.exit_code or PARTIAL for run in tally.runs if run.outcome not in _WENT_WELL
    ]
    return exit_status(failed, tally.total)


def summary(tally: Tally) -> str:
    """Return `2 synced, 998 unchanged, 0 failed, 5.9 GiB in 3m14s`."""
    counts = tally.counts()
    failed = counts[Outcome.FAILED] + counts[Outcome.GONE]
    parts = [
        f"{counts[Outcome.CHANGED]:,} synced",
        f"{counts[Outcome.UNCHANGED]:,} unchanged",
        f"{failed:,} failed",
    ]
    if counts[Outcome.PARTIAL]:
        parts.append(f"{counts[Outcome.PARTIAL]:,} partial")
    if counts[Outcome.HELD]:
        parts.append(f"{counts[Outcome.HELD]:,} held")
    if tally.stopped:
        parts.append(f"{tally.stopped:,} stopped")
    if tally.left:
        parts.append(f"{tally.left:,} not visited")
    brought = size(sum(map(received, tally.runs)))
    return f"{', '.join(parts)}, {brought} in {duration(tally.took)}"


def _print_end(out: Output, tally: Tally) -> None:
    if not out.quiet:
        out.data(summary(tally))
    troubled = [run for run in tally.runs if run.outcome not in _WENT_WELL]
    if tally.signal is not None:
        out.say("stopped; what is published is whole, old or new")
        out.next("syncer sync")
    elif troubled:
        out.next(_remedy(troubled[0]))
    elif tally.total == 1 and tally.runs:
        out.next(f"syncer show {tally.runs[0].name}")
    else:
        out.next("syncer status")


def _remedy(run: SyncRun) -> str:
    if run.outcome in {Outcome.HELD, Outcome.PARTIAL}:
        return f"syncer show {run.name}"
    return f"syncer show {run.name}" if run.exit_code == 1 else "syncer status"


def _document(tally: Tally) -> dict[str, object]:
    counts = tally.counts()
    return {
        "started": stamp(tally.started),
        "took_seconds": tally.took.total_seconds(),
        "counts": {outcome.value: counts[outcome] for outcome in Outcome},
        "not_visited": tally.left,
        "received_bytes": sum(map(received, tally.runs)),
        "runs": [documents.run(run) for run in tally.runs],
    }


@click.command("daemon", epilog=options.statuses(11))
@click.option(
    "--scheduler-only",
    is_flag=True,
    help="Where several machines work: decide who is due, and leave runs to others.",
)
@click.pass_obj
def daemon_command(session: Session, *, scheduler_only: bool) -> int:
    """Keep all mirrors up to date, in the foreground, until stopped.

    SIGTERM and Ctrl-C end it cleanly; SIGHUP reads repos.toml again.
    """
    from syncer.daemon import serve

    config = session.config()
    if scheduler_only and not config.is_cluster:
        msg = "one machine has nobody else to leave runs to; nothing was started"
        raise ConfigError(msg, hint="drop --scheduler-only, or name it: [syncer] host")
    collect_again()
    return serve(session.path(), takes=not scheduler_only)
