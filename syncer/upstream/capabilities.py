"""What a host's git server can do: asked once, believed for a day."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from syncer import __version__
from syncer.errors import ProtocolError
from syncer.upstream.pktline import packets

if TYPE_CHECKING:
    from typing import Self

AGENT = b"agent=syncer/" + __version__.encode()
_LIFETIME = timedelta(days=1)


class CapabilityStore(Protocol):
    """Where capabilities are kept between processes; the catalog is one."""

    def host_capabilities(self) -> dict[str, str]:
        """Return what is kept, by host."""

    def store_capabilities(self, host: str, capabilities: str, at: datetime) -> None:
        """Keep what a host can do."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What to send to a host, and since when that is known."""

    v2: bool
    at: datetime
    agent: bool = False
    object_format: bool = False
    unborn: bool = False

    @classmethod
    def read(cls, advertisement: bytes, at: datetime) -> Self:
        """Read a server's first answer (gitprotocol-v2(5), initial response).

        Raises:
            ProtocolError: it is no such answer, or of repositories that are
                not of SHA-1.
            Truncated: it is not complete.
        """
        lines = [payload for payload in packets(advertisement) if payload]
        if lines and lines[0].startswith(b"# service="):
            del lines[0]
        if not lines or lines[0] != b"version 2":
            return cls(v2=False, at=at)
        offered = dict(_pair(payload) for payload in lines[1:])
        if b"ls-refs" not in offered:
            msg = "upstream speaks git, and does not list refs"
            raise ProtocolError(msg)
        if offered.get(b"object-format", b"sha1") != b"sha1":
            msg = "repositories of another object format than SHA-1 are not mirrored"
            raise ProtocolError(msg)
        return cls(
            v2=True,
            at=at,
            agent=b"agent" in offered,
            object_format=b"object-format" in offered,
            unborn=b"unborn" in offered[b"ls-refs"].split(b" "),
        )

    @classmethod
    def parse(cls, text: str | None, now: datetime) -> Self | None:
        """Read what `render` wrote; None if it is not known, or too old."""
        try:
            stored = json.loads(text or "")
            at = datetime.fromisoformat(stored.pop("at"))
            known = cls(at=at.astimezone(UTC), **{k: bool(stored[k]) for k in stored})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None  # Another version wrote it: it is asked for again.
        return known if known.is_fresh(now) else None

    def render(self) -> str:
        """Return the capabilities as they are kept in the catalog."""
        return json.dumps(
            {
                "at": self.at.isoformat(),
                "v2": self.v2,
                "agent": self.agent,
                "object_format": self.object_format,
                "unborn": self.unborn,
            }
        )

    def is_fresh(self, now: datetime) -> bool:
        """Return whether they are believed; a clock set back ends that too."""
        return timedelta() <= now - self.at < _LIFETIME

    @property
    def announced(self) -> tuple[bytes, ...]:
        """What a request says of us; a server refuses what it did not offer."""
        format_ = (b"object-format=sha1",) if self.object_format else ()
        return ((AGENT,) if self.agent else ()) + format_


def _pair(payload: bytes) -> tuple[bytes, bytes]:
    key, _, value = payload.partition(b"=")
    return key, value
