"""Messages reach their channels once, in bundles, whatever dies meanwhile."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from syncer.alerting import Alert
from syncer.model.incidents import Incident, Kind
from syncer.model.notices import Mood
from syncer.notify import herald as heralds
from syncer.notify.herald import Audience, Herald
from syncer.notify.words import Sender
from tests.fakes import NOW, FakeClock
from tests.fakes_notices import FakeChannel
from tests.fakes_operations import FakeOperations

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ALL = Alert(name="ops")


@dataclass
class Site:
    """Incidents, channels, and a herald that can be restarted."""

    alerts: tuple[Alert, ...] = (ALL,)
    clock: FakeClock = field(default_factory=FakeClock)
    operations: FakeOperations = field(default_factory=FakeOperations)

    def __post_init__(self) -> None:
        self.channels = {each.name: FakeChannel(each.name) for each in self.alerts}
        self.restart()

    @property
    def ops(self) -> FakeChannel:
        """The channel that most tests have."""
        return self.channels["ops"]

    def restart(self) -> None:
        """Begin anew, as a process that was restarted."""
        self.herald = Herald(self.clock.now(), self.clock.monotonic)

    def begin(self, *subjects: str, kind: Kind = Kind.FAILING) -> list[Incident]:
        """Record incidents that begin now."""
        now = self.clock.now()
        return self.operations.begin(
            [Incident(kind, each, now, "no route to host") for each in subjects]
        )

    def end(self, those: list[Incident]) -> None:
        """Record that incidents are over."""
        self.operations.end([each.id for each in those], self.clock.now())

    def round(self, step: timedelta = MINUTE) -> None:
        """Tell what is due, a step later."""
        self.clock.advance(step)
        hosts = dict.fromkeys(range(1, 9999), "github.com")
        audience = Audience(
            self.alerts, self.channels, Sender("mirror", "https://m.corp"), {}, hosts
        )
        self.herald.tell(self.operations, audience, self.clock.now())

    def untold(self) -> list[Incident]:
        """Return what the catalog has as not told."""
        return self.operations.untold(NOW - DAY)


@pytest.fixture
def site() -> Site:
    """Return a site with one channel that hears all."""
    return Site()


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a slow channel only so long."""
    monkeypatch.setattr(heralds, "WAIT", 0.2)


def test_what_begins_and_ends_is_told_once_each_across_restarts(site: Site) -> None:
    """The catalog remembers who was told, whichever process asks."""
    those = site.begin("o/n")
    for _ in range(3):
        site.round()
        site.restart()
    assert site.ops.titles == ["mirror: FAIL: o/n"]
    site.end(those)
    for _ in range(3):
        site.round(6 * MINUTE)
        site.restart()
    assert site.ops.titles == ["mirror: FAIL: o/n", "mirror: over: FAIL: o/n"]
    assert site.ops.taken[1].mood is Mood.OVER
    assert site.untold() == []


def test_a_host_that_is_down_is_one_message(site: Site) -> None:
    """Five hundred mirrors at once: ten names, and a number."""
    those = site.begin(*(f"o/n{index:03}" for index in range(500)))
    site.round()
    (notice,) = site.ops.taken
    assert notice.title == "mirror: FAIL: 500 mirrors"
    assert notice.body.count("- o/n") == 10
    assert "and 490 more" in notice.body
    assert site.untold() == []
    site.end(those)
    site.round(11 * MINUTE)
    assert site.ops.titles[1:] == ["mirror: over: FAIL: 500 mirrors"]


def test_mirrors_that_fail_one_by_one_become_bundles(site: Site) -> None:
    """Three messages of a kind in ten minutes; the rest comes together."""
    for index in range(30):
        site.begin(f"o/n{index}")
        site.round()
    titles = site.ops.titles
    assert titles[:3] == [f"mirror: FAIL: o/n{index}" for index in range(3)]
    assert len(titles) <= 3 + 3 * 3
    assert any("mirrors" in title for title in titles[3:])
    site.round(11 * MINUTE)
    assert site.untold() == []


def test_kinds_do_not_wait_for_each_other(site: Site) -> None:
    """A disk is told while mirrors fail by the hundred."""
    site.begin(*map(str, range(100)))
    site.begin("a", kind=Kind.DISK)
    site.round()
    assert sorted(site.ops.titles) == ["mirror: DISK: a", "mirror: FAIL: 100 mirrors"]


