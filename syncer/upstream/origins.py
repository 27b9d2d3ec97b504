"""Addresses that upstream names: read strictly, and held against the policy.

What a batch reply, a redirect or a `.lfsconfig` points at is chosen by others.
It is asked only where the operator or the host's own address allows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from syncer.errors import EgressRefused
from syncer.model.names import shown

if TYPE_CHECKING:
    from syncer.endpoints import Host

_PORTS = {"https": 443, "http": 80}
_LONGEST = 8 * 1024
_LAST_PORT = 65535
# No user, no space, no control character, nothing outside ASCII.
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9][A-Za-z0-9._-]{0,252})"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][!-~]*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, name and port of an address (RFC 6454)."""

    scheme: str
    name: str
    port: int

    @property
    def authority(self) -> str:
        """The name, with its port unless the scheme means that anyway."""
        usual = self.port == _PORTS[self.scheme]
        return self.name if usual else f"{self.name}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def split(url: str) -> tuple[Origin, str] | None:
    """Return the origin of an address and its path with the query.

    None for whatever is not an http or https address without a user.
    """
    match = _ADDRESS.fullmatch(url) if len(url) <= _LONGEST else None
    if match is None:
        return None
    scheme = match["scheme"].lower()
    port = int(match["port"] or _PORTS[scheme])
    if not 0 < port <= _LAST_PORT:
        return None
    path = (match["path"] or "/").partition("#")[0]
    name = match["name"].lower().rstrip(".")
    return Origin(scheme, name, port), path if path.startswith("/") else f"/{path}"


def join(url: str, location: str) -> str:
    """Return where a redirect from `url` leads, as it stands if it is no address."""
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def web(host: Host) -> str:
    """Return the base of a host's web addresses, also where git goes by ssh."""
    if host.base.startswith(_SCHEMES):
        return host.base
    return f"https://{host.name.partition(':')[0]}"


_SCHEMES = tuple(f"{scheme}://" for scheme in _PORTS)


def home(host: Host) -> Origin:
    """Return the origin of a host's own web addresses.

    Raises:
        EgressRefused: the configured address is none that can be asked.
    """
    parts = split(web(host))
    if parts is None:
        msg = f"{shown(host.name)} has no address on the web that could be asked"
        raise EgressRefused(msg)
    return parts[0]


def may_serve(origin: Origin, host: Host) -> bool:
    """Return whether LFS objects of a host's repositories may come from `origin`.

    They may from the host's own origin, and from those its entry lists; without
    TLS only where the host itself is asked without.
    """
    own = home(host)
    if origin == own:
        return True
    if origin.scheme != "https" and own.scheme != "http":
        return False
    return any(_matches(pattern, origin) for pattern in host.allowed_downloads)


def _matches(pattern: str, origin: Origin) -> bool:
    """Compare with `name`, `name:port`, `*.domain` or `*.domain:port`."""
    name, _, port = pattern.partition(":")
    if origin.port != (int(port) if port else _PORTS[origin.scheme]):
        return False
    if name.startswith("*."):
        return origin.name.endswith(name[1:])
    return origin.name == name


def refused(what: object, url: str, host: Host) -> EgressRefused:
    """Return the error that names where something is, and how to allow it.

    The path and query stay out: they may hold a signature.
    """
    parts = split(url)
    if parts is None:
        msg = f"upstream gives an address for {what} that is not asked: no https URL"
        return EgressRefused(msg)
    where = parts[0]
    if where.scheme != "https" and home(host).scheme == "https":
        msg = f"upstream offers {what} at {where}, without TLS: not asked"
        return EgressRefused(msg)
    return EgressRefused(
        f"upstream offers {what} at {shown(where.authority)}, which is not asked",
        hint=f'allow it with downloads = ["{where.authority}"] '
        f'below [host."{host.name}"], beside those that it needs already',
    )
