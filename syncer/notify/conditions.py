"""What is wrong at a moment, as incidents (pure).

mirrors as they are ── late, failing, held, damaged
samples of storage ─── a disk that is full, or soon will be
machines ───────────── nobody decides who is due
audit events ───────── what upstream did
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.model.incidents import Incident, Kind
from syncer.model.mirrors import Activity
from syncer.model.runs import Outcome
from syncer.reports.growth import by_machine, floor_of, forecast
from syncer.units import duration, size, span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from syncer.model.machines import Machine
    from syncer.model.mirrors import RepoState
    from syncer.model.runs import AuditEvent
    from syncer.model.storage import StorageSample
    from syncer.schedule.lag import Freshness

#: Runs that fail in a row before a person hears of it: one hiccup is none.
FAILURES = 3
#: A disk that will be full within this is told of; it is over at the second.
SOON = timedelta(days=7)
_NOT_SO_SOON = timedelta(days=10)
#: A full disk is over once this much more than the floor is free.
_AIR = 1.1
#: A machine that told nothing of its disk for so long has none to speak of.
_STALE = timedelta(days=2)
#: Without a scheduler for so long, nobody decides.
LEADERLESS = timedelta(minutes=5)
#: What is about no one mirror and no one machine.
ALL = "mirrors"
#: What an event of older days is: known, and not told of.
OLD = timedelta(days=1)

_FORECAST = "the disk will reach its floor"
_KINDS = {
    "licence": Kind.LICENCE,
    "force-push": Kind.FORCE_PUSH,
    "tag-moved": Kind.FORCE_PUSH,
    "asset-replaced": Kind.INTEGRITY,
    "immutable-release-changed": Kind.INTEGRITY,
}


def missed_since(fresh: Freshness, now: datetime) -> datetime | None:
    """Return the moment at which a mirror's lag went over its target.

    None while it is within.  Of several components that are late the first counts.
    """
    state = fresh.state
    starts = [state.behind_since, state.last_success or state.added]
    if any(each.name == "releases" for each in fresh.components):
        known = state.releases
        starts += [known.behind_since, known.checked or state.added]
    moments = [start + fresh.target for start in starts if start is not None]
    return min((each for each in moments if each < now), default=None)


def of_mirrors(
    found: Iterable[Freshness],
    denied: Collection[int],
    lasting: Collection[tuple[Kind, str]],
    now: datetime,
) -> Iterator[Incident]:
    """Yield what is wrong with mirrors that take part in the schedule.

    `denied` are the ids of those whose last run was refused our credentials;
    `lasting` is what lasts already, by kind and subject.  What upstream does not
    have any more is neither late nor failing, unless it was before.
    """
    for fresh in found:
        state = fresh.state
        if state.activity is not Activity.ACTIVE:
            continue
        gone = state.outcome is Outcome.GONE
        if not gone or (Kind.LATE, state.name.short) in lasting:
            yield from _late(fresh, now)
        failing = (Kind.FAILING, state.name.short) in lasting
        if failing or (not gone and _is_failing(state, denied)):
            yield from _failing(state, now)
        yield from _held(state)
        yield from _damaged(state, now)


def _late(fresh: Freshness, now: datetime) -> Iterator[Incident]:
    since = missed_since(fresh, now)
    if since is not None:
        detail = f"its lag is above the target of {span(fresh.target)}"
        yield _of(Kind.LATE, fresh.state, since, detail)


def _is_failing(state: RepoState, denied: Collection[int]) -> bool:
    """Return whether to tell that runs fail; one that a limit turned away is late."""
    limited = state.not_before is not None
    return state.id in denied or (state.failures >= FAILURES and not limited)


def _failing(state: RepoState, now: datetime) -> Iterator[Incident]:
    """Yield a mirror whose runs fail, until one goes well."""
    if state.failures > 0:
        runs = "1 run" if state.failures == 1 else f"{state.failures} runs in a row"
        detail = f"{runs} failed: {state.error or 'no reason is known'}"
        yield _of(Kind.FAILING, state, state.last_attempt or now, detail)


def _held(state: RepoState) -> Iterator[Incident]:
    held = state.held
    if held is not None and not held.accepted:
        yield _of(Kind.HELD, state, held.since, held.reason)


def _damaged(state: RepoState, now: datetime) -> Iterator[Incident]:
    objects, assets = state.lfs.damaged, state.releases.counts.damaged
    if objects or assets:
        detail = f"lost or damaged here: LFS objects {objects}, assets {assets}"
        yield _of(Kind.INTEGRITY, state, now, detail)


def _of(kind: Kind, state: RepoState, began: datetime, detail: str) -> Incident:
    return Incident(kind, state.name.short, began, detail, mirror_id=state.id or None)


def of_disks(
    samples: Iterable[StorageSample],
    min_free: float,
    last: Mapping[str, Incident],
    now: datetime,
) -> Iterator[Incident]:
    """Yield the machines whose disk is below its floor, or will be within a week.

    `last` are the incidents of disks that are open, by machine: what is over needs
    some air, so that a disk at its floor is not told of every minute.
    """
    for machine, those in by_machine(samples).items():
        newest = those[-1]
        if now - newest.at > _STALE:
            continue
        floor = floor_of(min_free, newest.capacity)
        known = last.get(machine)
        full = known is not None and not is_forecast(known)
        if newest.free < floor * (_AIR if full else 1):
            free = f"{size(newest.free)} of {size(newest.capacity)} are free"
            said = f"{free}; below {size(floor)} nothing new starts"
            yield Incident(Kind.DISK, machine, newest.at, said)
            continue
        left = forecast(those, floor)
        known_soon = known is not None and is_forecast(known)
        if left is not None and left < (_NOT_SO_SOON if known_soon else SOON):
            said = f"{_FORECAST} of {size(floor)} in {duration(left)}"
            yield Incident(Kind.DISK, machine, newest.at, said)


def is_forecast(incident: Incident) -> bool:
    """Return whether a disk is not full yet, only soon."""
    return incident.kind is Kind.DISK and incident.detail.startswith(_FORECAST)


def of_schedulers(led: datetime, now: datetime) -> Iterator[Incident]:
    """Yield that nobody decides who is due, as one machine of several sees it.

    `led` is the last moment at which somebody was seen to decide.
    """
    if now - led > LEADERLESS:
        said = "no scheduler told of itself; no mirror is visited until one does"
        yield Incident(Kind.SCHEDULER, ALL, led + LEADERLESS, said)


def last_led(machines: Iterable[Machine], led: datetime) -> datetime:
    """Return when somebody was last seen to decide; `led` is what was known."""
    return max([led, *(machine.seen for machine in machines if machine.leader)])


def of_events(
    events: Iterable[tuple[int, AuditEvent]],
    mirrors: Mapping[str, int],
    known: Iterable[Incident],
    now: datetime,
) -> Iterator[Incident]:
    """Yield an incident for each alarming event; what is old counts as told.

    `mirrors` are the ids by name.  Of one kind, subject and moment there is one
    incident: of several events in one transaction the next is a microsecond later.
    """
    taken = {(each.kind, each.subject, each.began) for each in known}
    for id_, event in events:
        kind = _KINDS.get(event.action, Kind.UPSTREAM)
        at = event.at
        while (kind, event.subject, at) in taken:
            at += timedelta(microseconds=1)
        taken.add((kind, event.subject, at))
        said = f"{event.action}: {event.detail}" if event.detail else event.action
        yield Incident(
            kind,
            event.subject,
            at,
            said,
            mirror_id=mirrors.get(event.subject),
            ended=at,
            event_id=id_,
            told=now if now - event.at > OLD else None,
        )