def test_a_channel_that_was_down_hears_all_once_it_is_up(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked again later and later, and nothing counts as told before."""
    site.ops.refusals = 3
    site.begin("o/n")
    for _ in range(2):
        site.round()
    assert len(site.untold()) == 1
    assert "an alert was not delivered" in caplog.text
    for _ in range(8):
        site.round()
    assert site.ops.titles == ["mirror: FAIL: o/n"]
    assert site.untold() == []


def test_a_dead_channel_is_asked_less_and_less(site: Site) -> None:
    """A day of it is some fifty attempts, not four thousand."""
    site.ops.refusals = 10_000
    site.begin("o/n")
    for _ in range(24 * 60):
        site.round()
    assert 45 < 10_000 - site.ops.refusals < 60


def test_a_dead_channel_keeps_no_other_waiting() -> None:
    """The other hears it once; the dead one when it is back, and its end, too."""
    site = Site((ALL, Alert(name="dead")))
    site.channels["dead"].refusals = 2
    those = site.begin("o/n")
    site.round()
    assert site.ops.titles == ["mirror: FAIL: o/n"]
    assert len(site.untold()) == 1
    for _ in range(5):
        site.round()
    assert site.ops.titles == site.channels["dead"].titles == ["mirror: FAIL: o/n"]
    assert site.untold() == []
    site.end(those)
    site.round(11 * MINUTE)
    assert len(site.ops.titles) == len(site.channels["dead"].titles) == 2


def test_what_a_dead_channel_missed_for_a_day_is_given_up() -> None:
    """Then the catalog has it as told, and the dead one hears no end of it."""
    site = Site((ALL, Alert(name="dead")))
    site.channels["dead"].refusals = 10_000
    those = site.begin("o/n")
    site.round()
    site.round(DAY + HOUR)
    assert site.untold() == []
    site.channels["dead"].refusals = 0
    site.end(those)
    site.round(HOUR)
    assert site.channels["dead"].titles == []
    assert len(site.ops.titles) == 2


def test_a_channel_that_hangs_holds_up_nobody() -> None:
    """Neither the others, nor the round, nor the end; it has it once it answers."""
    site = Site((ALL, Alert(name="slow")))
    site.channels["slow"].awake.clear()
    site.begin("o/n")
    site.round()
    site.round()
    assert site.ops.titles == ["mirror: FAIL: o/n"]
    assert len(site.untold()) == 1
    site.channels["slow"].awake.set()
    for thread in threading.enumerate():
        if thread.name == "alert":
            thread.join(10)
    site.round()
    assert site.channels["slow"].titles == ["mirror: FAIL: o/n"]
    assert site.untold() == []


def test_the_end_does_not_wait(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops the daemon does not wait for a chat."""
    site.ops.awake.clear()
    site.begin("o/n")
    site.herald.end()
    monkeypatch.setattr(heralds, "WAIT", 60)
    site.round()
    site.ops.awake.set()
    assert len(site.untold()) == 1


def test_what_no_channel_tells_of_is_not_looked_at_for_ever(site: Site) -> None:
    """It counts as told, without a word."""
    site.alerts = (Alert(name="ops", on=(Kind.HELD,)),)
    those = site.begin("o/n")
    site.round()
    site.end(those)
    site.round(11 * MINUTE)
    assert site.ops.taken == []
    assert site.untold() == []


def test_without_a_channel_nothing_counts_as_told(site: Site) -> None:
    """One that is configured later hears what lasts still."""
    alerts, site.alerts = site.alerts, ()
    site.begin("o/n")
    site.round()
    assert len(site.untold()) == 1
    site.alerts = alerts
    site.round(DAY)
    assert site.ops.titles == ["mirror: FAIL: o/n"]


def test_a_message_has_what_a_person_needs(site: Site) -> None:
    """What, why, since when, what to type next, and where to look."""
    site.begin("o/n")
    site.round()
    assert site.ops.taken[0].body.splitlines() == [
        "no route to host",
        "Since 2026-03-01 12:30:00 UTC, for 1m00s now",
        "Next: syncer show o/n",
        "https://m.corp",
    ]


def test_what_repeats_says_so() -> None:
    """Once a day, as long as it lasts."""
    site = Site((Alert(name="ops", repeat=DAY),))
    site.begin("o/n")
    for _ in range(50):
        site.round(HOUR)
    assert site.ops.titles == [
        "mirror: FAIL: o/n",
        "mirror: still FAIL: o/n",
        "mirror: still FAIL: o/n",
    ]


def test_an_incident_that_was_purged_meanwhile_is_forgotten(site: Site) -> None:
    """What the catalog does not have any more leaves nothing behind."""
    those = site.begin("o/n")
    site.round()
    site.operations = FakeOperations()
    site.round()
    (again,) = site.begin("o/n")
    assert again.id == replace(those[0]).id
    site.round()
    assert site.ops.titles == ["mirror: FAIL: o/n"] * 2
