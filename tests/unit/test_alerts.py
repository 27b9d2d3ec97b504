"""Who is told of what, how often, and when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from syncer.alerting import Alert
from syncer.model.incidents import Incident, Kind
from syncer.notify.alerts import Changes, Heard, Phase, changes, owed
from tests.fakes import NOW

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ALL = Alert(name="ops")


def incident(id_: int = 1, kind: Kind = Kind.FAILING, **changed: object) -> Incident:
    """Return an incident that began an hour ago and lasts."""
    made = Incident(kind, "o/n", NOW - HOUR, "why", mirror_id=1, id=id_)
    return replace(made, **changed)  # type: ignore[arg-type]  # each field's own type


def heard(*told: int, started: datetime = NOW - 2 * DAY) -> Heard:
    """Return what was heard: incidents that `ops` was told of an hour ago."""
    found = Heard(started, {("ops", id_): NOW - HOUR for id_ in told})
    found.seen = dict.fromkeys(range(10), NOW - HOUR)
    return found


def said(
    those: list[Incident], known: Heard, now: datetime = NOW, alert: Alert = ALL
) -> list[tuple[int, Phase]]:
    """Return what a channel is to be sent."""
    found = owed(alert, those, {1: "core"}, known, now)
    return [(each.id, phase) for each, phase in found.say]


def test_what_begins_and_ends_is_what_differs() -> None:
    """What lasts is neither stored again nor ended."""
    lasts, over = incident(1), incident(2, Kind.HELD)
    new = incident(0, Kind.DISK)
    found = changes([replace(lasts, id=0), new], [lasts, over], [], NOW)
    assert found == Changes((new,), (2,))


def test_what_comes_back_begins_after_it_ended() -> None:
    """A mirror that was paused while late is late since it was resumed."""
    before = incident(ended=NOW - MINUTE, began=NOW - DAY)
    found = changes([incident(0, began=NOW - DAY)], [], [before], NOW)
    assert found.begin == (incident(0, began=NOW),)
    later = incident(0, began=NOW - timedelta(seconds=30))
    assert changes([later], [], [before], NOW).begin == (later,)


def test_a_disk_that_was_foretold_and_is_full_begins_anew() -> None:
    """People were told that there is a week left; that is over."""
    soon = incident(1, Kind.DISK, detail="the disk will reach its floor in 3d")
    full = incident(0, Kind.DISK, detail="1 GiB is free")
    found = changes([full], [soon], [], NOW)
    assert found == Changes((replace(full, began=NOW),), (1,))
    those = [replace(soon, ended=NOW), replace(full, id=2, began=NOW)]
    assert (2, Phase.NEWS) in said(those, heard(1))


def test_news_is_told_once() -> None:
    """Until the catalog or the channel knows of it."""
    assert said([incident()], heard()) == [(1, Phase.NEWS)]
    assert said([incident()], heard(1)) == []
    assert said([incident(told=NOW)], heard()) == []


def test_a_channel_hears_of_its_kinds_and_tiers_only() -> None:
    """What is of no mirror is of every tier."""
    held = Alert(name="ops", on=(Kind.HELD,))
    other = Alert(name="ops", tiers=("other",))
    disk = incident(2, Kind.DISK, mirror_id=None)
    assert said([incident()], heard(), alert=held) == []
    assert said([incident(), disk], heard(), alert=other) == [(2, Phase.NEWS)]


def test_lateness_of_a_moment_is_not_told() -> None:
    """A mirror that was resumed is late until its first probe."""
    late, known = incident(kind=Kind.LATE), heard()
    known.seen[1] = NOW - timedelta(seconds=20)
    assert said([late], known) == []
    found = owed(ALL, [replace(late, ended=NOW)], {}, known, NOW)
    assert (found.say, found.skip, found.skip_end) == ([], [1], [1])
    assert said([late], known, NOW + MINUTE) == [(1, Phase.NEWS)]


def test_what_became_late_while_nobody_was_there_is_told_in_one_message() -> None:
    """The daemon was down for hours, and all was well a minute after its start."""
    known = heard(started=NOW - MINUTE)
    known.seen[1] = NOW - MINUTE
    late = incident(kind=Kind.LATE, ended=NOW - timedelta(seconds=30))
    assert said([late], known) == [(1, Phase.PAST)]


def test_a_mirror_that_is_late_for_a_known_reason_is_not_told_twice() -> None:
    """Once the reason is gone, it is; and what was late with it, is over with it."""
    late = incident(2, Kind.LATE, began=NOW - 50 * MINUTE)
    failing = incident(1)
    assert said([failing, late], heard(1)) == []
    over = replace(failing, ended=NOW - 2 * MINUTE)
    assert said([over, late], heard(1)) == [(2, Phase.NEWS)]
    both = [over, replace(late, ended=NOW - 2 * MINUTE)]
    assert owed(ALL, both, {}, heard(1), NOW).skip == [2]
    only_late = Alert(name="ops", on=(Kind.LATE,))
    assert said([failing, late], heard(1), alert=only_late) == [(2, Phase.NEWS)]


def test_the_end_is_told_once_it_stayed_so() -> None:
    """Ten minutes later; and only to whom wants it."""
    over = incident(ended=NOW - 9 * MINUTE)
    assert said([over], heard(1)) == []
    assert said([over], heard(1), NOW + MINUTE) == [(1, Phase.OVER)]
    quiet = Alert(name="ops", recovery=False)
    found = owed(quiet, [over], {}, heard(1), NOW + MINUTE)
    assert (found.say, found.skip_end) == ([], [1])


def test_what_flaps_is_one_incident_to_people() -> None:
    """It is not told anew, nor is its end, until it stays away."""
    first = incident(1, ended=NOW - 5 * MINUTE)
    again = incident(2, began=NOW - 2 * MINUTE)
    found = owed(ALL, [first, again], {1: "core"}, heard(1), NOW)
    assert (found.say, found.skip, found.skip_end) == ([], [2], [1])
    known = heard(1, 2)
    known.over.add(("ops", 1))
    over = replace(again, ended=NOW)
    assert said([over], known, NOW + 11 * MINUTE) == [(2, Phase.OVER)]
    later = incident(2, began=NOW + HOUR)
    assert said([first, later], heard(1), NOW + HOUR) == [
        (1, Phase.OVER),
        (2, Phase.NEWS),
    ]


def test_what_still_lasts_is_told_again_at_its_times() -> None:
    """Every so often since it was first told, whatever was restarted meanwhile."""
    daily = Alert(name="ops", repeat=DAY)
    open_ = incident(told=NOW - 3 * DAY, began=NOW - 4 * DAY)
    known = Heard(NOW - 25 * HOUR)
    assert said([open_], known, alert=daily) == [(1, Phase.AGAIN)]
    known.told["ops", 1] = NOW
    assert said([open_], known, NOW + 23 * HOUR, daily) == []
    restarted = Heard(NOW + HOUR)
    assert said([open_], restarted, NOW + 2 * HOUR, daily) == []
    assert said([open_], restarted, NOW + DAY, daily) == [(1, Phase.AGAIN)]


@pytest.mark.parametrize("event", [True, False])
def test_what_was_over_for_a_day_when_it_was_first_seen_is_not_told(
    *, event: bool
) -> None:
    """A channel that is configured today does not hear the past."""
    ended = NOW - 2 * DAY
    old = incident(began=ended if event else ended - HOUR, ended=ended)
    assert said([old], heard()) == []
    known = heard()
    known.seen[1] = ended
    assert len(said([old], known)) == 1


def test_an_event_has_no_end() -> None:
    """A licence that changed is told once, and that is that."""
    event = incident(kind=Kind.LICENCE, began=NOW, ended=NOW)
    assert said([event], heard()) == [(1, Phase.NEWS)]
    assert said([event], heard(1), NOW + DAY) == []
