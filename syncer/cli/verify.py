"""`verify`: whether every LFS object is here, and still what its name says."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from syncer.cli import options
from syncer.cli.care import mirrors_of
from syncer.cli.render import plural, printable, size, styled
from syncer.cli.verdict import PARTIAL, exit_status
from syncer.errors import IntegrityError, Interrupted, SyncerError
from syncer.model.care import Depth
from syncer.model.runs import Word

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
_SHOWN = 20  # damaged objects of one mirror


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
@click.option("--read-data", is_flag=True, help="Read and hash every object.")
@click.option(
    "--sample",
    metavar="SHARE",
    callback=parse_share,
    help="Read and hash a share, such as 5%: what was not read for longest.",
)
@click.option("--repair", is_flag=True, help="Fetch again what is lost or wrong.")
@options.as_json
@click.pass_obj
def verify_command(  # noqa: PLR0913 - one parameter an option
    session: Session,
    names: tuple[RepoName, ...],
    *,
    read_data: bool,
    sample: float | None,
    repair: bool,
    as_json: bool,
) -> int:
    """Check that the LFS objects of mirrors are here, the named ones' or all.

    Looks for the pointers of the whole history again, and asks the blob store
    for each object. What is lost or wrong is marked, so that no mirror relies
    on it; published refs stay as they are.
    """
    if read_data and sample is not None:
        msg = "--read-data reads everything: leave out --sample"
        raise click.UsageError(msg)
    depth = Depth(read=read_data or sample is not None, share=sample or 1.0)
    out = session.output
    with session.app(stop=threading.Event()) as app:
        states = mirrors_of(app, names)
        mirrored = [s for s in states if app.world.selection(s.name).lfs]
        for state in (s for s in states if s not in mirrored and names):
            out.say(f"{state.name}: LFS objects are not mirrored")
        findings = _Round(app, out, depth, repair, as_json).run(mirrored)
    if as_json:
        out.document("verify", _document(findings, depth, repair=repair))
    else:
        _print_end(out, findings, repair=repair)
    return status_of(findings, repair=repair)


@dataclass(frozen=True)
class _Round:
    """Looks at one mirror after another, until a signal comes."""

    app: App
    out: Output
    depth: Depth
    repair: bool
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
            report = verify(state, self.depth, repair=self.repair, progress=note)
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


def word_of(report: VerifyReport, *, repair: bool) -> Word:
    """Return the word for what was found of a mirror."""
    if report.damaged:
        return Word.FAIL
    unlinked = 0 if repair else report.unlinked
    lacking = report.missing or unlinked or report.present < report.pointers
    return Word.PARTIAL if lacking else Word.OK


def lines_of(report: VerifyReport, *, repair: bool) -> list[str]:
    """Return what a person reads of one mirror: a line, and every damaged object."""
    parts = [f"{plural(report.pointers, 'object')}, {report.present:,} present"]
    counted = [
        (report.missing, "missing upstream"),
        (len(report.damaged), "damaged"),
        (report.repaired, "repaired"),
        (report.unlinked, "not known before"),
    ]
    parts += [f"{count:,} {what}" for count, what in counted if count]
    if report.read:
        parts.append(f"{report.read:,} read ({size(report.read_bytes)})")
    word = styled(word_of(report, repair=repair))
    lines = [f"{report.name.short}  {word}  {', '.join(parts)}"]
    for oid, length, why in report.damaged[:_SHOWN]:
        lines.append(f"  damaged: {oid} ({size(length)}): {printable(why)}")
    left = len(report.damaged) - _SHOWN
    return [*lines, f"  and {left:,} more: --json has all"] if left > 0 else lines


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
        f"{sum(report.missing for report in reports):,} missing upstream",
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
        "mirrors": [_report(report, repair=repair) for report in findings.reports],
        "failed": [
            {"repository": name.short, "error": str(exc), "exit_code": exc.exit_code}
            for name, exc in findings.failed
        ],
        "not_visited": findings.total - len(findings.reports) - len(findings.failed),
    }


def _report(report: VerifyReport, *, repair: bool) -> dict[str, object]:
    return {
        "repository": report.name.short,
        "state": word_of(report, repair=repair).value,
        "pointers": report.pointers,
        "present": report.present,
        "missing": report.missing,
        "damaged": [
            {"oid": oid, "size_bytes": length, "why": printable(why)}
            for oid, length, why in report.damaged
        ],
        "repaired": report.repaired,
        "unlinked": report.unlinked,
        "read": report.read,
        "read_bytes": report.read_bytes,
    }
