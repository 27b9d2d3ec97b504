"""What a refusal of GitHub's API means: statuses, headers and its own words.

As docs.github.com/en/rest describes them in "Troubleshooting the REST API" and
"Best practices".  A limit pauses what it limits, and never git beside it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from syncer.errors import (
    AccessDenied,
    Blocked,
    Moved,
    NotFound,
    ProtocolError,
    RateLimited,
    SyncerError,
    Unavailable,
)
from syncer.model.names import shown
from syncer.upstream.allowance import CORE
from syncer.upstream.failures import dated, retry_after
from syncer.upstream.json_documents import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.endpoints import Host
    from syncer.ports import Clock
    from syncer.upstream.allowance import Allowances
    from syncer.upstream.channel import Answer

#: Redirects, whether or not they are followed.
MOVED = frozenset({301, 302, 303, 307, 308})
_SERVER = 500
_KEPT = "what was mirrored is kept"
_LIMIT = re.compile(r"rate limit|abuse", re.IGNORECASE)
_NOTICE = re.compile(r"https?://[!-~]{1,2000}")
_LARGEST = 64 * 1024


class ApiLimits:
    """What an API grants for one of its resources, and means by a refusal."""

    def __init__(
        self, allowances: Allowances, clock: Clock, resource: str = CORE
    ) -> None:
        self._allowances = allowances
        self._clock = clock
        self._resource = resource

    def check(self, host: Host, *, free: bool = False) -> None:
        """Raise `RateLimited` if nothing, or nothing that costs, may be asked."""
        self._allowances.check(host, self._resource, free=free)

    def note(self, host: Host, headers: Mapping[str, str]) -> None:
        """Take in what an answer says of the allowance."""
        self._allowances.note(host, headers)

    def refusal(self, host: Host, what: str, answer: Answer) -> SyncerError:
        """Return the error that an answer other than 200 stands for.

        `what` is what was asked for.  A limit pauses the resource.
        """
        said = parse_object(answer.body[:_LARGEST]) or {}
        if not _is_limit(answer, said):
            return _refusal(host, what, answer, said)
        now = dated(answer.headers) or self._clock.now()
        told = retry_after(answer.headers, now)
        wait = self._allowances.pause(host, self._resource, told)
        seconds = round(wait.total_seconds())
        return RateLimited(
            f"upstream limits how often its API is asked (status {answer.status} for "
            f"{what}{_words(said)}); it may be asked again in {seconds} s",
            retry_after=wait,
        )


def _message(said: Mapping[str, object]) -> str:
    message = said.get("message")
    return message if isinstance(message, str) else ""


def _words(said: Mapping[str, object]) -> str:
    """Return upstream's own words, safe to show."""
    message = _message(said)
    return f": {shown(message)}" if message else ""


def _is_limit(answer: Answer, said: Mapping[str, object]) -> bool:
    """Return whether an answer only says that we ask too often.

    Secondary limits may come without any header ("Rate limits for the REST API").
    """
    headers = answer.headers
    match answer.status:
        case 429:
            return True
        case 403 if "x-github-sso" not in headers and "block" not in said:
            spent = headers.get("x-ratelimit-remaining", "").strip() == "0"
            spoken = _LIMIT.search(_message(said)) is not None
            return spent or spoken or "retry-after" in headers
        case 503:
            return "retry-after" in headers
    return False


def _refusal(
    host: Host, what: str, answer: Answer, said: Mapping[str, object]
) -> SyncerError:
    status, words = answer.status, _words(said)
    error: SyncerError
    match status:
        case 401:
            error = _unknown(host, what, words)
        case 451:
            error = _blocked(what, status, said)
        case 403 if "x-github-sso" not in answer.headers and "block" in said:
            error = _blocked(what, status, said)
        case 403:
            error = _denied(host, what, answer, words)
        # What a proxy says of a page that is missing says nothing of a repository.
        case 404 | 410 if "message" in said:
            error = NotFound(f"upstream answers {status} for {what}: {_KEPT}")
        case _ if status in MOVED:
            error = Moved(f"upstream redirects {what} again and again: {_KEPT}")
        case _ if status >= _SERVER:
            error = Unavailable(f"upstream cannot answer for {what}: status {status}")
        case _:
            msg = f"upstream answers {status} for {what}, which its API does not"
            error = ProtocolError(f"{msg}{words}")
    return error


def _denied(host: Host, what: str, answer: Answer, words: str) -> AccessDenied:
    if "x-github-sso" in answer.headers:
        return AccessDenied(
            f"upstream does not show {what}: the organisation wants single sign-on "
            f"for our token{words}",
            hint=f"authorise the token for single sign-on at {host.name}",
        )
    return AccessDenied(
        f"upstream refuses us {what}{words}: {_KEPT}",
        hint="the token may need to be allowed to read Contents and Metadata",
    )


def _unknown(host: Host, what: str, words: str) -> AccessDenied:
    if not host.is_authorised:
        msg = f"the API of {host.name} answers nobody without a token: {what}{words}"
        return AccessDenied(msg, hint=f'give it one: [host."{host.name}"] token_file')
    return AccessDenied(
        f"the API of {host.name} does not take our token: asked for {what}{words}",
        hint="it was revoked, or has run out: give a new one",
    )


def _blocked(what: str, status: int, said: Mapping[str, object]) -> Blocked:
    """Return the error of what may not be given, and where that is explained.

    451 is RFC 7725; GitHub's `block` names a reason and a notice.
    """
    block = said.get("block")
    found = block if isinstance(block, dict) else {}
    reason, notice = found.get("reason"), found.get("html_url")
    if not isinstance(notice, str) or _NOTICE.fullmatch(notice) is None:
        notice = None
    why = f" ({shown(reason)})" if isinstance(reason, str) and reason else ""
    at = "" if notice is None else f", see {notice}"
    msg = f"upstream may not give {what}: status {status}{why}{at}; {_KEPT}"
    return Blocked(msg, notice=notice)
