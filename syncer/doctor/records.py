"""D04 the catalog, D17 the machines, D18 the care of blobs, D19 whom to tell."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.catalog import database
from syncer.doctor.findings import doubtful, fine, or_fine, some, unseen, wrong
from syncer.errors import SyncerError
from syncer.model.blobs import NEVER
from syncer.model.incidents import Kind
from syncer.model.machines import Role
from syncer.units import duration, size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site
    from syncer.model.machines import Machine

#: A machine that has not told of itself for so long is not at work.
SILENT = timedelta(seconds=60)
#: A tick that takes longer comes late to what is due, in seconds.
SLOW_TICK = 1.0
#: With the timer that reads 5 % a week all blobs are read within twenty weeks.
UNREAD = timedelta(days=200)
_LATELY = timedelta(days=1)
#: What nobody must miss.
_GRAVE = (Kind.INTEGRITY, Kind.DISK, Kind.SCHEDULER)


def catalog(site: Site) -> Iterator[Finding]:
    """Look at the catalog's schema, its health, and the queue beside it."""
    health = site.ledger().vitals.health()
    for problem in health.problems:
        yield wrong(f"{health.engine}: {problem.text}", problem.fix)
    if site.config.is_cluster:
        yield from _queue(site)
    if health.problems:
        return
    checked = {True: ", quick_check passed", False: "", None: ""}[health.is_sound]
    schema = f"schema {database.head()} is current{checked}"
    yield fine(f"{health.engine}, {schema}, {size(health.size)}")


def _queue(site: Site) -> Iterator[Finding]:
    """Look at the tables of the queue that several machines share."""
    try:
        from syncer.workers import cluster_schema  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        yield wrong("the queue cannot be read", 'pip install "syncer[cluster]"')
        return
    cluster_schema.check(database.libpq(site.config.catalog_url))


def machines(site: Site) -> list[Finding]:
    """Look who works for the catalog."""
    now = site.clock.now()
    known = site.ledger().operations.machines()
    live = [each for each in known if now - each.seen <= SILENT]
    if not live:
        return [doubtful("no daemon is at work", "systemctl enable --now syncer")]
    found = list(among(known, now))
    leader = next((each for each in live if each.leader), live[0])
    many = f"{len(live)} machines at work, " if len(live) > 1 else ""
    text = f"{many}scheduler {leader.name}, the last tick took {leader.tick:.2f} s"
    return or_fine(found, text)


def among(known: list[Machine], now: datetime) -> Iterator[Finding]:
    """Yield what does not fit among machines, some of which are at work."""
    live = [each for each in known if now - each.seen <= SILENT]
    silent = [each for each in known if each not in live]
    for each in silent:
        text = f"{each.name} was last heard of {duration(now - each.seen)} ago"
        yield doubtful(text, "start it, or `syncer rehome` its mirrors elsewhere")
    schedulers = [each for each in live if Role.SCHEDULER in each.roles]
    if not any(each.leader for each in schedulers):
        fix = "start `syncer daemon` on one of the machines"
        yield wrong("no scheduler is elected: nobody decides what is due", fix)
    versions = sorted({each.version for each in live})
    if len(versions) > 1:
        text = f"the machines run several versions: {', '.join(versions)}"
        yield doubtful(text, "upgrade all of them")
    for each in live:
        if each.tick > SLOW_TICK:
            text = f"a tick takes {each.tick:.1f} s on {each.name}"
            yield doubtful(text, "look at the catalog's disk, or its server")


def integrity(site: Site) -> list[Finding]:
    """Look whether blobs are read again, and what that found."""
    ledger, now = site.ledger(), site.clock.now()
    readings = ledger.vitals.readings()
    found = []
    if readings.damaged:
        text = f"lost or wrong in the store: {some(readings.damaged, 'blob')}"
        found.append(wrong(text, "syncer verify --repair"))
    incidents = ledger.operations.open_incidents()
    grave = [each for each in incidents if each.kind is Kind.INTEGRITY]
    if grave:
        text = f"{some(len(grave), 'integrity incident')} not over: {grave[0].detail}"
        found.append(wrong(text, "syncer audit --alarms"))
    oldest = readings.oldest
    if oldest is not None and now - oldest > UNREAD:
        age = f"for {(now - oldest).days} days"
        text = f"some blobs were not read {age if oldest > NEVER else 'ever'}"
        fix = "systemctl enable --now syncer-verify.timer"
        found.append(doubtful(text, f"{fix}, or syncer verify --read-data"))
    if oldest is None:
        return or_fine(found, "no blob is stored yet")
    each_read = f"each read within {some(max(1, (now - oldest).days), 'day')}"
    return or_fine(found, f"{some(readings.blobs, 'blob')}, none damaged, {each_read}")


def alerts(site: Site) -> list[Finding]:
    """Look whether somebody hears of trouble."""
    channels = site.config.alert
    if not channels:
        fix = "[[alert]] in repos.toml, or the rules of deploy/prometheus"
        return [doubtful("nobody is told of trouble: no channel is configured", fix)]
    found = []
    carried = {kind for each in channels for kind in each.on}
    missed = [kind.value for kind in _GRAVE if kind not in carried]
    if missed:
        text = f"no channel carries {', '.join(missed)}"
        found.append(doubtful(text, "add it to `on` of a channel"))
    try:
        told = site.ledger().operations.untold(site.clock.now() - _LATELY)
    except SyncerError as exc:
        return [*found, unseen(f"what was told is not known: {exc}")]
    waiting = [each for each in told if each.kind in carried]
    since = site.clock.now() - timedelta(minutes=30)
    late = [each for each in waiting if each.began < since]
    if late:
        text = f"nobody was told for half an hour: {some(len(late), 'incident')}"
        found.append(doubtful(text, "syncer alert test --all"))
    names = ", ".join(each.name for each in channels)
    return or_fine(found, f"channels: {names} (try them: syncer alert test --all)")
