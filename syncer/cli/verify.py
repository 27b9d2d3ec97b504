"""`verify`: whether every LFS object and asset is here, and still what it was."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from syncer.cli import options
from syncer.cli.care import mirrors_of
from syncer.cli.verdict import PARTIAL, exit_status
from syncer.cli.verified import document, lines_of, word_of
from syncer.errors import IntegrityError, Interrupted, SyncerError
from syncer.model.care import Depth
from syncer.model.runs import Word
from syncer.units import plural, size

if TYPE_CHECKING:
    from syncer.bootstrap import App
    from syncer.cli.board import Board, Watch
    from syncer.cli.output import Output
    from syncer.cli.session import Session
    from syncer.model.care import VerifyReport
    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName
    from syncer.model.runs import Progress

_SHARE = re.compile(r"(?P<count>[0-9]{1,3}(?:\.[0-9]{1,6})?)%")
_WHOLE = 100.0


def parse_share(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> float | None:
    """Return `5%` as 0.05."""
    match = None if value is None else _SHARE.fullmatch(value.strip())
    if value is None:
        return None
    count = float(match["count"]) if match is not None else 0.0
    if not 0 < count <= _WHOLE:
        msg = "write a share above 0% and at most 100%, like 5%"
        raise click.BadParameter(msg, ctx, param)
    return count / _WHOLE


@dataclass
class Findings:
    """What came of all mirrors; `failed` could not be looked at."""

    total: int
    reports: list[VerifyReport] = field(default_factory=list)
    failed: list[tuple[RepoName, SyncerError]] = field(default_factory=list)
    #: The signal that ended it before its time.
    signal: int | None = None


@click.command("verify", epilog=options.statuses(3, 5, 7, 11, 12, 130, 143))
@options.names()
@click.option("--read-data", is_flag=True, help="Read and hash every object and asset.")
@click.option(
    "--sample",
    metavar="SHARE",
    callback=parse_share,
    help="Read and hash a share, such as 5%: what was not read for longest.",
)
@click.option("--repair", is_flag=True, help="Fetch again what is lost or wrong.")
@click.option(
    "--empty-store", is_flag=True, help="Go on though all is lost from the blob store."
)
@options.as_json
@click.pass_obj
def verify_command(  # noqa: PLR0913 - one parameter an option
    session: Session,
    names: tuple[RepoName, ...],
    *,
    read_data: bool,
    sample: float | None,
    repair: bool,
    empty_store: bool,
    as_json: bool,
) -> int:
    """Check the LFS objects and assets of mirrors, the named ones' or all.

    Looks for the pointers of the whole history again, and asks the blob store
    for each object and asset. What is lost or wrong is marked, so that no
    mirror relies on it; what is published stays as it is.

    A store without any blob is taken for a disk that is not mounted: nothing is
    marked then, unless --empty-store says that all of it is lost.
    """
    if read_data and sample is not None:
        msg = "--read-data reads everything: leave out --sample"
        raise click.UsageError(msg)
    depth = Depth(read=read_data or sample is not None, share=sample or 1.0)
    out = session.output
    with session.app(stop=threading.Event()) as app:
        states = mirrors_of(app, names)
        looked_at = [state for state in states if _has_blobs(app, state)]
        for state in (s for s in states if s not in looked_at and names):
            out.say(f"{state.name}: LFS objects are not mirrored, nor are assets here")
        round_ = _Round(app, out, depth, repair, empty_store, as_json)
        findings = round_.run(looked_at)
    if as_json:
        out.document("verify", _document(findings, depth, repair=repair))
    else:
        _print_end(out, findings, repair=repair)
    return status_of(findings, repair=repair)


def _has_blobs(app: App, state: RepoState) -> bool:
    """Return whether a mirror needs blobs: LFS objects, or assets of any time."""
    world = app.world
    wanted = world.selection(state.name).lfs or state.releases.counts.total
    return bool(wanted or world.index.asset_blobs(state.id))


@dataclass(frozen=True)
class _Round:
    """Looks at one mirror after another, until a signal comes."""

    app: App
    out: Output
    depth: Depth
    repair: bool
    may_be_empty: bool
    silent: bool

    def run(self, states: list[RepoState]) -> Findings:
        from syncer.cli.board import Board, Watch
        from syncer.cli.sweep import Stop

        findings, board = Findings(len(states)), Board(len(states))
        watch = Watch(board, self.out, lambda: (1, board.total - board.done - 1))
        with Stop(self._end) as stop:
            try:
                for state in states:
                    self._look(state, findings, _Note(self.app, board, watch, state))
                    board.leave(state.id)
            except Interrupted as exc:
                self.out.say(str(exc))
            finally:
                watch.close()
            findings.signal = stop.number
        return findings

    def _end(self) -> None:
        self.out.say("stopping; press Ctrl-C again to end at once")
        self.app.stop.set()

    def _look(self, state: RepoState, findings: Findings, note: _Note) -> None:
        verify = self.app.verifier.verify
        try:
            note.check()
            report = verify(
                state,
                self.depth,
                repair=self.repair,
                may_be_empty=self.may_be_empty,
                progress=note,
            )
        except Interrupted:
            raise
        except SyncerError as exc:
            findings.failed.append((state.name, exc))
            self.out.failure(exc)
            return
        findings.reports.append(report)
        for line in [] if self.silent else lines_of(report, repair=self.repair):
            note.watch.print(line)


@dataclass(frozen=True)
class _Note:
    """Notes how far one mirror is, and ends that when asked to."""

    app: App
    board: Board
    watch: Watch
    state: RepoState

    def __call__(self, progress: Progress) -> None:
        self.check()
        self.board.on_progress(self.state, progress)
        self.watch.look()

    def check(self) -> None:
        """Raise `Interrupted` if the command was asked to stop."""
        if self.app.stop.is_set():
            msg = "stopped on request; what was found until then is recorded"
            raise Interrupted(msg)


def status_of(findings: Findings, *, repair: bool) -> int:
    """Return the exit status: a signal's, damage, failures, what is missing."""
    if findings.signal is not None:
        return 128 + findings.signal
    if any(report.damaged for report in findings.reports):
        return IntegrityError.exit_code
    if findings.failed:
        return exit_status([e.exit_code for _, e in findings.failed], findings.total)
    words = {word_of(report, repair=repair) for report in findings.reports}
    return PARTIAL if Word.PARTIAL in words else 0


