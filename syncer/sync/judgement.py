"""What upstream's answer about a repository means for its mirror (pure)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from syncer.model.names import shown
from syncer.model.origin import (
    CONFIRMATIONS,
    CONFIRMED_AFTER,
    Event,
    Origin,
    Standing,
    Verdict,
)

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.origin import Described, Facts


def confirmed(origin: Origin, described: Described, now: datetime) -> Verdict:
    """Judge an answer that shows the repository, or that nothing of it changed.

    One with another id than the known one freezes the mirror.
    """
    facts = described.facts or origin.facts
    if facts is None:
        return Verdict(replace(origin, described=now))
    after = Origin(
        facts,
        facts.standing,
        since=_since(origin, facts.standing, now),
        described=now,
        etag=described.etag or origin.etag,
    )
    before = origin.facts
    events = _standing_events(origin, after)
    if before is None:
        return Verdict(after, events)
    if before.id != facts.id:
        event = Event("identity", f"id {before.id} is {facts.id} now", alarming=True)
        freeze = (
            f"{shown(f'{facts.name}')} is another repository now: id {facts.id}, and "
            f"the one that is mirrored has {before.id}"
        )
        return Verdict(after, (event,), freeze)
    return Verdict(after, (*events, *_fact_events(before, facts)))


def blocked(origin: Origin, notice: str | None, now: datetime) -> Verdict:
    """Judge an answer 451 (RFC 7725): upstream may not give it."""
    after = replace(
        origin,
        standing=Standing.BLOCKED,
        since=_since(origin, Standing.BLOCKED, now),
        notice=notice,
        sightings=0,
        described=now,
        etag=None,
    )
    return Verdict(after, _standing_events(origin, after))


def absent(origin: Origin, now: datetime, *, believed: bool) -> Verdict:
    """Judge an answer 404, by id and by name.

    It proves little: a token that lost its scope gets it too.  GONE needs some of
    them over a day, and to be `believed`: not one of many at the same time.
    """
    known = origin.standing in {Standing.ABSENT, Standing.GONE}
    since = origin.since if known and origin.since is not None else now
    sightings = origin.sightings + 1 if known else 1
    proven = sightings >= CONFIRMATIONS and now - since >= CONFIRMED_AFTER
    gone = origin.standing is Standing.GONE or (proven and believed)
    after = replace(
        origin,
        standing=Standing.GONE if gone else Standing.ABSENT,
        since=since,
        sightings=sightings,
        described=now,
        etag=None,
    )
    return Verdict(after, _standing_events(origin, after))


def _since(origin: Origin, standing: Standing, now: datetime) -> datetime:
    if origin.standing is standing and origin.since is not None:
        return origin.since
    return now


def _standing_events(before: Origin, after: Origin) -> tuple[Event, ...]:
    quiet = {Standing.NORMAL, Standing.ARCHIVED}
    first = before.facts is None and after.standing in quiet
    if before.standing is after.standing or first:
        return ()
    detail = f"was {before.standing}, is {after.standing}"
    if after.notice:
        detail = f"{detail}; notice {after.notice}"
    alarming = after.standing not in quiet
    return (Event("standing", detail, alarming=alarming),)


def _fact_events(before: Facts, after: Facts) -> tuple[Event, ...]:
    events = []
    if before.name != after.name:
        said = f"was {before.name}, is {after.name}"
        events.append(Event("renamed", said, alarming=True))
    if before.licence != after.licence:
        said = f"was {before.licence or 'none'}, is {after.licence or 'none'}"
        events.append(Event("licence", said, alarming=True))
    if before.private != after.private:
        said = "private" if after.private else "public"
        events.append(Event("visibility", f"is {said} now", alarming=after.private))
    return tuple(events)
