"""Which mirrors changed, as one question about a hundred of them shows.

A hint makes a mirror due and proves nothing: the probe and the listing do.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from syncer.errors import Interrupted, SyncerError
from syncer.model.mirrors import Activity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from syncer.model.mirrors import RepoState
    from syncer.model.origin import Hint
    from syncer.sync.world import World

log = logging.getLogger(__name__)

#: Repositories in one question; GitHub's most for `nodes`.
BATCH = 100


class HintSweep:
    """Asks the forges that can be asked about many repositories at once."""

    def __init__(self, world: World) -> None:
        self._world = world

    def sweep(self, states: Iterable[RepoState]) -> set[int]:
        """Return the mirrors that are due; those with other releases are marked.

        A host that cannot be asked is left for the next sweep.
        """
        by_host: dict[str, list[RepoState]] = {}
        for state in states:
            if state.node_id is not None and state.activity is Activity.ACTIVE:
                by_host.setdefault(state.name.host, []).append(state)
        before = self._world.releases.hints()
        due: set[int] = set()
        for host, mirrors in by_host.items():
            if self._world.api.is_authorised(host):
                due |= self._sweep_host(host, mirrors, before)
        return due

    def _sweep_host(
        self, host: str, mirrors: Sequence[RepoState], before: Mapping[int, Hint]
    ) -> set[int]:
        due: set[int] = set()
        for start in range(0, len(mirrors), BATCH):
            batch = mirrors[start : start + BATCH]
            ids = {state.node_id or "": state.id for state in batch}
            try:
                found = self._world.api.sweep(host, list(ids))
            except Interrupted:
                return due
            except SyncerError as exc:
                extra = {"host": host, "error": str(exc)}
                log.warning("no hints; mirrors are visited by the clock", extra=extra)
                return due
            due |= self._compare([(ids[h.node_id], h) for h in found], before)
        return due

    def _compare(
        self, found: Sequence[tuple[int, Hint]], before: Mapping[int, Hint]
    ) -> set[int]:
        """Keep what is new, and return whose it is."""
        news = [(id_, hint) for id_, hint in found if before.get(id_) != hint]
        if news:
            self._world.releases.store_hints(news)
        changed = {id_: (hint, before[id_]) for id_, hint in news if id_ in before}
        for id_, (hint, old) in changed.items():
            if hint.release != old.release:
                self._world.hinted.add(id_)
        return set(changed)
