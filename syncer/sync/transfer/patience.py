"""How patient a transfer is: with a server that fails, and with what it lacks.

Decides only: it waits for nothing, reads no clock and draws no lots.  Jitter comes
from names, so that many objects and mirrors do not come back at the same moment.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from zlib import crc32

from syncer.errors import Expired, RateLimited

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.errors import TransientError

#: Attempts in a row that bring nothing.
ATTEMPTS = 5
#: Bytes that make an attempt count as one that brought something.
PROGRESS = 64 << 10
#: Seconds without progress after which no attempt is made any more.
SILENCE = 1800.0
#: Seconds that upstream may ask us to wait for one object or batch, in all.
MOST_WAIT = 120.0

_FIRST_PAUSE = 0.5
_LAST_PAUSE = 20.0
_PAUSE_SPREAD = 0.5

_HOUR = 3600.0
_FIRST_RETRY = _HOUR
_FIRST_QUOTA_RETRY = 6 * _HOUR
_LAST_RETRY = 7 * 24 * _HOUR
_RETRY_SPREAD = 0.10
_DOUBLINGS = 16  # more than lead from the first wait to the last


class Attempts:
    """The attempts at one object, or at one batch request."""

    def __init__(self, key: str, offset: int, now: float) -> None:
        """Begin at `offset` bytes; `now` is on the monotonic clock."""
        self._key = key
        self._offset = offset
        self._moved = now
        self._failures = 0
        self._waited = 0.0

    def after(self, error: TransientError, offset: int, now: float) -> float:
        """Return how many seconds to wait before the next attempt.

        Raises:
            TransientError: `error` itself, when it is time to give up.
        """
        if offset - self._offset >= PROGRESS:
            self._offset, self._moved = offset, now
            self._failures, self._waited = 0, 0.0
        self._failures += 1
        if self._failures >= ATTEMPTS or now - self._moved >= SILENCE:
            raise error
        if isinstance(error, RateLimited) and error.retry_after is not None:
            asked = max(error.retry_after.total_seconds(), 0.0)
            self._waited += asked
            if self._waited > MOST_WAIT:
                raise error
            return asked
        if isinstance(error, Expired) and self._failures == 1:
            return 0.0
        return pause(self._key, self._failures)


def pause(key: str, failures: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    doubled: float = _FIRST_PAUSE * 2.0 ** min(failures - 1, _DOUBLINGS)
    spread = 1 + _PAUSE_SPREAD * _lot(f"{key}#{failures}")
    return min(doubled, _LAST_PAUSE) * spread


def ask_again(oid: str, tries: int, now: datetime, *, over_quota: bool) -> datetime:
    """Return when to ask upstream for an object that it refused `tries` times.

    An hour after the first time, then twice as long each time, at most a week; a
    tenth more or less.  An owner's allowance comes back late: 6 hours at first.
    """
    first = _FIRST_QUOTA_RETRY if over_quota else _FIRST_RETRY
    doubled: float = first * 2.0 ** min(max(tries - 1, 0), _DOUBLINGS)
    wait = min(doubled, _LAST_RETRY) * (1 + _RETRY_SPREAD * _lot(oid))
    return now + timedelta(seconds=wait)


def _lot(key: str) -> float:
    """Return a number from -1 to 1 that is always the same for `key`."""
    return crc32(key.encode()) / 2**31 - 1
