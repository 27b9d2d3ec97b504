"""Which repositories the configured owners have.

    [[owner]] ──all its repositories, with what upstream says of each──> the catalog
        └── include, exclude, forks, topics ... are asked of that when mirrors are
            reckoned, so that a changed selection needs no request

What an owner does not show any more stays known: whether it is gone is found out for
each mirror by itself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from syncer.errors import Interrupted, SyncerError
from syncer.model.origin import Discovery, Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.model.names import OwnerName
    from syncer.sync.world import World

log = logging.getLogger(__name__)


class Discoverer:
    """Asks what owners have, and keeps it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def look(self, owners: Iterable[OwnerName]) -> bool:
        """Ask about every owner; return whether anything of theirs is new.

        One that cannot be asked keeps what is known of it.
        """
        changed = False
        for owner in owners:
            try:
                changed |= self.look_at(owner)
            except Interrupted:
                return changed
            except SyncerError as exc:
                extra = {"owner": str(owner), "error": str(exc), "hint": exc.hint}
                log.warning("an owner's repositories were not listed", extra=extra)
        return changed

    def look_at(self, owner: OwnerName) -> bool:
        """Ask about one owner; return whether anything of it is new.

        Raises as `ForgeApi.owned` does.
        """
        world, now = self._world, self._world.clock.now()
        before = {
            each.facts.id: each.facts
            for each in world.releases.discoveries()
            if each.owner == owner.identity
        }
        found = world.api.owned(owner.host, owner.owner)
        new = [facts for facts in found if facts.id not in before]
        events = [Event("discovered", str(facts.name)) for facts in new]
        discoveries = [Discovery(owner.identity, facts, now) for facts in found]
        world.releases.discovered(owner.identity, discoveries, events, now)
        return any(before.get(facts.id) != facts for facts in found)
