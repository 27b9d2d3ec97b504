"""What systemd is told, and when it is told nothing."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.drain import SERVICE, TERMINAL, Drain
from syncer.errors import Unavailable
from syncer.model.mirrors import RepoState
from syncer.model.names import RepoName
from syncer.model.runs import Word
from syncer.pulse import Pulse, headline
from syncer.schedule.lag import Freshness
from syncer.settings import DEFAULT_TIERS
from syncer.systemd import Notifier
from syncer.units import duration
from tests.servers.systemd import Manager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINUTE = timedelta(minutes=1)


class Time:
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Listen at both kinds of address."""
    abstract = f"@syncer-test-{os.getpid()}-{id(request)}"
    name = str(tmp_path / "notify") if request.param == "path" else abstract
    with Manager(name, watchdog=60) as made:
        yield made


def test_each_word_is_one_message(manager: Manager) -> None:
    """The assignments are those of sd_notify(3)."""
    notifier = Notifier(manager.environ)
    notifier.ready("all well")
    notifier.status("38 repos")
    notifier.reloading()
    notifier.stopping("stopping")
    notifier.extend(30)
    notifier.alive()

    ready, status, reloading, *rest = manager.heard()
    assert ready == "READY=1\nSTATUS=all well"
    assert status == "STATUS=38 repos"
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert int(reloading.rpartition("=")[2]) > 0
    assert rest == [
        "STOPPING=1\nSTATUS=stopping",
        "EXTEND_TIMEOUT_USEC=30000000",
        "WATCHDOG=1",
    ]


def test_a_status_is_one_line(manager: Manager) -> None:
    """A line break in it begins no assignment of its own."""
    Notifier(manager.environ).status("bad\nREADY=1\r\nnews " + "x" * 5000)

    (said,) = manager.heard()
    assert said.startswith("STATUS=bad READY=1 news xxx")
    assert "\n" not in said
    assert len(said) < 2000


@pytest.mark.parametrize("name", ["", "relative", "@", "vsock:2:1234"])
def test_without_a_socket_nobody_is_told(name: str) -> None:
    """Neither absence nor another kind of address is an error."""
    notifier = Notifier({"NOTIFY_SOCKET": name} if name else {})
    notifier.ready("x")
    assert not notifier.is_heard


def test_a_dead_socket_hurts_nobody(manager: Manager, tmp_path: Path) -> None:
    """Not one that closed, nor one that never was."""
    notifier = Notifier(manager.environ)
    manager.close()
    notifier.ready("x")
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    gone.alive()
    long = Notifier({"NOTIFY_SOCKET": "/" + "x" * 300})
    long.alive()
    assert gone.is_heard


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_signs_of_life_are_asked_of_us(
    environ: dict[str, str], expected: float | None
) -> None:
    """Twice in each period, and only if it is this process that shall give them."""
    assert Notifier(environ, pid=7).watchdog == expected


