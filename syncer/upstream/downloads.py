"""Streams LFS objects and assets from the addresses that upstream gives.

The address is held against the policy, and so is each redirect; our own token
goes to none of them, unless who wants it asks at the first address itself.  What
comes is counted: never a byte more than declared.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.errors import Expired, IntegrityError, NotFound, ProtocolError, Truncated
from syncer.upstream import origins
from syncer.upstream.watch import Watch, interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from threading import Event
    from typing import TypeAlias

    import urllib3

    from syncer.endpoints import Host
    from syncer.ports import Clock
    from syncer.upstream.origins import Origin
    from syncer.upstream.session import Session
    from syncer.upstream.watch import Reading

    Answered: TypeAlias = AbstractContextManager[urllib3.BaseHTTPResponse]

#: Redirects that are followed.
REDIRECTS = 3
# The first block is what 1 KiB/s bring in the time that a block may take.
_FIRST, _BLOCK = 30 * 1024, 960 * 1024
_QUICK, _SLOW = 0.1, 1.0  # seconds
_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
MOVED = frozenset({301, 302, 303, 307, 308})
#: What an answer must be to be of any use.
USEFUL = MOVED | {_OK, _PARTIAL, _UNSATISFIABLE}
_REFUSED = frozenset({400, 401, 403})  # S3 says 400 of some tokens that are over
_GONE = frozenset({404, 410})
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


@dataclass(frozen=True, slots=True)
class Download:
    """What to get: `what` names it in errors, `host` is on whose behalf.

    `giver` is the origin that granted it, and may serve it as well.
    """

    what: str
    size: int
    href: str
    headers: Mapping[str, str]
    host: Host
    giver: Origin | None
    #: Asks at the first address, with the headers it is given, and yields one of
    #: `USEFUL`; None: asked like every other.
    first: Callable[[Mapping[str, str]], Answered] | None = None
    #: Raises if an answer with a body is not what is wanted.
    inspect: Callable[[urllib3.BaseHTTPResponse, int], None] | None = None


class Downloads:
    """Every download of this process; safe to use from many threads."""

    def __init__(
        self,
        session: Session,
        settings: Callable[[Origin, Host], Host],
        clock: Clock,
        stop: Event,
    ) -> None:
        """Take the entry that rules an origin from `settings`."""
        self._session = session
        self._settings = settings
        self._stop = stop
        self._watch = Watch(clock, stop)
        self._clock = clock

    def close(self) -> None:
        """End the thread that looks after downloads."""
        self._watch.close()

    @contextmanager
    def open(self, wanted: Download, offset: int) -> Iterator[Iterator[bytes]]:
        """Yield the blocks from `offset` on; see `LfsSource.open`.

        A server that answers a range in a way that does not fit is asked for
        the whole, whose beginning is thrown away.
        """
        if offset >= wanted.size:
            yield iter(())
            return
        for first in dict.fromkeys((offset, 0)):
            with self._answer(wanted, first) as response:
                if first and not _fits(response, first, wanted.size):
                    continue
                skip = offset if response.status == _OK else 0
                left = wanted.size - offset
                if wanted.inspect is not None:
                    wanted.inspect(response, skip + left)
                _check_length(response, wanted, skip + left)
                place = f"the server of {wanted.what}"
                with self._watch.over(response, place) as reading:
                    yield self._blocks(reading, wanted, skip, left)
                return

    @contextmanager
    def _answer(
        self, wanted: Download, first: int
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the answer that redirects lead to, a 200, 206 or 416."""
        url, headers = wanted.href, dict(wanted.headers)
        ranged = {"Range": f"bytes={first}-"} if first else {}
        for hop in range(REDIRECTS + 1):
            if self._stop.is_set():
                raise interrupted()
            if hop == 0 and wanted.first is not None:
                asked = wanted.first(headers | ranged)
            else:
                asked = self._asked(wanted, url, headers | ranged)
            with asked as response:
                if response.status not in MOVED:
                    yield response
                    return
                # What was granted was granted to the first address alone.
                url = origins.join(url, response.headers.get("location", ""))
                headers = {}
        msg = f"upstream redirects {wanted.what} more than {REDIRECTS} times"
        raise ProtocolError(msg)

    @contextmanager
    def _asked(
        self, wanted: Download, url: str, headers: Mapping[str, str]
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        parts = origins.split(url)
        if parts is None:
            raise origins.refused(wanted.what, url, wanted.host)
        origin, path = parts
        if origin != wanted.giver and not origins.may_serve(origin, wanted.host):
            raise origins.refused(wanted.what, url, wanted.host)
        entry = self._settings(origin, wanted.host)
        channel = self._session.aside(origin, entry)
        with channel.opened("GET", path, headers) as response:
            status = response.status
            if status in _REFUSED:
                msg = f"the leave to download {wanted.what} has run out ({status})"
                raise Expired(msg)
            if status in _GONE:
                msg = f"upstream answers {status} at the address of {wanted.what}"
                raise NotFound(msg)
            if status not in USEFUL:
                raise channel.refusal(wanted.what, "/", status, response.headers)
            yield response

    def _blocks(
        self, reading: Reading, wanted: Download, skip: int, left: int
    ) -> Iterator[bytes]:
        amount = _FIRST
        while left:
            if self._stop.is_set():
                raise interrupted()
            began = self._clock.monotonic()
            block = reading.read(min(amount, skip or left))
            if not block:
                msg = f"{wanted.what} ended {left} bytes early"
                raise Truncated(msg)
            amount = _next(amount, self._clock.monotonic() - began)
            if skip:
                skip -= len(block)
            else:
                left -= len(block)
                yield block
        # Also what makes the connection fit to be used again.
        if reading.read(1):
            raise _too_long(wanted)


def _next(amount: int, took: float) -> int:
    """Return how much to read at once: some tenths of a second's worth."""
    if took < _QUICK:
        return min(amount * 2, _BLOCK)
    return max(amount // 2, _FIRST) if took > _SLOW else amount


def _fits(response: urllib3.BaseHTTPResponse, first: int, size: int) -> bool:
    """Return whether an answer to a range is usable: the rest, or the whole."""
    if response.status != _PARTIAL:
        return response.status == _OK
    match = _RANGE.fullmatch(response.headers.get("content-range", ""))
    if match is None or match[3] not in {str(size), "*"}:
        return False
    return int(match[1]) == first and int(match[2]) < size


def _check_length(
    response: urllib3.BaseHTTPResponse, wanted: Download, expected: int
) -> None:
    """Compare what the answer's headers declare with what is to come."""
    if response.status not in {_OK, _PARTIAL} or (
        response.status == _PARTIAL and "content-range" not in response.headers
    ):
        msg = f"upstream answers {response.status} for {wanted.what}, unasked"
        raise ProtocolError(msg)
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in {"", "identity"}:
        msg = f"upstream sends {wanted.what} in another encoding than asked for"
        raise ProtocolError(msg)
    length = response.length_remaining
    if length is not None and length > expected:
        raise _too_long(wanted)
    if length is not None and length < expected and response.status == _OK:
        msg = f"upstream offers {length} bytes for {wanted.what}, not {expected}"
        raise Truncated(msg)


def _too_long(wanted: Download) -> IntegrityError:
    msg = f"{wanted.what} is longer than the {wanted.size} bytes that were declared"
    return IntegrityError(msg)
