"""What threads share: bytes in memory, and bytes a second."""

from __future__ import annotations

import threading
from datetime import timedelta
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest

from syncer.errors import Interrupted
from syncer.limits import Pace, Room
from tests.fakes import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Waiter(threading.Thread):
    """A thread that takes room, and holds it until it is told to leave."""

    def __init__(self, room: Room, size: int) -> None:
        super().__init__(daemon=True)
        self._room = room
        self._size = size
        self.has_it = threading.Event()
        self.leave = threading.Event()
        self.error: Interrupted | None = None
        self.start()

    def run(self) -> None:
        """Wait for the room."""
        try:
            with self._room.taken(self._size):
                self.has_it.set()
                self.leave.wait(10)
        except Interrupted as exc:
            self.error = exc


@pytest.fixture
def wait_for() -> Iterator[Callable[[Room, int], Waiter]]:
    """Start threads that wait for room, in order, and end them."""
    begun: list[Waiter] = []

    def start(room: Room, size: int) -> Waiter:
        begun.append(Waiter(room, size))
        sleep(0.02)  # it is in the queue before the next one is
        return begun[-1]

    yield start
    for waiter in begun:
        waiter.leave.set()
    for waiter in begun:
        waiter.join(10)
        assert not waiter.is_alive()


class TestRoom:
    """Bytes in memory, over all transfers."""

    def test_no_more_is_out_than_there_is(self) -> None:
        """What does not fit waits until something is given back."""
        room = Room(100)
        now = most = 0
        lock = threading.Lock()

        def transfer() -> None:
            nonlocal now, most
            for _ in range(50):
                with room.taken(30):
                    with lock:
                        now += 30
                        most = max(most, now)
                    sleep(0)
                    with lock:
                        now -= 30

        threads = [threading.Thread(target=transfer) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert 30 <= most <= 90
        assert room.try_take(100)

    def test_room_is_given_back_after_an_error(self) -> None:
        """A transfer that fails takes nothing with it."""
        room = Room(100)

        with pytest.raises(ZeroDivisionError), room.taken(100):
            raise ZeroDivisionError

        assert room.try_take(100)

    def test_what_is_too_large_goes_alone(
        self, wait_for: Callable[[Room, int], Waiter]
    ) -> None:
        """It waits for everybody else, and everybody else for it."""
        room = Room(100)
        first = wait_for(room, 1)
        giant = wait_for(room, 1_000_000)
        assert not giant.has_it.is_set()

        first.leave.set()

        assert giant.has_it.wait(5)
        assert not room.try_take(1)
        giant.leave.set()
        giant.join(5)
        assert room.try_take(100)

    def test_the_small_do_not_keep_the_large_out(
        self, wait_for: Callable[[Room, int], Waiter]
    ) -> None:
        """Whoever waits longer is served first, though another would fit."""
        room = Room(100)
        first = wait_for(room, 50)
        large = wait_for(room, 80)
        small = wait_for(room, 10)

        assert not room.try_take(10), "it went past those who wait"
        assert not small.has_it.is_set()
        first.leave.set()

        assert large.has_it.wait(5)
        assert small.has_it.wait(5)

    def test_taking_at_once_never_waits(self) -> None:
        """There is room or there is none."""
        room = Room(100)

        assert room.try_take(60)
        assert not room.try_take(60)
        room.give(60)
        assert room.try_take(60)

    def test_a_stop_ends_the_waiting(
        self, wait_for: Callable[[Room, int], Waiter]
    ) -> None:
        """Who waits is told, and is out of everybody's way."""
        stop = threading.Event()
        room = Room(100, stop)
        with room.taken(100):
            waiter = wait_for(room, 1)
            began = monotonic()

            stop.set()

            waiter.join(5)
            assert monotonic() - began < 2
            assert waiter.error is not None
        stop.clear()
        assert room.try_take(100)

    def test_free_room_is_given_though_the_end_is_near(self) -> None:
        """A stop ends waiting, not what needs no waiting."""
        stop = threading.Event()
        stop.set()

        with Room(100, stop).taken(100):
            pass


class Meter:
    """A pace whose waits move its clock."""

    def __init__(self, rate: int | None) -> None:
        self.clock = FakeClock()
        self.waits: list[float] = []
        self.pace = Pace(rate, self.clock.monotonic, self._wait)

    def _wait(self, duration: float) -> None:
        self.waits.append(duration)
        self.clock.advance(timedelta(seconds=duration))


class TestPace:
    """Bytes a second, over all transfers."""

    def test_no_limit_never_waits(self) -> None:
        """Without a rate nothing is counted."""
        meter = Meter(None)

        for _ in range(100):
            meter.pace.pay(1 << 30)

        assert meter.waits == []

    def test_a_stream_is_held_to_the_rate(self) -> None:
        """Bytes take as long as the rate says, whatever their blocks."""
        meter = Meter(1000)

        for size in (1, 999, 500, 0, 1500, 2000):
            meter.pace.pay(size)

        assert meter.clock.monotonic() == pytest.approx(5)

    def test_silence_is_not_saved_up(self) -> None:
        """A pause does not allow a burst after it."""
        meter = Meter(1000)
        meter.pace.pay(1000)
        meter.clock.advance(timedelta(hours=1))

        meter.pace.pay(500)

        assert meter.waits[-1] == pytest.approx(0.5)

    def test_a_slow_stream_waits_only_for_the_rest(self) -> None:
        """The time that passes between two blocks pays for the first."""
        meter = Meter(1000)
        waits: list[float] = []
        pace = Pace(1000, meter.clock.monotonic, waits.append)
        pace.pay(1000)
        meter.clock.advance(timedelta(seconds=0.75))

        pace.pay(100)

        assert waits == [pytest.approx(1), pytest.approx(0.35)]

    def test_threads_share_the_rate(self) -> None:
        """Eight threads together are as fast as one."""
        stop = threading.Event()
        pace = Pace(1_000_000, monotonic, stop.wait)
        began = monotonic()

        def receive() -> None:
            for _ in range(5):
                pace.pay(10_000)

        threads = [threading.Thread(target=receive) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert monotonic() - began >= 0.4
