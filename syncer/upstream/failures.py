"""What a refusal means: HTTP statuses and urllib3's exceptions to our errors.

The only two places where an answer that is not 200, or no answer at all,
becomes an error of `errors.py`.  No message repeats a header that we sent.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from urllib3 import exceptions as http

from syncer.errors import (
    AccessDenied,
    EgressRefused,
    Moved,
    NotFound,
    ProtocolError,
    RateLimited,
    SyncerError,
    Truncated,
    Unavailable,
)
from syncer.model.names import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How long to stay away when a host does not say (its documentation: a minute).
PAUSE = timedelta(minutes=1)
_WORDS = 300
_LONGEST = timedelta(hours=2)
_KEPT = "gone, private or renamed; kept as it is"
_SERVICES = ("/info/refs", "/git-upload-pack")

_BY_TYPE: dict[type[Exception], type[SyncerError]] = {
    http.HTTPError: Unavailable,
    http.PoolError: Unavailable,
    http.RequestError: Unavailable,
    http.SSLError: Unavailable,
    http.ProxyError: Unavailable,
    http.ProtocolError: Unavailable,
    http.MaxRetryError: Unavailable,
    http.TimeoutError: Unavailable,
    http.ReadTimeoutError: Unavailable,
    http.ConnectTimeoutError: Unavailable,
    http.NewConnectionError: Unavailable,
    http.NameResolutionError: Unavailable,
    http.EmptyPoolError: Unavailable,
    http.FullPoolError: Unavailable,
    http.ClosedPoolError: Unavailable,
    http.IncompleteRead: Truncated,
    http.InvalidChunkLength: Truncated,
    http.DecodeError: ProtocolError,
    http.HostChangedError: EgressRefused,
    http.TimeoutStateError: Unavailable,
    http.LocationValueError: EgressRefused,
    http.LocationParseError: EgressRefused,
    http.URLSchemeUnknown: EgressRefused,
    http.ProxySchemeUnknown: EgressRefused,
    http.ProxySchemeUnsupported: EgressRefused,
    http.ResponseError: ProtocolError,
    http.ResponseNotChunked: ProtocolError,
    http.BodyNotHttplibCompatible: ProtocolError,
    http.InvalidHeader: ProtocolError,
    http.HeaderParsingError: ProtocolError,
    http.UnrewindableBodyError: Unavailable,
}


def translate(exc: Exception, host: str) -> SyncerError:
    """Return the error that an exception of the HTTP client stands for."""
    kind = next((_BY_TYPE[c] for c in type(exc).__mro__ if c in _BY_TYPE), Unavailable)
    said = "broke off its answer" if kind is Truncated else "did not answer"
    return kind(f"{host} {said}: {_words(exc)}", hint=_hint(exc))


def _words(exc: Exception) -> str:
    """Return what happened, without the object addresses of a pool's `repr`."""
    if isinstance(exc, http.ReadTimeoutError):
        return "nothing came for too long"
    if isinstance(exc, http.ConnectTimeoutError) and not isinstance(
        exc, http.NewConnectionError
    ):
        return "the connection was not made in time"
    cause = exc.__cause__ if isinstance(exc, http.NewConnectionError) else exc
    if isinstance(cause, http.ProtocolError) and len(cause.args) > 1:
        cause = cause.args[1]  # the first is a sentence about the second
    return _clean(str(cause or exc))


def _hint(exc: Exception) -> str | None:
    if isinstance(exc, http.SSLError) and "CERTIFICATE_VERIFY" in str(exc):
        return "name the certificate authority with `ca` below the host's entry"
    return None


def refusal(
    what: str, url: str, status: int, headers: Mapping[str, str], now: datetime
) -> SyncerError:
    """Return the error that an answer to `url` other than 200 stands for.

    `what` names the repository in the message, `headers` are the answer's, and
    `now` is the wall clock, which dates in headers are compared with.
    """
    wait = retry_after(headers, now)
    error: SyncerError
    match status:
        case 429:
            error = _limited(what, status, wait)
        case 403 if wait is not None:
            error = _limited(what, status, wait)
        case 401 | 403 | 407:
            error = _denied(what, status)
        case 404 | 410 | 451:
            error = NotFound(f"upstream answers {status} for {what}: {_KEPT}")
        case 301 | 302 | 303 | 307 | 308:
            error = _moved(what, url, headers.get("location", ""))
        case 503 if wait is not None:
            error = _limited(what, status, wait)
        case _ if status >= 500:  # noqa: PLR2004 - every server error
            error = Unavailable(f"upstream cannot answer for {what}: status {status}")
        case _:
            msg = f"upstream answers {status} for {what}, which git does not"
            error = ProtocolError(msg)
    return error


def _limited(what: str, status: int, wait: timedelta | None) -> RateLimited:
    after = "" if wait is None else f"; it may be asked again in {wait.seconds} s"
    msg = f"upstream limits how often it is asked (status {status} for {what}){after}"
    return RateLimited(msg, retry_after=wait)


def _denied(what: str, status: int) -> AccessDenied:
    if status == 407:  # noqa: PLR2004 - Proxy Authentication Required
        return AccessDenied(f"the proxy wants credentials before it asks for {what}")
    return AccessDenied(
        f"upstream refuses us access to {what} (status {status}): {_KEPT}",
        hint="check the name; a private repository needs a token that may read it",
    )


def _moved(what: str, url: str, location: str) -> Moved:
    """Name where an answer points to: host and path only, a query may be secret."""
    try:
        parts = urlsplit(urljoin(url, location))
        place = f"{parts.hostname or ''}{parts.path}"
    except ValueError:
        place = ""
    for service in _SERVICES:
        place = place.removesuffix(service)
    where = shown(place) if location and place else "another address"
    return Moved(
        f"upstream redirects {what} to {where}, which is not followed: {_KEPT}",
        hint="add the repository under its new name, if it is the same one",
    )


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return how long to stay away, None if the answer does not say.

    `Retry-After` is a number of seconds or a date (RFC 9110 10.2.3);
    `x-ratelimit-reset` counts seconds since 1970 (GitHub).
    """
    value = headers.get("retry-after", "").strip()
    if value:
        return _clamped(whole(value), value, now)
    if headers.get("x-ratelimit-remaining", "").strip() == "0":
        reset = whole(headers.get("x-ratelimit-reset", "").strip())
        if reset is None:
            return PAUSE
        return bounded(reset - now.timestamp())
    return None


def dated(headers: Mapping[str, str]) -> datetime | None:
    """Return when an answer was made, by the clock of who made it."""
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, OverflowError, TypeError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def whole(text: str) -> int | None:
    """Return a number of seconds or of requests, None if it is none."""
    # No instant has more digits, and `int` refuses thousands of them.
    return int(text) if re.fullmatch(r"[0-9]{1,11}", text) else None


def _clamped(seconds: int | None, text: str, now: datetime) -> timedelta:
    if seconds is not None:
        return bounded(seconds)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError):
        return PAUSE
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return bounded((date - now).total_seconds())


def bounded(seconds: float) -> timedelta:
    """Return how long we stay away at most when asked to do so for `seconds`."""
    return timedelta(seconds=min(max(seconds, 0.0), _LONGEST.total_seconds()))


def _clean(words: str) -> str:
    """Return upstream's words so that they cannot steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in words[:_WORDS])
