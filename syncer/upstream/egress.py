"""The one policy for outbound hosts: which names, and which addresses of them.

A name is resolved once; unless all of its addresses may be connected to, none
is.  The address that was checked is the one that is connected to, so a name
that resolves differently the second time gains nothing.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from syncer.errors import EgressRefused, Unavailable
from syncer.model.names import shown
from syncer.upstream.addresses import objection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from syncer.endpoints import Host
    from syncer.ports import Clock

    Resolver: TypeAlias = Callable[[str, int], Sequence[str]]

#: Seconds that a resolved name is believed.
KEPT = 60.0
#: Names that are remembered; upstream chooses some of them.
_NAMES = 1024
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal"})
PORTS = {"https": 443, "http": 80, "ssh": 22}


def resolve(host: str, port: int) -> list[str]:
    """Return a name's addresses in the order the system prefers (RFC 6724).

    Raises:
        OSError: the name does not resolve.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # Each address comes once per protocol; the order is what counts.
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Target:
    """Where a request goes: a name, and its checked addresses, best first.

    Behind a proxy there are no addresses: the proxy resolves the name.
    """

    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]

    @property
    def address(self) -> str | None:
        """The address to connect to, None behind a proxy."""
        return self.addresses[0] if self.addresses else None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == PORTS[self.scheme] else f"{name}:{self.port}"

    @property
    def curlopt_resolve(self) -> str | None:
        """The value of git's `http.curloptResolve` that pins the addresses.

        None where there is nothing to pin: the host is an address itself, or
        a proxy resolves it.
        """
        if not self.addresses or _is_address(self.host):
            return None
        listed = ",".join(f"[{a}]" if ":" in a else a for a in self.addresses)
        return f"{self.host}:{self.port}:{listed}"


@dataclass
class _Kept:
    """What is known of one origin; its lock is held while it is resolved."""

    target: Target | None = None
    until: float = 0.0
    lock: Lock = field(default_factory=Lock)


class Egress:
    """Decides for every outbound request where it may go."""

    def __init__(
        self, clock: Clock, *, resolver: Resolver = resolve, proxied: bool = False
    ) -> None:
        self._clock = clock
        self._resolver = resolver
        self._proxied = proxied
        self._kept: dict[tuple[str, str, bool], _Kept] = {}
        self._lock = Lock()

    def check(self, url: str, host: Host) -> Target:
        """Return where a request for `url` goes, on behalf of a configured host.

        Raises:
            EgressRefused: `url` is not below the host's own base address, or
                an address of it is forbidden.
            Unavailable: the name does not resolve.
        """
        base = host.base
        if url != base and not url.startswith(f"{base}/"):
            msg = f"a request outside {shown(base)} is refused: {shown(_origin(url))}"
            raise EgressRefused(msg)
        return self.target(host)

    def target(self, host: Host) -> Target:
        """Return where requests below the host's base address go; see `check`.

        The same object comes back for as long as nothing changed.
        """
        key = (host.name, host.base, host.private)
        kept = self._kept.get(key)
        if kept is None:
            with self._lock:
                kept = self._kept.setdefault(key, _Kept())
                if len(self._kept) > _NAMES:
                    del self._kept[next(iter(self._kept))]
        now = self._clock.monotonic()
        if kept.target is not None and now < kept.until:
            return kept.target
        with kept.lock:
            if kept.target is None or now >= kept.until:
                fresh = self._resolved(host)
                kept.target = _preferring(kept.target, fresh)
                kept.until = now + KEPT
            return kept.target

    def avoid(self, host: Host, failed: Target) -> Target | None:
        """Put the address that did not answer last; None if it was the only one."""
        kept = self._kept.get((host.name, host.base, host.private))
        if kept is None or len(failed.addresses) < 2:  # noqa: PLR2004 - no other
            return None
        with kept.lock:
            if kept.target is not None and kept.target.address == failed.address:
                first, *others = kept.target.addresses
                kept.target = replace(kept.target, addresses=(*others, first))
            return kept.target

    def _resolved(self, host: Host) -> Target:
        scheme, name, port = _parts(host.base)
        if self._proxied and not _is_address(name):
            _check_name(name, host)
            return Target(scheme, name, port, ())
        try:
            addresses = self._resolver(name, port)
        except (OSError, UnicodeError) as exc:
            msg = f"the name {shown(name)} does not resolve: {exc}"
            raise Unavailable(msg) from exc
        if not addresses:
            msg = f"the name {shown(name)} has no address"
            raise Unavailable(msg)
        for address in addresses:
            why = objection(address, private=host.private)
            if why is not None:
                raise _refusal(name, address, why, host)
        pinned = () if self._proxied else tuple(addresses)
        return Target(scheme, name, port, pinned)


def _preferring(old: Target | None, fresh: Target) -> Target:
    """Return `fresh` with the address first that connections are open to.

    Large hosts answer each question with other addresses, or another order;
    moving along would throw warm connections away every minute.
    """
    if old is None or old.address is None or old.address not in fresh.addresses:
        return fresh
    others = (a for a in fresh.addresses if a != old.address)
    stable = replace(fresh, addresses=(old.address, *others))
    return old if stable == old else stable


def _check_name(name: str, host: Host) -> None:
    """Refuse names that a proxy would take for itself, or for an address.

    A last label that is a number makes the whole an address in some spelling.
    """
    last = name.rstrip(".").rpartition(".")[2].lower()
    local = last == "localhost" and not host.private
    if local or last.isdigit() or last.startswith("0x") or name in _METADATA_NAMES:
        msg = f"{shown(name)} is not asked by way of a proxy: it is not a public name"
        raise EgressRefused(msg)


def _refusal(name: str, address: str, why: str, host: Host) -> EgressRefused:
    msg = f"{shown(name)} is not asked: its address {shown(address)} is {why}"
    hint = None
    if objection(address, private=True) is None:
        hint = f'allow it with `private = true` below [host."{host.name}"]'
    return EgressRefused(msg, hint=hint)


def _parts(base: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(base)
        scheme, name, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, name, port = "", None, None
    if scheme not in PORTS or not name:
        msg = f"{shown(base)} is not asked: only https and ssh addresses are"
        raise EgressRefused(msg)
    return scheme, name, PORTS[scheme] if port is None else port


def _origin(url: str) -> str:
    """Return scheme and host of an address, without what may be a secret."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