def _print_end(out: Output, findings: Findings, *, repair: bool) -> None:
    reports = findings.reports
    parts = [
        f"{plural(len(reports), 'mirror')} verified",
        f"{sum(len(report.damaged) for report in reports):,} damaged",
        f"{sum(r.missing + r.assets.missing for r in reports):,} missing upstream",
        f"{sum(report.repaired for report in reports):,} repaired",
        f"{size(sum(report.read_bytes for report in reports))} read",
    ]
    if findings.failed:
        parts.insert(1, f"{len(findings.failed):,} failed")
    out.say(", ".join(parts))
    out.next(_next(reports, repair=repair))


def _next(reports: list[VerifyReport], *, repair: bool) -> str:
    for report in reports:
        if report.damaged and not repair:
            return f"syncer verify {report.name} --repair"
    for report in reports:
        if word_of(report, repair=repair) is not Word.OK:
            return f"syncer show {report.name}"
    return "syncer status"


def _document(findings: Findings, depth: Depth, *, repair: bool) -> dict[str, object]:
    return {
        "read": depth.read,
        "share": depth.share if depth.read else 0.0,
        "repair": repair,
        "mirrors": [document(report, repair=repair) for report in findings.reports],
        "failed": [
            {"repository": name.short, "error": str(exc), "exit_code": exc.exit_code}
            for name, exc in findings.failed
        ],
        "not_visited": findings.total - len(findings.reports) - len(findings.failed),
    }
