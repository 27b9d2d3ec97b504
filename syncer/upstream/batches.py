"""The documents of the LFS batch API (git-lfs docs/api/batch.md).

A server's answer is hostile input: only what was asked for is taken from it,
and what it says to send along is cut down to what may be.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from syncer.errors import OverQuota, ProtocolError, RateLimited, Unavailable
from syncer.model.lfs import Grant, Refusal
from syncer.model.names import shown
from syncer.upstream.json_documents import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from syncer.model.lfs import BatchReply, LfsPointer
    from syncer.upstream.origins import Origin

TYPE = "application/vnd.git-lfs+json"
#: Content types that an answer may have; some servers send the general one.
TYPES = frozenset({TYPE, "application/json"})
#: Bytes of one reply: 40 KiB for each of a hundred objects.
LARGEST = 4 << 20

_MOST_HEADERS = 20
_LONGEST_HEADERS = 8 * 1024
_LONGEST = timedelta(days=1)
# RFC 9110 5.1 and 5.5, within ASCII.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[ -~\t]*")
# They say how a message is framed, what is asked for, or who is asked.
_OURS = frozenset(
    {
        *("host", "cookie", "range", "if-range", "expect", "upgrade"),
        *("content-length", "content-encoding", "accept-encoding"),
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding"),
        *("proxy-authorization", "proxy-connection"),
    }
)
_QUOTA = re.compile(r"quota|data packs?|bandwidth", re.IGNORECASE)
_LIMITED = frozenset({408, 425, 429})
_NOT_FOUND, _UNPROCESSABLE, _FORBIDDEN = 404, 422, 403
_FULL = frozenset({507, 509})  # Insufficient Storage; Bandwidth Limit Exceeded
_SERVER, _OVER_QUOTA = 500, 509

_Object: TypeAlias = "dict[str, object]"


@dataclass(frozen=True, slots=True)
class HttpGrant(Grant):
    """A grant, and the origin of the server that gave it."""

    giver: Origin | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Who answers, and when: wall clock, and monotonic in seconds."""

    giver: Origin
    now: datetime
    monotonic: float


def request(wanted: Iterable[LfsPointer]) -> bytes:
    """Return the body of a request for downloads."""
    document = {
        "operation": "download",
        "transfers": ["basic"],
        "objects": [{"oid": pointer.oid, "size": pointer.size} for pointer in wanted],
        "hash_algo": "sha256",
    }
    return json.dumps(document, separators=(",", ":")).encode()


def read_reply(body: bytes, wanted: Sequence[LfsPointer], asked: Asked) -> BatchReply:
    """Return one answer for each object, in the order of `wanted`.

    Objects nobody asked for are ignored, of two answers the first counts, and
    an object without any is refused.

    Raises:
        ProtocolError: the answer is not the batch API's, or for another kind
            of transfer.
        RateLimited, Unavailable: it is, for one of the objects.
    """
    document = _parsed(body)
    for key, value in (("transfer", "basic"), ("hash_algo", "sha256")):
        if document.get(key) not in (None, "", value):
            msg = f"the LFS server wants {key} {shown(str(document[key]))}, not {value}"
            raise ProtocolError(msg)
    entries = document.get("objects")
    if not isinstance(entries, list):
        _reject("a reply without objects")
    known: dict[str, _Object] = {}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(oid := entry.get("oid"), str):
            known.setdefault(oid, entry)
    return [_answer(pointer, known.get(pointer.oid), asked) for pointer in wanted]


def said(body: bytes) -> str | None:
    """Return the `message` of an answer, shown safely; None if it has none."""
    try:
        message = _parsed(body).get("message")
    except ProtocolError:
        return None
    return shown(message) if isinstance(message, str) and message else None


def is_over_quota(status: int, message: str | None) -> bool:
    """Return whether an answer says that the owner's allowance is used up."""
    spoken = message is not None and _QUOTA.search(message) is not None
    return status in _FULL or (spoken and status in {_FORBIDDEN, 429})


