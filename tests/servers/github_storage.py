"""The second host: where the bytes of assets are, behind signed addresses.

As GitHub's is: an address counts for a while and needs no credential; ranges are
answered as RFC 9110 section 14 says, and faults are as the bytes themselves say.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlencode

from tests.servers.github_faults import ContentFaults
from tests.servers.github_releases import digest_of, size_of
from tests.servers.http_backend import Answer
from tests.servers.http_faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.github_releases import Content, GitHubAsset
    from tests.servers.github_state import GitHubState
    from tests.servers.http_faults import Request

_PATH = re.compile(r"/github-production-release-asset/[0-9]+/([0-9]+)")
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")
_KEY = b"what the storage signs with"
_BLOCK = 1 << 20


class Storage:
    """Signs addresses of assets, and sends what they name."""

    def __init__(self, state: GitHubState) -> None:
        self._state = state
        #: Seconds that an address counts.
        self.lifetime = 300
        #: Whether ranges are answered at all.
        self.ranges = True
        #: Bytes that were handed to the network, in all.
        self.sent = 0
        self._faults = ContentFaults()

    def sign(self, asset: GitHubAsset, base: str) -> str:
        """Return an address below `base` that counts for a while."""
        path = _path(asset)
        expires = int(self._state.clock.now().timestamp()) + self.lifetime
        named = f"attachment; filename={asset.name}"
        query = {"sp": "r", "sv": "2018-11-09", "sr": "b", "se": str(expires)}
        query |= {"rscd": named, "rsct": asset.content_type}
        query["sig"] = _signature(path, str(expires))
        return f"{base}{path}?{urlencode(query, quote_via=quote)}"

    def answer(self, request: Request) -> tuple[Answer, Fault]:
        """Return what is sent for an address, and what goes wrong with it."""
        match = _PATH.fullmatch(request.path)
        if "authorization" in request.headers:
            # Signed addresses take no other credential: it was a leak.
            return _said(400, "InvalidAuthenticationInfo"), Fault()
        if match is None or not self._counts(request):
            return _said(403, "AuthenticationFailed"), Fault()
        asset = self._state.find_asset(int(match[1]))
        if asset is None:
            return _said(404, "BlobNotFound"), Fault()
        return self.send(asset, request)

    def send(self, asset: GitHubAsset, request: Request) -> tuple[Answer, Fault]:
        """Return the bytes that are asked for."""
        fault = self._faults.choose(asset)
        if fault is not None and fault.kind == "expired":
            return _said(403, "AuthenticationFailed"), Fault()
        content = asset.content if asset.sends is None else asset.sends
        extra = b"\0" if fault is not None and fault.kind == "too-long" else b""
        size = size_of(content)
        tag = f'"0x{digest_of(content)[:16].upper()}"'
        part = self._part(request, size, tag)
        if part is None:
            fields = [("Content-Range", f"bytes */{size}"), ("Content-Length", "0")]
            return Answer(416, fields, iter(())), Fault()
        start, end = part
        fields = [
            ("Content-Type", asset.content_type),
            ("Content-Length", str(end - start + len(extra))),
            ("Content-Disposition", f"attachment; filename={quote(asset.name)}"),
            ("Accept-Ranges", "bytes"),
            ("ETag", tag),
        ]
        partial = "range" in request.headers and part != (0, size)
        if partial:
            fields.append(("Content-Range", f"bytes {start}-{end - 1}/{size}"))
        body = self._counted(_cut(content, start, end), extra)
        wire = Fault() if fault is None else fault.wire(end - start)
        return Answer(206 if partial else 200, fields, body), wire

    def _counts(self, request: Request) -> bool:
        fields = parse_qs(request.query)
        expires = fields.get("se", ["0"])[0]
        signed = fields.get("sig", [""])[0]
        right = hmac.compare_digest(signed, _signature(request.path, expires))
        return right and int(expires) > self._state.clock.now().timestamp()

    def _part(self, request: Request, size: int, tag: str) -> tuple[int, int] | None:
        """Return where the wanted bytes begin and end; None: there are none."""
        asked = _RANGE.fullmatch(request.headers.get("range", ""))
        if asked is None or not self.ranges:
            return 0, size
        if request.headers.get("if-range", tag) != tag:
            return 0, size
        start = int(asked[1])
        end = min(size, int(asked[2]) + 1) if asked[2] else size
        return (start, end) if start < end else None

    def _counted(self, blocks: Iterator[bytes], extra: bytes) -> Iterator[bytes]:
        for block in blocks:
            self.sent += len(block)
            yield block
        if extra:
            yield extra


def _path(asset: GitHubAsset) -> str:
    owner = asset.release.repository.id
    return f"/github-production-release-asset/{owner}/{asset.id}"


def _signature(path: str, expires: str) -> str:
    return hmac.new(_KEY, f"{path} {expires}".encode(), sha256).hexdigest()


def _cut(content: Content, start: int, end: int) -> Iterator[bytes]:
    if isinstance(content, bytes):
        view = memoryview(content)
        for begin in range(start, end, _BLOCK):
            yield bytes(view[begin : min(begin + _BLOCK, end)])
        return
    for block in content.blocks(start):
        yield block[: end - start]
        start += len(block)
        if start >= end:
            return


def _said(status: int, code: str) -> Answer:
    """Return an error as the storage writes it."""
    text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code></Error>'
    fields = [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))]
    return Answer(status, fields, iter([text.encode()]))
