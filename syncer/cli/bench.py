"""`doctor --bench-store`: whether the store is fast enough for what it is to serve."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncer.errors import NotInitialised
from syncer.signals import listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.cli.session import Session
    from syncer.doctor.measuring import Figure
    from syncer.doctor.site import Site

_SIZE = 1 << 30
_SLOW = 1


def bench(session: Session, size: int | None, *, as_json: bool) -> int:
    """Measure every place of the store; return 1 if one is slower than it should be."""
    from syncer.doctor.site import Site

    site = Site(session.config())
    if not site.config.data.is_dir():
        msg = f"there is no {site.config.data} yet; nothing was measured"
        raise NotInitialised(msg, hint="run `syncer init`")
    # Whoever ends it by SIGTERM finds nothing left either.
    listen(lambda _: site.stop.set(), signal.SIGTERM)
    found = []
    for place, figure in _figures(session, site, size or _SIZE):
        found.append(_document(place, figure))
        if not as_json:
            _print(session, place, figure)
    slow = [each for each in found if not each["met"]]
    if as_json:
        session.output.document("doctor-bench", {"figures": found})
    else:
        many = f"{len(slow)} of {len(found)} figures are below what a store should do"
        session.output.data(f"  {many if slow else 'fast enough'}")
        session.output.next("syncer doctor")
    return _SLOW if slow else 0


def _figures(session: Session, site: Site, size: int) -> Iterator[tuple[str, Figure]]:
    """Yield what was measured, and where."""
    from syncer.doctor import bench_disk, bench_s3, blobs
    from syncer.store.s3 import S3Store

    floor = site.config.syncer.min_free
    for place in _directories(site):
        plan = bench_disk.Plan(bench_disk.fitting(place, size, floor))

        def tell(what: str, where: object = place) -> None:
            session.output.say(f"{where}: {what} ...")

        for figure in bench_disk.measured(place, plan, site.stop, tell):
            yield str(place), figure
    store = blobs.opened(site)
    if not isinstance(store, S3Store):
        return
    try:
        scratch = store.scratch()
        plan = bench_disk.Plan(size)

        def tell_of_bucket(what: str) -> None:
            session.output.say(f"{scratch.origin}: {what} ...")

        for figure in bench_s3.measured(scratch, plan, site.stop, tell_of_bucket):
            yield scratch.origin, figure
    finally:
        store.close()


def _directories(site: Site) -> list[Path]:
    """Return the directories of the store, one of each file system."""
    found = {site.config.data.stat().st_dev: site.config.data}
    blobs = site.config.blobs_place
    if isinstance(blobs, Path) and blobs.is_dir():
        found.setdefault(blobs.stat().st_dev, blobs)
    return list(found.values())


def _print(session: Session, place: str, figure: Figure) -> None:
    word, color = ("OK  ", "green") if figure.is_met else ("WARN", "yellow")
    line = f"  {click.style(word, fg=color)}  {figure.what:<14}{figure.shown:>18}"
    if figure.target is not None:
        unit = "500 MB/s" if figure.unit == "B/s" else "5,000 a second"
        line += f"   wanted {unit}"
    session.output.data(f"{line}   {place}: {figure.how}")


def _document(place: str, figure: Figure) -> dict[str, Any]:
    return {
        "place": place,
        "what": figure.what,
        "how": figure.how,
        "value": round(figure.value, 1),
        "unit": figure.unit,
        "target": figure.target,
        "met": figure.is_met,
    }
