"""A document as it is sent: its bytes, packed too, and what tells two apart.

Validators and conditions as RFC 9110 sections 8.8 and 13.1 have them.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.web.view import View

_WORTH_PACKING = 1400  # bytes; what is smaller fits a packet anyway
_LEVEL = 5
_ZERO = timedelta()
#: Reloads of the configuration may follow each other this fast.
_BURST = timedelta(minutes=1)
_GZIP = re.compile(
    r"(?:^|,)\s*(?:gzip|x-gzip|\*)\s*(?:;\s*q=(?P<q>[0-9.]+)\s*)?(?=,|$)", re.IGNORECASE
)


@dataclass(frozen=True)
class Document:
    """Something that can be asked for by its path."""

    path: str
    #: Its media type.
    kind: str
    #: A sentence about it.
    about: str
    #: Makes its bytes, as of an instant.
    build: Callable[[View, datetime], bytes]
    #: Seconds that one rendering is shown.
    lasting: float = 10.0
    #: What a browser may do with it.
    policy: str = "default-src 'none'; frame-ancestors 'none'"

    def render(self, view: View, before: Rendering | None) -> Rendering:
        """Build it; one that is as before keeps its date."""
        now = view.clock.now()
        return rendered(self.build(view, now), now, before)


@dataclass(frozen=True, slots=True)
class Rendering:
    """The bytes of a document, and its validators."""

    body: bytes
    #: The same, by gzip; None where that is not worth it.
    packed: bytes | None
    etag: str
    modified: datetime


def rendered(body: bytes, now: datetime, before: Rendering | None) -> Rendering:
    """Return how bytes are sent that were made just now.

    The date has no fraction of a second, and two renderings that differ never share
    one: whoever asks with the first one's date has to get the second.
    """
    etag = sha256(body).hexdigest()
    if before is not None and before.etag == etag:
        return before
    modified = now.astimezone(UTC).replace(microsecond=0)
    if before is not None and _ZERO <= before.modified - modified < _BURST:
        modified = before.modified + timedelta(seconds=1)
    packed = None
    if len(body) >= _WORTH_PACKING and not body.startswith(b"\x1f\x8b"):
        packed = gzip.compress(body, _LEVEL, mtime=0)
    return Rendering(body, packed, etag, modified)


def answer(
    request: web.Request, document: Document, rendering: Rendering
) -> web.Response:
    """Return the whole document, or that the reader's is still the right one."""
    date = format_datetime(rendering.modified, usegmt=True)
    # Weak where one validator is of both codings.
    weak = "" if rendering.packed is None else "W/"
    headers = {
        hdrs.ETAG: f'{weak}"{rendering.etag}"',
        hdrs.LAST_MODIFIED: date,
        hdrs.CACHE_CONTROL: "no-cache, private",
        hdrs.CONTENT_SECURITY_POLICY: document.policy,
    }
    if rendering.packed is not None:
        headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
    if _has(request, rendering.etag, date):
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = document.kind
    body = rendering.body
    if rendering.packed is not None and _takes_gzip(request):
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        body = rendering.packed
    return web.Response(body=body, headers=headers)


def _has(request: web.Request, etag: str, date: str) -> bool:
    """Return whether the reader has this very rendering.

    A date counts only when it is the same: after a restart, or with a clock that was
    set back, a later one proves nothing.
    """
    known = request.if_none_match
    if known is not None:
        return any(each.value in {etag, "*"} for each in known)
    return request.headers.get(hdrs.IF_MODIFIED_SINCE) == date


def _takes_gzip(request: web.Request) -> bool:
    found = _GZIP.search(",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, [])))
    return found is not None and (found["q"] or "1").strip("0.") != ""
