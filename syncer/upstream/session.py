"""The one HTTP client: a channel to each host, and one clock and proxy for all."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from threading import Event, Lock
from typing import TYPE_CHECKING, TypeAlias

from syncer.endpoints import GITHUB_API, Host, named
from syncer.errors import EgressRefused
from syncer.upstream.budget import Budget
from syncer.upstream.channel import Channel
from syncer.upstream.connections import Proxy
from syncer.upstream.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.credentials import Secret
    from syncer.ports import Clock
    from syncer.upstream.egress import Egress
    from syncer.upstream.origins import Origin

#: Origins beside the hosts' own that connections are kept open to.
ASIDE = 32
#: Requests a second to an API, and connections; GitHub limits both beside the
#: hourly allowance (docs.github.com/en/rest, "secondary rate limits").
API_RATE, API_CONNECTIONS = 10.0, 8

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
        learn: Callable[[Secret], None] | None = None,
    ) -> None:
        """End waits for a budget when `stop` is set; tell `learn` what is minted.

        Raises:
            ConfigError: `proxy` is not the address of one.
        """
        self._egress = egress
        self._clock = clock
        self._stop = Event() if stop is None else stop
        self._proxy = None if proxy is None else Proxy(proxy)
        #: What authenticates us at each host.
        self.tokens = Tokens(self.api, clock, learn)
        self._channels: dict[str, Channel] = {}
        self._apis: dict[tuple[str, str], tuple[Host, Channel]] = {}
        self._aside: OrderedDict[_Aside, tuple[Host, Channel]] = OrderedDict()
        self._lock = Lock()

    def channel(self, host: Host) -> Channel:
        """Return the channel to a host; a changed configuration gets a new one."""
        with self._lock:
            known = self._channels.get(host.name)
            if known is not None and (known.host is host or known.host == host):
                return known
            if known is None:
                budget = self._budget(host.name, host.probes)
            else:
                budget = known.budget
                budget.adjust(host.probes)
            fresh = self._fresh(host, budget, self._basic(host))
            self._channels[host.name] = fresh
            return fresh

    def api(self, host: Host, base: str | None = None) -> Channel:
        """Return the channel to a host's API, which our token goes to.

        With `base`, to another address of it.  Whoever asks takes from its budget.

        Raises:
            EgressRefused: the host has no API that we know.
        """
        base = host.api_base if base is None else base
        if base is None:
            msg = f"{host.name} has no API that is known to us"
            raise EgressRefused(msg, hint=f'name it: [host."{host.name}"] api = "..."')
        with self._lock:
            known = self._apis.get((host.name, base))
            if known is not None and (known[0] is host or known[0] == host):
                return known[1]
            rate = API_RATE if base == GITHUB_API else max(API_RATE, host.probes)
            name = f"the API of {host.name}"
            budget = self._budget(name, rate) if known is None else known[1].budget
            budget.adjust(rate)
            stand_in = _api_of(host, base)
            fresh = self._fresh(stand_in, budget, partial(self.tokens.bearer, host))
            self._apis[host.name, base] = (host, fresh)
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
            budget = self._budget(stand_in.name, host.probes)
            fresh = self._fresh(stand_in, budget, partial(self.tokens.basic, stand_in))
            self._aside[key] = (host, fresh)
            if len(self._aside) > ASIDE:
                self._aside.popitem(last=False)[1][1].close()
            return fresh

    def close(self) -> None:
        """Close idle connections; those in use close when they come back."""
        with self._lock:
            beside = [*self._apis.values(), *self._aside.values()]
            for channel in (*self._channels.values(), *(pair[1] for pair in beside)):
                channel.close()
            self._channels.clear()
            self._apis.clear()
            self._aside.clear()

    def _basic(self, host: Host) -> Callable[[], Secret | None]:
        """Return what gives the header for git: made once, but for an App."""
        if host.app_id is not None:
            return partial(self.tokens.basic, host)
        header = self.tokens.basic(host)
        return lambda: header

    def _budget(self, name: str, rate: float) -> Budget:
        return Budget(name, rate, self._clock, self._stop.wait)

    def _fresh(
        self, host: Host, budget: Budget, authorize: Callable[[], Secret | None]
    ) -> Channel:
        return Channel(host, self._egress, budget, self._clock, self._proxy, authorize)


def _api_of(host: Host, base: str) -> Host:
    """Return an entry for the API of a host, without its token.

    As many assets as may be on their way at once may come from it.
    """
    connections = max(API_CONNECTIONS, host.transfers)
    entry = Host(git=base, private=host.private, ca=host.ca, connections=connections)
    return named(entry, _authority(base), {})


def _authority(base: str) -> str:
    return base.partition("://")[2].partition("/")[0]


def _stand_in(origin: Origin, host: Host, *, known: bool) -> Host:
    """Return an entry for an origin that has none of its own."""
    if known:
        # The API stays the one that belongs to it; an App's tokens come from there.
        known_by = {"git": str(origin), "protocol": "https", "api": host.api_base}
        return host.model_copy(update=known_by)
    entry = Host(
        git=str(origin), private=host.private, ca=host.ca, connections=host.transfers
    )
    return named(entry, origin.authority, {})
