"""Ends downloads that stand still, and all of them when we are to stop.

A thread that reads a large block cannot look at a clock meanwhile: one thread
looks for all of them, and shuts the connection down under the one that waits.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from urllib3 import exceptions as http

from syncer.errors import Interrupted, SyncerError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

    from syncer.ports import Clock

#: Seconds between two looks.
TICK = 0.25
#: Seconds that one block may take.
PATIENCE = 30.0
# Looks without anything to look at, after which the thread ends.
_LINGER = 20


class Reading:
    """One answer whose body is being read, by one thread."""

    def __init__(
        self, response: urllib3.BaseHTTPResponse, place: str, clock: Clock
    ) -> None:
        self._response = response
        self._place = place
        self._clock = clock
        self._began: float | None = None
        self._ended: SyncerError | None = None

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end of the body.

        Raises:
            Unavailable: they did not come in time.
            Interrupted: we were asked to stop.
        """
        self._began = self._clock.monotonic()
        try:
            block = self._response.read(size)
        except (http.HTTPError, OSError, ValueError, AttributeError):
            # A connection that is shut down while it is read fails in many ways.
            if self._ended is not None:
                raise self._ended from None
            raise
        finally:
            self._began = None
        # What came from it after that was not decrypted any more.
        if self._ended is not None:
            raise self._ended
        return block

    def judge(self, *, stopped: bool) -> None:
        """End the reading if it has lasted too long, or if we are to stop."""
        began = self._began
        if began is None:
            return
        if stopped:
            self._ended = interrupted()
        elif self._clock.monotonic() - began > PATIENCE:
            msg = f"{self._place} has sent next to nothing for {PATIENCE:.0f} s"
            self._ended = Unavailable(msg)
        if self._ended is not None:
            with suppress(OSError, RuntimeError, ValueError):
                self._response.shutdown()


def interrupted() -> Interrupted:
    """Return what a stop raises in whoever downloads."""
    return Interrupted("stopped on request; published refs are unchanged")


class Watch:
    """Looks after every reading of this process; its thread ends when idle."""

    def __init__(self, clock: Clock, stop: Event) -> None:
        self._clock = clock
        self._stop = stop
        self._lock = Lock()
        self._readings: set[Reading] = set()
        self._thread: Thread | None = None
        self._closing = Event()

    @contextmanager
    def over(self, response: urllib3.BaseHTTPResponse, place: str) -> Iterator[Reading]:
        """Look after the reading of an answer from `place`."""
        reading = Reading(response, place, self._clock)
        with self._lock:
            self._readings.add(reading)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="downloads", daemon=True)
                self._thread.start()
        try:
            yield reading
        finally:
            with self._lock:
                self._readings.discard(reading)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        idle = 0
        while not self._closing.wait(TICK):
            with self._lock:
                readings = list(self._readings)
                idle = 0 if readings else idle + 1
                if idle > _LINGER:
                    self._thread = None
                    return
            stopped = self._stop.is_set()
            for reading in readings:
                reading.judge(stopped=stopped)
