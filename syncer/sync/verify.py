"""Whether what we hold of a mirror is all there, and still right.

Every pointer of the repository is looked for again, every object that the index
says is present is asked for in the store and, where wanted, read and hashed.
What is bad is marked before anything else, so that nothing relies on it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import IntegrityError
from syncer.model.care import VerifyReport
from syncer.model.lfs import LfsPointer, LfsState
from syncer.model.runs import Incoming
from syncer.sync.inspection import Inspector
from syncer.sync.lfs import bring

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence

    from syncer.model.care import Damage, Depth
    from syncer.model.mirrors import RepoState
    from syncer.ports import BareRepository, ProgressSink
    from syncer.sync.inspection import Inspection
    from syncer.sync.world import World

log = logging.getLogger(__name__)

#: Objects of one question to the index.
_QUESTION = 1000


class _Searched(NamedTuple):
    """What the search of a whole repository found.

    `unlinked` are the pointers that the index does not know of.
    """

    published: Incoming
    pointers: int
    unlinked: list[LfsPointer]


class Verifier:
    """Looks at mirrors one at a time, each under its lease."""

    def __init__(self, world: World, stop: threading.Event) -> None:
        """End between two blocks when `stop` is set, also in a large blob."""
        self._world = world
        self._stop = stop

    def verify(
        self,
        state: RepoState,
        depth: Depth,
        *,
        repair: bool = False,
        progress: ProgressSink | None = None,
    ) -> VerifyReport:
        """Look at one mirror; with `repair`, fetch what is lost or wrong again.

        Raises:
            Locked: a run of the mirror is at work.
            Interrupted: the stop event was set; what was found is recorded.
            SyncerError: the repository or the store cannot be read; what was
                found until then is recorded.
        """
        with self._world.store.lease(state.path) as repository:
            searched = self._search(repository, state)
            found = self._inspect(state, depth, progress)
            if repair and (searched.unlinked or found.damaged):
                self._repair(repository, state, searched, found.damaged, progress)
            return self._report(state, searched, found)

    def _search(self, repository: BareRepository, state: RepoState) -> _Searched:
        """Look for the pointers of all objects, and ask the index for each."""
        index = self._world.index
        published = Incoming(repository.published(), exact=True)
        pointers = repository.pointers(published, everything=True)
        unlinked: list[LfsPointer] = []
        oids = {pointer.oid for pointer in pointers}
        for start in range(0, len(pointers), _QUESTION):
            some = pointers[start : start + _QUESTION]
            known = index.known(state.id, [pointer.oid for pointer in some])
            unlinked += [pointer for pointer in some if pointer.oid not in known]
            # Only objects that no ref reaches name those; nobody lacks them.
            oids -= {o for o, k in known.items() if k.state is LfsState.UNREACHED}
        if unlinked:
            # The next run searches all objects again, if this one brings them not.
            index.mark_scanned(state.id, None)
        return _Searched(published, len(oids), unlinked)

    def _inspect(
        self, state: RepoState, depth: Depth, progress: ProgressSink | None
    ) -> Inspection:
        world = self._world
        every = world.index.objects(state.id)
        held = [each for each in every if not each.state.is_absent]
        del every
        inspector = Inspector(
            world.blobs, world.index, world.clock, self._stop, progress
        )
        return inspector.run(held, depth)

    def _repair(
        self,
        repository: BareRepository,
        state: RepoState,
        searched: _Searched,
        damaged: Iterable[Damage],
        progress: ProgressSink | None,
    ) -> None:
        """Fetch again what is damaged, and what the index did not know of."""
        world = self._world
        lost = [LfsPointer(each.oid, each.size) for each in damaged]
        wanted = [*lost, *searched.unlinked]
        began = world.clock.now()
        try:
            bring(world, repository, state, searched.published, wanted, progress)
        except IntegrityError as exc:
            # The report shows what remains; what is unknown stays to be searched.
            log.warning(
                "upstream's copy is bad as well",
                extra={"repo": str(state.name), "error": str(exc)},
            )
        else:
            world.index.mark_scanned(state.id, began)

    def _report(
        self, state: RepoState, searched: _Searched, found: Inspection
    ) -> VerifyReport:
        counts = self._world.index.counts(state.id)
        remains = self._remaining(state, found.damaged)
        return VerifyReport(
            name=state.name,
            pointers=searched.pointers,
            present=counts.present,
            missing=counts.missing,
            damaged=remains,
            repaired=len(found.damaged) - len(remains),
            unlinked=len({pointer.oid for pointer in searched.unlinked}),
            read=found.read,
            read_bytes=found.read_bytes,
        )

    def _remaining(
        self, state: RepoState, damaged: Sequence[Damage]
    ) -> tuple[Damage, ...]:
        """Return what is not here now."""
        known = self._world.index.known(state.id, [each.oid for each in damaged])
        here = {oid for oid, o in known.items() if o.state is LfsState.PRESENT}
        return tuple(each for each in damaged if each.oid not in here)