class Catalog:
    """Answers, or does not."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None

    def __call__(self) -> None:
        if self.trouble is not None:
            raise self.trouble


@pytest.fixture
def pulse(manager: Manager) -> tuple[Pulse, Catalog, Time, Manager]:
    """Return a pulse that goes on when `look` is called, once a minute allowed."""
    time, catalog = Time(), Catalog()
    made = Pulse(
        Notifier(manager.environ), ask=catalog, tell=lambda: "well", monotonic=time
    )
    return made, catalog, time, manager


def alive(pulse: Pulse, manager: Manager) -> bool:
    """Return whether a look gives a sign of life."""
    manager.heard()
    pulse.look()
    return "WATCHDOG=1" in manager.heard()


def test_a_tick_that_hangs_keeps_the_sign_of_life_back(
    pulse: tuple[Pulse, Catalog, Time, Manager],
) -> None:
    """After the whole period; a step that ends brings it back."""
    made, _, time, manager = pulse
    made.beat()
    time.now += 59
    assert alive(made, manager)
    time.now += 2
    assert not alive(made, manager)
    made.beat()
    assert alive(made, manager)


def test_a_long_tick_that_gets_on_is_alive(
    pulse: tuple[Pulse, Catalog, Time, Manager],
) -> None:
    """However long it takes: each step counts."""
    made, _, time, manager = pulse
    for _ in range(10):
        made.beat()
        time.now += 50
        assert alive(made, manager)


def test_what_is_before_the_first_tick_may_take_long(
    pulse: tuple[Pulse, Catalog, Time, Manager],
) -> None:
    """Putting repositories right is no reason to begin again."""
    made, _, time, manager = pulse
    time.now += 10_000
    assert alive(made, manager)


def test_a_catalog_that_is_down_is_not_hung(
    pulse: tuple[Pulse, Catalog, Time, Manager],
) -> None:
    """Errors are waited out for ten minutes, and then a restart is tried."""
    made, catalog, time, manager = pulse
    catalog.trouble = Unavailable("the catalog is down")
    made.beat()
    assert alive(made, manager)
    time.now += 599
    made.beat()
    assert alive(made, manager)
    time.now += 2
    made.beat()
    assert not alive(made, manager)
    catalog.trouble = None
    assert alive(made, manager)


def test_a_catalog_that_takes_too_long_is_as_if_it_hung(
    manager: Manager,
) -> None:
    """An answer after the whole period is none."""
    time = Time()

    def ask() -> None:
        time.now += 61
        made.beat()

    made = Pulse(
        Notifier(manager.environ), ask=ask, tell=lambda: "well", monotonic=time
    )
    assert not alive(made, manager)


def test_a_status_is_told_when_it_changes_and_not_too_often(manager: Manager) -> None:
    """Half a minute of looks says what is new, and that once."""
    time, said = Time(), iter(["a", "a", "b", "c"])
    made = Pulse(
        Notifier(manager.environ),
        ask=lambda: None,
        tell=lambda: next(said),
        monotonic=time,
    )
    told = []
    for _ in range(16):
        made.look()
        told += [each for each in manager.heard() if "STATUS" in each]
        time.now += 1.2
    assert told == ["STATUS=a", "STATUS=b", "STATUS=c"]


def test_a_defect_in_the_status_costs_no_sign_of_life(
    manager: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    """The line is for people; it is logged, and that is all."""

    def tell() -> str:
        raise ZeroDivisionError

    made = Pulse(
        Notifier(manager.environ), ask=lambda: None, tell=tell, monotonic=Time()
    )
    assert alive(made, manager)
    assert "the status could not be told" in caplog.text


def fresh(word: Word, tier: str = "core", lag: timedelta = MINUTE) -> Freshness:
    """Return a mirror that is as fresh as said."""
    state = RepoState(1, RepoName.parse("acme/widget"), "x", tier)
    return Freshness(state, word, timedelta(), lag, 15 * MINUTE)


def test_the_headline_counts_and_tells_the_worst() -> None:
    """The strictest tier counts; what is paused or gone has no lag to tell."""
    found = [fresh(Word.OK) for _ in range(36)]
    found.append(fresh(Word.OK, lag=timedelta(minutes=3, seconds=41)))
    found.append(fresh(Word.OK, "normal", timedelta(hours=9)))
    said = headline(found, DEFAULT_TIERS, syncing=2)
    assert said == "38 repos: 38 ok, 2 syncing, 0 failed; worst core lag 3m41s"

    found = [fresh(Word.PAUSED, lag=timedelta(days=9)), fresh(Word.HELD, "normal")]
    said = headline(found, DEFAULT_TIERS, syncing=0)
    worst = "worst normal lag 1m00s"
    assert said == f"2 repos: 0 ok, 1 held, 1 paused, 0 syncing, 0 failed; {worst}"
    assert duration(MINUTE) == "1m00s"

    said = headline([fresh(Word.FAIL)], DEFAULT_TIERS, syncing=0)
    assert said.startswith("1 repo: 0 ok, 0 syncing, 1 failed; ")
    assert (
        headline([], DEFAULT_TIERS, syncing=0) == "0 repos: 0 ok, 0 syncing, 0 failed"
    )


@pytest.mark.parametrize("word", list(Word))
def test_the_headline_counts_everybody_once(word: Word) -> None:
    """No word is left out of the sum."""
    said = headline([fresh(word)] * 3, DEFAULT_TIERS, syncing=0)
    counts = said.partition(": ")[2].partition(";")[0].split(", ")
    assert sum(int(each.split()[0]) for each in counts) == 3


class Work:
    """Something that goes on until it is hurried, and a clock that leaps meanwhile."""

    def __init__(self, environ: dict[str, str], leap: float) -> None:
        self.hurry = threading.Event()
        self.moving, self.publishing = 1, False
        self._time, self._leap = 0.0, leap
        self._thread = threading.Thread(target=self.hurry.wait, args=(20,))
        self._drain = Drain(
            Notifier(environ),
            self.hurry,
            moving=lambda: self.moving,
            publishing=self._is_publishing,
            monotonic=self._pass,
        )

    def wait(self) -> float:
        """Drain; return how many seconds that took."""
        self._thread.start()
        assert self._drain.wait(self._thread)
        return self._time

    def _pass(self) -> float:
        self._time += self._leap
        return self._time - self._leap

    def _is_publishing(self) -> bool:
        if self._time > 200:
            self.hurry.set()  # somebody asks twice
        return self.publishing


@pytest.mark.parametrize("moving", [0, 1])
def test_runs_get_a_minute_under_systemd_and_seconds_elsewhere(
    manager: Manager, moving: int
) -> None:
    """What only asks upstream is not waited for as long."""
    for environ, limits in ((manager.environ, SERVICE), ({}, TERMINAL)):
        work = Work(environ, leap=5)
        work.moving = moving
        limit = limits.moving if moving else limits.asking
        assert limit <= work.wait() <= limit + 10
    said = manager.heard()
    assert "WATCHDOG=1" in said
    expected = "1 run on the way to the end" if moving else "almost done"
    assert f"STATUS=stopping: {expected}" in said
    assert not [each for each in said if "EXTEND" in each]


def test_a_run_that_publishes_gets_more_time(manager: Manager) -> None:
    """Systemd is asked for it, and asking twice ends that too."""
    work = Work(manager.environ, leap=40)
    work.publishing = True
    assert 200 < work.wait() < SERVICE.publishing
    assert "EXTEND_TIMEOUT_USEC=30000000" in manager.heard()


def test_a_run_that_publishes_for_ever_is_ended(manager: Manager) -> None:
    """What it leaves is settled by the next start."""
    work = Work(manager.environ, leap=SERVICE.publishing / 2)
    work.publishing = True
    assert work.wait() <= 2 * SERVICE.publishing
    assert work.hurry.is_set()
