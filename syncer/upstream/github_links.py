"""The `Link` header, and which of the addresses in it are followed.

RFC 8288.  A listing is read by what it says comes next, never by addresses that we
build (docs.github.com/en/rest, "Using pagination in the REST API").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from syncer.errors import ProtocolError
from syncer.upstream import origins

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 16 * 1024
_LINK = re.compile(r"[ \t,]*<(?P<target>[^<>\"\x00-\x20]*)>")
_PARAM = re.compile(
    r"[ \t]*;[ \t]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r"(?:[ \t]*=[ \t]*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<token>[^\s\",;<>]+)))?"
)
_END = re.compile(r"[ \t]*(?:,|\Z)")
# Nothing in it may mean another path to somebody else.
_PATH = re.compile(
    r"(?:/(?!\.{1,2}(?:[/?]|\Z))(?:[A-Za-z0-9._~+@:-]|%3[Aa])+)+(?:\?[!-~]*)?"
)


def following(header: str) -> str | None:
    """Return the target of `rel="next"`, None if there is none.

    Raises:
        ProtocolError: the header is not as RFC 8288 says, or names two.
    """
    found = {
        target
        for target, params in _links(header)
        # With an anchor it is a link of something else (RFC 8288 3.2).
        if "anchor" not in params and "next" in params.get("rel", "").lower().split()
    }
    if len(found) > 1:
        _refuse()
    return next(iter(found), None)


def _links(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    if len(header) > _LONGEST:
        _refuse()
    place, end = 0, len(header.rstrip(" \t,"))
    while place < end:
        match = _LINK.match(header, place)
        if match is None:
            _refuse()
        target, place = match["target"], match.end()
        params: dict[str, str] = {}
        while (param := _PARAM.match(header, place)) is not None:
            # Of two parameters of one name the first counts (3.3).
            params.setdefault(param["name"].lower(), _value(param))
            place = param.end()
        closed = _END.match(header, place)
        if closed is None:
            _refuse()
        place = closed.end()
        yield target, params


def _value(param: re.Match[str]) -> str:
    quoted = param["quoted"]
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted)
    return param["token"] or ""


def _refuse() -> NoReturn:
    # What might be the end of a listing must not be guessed.
    msg = "upstream's Link header cannot be understood"
    raise ProtocolError(msg)


def below(base: str, url: str) -> str | None:
    """Return what an address appends to the base of an API, None if elsewhere."""
    own, parts = origins.split(base), origins.split(url)
    if own is None or parts is None or own[0] != parts[0]:
        return None
    prefix = own[1].rstrip("/")
    path = parts[1].removeprefix(prefix)
    if not parts[1].startswith(f"{prefix}/") or _PATH.fullmatch(path) is None:
        return None
    return path
