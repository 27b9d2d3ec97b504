"""How much more a host's API grants us, and the share of it that we leave to others.

GitHub says it in every answer: `x-ratelimit-limit`, `-remaining`, `-resource`, and
`-reset` in seconds since 1970 by its own clock (docs.github.com/en/rest, "Rate
limits for the REST API").  A 304 to who is known costs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from syncer.errors import RateLimited
from syncer.model.origin import Allowance
from syncer.upstream.failures import PAUSE, bounded, dated, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.credentials import GitHubApp, Secret
    from syncer.endpoints import Host
    from syncer.ports import Clock

    _Key: TypeAlias = tuple[str, Secret | GitHubApp | None]

#: The allowances that GitHub's REST and GraphQL APIs have.
CORE, GRAPHQL = "core", "graphql"
#: How long we stay away at most when a host refuses us again and again.
LONGEST = timedelta(hours=1)
# A host is many servers: they name the end of one window a little apart.
_APART = timedelta(seconds=5)
_RESOURCE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MOST_RESOURCES = 32


@dataclass(slots=True)
class _Account:
    """What one resource grants one credential; instants are monotonic seconds."""

    said: Allowance | None = None
    #: When the window ends that it was said of.
    ends: float = 0.0
    #: Nothing is asked before this.
    resumes: float = 0.0
    #: How long the last pause was that we chose ourselves.
    chosen: timedelta = timedelta()


class Allowances:
    """What every host grants to each credential.  Thread safe.

    Requests that are on their way are not counted; there are never more of them
    than connections, and the reserve has room for them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._accounts: dict[_Key, dict[str, _Account]] = {}

    def check(self, host: Host, resource: str, *, free: bool = False) -> None:
        """Raise unless one more request may be made.

        One that is `free` may always, but for a pause.

        Raises:
            RateLimited: the host asked us to stay away, or what is left is the
                reserve (`api_reserve`).
        """
        with self._lock:
            account = self._of(host).get(resource)
            if account is None:
                return
            now = self._clock.monotonic()
            if account.resumes > now:
                raise _paused(host, account.resumes - now)
            said = account.said
            if free or said is None or account.ends <= now:
                return
            if said.remaining <= said.limit * host.api_reserve:
                raise _reserved(host, said, account.ends - now)

    def note(self, host: Host, headers: Mapping[str, str]) -> None:
        """Take in what an answer says is left."""
        now = self._clock.now()
        said = read(headers, authorised=host.is_authorised)
        if said is None:
            return
        left = bounded((said.reset - (dated(headers) or now)).total_seconds())
        with self._lock:
            accounts = self._of(host)
            if said.resource not in accounts and len(accounts) >= _MOST_RESOURCES:
                return
            account = accounts.setdefault(said.resource, _Account())
            monotonic = self._clock.monotonic()
            known = account.said
            if known is not None and account.ends > monotonic:
                if said.reset < known.reset - _APART:
                    return  # A window that is over: its answer took long.
                if said.reset <= known.reset + _APART:
                    # Answers overtake each other; within a window it only falls.
                    if said.remaining < known.remaining:
                        account.said = said
                    return
            account.said = said
            account.ends = monotonic + left.total_seconds()

    def pause(self, host: Host, resource: str, told: timedelta | None) -> timedelta:
        """Ask nothing of a resource for a while, and return for how long.

        Where the host does not say: a minute, and twice as long each time that it
        refuses again right after that.
        """
        with self._lock:
            account = self._of(host).setdefault(resource, _Account())
            now = self._clock.monotonic()
            left = timedelta(seconds=max(account.resumes - now, 0.0))
            if told is None:
                if left:
                    return left  # One refusal of many that were on their way.
                patient = account.resumes + account.chosen.total_seconds() < now
                account.chosen = PAUSE if patient else _longer(account.chosen)
                told = account.chosen
            wait = max(told, left, timedelta(seconds=1))
            account.resumes = now + wait.total_seconds()
            return wait

    def of(self, host: Host) -> list[Allowance]:
        """Return what was last said to our credential of today, by resource."""
        with self._lock:
            found = [account.said for account in self._of(host).values()]
        said = [each for each in found if each is not None]
        return sorted(said, key=lambda each: each.resource)

    def _of(self, host: Host) -> dict[str, _Account]:
        return self._accounts.setdefault((host.name, host.app or host.token), {})


def read(headers: Mapping[str, str], *, authorised: bool) -> Allowance | None:
    """Return what the headers of an answer say is left; None if they do not."""
    numbers = [
        whole(headers.get(f"x-ratelimit-{name}", "").strip())
        for name in ("limit", "remaining", "reset")
    ]
    limit, remaining, reset = numbers
    resource = headers.get("x-ratelimit-resource", CORE).strip().lower()
    if limit is None or remaining is None or reset is None:
        return None
    if _RESOURCE.fullmatch(resource) is None:
        return None
    ends = datetime.fromtimestamp(reset, UTC)
    return Allowance(resource, limit, min(remaining, limit), ends, authorised)


def _longer(chosen: timedelta) -> timedelta:
    return min(max(chosen * 2, PAUSE), LONGEST)


def _paused(host: Host, seconds: float) -> RateLimited:
    msg = f"the API of {host.name} asked not to be asked for another {seconds:.0f} s"
    return RateLimited(msg, retry_after=timedelta(seconds=seconds))


def _reserved(host: Host, said: Allowance, seconds: float) -> RateLimited:
    msg = (
        f"of {said.limit} requests an hour that the API of {host.name} grants, "
        f"{said.remaining} are left: they are kept for others, for {seconds:.0f} s"
    )
    hint = f'[host."{host.name}"] api_reserve says how many'
    if not host.is_authorised:
        hint = "with a token it grants far more, and what is unchanged costs nothing"
    return RateLimited(msg, retry_after=timedelta(seconds=seconds), hint=hint)
