"""The one HTTP client: a channel to each host, and one clock and proxy for all."""

from __future__ import annotations

from threading import Event, Lock
from typing import TYPE_CHECKING

from syncer.upstream.budget import Budget
from syncer.upstream.channel import Channel
from syncer.upstream.connections import Proxy

if TYPE_CHECKING:
    from syncer.ports import Clock
    from syncer.settings import Host
    from syncer.upstream.egress import Egress


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

    def close(self) -> None:
        """Close idle connections; those in use close when they come back."""
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()
