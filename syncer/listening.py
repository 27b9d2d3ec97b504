"""Where the HTTP face listens, and who may read it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, PrivateAttr

from syncer.credentials import Secret, web_token_of
from syncer.endpoints import Model

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where it listens unless told; a taken port is then no reason not to mirror.
DEFAULT_LISTEN = "127.0.0.1:8417"

_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/\s]+):(?P<port>[0-9]{1,5})")
_LAST_PORT = 65535


def _check_listen(value: str) -> str:
    match = _LISTEN.fullmatch(value)
    if value != "off" and (match is None or int(match["port"]) > _LAST_PORT):
        msg = 'write an address like "127.0.0.1:8417" or "[::1]:8417", or "off"'
        raise ValueError(msg)
    return value


def _check_url(value: str) -> str:
    if re.fullmatch(r"https?://[^/@?#\s]+(?:/[^?#\s]*)?", value) is None:
        msg = "write an address like https://mirror.corp"
        raise ValueError(msg)
    return value.rstrip("/")


class Web(Model):
    """`[syncer.web]`: the HTTP face; read-only, and it never waits for a run."""

    #: "HOST:PORT", or "off"; None is `DEFAULT_LISTEN`.
    listen: Annotated[str, AfterValidator(_check_listen)] | None = None
    #: The address that consumers know it by, where a proxy stands before it.
    url: Annotated[str, AfterValidator(_check_url)] | None = None
    #: Its short name in lists of mirrors.
    name: str = "syncer"
    #: Allow to listen off loopback: whoever reaches the port reads all that it shows.
    plain_http: bool = False
    #: A file with the token that `/metrics` and `/status` then ask for.
    token_file: Path | None = None

    _token: Secret | None = PrivateAttr(default=None)

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port to listen at; None is nowhere. Port 0 is any."""
        match = _LISTEN.fullmatch(self.listen or DEFAULT_LISTEN)
        return (
            None if match is None else (match["host"].strip("[]"), int(match["port"]))
        )

    @property
    def is_default(self) -> bool:
        """Whether nobody said where to listen."""
        return self.listen is None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it; also when nobody can."""
        if self.address is None:
            return True
        host = self.address[0]
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def token(self) -> Secret | None:
        """What a reader has to show as `Authorization: Bearer` (RFC 6750)."""
        return self._token


def guarded(web: Web, environ: Mapping[str, str]) -> Web:
    """Return the face's settings with its token filled in.

    Raises:
        ConfigError: the token cannot be read.
    """
    copy = web.model_copy()
    copy._token = web_token_of(web.token_file, environ)  # noqa: SLF001 - a fresh copy of our own model
    return copy
