"""Who a repository is: confirmed by its id before git speaks.

    id known? ──describe by id──> the same ──> its name of today, its standing
        │            └── 404 ──> who has the name? ──another──> frozen (Impostor)
        │                            └── nobody ──> absent, and GONE once confirmed
        └── no ──describe by name──> first sight: the id is kept from here on

Names change hands (github.blog 2024-02-21), ids do not.  Nothing that is found here
deletes anything.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from syncer.errors import (
    AccessDenied,
    Blocked,
    Gone,
    Impostor,
    NotFound,
    ProtocolError,
    TransientError,
)
from syncer.model.origin import Described, Standing
from syncer.sync.judgement import absent, blocked, confirmed
from syncer.sync.record import tell

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.mirrors import Held, RepoState
    from syncer.model.origin import Facts, Origin, Verdict
    from syncer.sync.world import World

#: What says nothing of the repository: a limit, an outage, a token that is refused.
_UNSAID = (TransientError, AccessDenied, ProtocolError)
#: So old may a confirmation be when the API cannot be asked.
BELIEVED = timedelta(hours=24)
#: An unchanged answer is written down again after this.
_NOTED = timedelta(hours=6)
#: Of a host's mirrors, so many at once are not gone: we are not let in.
_MASS, _MASS_SHARE = 3, 0.05


class Identity:
    """Asks who repositories are, and keeps what is known of it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def applies(self, state: RepoState) -> bool:
        """Return whether a mirror's host can tell."""
        return self._world.api.serves(state.name.host)

    def confirm(self, state: RepoState) -> RepoState:
        """Return the mirror with its name and standing of today.

        Raises:
            Impostor: another repository has its name; nothing may be taken from it.
            Gone, NotFound, Blocked: upstream does not give it.
            RateLimited, Unavailable, ...: the API cannot say, and did not lately.
        """
        world = self._world
        now = world.clock.now()
        origin = world.releases.origin(state.id)
        try:
            described = self._described(state, origin)
        except (NotFound, Blocked) as exc:
            return self._denied(state, origin, exc, now)
        except _UNSAID:
            # Who was never seen cannot be mistaken for another.
            if origin.facts is not None and not _is_recent(origin, now):
                raise
            return state
        verdict = confirmed(origin, described, now)
        settled = self._settle(state, origin, verdict, now)
        if settled.standing is Standing.DISABLED:
            msg = (
                f"{state.source} is disabled upstream, by its host; what was mirrored "
                "is kept"
            )
            raise Blocked(msg, hint=f"to stop asking: syncer pause {state.name}")
        return settled

    def _described(self, state: RepoState, origin: Origin) -> Described:
        """Ask by id, or by the accepted name where a person changed who it is."""
        api, facts = self._world.api, origin.facts
        if facts is None:
            return api.describe(state.source)
        if _accepts_another(state.held, facts):
            return Described(api.named(state.name))
        return api.describe(state.source, id_=facts.id, etag=origin.etag)

    def _denied(
        self, state: RepoState, origin: Origin, error: NotFound | Blocked, now: datetime
    ) -> RepoState:
        """Find out what a refusal means; always raises, unless it was none."""
        if isinstance(error, Blocked):
            verdict = blocked(origin, error.notice, now)
            self._settle(state, origin, verdict, now)
            since = (verdict.origin.since or now).date()
            at = f", see {error.notice}" if error.notice else ""
            msg = (
                f"{state.source} is blocked upstream for legal reasons since "
                f"{since}{at}; what was mirrored is kept"
            )
            hint = f"to stop asking: syncer pause {state.name}"
            raise Blocked(msg, notice=error.notice, hint=hint) from error
        holder = self._holder(state, origin)
        if holder is not None:
            verdict = confirmed(origin, Described(holder), now)
            return self._settle(state, origin, verdict, now)
        verdict = absent(origin, now, believed=not self._is_mass(state))
        self._settle(state, origin, verdict, now)
        raise self._absence(state, verdict.origin) from error

    def _holder(self, state: RepoState, origin: Origin) -> Facts | None:
        """Return who has the name, when the id is unknown upstream."""
        if origin.facts is None:
            return None
        try:
            return self._world.api.named(state.source)
        except NotFound:
            return None

    def _is_mass(self, state: RepoState) -> bool:
        """Return whether many mirrors of the host are denied at once."""
        others = [
            each
            for each in self._world.catalog.states()
            if each.name.host == state.name.host
        ]
        denied = {each.id for each in others if each.standing is Standing.ABSENT}
        count = len(denied | {state.id})
        return count >= _MASS and count > _MASS_SHARE * len(others)

    def _absence(self, state: RepoState, origin: Origin) -> NotFound:
        name, since = state.source, (origin.since or self._world.clock.now()).date()
        if origin.standing is Standing.GONE:
            return Gone(
                f"{name} is gone upstream since {since} (404, confirmed "
                f"{origin.sightings} times); what was mirrored is kept",
                hint=f"to stop asking: syncer remove {state.name}",
            )
        msg = (
            f"upstream answers 404 for {name} since {since}: deleted, or private and "
            "not for this token to see; what was mirrored is kept"
        )
        return NotFound(msg, hint="check the token; it counts as gone after 24 hours")

    def _settle(
        self, state: RepoState, origin: Origin, verdict: Verdict, now: datetime
    ) -> RepoState:
        """Store what is known now, and return the mirror with it."""
        facts = verdict.origin.facts
        frozen = verdict.freeze is not None and facts is not None
        if facts is not None and frozen and not _accepts(state.held, facts.id):
            self._freeze(state, origin, verdict, facts.id)
        self._store(state, origin, verdict, now)
        if facts is None:
            return replace(state, standing=verdict.origin.standing)
        same = facts.name.identity == state.name.identity
        return replace(
            state,
            upstream=None if same else facts.name,
            node_id=facts.node_id,
            standing=verdict.origin.standing,
        )

    def _freeze(
        self, state: RepoState, origin: Origin, verdict: Verdict, id_: int
    ) -> NoReturn:
        """Refuse another repository; the audit trail hears of it once."""
        if state.held is None or state.held.identity != id_:
            now = self._world.clock.now()
            self._store(state, origin, replace(verdict, origin=origin), now)
        hint = f"if that is right: syncer accept {state.name} --identity"
        raise Impostor(verdict.freeze or "", id_=id_, hint=hint)

    def _store(
        self, state: RepoState, origin: Origin, verdict: Verdict, now: datetime
    ) -> None:
        tell(state.name, verdict.events)
        fresh = origin.described is not None and now - origin.described < _NOTED
        same = replace(verdict.origin, described=origin.described) == origin
        if verdict.events or not (fresh and same):
            self._world.releases.describe(state.id, verdict.origin, verdict.events, now)


def _is_recent(origin: Origin, now: datetime) -> bool:
    return origin.described is not None and now - origin.described <= BELIEVED


def _accepts(held: Held | None, id_: int) -> bool:
    return held is not None and held.accepted and held.identity == id_


def _accepts_another(held: Held | None, facts: Facts) -> bool:
    """Return whether a person accepted another repository than the one known."""
    if held is None or held.identity is None:
        return False
    return held.accepted and held.identity != facts.id
