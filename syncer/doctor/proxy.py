"""D13: whether the proxy lets us through (CONNECT, RFC 9110 9.3.6)."""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from syncer.config import environment
from syncer.doctor.findings import doubtful, fine, or_fine, wrong
from syncer.upstream.connections import trust

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from urllib.parse import SplitResult

    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site

_WAIT = 5.0  # seconds
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_LINE = 4096
_THROUGH = range(200, 300)


class Place(NamedTuple):
    """A host and a port that the proxy is asked for."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return what stands after CONNECT."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{name}:{self.port}"


def proxy(site: Site) -> list[Finding]:
    """Ask the proxy for each host of upstream's."""
    address = site.config.syncer.proxy
    if address is None:
        return [fine("no proxy is configured")]
    parts = urlsplit(address)
    shown = f"{parts.scheme}://{parts.hostname}:{parts.port or 3128}"
    found: list[Finding] = []
    for place in _places(site):
        try:
            status = connect(parts, place)
        except OSError as exc:
            text = f"proxy {shown} does not answer: {exc}"
            found.append(wrong(text, "[syncer] proxy, or what listens there"))
            break
        if status not in _THROUGH:
            found.append(_refused(shown, place, status))
    variables = environment()
    if variables.get("NO_PROXY") or variables.get("no_proxy"):
        text = (
            "NO_PROXY is set, and upstream's hosts are asked by the proxy all the same"
        )
        found.append(doubtful(text, "let the proxy reach them, or go without one"))
    note = "behind it names are checked, and addresses cannot be"
    return or_fine(found, f"proxy {shown} lets us through; {note}")


def _refused(shown: str, place: Place, status: int) -> Finding:
    text = f"proxy {shown} refuses CONNECT to {place} ({status})"
    if status == 407:  # noqa: PLR2004 - Proxy Authentication Required
        variable = "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT in the environment"
        return wrong(text, f"it wants credentials: {variable}")
    return wrong(text, f"let it reach {place}")


def _places(site: Site) -> Iterator[Place]:
    """Yield what the proxy is to reach."""
    seen = set()
    for name in sorted(site.config.hosts):
        host = site.config.target_host(name)
        for address in (host.base, host.api_base or ""):
            parts = urlsplit(address)
            if parts.scheme == "https" and parts.hostname:
                place = Place(parts.hostname, parts.port or 443)
                if place not in seen:
                    seen.add(place)
                    yield place


def connect(proxied: SplitResult, place: Place) -> int:
    """Return the status with which a proxy answers CONNECT.

    Raises:
        OSError: it does not answer, or not as a proxy does.
    """
    where = (proxied.hostname or "", proxied.port or 3128)
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxied.username is not None:
        pair = f"{unquote(proxied.username)}:{unquote(proxied.password or '')}"
        basic = b64encode(pair.encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {basic}")
    with socket.create_connection(where, timeout=_WAIT) as plain:
        secured = plain
        if proxied.scheme == "https":
            secured = trust(None).wrap_socket(plain, server_hostname=proxied.hostname)
        with secured:
            secured.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
            match = _STATUS.match(_line(secured))
    if match is None:
        msg = "it does not answer as a proxy does"
        raise OSError(msg)
    return int(match[1])


def _line(connection: socket.socket | ssl.SSLSocket) -> bytes:
    """Return the first line of an answer."""
    found = b""
    while b"\n" not in found and len(found) < _LINE:
        block = connection.recv(_LINE)
        if not block:
            break
        found += block
    return found
