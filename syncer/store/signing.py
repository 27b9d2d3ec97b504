"""AWS Signature Version 4 for S3: headers of requests, and presigned addresses.

After "Authenticating Requests (AWS Signature Version 4)" of the S3 API
reference.  Paths are encoded once and never normalised, as S3 wants them.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

_ALGORITHM = "AWS4-HMAC-SHA256"
_HASH = "sha256"  # by its name: OpenSSL then does it in one call
_PLAIN = "-_.~"
#: In a digest's place: the body is covered by a checksum, or by nothing.
UNSIGNED = "UNSIGNED-PAYLOAD"
#: The digest of no body.
EMPTY = sha256().hexdigest()


@dataclass(frozen=True, slots=True)
class Keys:
    """What requests are signed with; the token comes with temporary keys."""

    access: str = field(repr=False)
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes: its Host header, and path and query as they are sent."""

    host: str
    path: str
    query: str = ""

    @property
    def target(self) -> str:
        """The request's target (RFC 9112 3.2.1)."""
        return f"{self.path}?{self.query}" if self.query else self.path


def encoded_path(path: str) -> str:
    """Return a path as it is sent: everything but unreserved characters escaped."""
    return quote(path, safe="/" + _PLAIN)


def encoded_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a query as it is signed and sent: escaped first, then sorted."""
    escaped = sorted((quote(k, safe=_PLAIN), quote(v, safe=_PLAIN)) for k, v in pairs)
    return "&".join(f"{name}={value}" for name, value in escaped)


class Signer:
    """Signs for one region; safe to use from many threads."""

    def __init__(self, region: str) -> None:
        self._region = region
        # The key of a day is derived by four hashes; nearly all requests share it.
        self._derived: tuple[tuple[str, str], bytes] = (("", ""), b"")

    def sign(  # noqa: PLR0913, PLR0917 - the parts of a request, the keys and the time
        self,
        keys: Keys,
        method: str,
        place: Place,
        headers: Mapping[str, str],
        payload: str,
        now: datetime,
    ) -> dict[str, str]:
        """Return `headers` with what S3 wants beside them; all of them are signed.

        `payload` is the sha256 of the body, or `UNSIGNED`; `now` is UTC.
        """
        stamp = f"{now:%Y%m%dT%H%M%SZ}"
        sent = {name.lower(): value for name, value in headers.items()}
        sent |= {
            "host": place.host,
            "x-amz-content-sha256": payload,
            "x-amz-date": stamp,
        }
        if keys.token is not None:
            sent["x-amz-security-token"] = keys.token
        names = ";".join(sorted(sent))
        lines = "".join(f"{n}:{' '.join(sent[n].split())}\n" for n in sorted(sent))
        request = (method, place.path, place.query, lines, names, payload)
        signature = self._signature(keys, request, stamp)
        sent["authorization"] = (
            f"{_ALGORITHM} Credential={keys.access}/{self._scope(stamp)}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return sent

    def presign(self, keys: Keys, place: Place, expires: int, now: datetime) -> str:
        """Return the target of a GET that anybody may send for `expires` seconds."""
        stamp = f"{now:%Y%m%dT%H%M%SZ}"
        pairs = [
            ("X-Amz-Algorithm", _ALGORITHM),
            ("X-Amz-Credential", f"{keys.access}/{self._scope(stamp)}"),
            ("X-Amz-Date", stamp),
            ("X-Amz-Expires", str(expires)),
            ("X-Amz-SignedHeaders", "host"),
        ]
        if keys.token is not None:
            pairs.append(("X-Amz-Security-Token", keys.token))
        query = encoded_query(pairs)
        request = ("GET", place.path, query, f"host:{place.host}\n", "host", UNSIGNED)
        signature = self._signature(keys, request, stamp)
        return f"{place.path}?{query}&X-Amz-Signature={signature}"

    def _scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self._region}/s3/aws4_request"

    def _signature(self, keys: Keys, request: tuple[str, ...], stamp: str) -> str:
        digest = sha256("\n".join(request).encode()).hexdigest()
        text = "\n".join((_ALGORITHM, stamp, self._scope(stamp), digest))
        key = self._key(keys.secret, stamp[:8])
        return hmac.digest(key, text.encode(), _HASH).hex()

    def _key(self, secret: str, day: str) -> bytes:
        known, key = self._derived
        if known != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), _HASH)
            self._derived = ((secret, day), key)
        return key
