"""The one HTTP client: a channel to each host, and one clock and proxy for all."""

from __future__ import annotations

from collections import OrderedDict
from threading import Event, Lock
from typing import TYPE_CHECKING, TypeAlias

from syncer.endpoints import Host, named
from syncer.upstream.budget import Budget
from syncer.upstream.channel import Channel
from syncer.upstream.connections import Proxy

if TYPE_CHECKING:
    from syncer.ports import Clock
    from syncer.upstream.egress import Egress
    from syncer.upstream.origins import Origin

#: Origins beside the hosts' own that connections are kept open to.
ASIDE = 32

_Aside: TypeAlias = "tuple[Origin, str, bool]"


class Session:
    """Hands out the channel of each host."""

    def __init__(
        self,
        egress: Egress,
        *,
        clock: Clock,
        stop: Event | None = None,
        proxy: str | None = None,
    ) -> None:
        """End waits for a budget when `stop` is set.

        Raises:
            ConfigError: `proxy` is not the address of one.
        """
        self._egress = egress
        self._clock = clock
        self._stop = Event() if stop is None else stop
        self._proxy = None if proxy is None else Proxy(proxy)
        self._channels: dict[str, Channel] = {}
        self._aside: OrderedDict[_Aside, tuple[Host, Channel]] = OrderedDict()
        self._lock = Lock()

    def channel(self, host: Host) -> Channel:
        """Return the channel to a host; a changed configuration gets a new one."""
        with self._lock:
            known = self._channels.get(host.name)
            if known is not None and (known.host is host or known.host == host):
                return known
            if known is None:
                budget = Budget(host.name, host.probes, self._clock, self._stop.wait)
            else:
                budget = known.budget
                budget.adjust(host.probes)
            fresh = Channel(host, self._egress, budget, self._clock, self._proxy)
            self._channels[host.name] = fresh
            return fresh

    def aside(self, origin: Origin, host: Host, *, known: bool = False) -> Channel:
        """Return a channel to another origin, on behalf of a host.

        It has the host's permissions and authority; its token only if the
        origin is `known` to be the host itself, under an address of another kind.
        """
        key = (origin, host.name, known)
        with self._lock:
            kept = self._aside.get(key)
            if kept is not None and (kept[0] is host or kept[0] == host):
                self._aside.move_to_end(key)
                return kept[1]
            stand_in = _stand_in(origin, host, known=known)
            name = stand_in.name
            budget = Budget(name, host.probes, self._clock, self._stop.wait)
            fresh = Channel(stand_in, self._egress, budget, self._clock, self._proxy)
            self._aside[key] = (host, fresh)
            if len(self._aside) > ASIDE:
                self._aside.popitem(last=False)[1][1].close()
            return fresh

    def close(self) -> None:
        """Close idle connections; those in use close when they come back."""
        with self._lock:
            aside = [channel for _, channel in self._aside.values()]
            for channel in [*self._channels.values(), *aside]:
                channel.close()
            self._channels.clear()
            self._aside.clear()


def _stand_in(origin: Origin, host: Host, *, known: bool) -> Host:
    """Return an entry for an origin that has none of its own."""
    if known:
        return host.model_copy(update={"git": str(origin), "protocol": "https"})
    entry = Host(
        git=str(origin), private=host.private, ca=host.ca, connections=host.transfers
    )
    return named(entry, origin.authority, {})