def _parsed(body: bytes) -> _Object:
    document = parse_object(body)
    if document is None:
        _reject("something that is no JSON object")
    return document


def _reject(what: str) -> NoReturn:
    msg = f"the LFS server answers with {what}, which the batch API does not"
    raise ProtocolError(msg)


def _answer(
    pointer: LfsPointer, entry: _Object | None, asked: Asked
) -> Grant | Refusal:
    if entry is None:
        return Refusal(pointer, _NOT_FOUND, "not in upstream's answer")
    if entry.get("error") is not None:
        return _refusal(pointer, entry["error"])
    size = entry.get("size")
    if type(size) is not int or size != pointer.size:
        reason = f"upstream has it with another size: {shown(str(size))}"
        return Refusal(pointer, _UNPROCESSABLE, reason)
    actions = entry.get("actions")
    action = actions.get("download") if isinstance(actions, dict) else None
    if not isinstance(action, dict):
        return Refusal(pointer, _NOT_FOUND, "upstream grants no download")
    href = action.get("href")
    if not isinstance(href, str):
        _reject("a download without an address")
    headers = _headers(action.get("header"))
    return HttpGrant(pointer, href, headers, _expiry(action, asked), asked.giver)


def _refusal(pointer: LfsPointer, error: object) -> Refusal:
    """Return what an error of one object says of it; some say nothing."""
    found = error if isinstance(error, dict) else {}
    code, message = found.get("code"), found.get("message")
    if type(code) is not int or not 400 <= code < 600:  # noqa: PLR2004 - statuses
        _reject("an error without a code")
    words = shown(message) if isinstance(message, str) and message else f"error {code}"
    what = f"LFS object {pointer.oid[:12]}"
    if code in _LIMITED:
        msg = f"upstream limits how often it is asked for {what}: {words}"
        raise RateLimited(msg, retry_after=None)
    if code >= _SERVER and code not in _FULL:
        msg = f"upstream cannot answer for {what}: {words}"
        raise Unavailable(msg)
    spoken = code not in _FULL and is_over_quota(code, words)
    return Refusal(pointer, _OVER_QUOTA if spoken else code, words)


def _headers(given: object) -> Mapping[str, str]:
    """Return the headers that may be sent along with a download.

    Raises:
        ProtocolError: there are too many, or they are no headers.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        _reject("headers that are none")
    pairs = [(n, v) for n, v in given.items() if isinstance(v, str)]
    size = sum(len(name) + len(value) for name, value in pairs)
    if len(pairs) < len(given) or len(pairs) > _MOST_HEADERS or size > _LONGEST_HEADERS:
        _reject("headers of a kind or number")
    return {
        name: value
        for name, value in pairs
        if name.lower() not in _OURS
        and _NAME.fullmatch(name)
        and _VALUE.fullmatch(value)
    }


def _expiry(action: _Object, asked: Asked) -> float | None:
    """Return when a grant ends, on the monotonic clock.

    None where the server does not say, or names a time that is over: its clock
    is not ours, and a grant that no longer counts is refused when it is used.
    """
    seconds = _lifetime(action, asked.now)
    if seconds is None or seconds <= 0:
        return None
    return asked.monotonic + min(seconds, _LONGEST.total_seconds())


def _lifetime(action: _Object, now: datetime) -> float | None:
    """Return seconds: of `expires_in`, which is preferred, or `expires_at`."""
    seconds, moment = action.get("expires_in"), action.get("expires_at")
    if type(seconds) is int and seconds != 0:
        return max(min(seconds, 2**31), -(2**31))
    if not isinstance(moment, str):
        return None
    try:
        date = datetime.fromisoformat(moment)
        return (
            (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
        ).total_seconds()
    except (ValueError, OverflowError):
        return None


def over_quota(what: object, message: str | None) -> OverQuota:
    """Return the error of an allowance that is used up."""
    words = f": {message}" if message else ""
    return OverQuota(
        f"the owner's allowance for {what} is used up upstream{words}",
        hint="it is asked for again later, at growing intervals",
    )
