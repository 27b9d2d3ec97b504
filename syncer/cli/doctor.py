"""`doctor`: what is wrong with the installation, or will be, and what to type."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from syncer.cli import options
from syncer.cli.owner import become_owner, read_secrets
from syncer.cli.render import printable
from syncer.errors import PermanentError, SyncerError
from syncer.units import parse_size, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from syncer.cli.output import Output
    from syncer.cli.session import Session
    from syncer.doctor.examination import Check, Result
    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site

    Clean: TypeAlias = Callable[[str], str]

FAILED = 1
_COLORS = {"OK": "green", "WARN": "yellow", "FAIL": "red", "SKIP": "blue"}
_INDENT = " " * 13


def _parse_size(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> int | None:
    """Return a size as the configuration writes it; a block at least."""
    if value is None:
        return None
    try:
        size = parse_size(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from None
    if size < 1 << 20:
        msg = "a MiB at least"
        raise click.BadParameter(msg, ctx, param)
    return size


def _parse_codes(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, ...]:
    """Return the codes of checks, `D04,D09`; none stands for all."""
    from syncer.doctor.checks import CHECKS

    known = [check.code for check in CHECKS]
    codes = tuple(code.strip().upper() for code in (value or "").split(",") if code)
    unknown = [code for code in codes if code not in known]
    if unknown:
        msg = f"there is no check {unknown[0]}; known: {', '.join(known)}"
        raise click.BadParameter(msg, ctx, param)
    return codes


@click.command("doctor", epilog=options.statuses())
@click.option(
    "--check",
    "codes",
    metavar="CODES",
    callback=_parse_codes,
    help="Only these, like D04,D09.",
)
@click.option("--offline", is_flag=True, help="Ask no host but the catalog's.")
@click.option(
    "--bench-store",
    is_flag=True,
    help="Measure the store instead: about a minute a place.",
)
@click.option(
    "--size",
    metavar="SIZE",
    callback=_parse_size,
    help="What --bench-store writes at once; 1G unless told.",
)
@options.as_json
@click.pass_obj
def doctor_command(  # noqa: PLR0913 - one parameter an option
    session: Session,
    *,
    codes: tuple[str, ...],
    offline: bool,
    bench_store: bool,
    size: int | None,
    as_json: bool,
) -> int:
    """Look for what is wrong, or will be, and tell what to type.

    Every check has a code, which the runbook explains. OK, WARN (works, and costs
    something or will break), FAIL, SKIP (not looked at, and why). Nothing that is
    tried stays. A WARN ends with 0, a FAIL with 1.

    `--bench-store` measures throughput and operations a second of the store, and
    holds them against 500 MB/s and 5,000: less ends with 1.
    """
    if bench_store:
        if codes or offline:
            msg = "--bench-store goes with --size and --json alone"
            raise click.UsageError(msg)
        from syncer.cli.bench import bench

        return bench(session, size, as_json=as_json)
    if size is not None:
        msg = "--size goes with --bench-store"
        raise click.UsageError(msg)
    results, site = _examined(session, codes, offline=offline)
    clean = site.redactor.clean
    if as_json:
        session.output.document("doctor", _document(results, clean))
    else:
        _print(session.output, results, clean)
    return FAILED if _count(results)["FAIL"] else 0


def _examined(
    session: Session, codes: tuple[str, ...], *, offline: bool
) -> tuple[list[Result], Site]:
    """Run the checks: those that root sees more of before we become the owner."""
    from syncer.doctor.checks import CHECKS
    from syncer.doctor.examination import Result, examine
    from syncer.doctor.findings import wrong

    site = _site(session)
    site.offline = offline
    known = {check.code: check for check in CHECKS}
    chosen = [known[code] for code in dict.fromkeys(codes or known)]
    first = [check for check in chosen if check.as_root and os.geteuid() == 0]
    try:
        results = examine(first, site)
        if site.settings is not None:
            become_owner(site.config.data)
        results += examine([check for check in chosen if check not in first], site)
        # What kept others from being looked at is told, asked for or not.
        causes = {each.cause for each in results} - {None}
        absent = [check for check in CHECKS if check.code in causes - {*codes}]
        if codes:
            results += examine(absent, site)
    except PermanentError as exc:  # as the owner nothing more can be loaded
        results.append(Result(known["D01"], [wrong(str(exc), exc.hint)]))
    finally:
        site.close()
    return sorted(results, key=lambda each: each.check.code), site


def _site(session: Session) -> Site:
    """Return what is examined; a configuration that is wrong is one of its facts."""
    from syncer.credentials import Redactor
    from syncer.doctor.site import Site

    try:
        config = session.look()
        read_secrets(config)
        return Site(config, redactor=Redactor(config.secrets()))
    except SyncerError as exc:
        return Site(None, exc)


def _count(results: Sequence[Result]) -> dict[str, int]:
    """Return how many findings there are of each level."""
    levels = [found.level.value for each in results for found in each.findings]
    return {level: levels.count(level) for level in _COLORS}


def _print(out: Output, results: Sequence[Result], clean: Clean) -> None:
    for each in results:
        for found in each.findings:
            for line in _lines(each.check, found):
                out.data(clean(line))
    counts = _count(results)
    told = [
        f"{counts['FAIL']} failed" if counts["FAIL"] else "",
        plural(counts["WARN"], "warning") if counts["WARN"] else "",
        f"{counts['SKIP']} not looked at" if counts["SKIP"] else "",
        f"{counts['OK']} passed",
    ]
    told = [each for each in told if each]
    out.data(f"  {', '.join(told)}")
    bad = next((e.check for e in results if _is_bad(e)), None)
    out.next(f"syncer doctor --check {bad.code}" if bad else "syncer status")


def _is_bad(result: Result) -> bool:
    return any(found.level.value == "FAIL" for found in result.findings)


def _lines(check: Check, found: Finding) -> list[str]:
    level = click.style(f"{found.level.value:<4}", fg=_COLORS[found.level.value])
    lines = [f"  {level}  {check.code}  {printable(found.text)}"]
    if found.fix:
        # The address has a line of its own: a fix is there to be copied.
        lines += [
            f"{_INDENT}fix: {printable(found.fix)}",
            f"{_INDENT}see: {check.docs}",
        ]
    return lines


def _document(results: Sequence[Result], clean: Clean) -> dict[str, Any]:
    return {
        "counts": {k.lower(): count for k, count in _count(results).items()},
        "checks": [
            {
                "code": each.check.code,
                "title": each.check.title,
                "level": found.level.value,
                "text": clean(printable(found.text)),
                "fix": None if found.fix is None else clean(printable(found.fix)),
                "docs": each.check.docs,
                "seconds": round(each.seconds, 3),
            }
            for each in results
            for found in each.findings
        ],
    }
