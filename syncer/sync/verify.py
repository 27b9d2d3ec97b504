"""Whether what we hold of a mirror is all there, and still right.

Every pointer of the repository is looked for again, every blob that LFS objects and
assets need is asked for in the store and, where wanted, read and hashed.  What is bad
is marked before anything else, so that nothing relies on it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import IntegrityError, Unavailable
from syncer.model.care import VerifyReport
from syncer.model.lfs import LfsCounts, LfsState
from syncer.model.runs import Incoming
from syncer.sync.holdings import holdings, names_of
from syncer.sync.inspection import Inspector
from syncer.sync.lfs import bring
from syncer.sync.mending import Mender

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from syncer.model.care import Damage, Depth, Needed
    from syncer.model.lfs import LfsPointer
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
        may_be_empty: bool = False,
        progress: ProgressSink | None = None,
    ) -> VerifyReport:
        """Look at one mirror; with `repair`, fetch what is lost or wrong again.

        Raises:
            Locked: a run of the mirror is at work.
            Interrupted: the stop event was set; what was found is recorded.
            Unavailable: nothing at all is in the store, and that was not said to be
                possible (`may_be_empty`); nothing was marked.
            SyncerError: the repository or the store cannot be read; what was
                found until then is recorded.
        """
        world = self._world
        lfs = world.selection(state.name).lfs
        with world.store.lease(state.path) as repository:
            searched = self._search(repository, state) if lfs else None
            needed = holdings(world, state, lfs=lfs)
            if not may_be_empty:
                self._check_store(state, needed)
            inspector = Inspector(
                world.blobs, world.index, world.clock, self._stop, progress
            )
            found = inspector.run(needed, depth)
            del needed
            if repair and found.damaged:
                damaged = frozenset(each.oid for each in found.damaged)
                Mender(world, state, progress).mend(damaged)
            if repair and searched is not None:
                self._repair(repository, state, searched, found.damaged, progress)
            return self._report(state, searched, found)

    def _check_store(self, state: RepoState, needed: Sequence[Needed]) -> None:
        """Raise if the store has lost everything at once: no blob does that."""
        sound = sum(each.bad is None for each in needed)
        if not sound or next(self._world.blobs.blobs(), None) is not None:
            return
        blobs = "1 blob" if sound == 1 else f"{sound} blobs"
        msg = (
            f"the blob store is empty, although {blobs} of {state.name} should be in "
            "it: is it mounted? Nothing was marked as lost"
        )
        hint = "if all of it is lost: syncer verify --repair --empty-store"
        raise Unavailable(msg, hint=hint)

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

    def _repair(
        self,
        repository: BareRepository,
        state: RepoState,
        searched: _Searched,
        damaged: Sequence[Damage],
        progress: ProgressSink | None,
    ) -> None:
        """Fetch objects again that are damaged, and what the index did not know of."""
        world = self._world
        remains = [each.oid for each in self._remaining(damaged)]
        known = world.index.known(state.id, remains).values()
        lost = [each.pointer for each in known if each.state is LfsState.DAMAGED]
        wanted = [*lost, *searched.unlinked]
        if not wanted:
            return
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
        self, state: RepoState, searched: _Searched | None, found: Inspection
    ) -> VerifyReport:
        world = self._world
        counts = world.index.counts(state.id) if searched is not None else LfsCounts()
        remains = self._remaining(found.damaged)
        return VerifyReport(
            name=state.name,
            lfs=searched is not None,
            pointers=0 if searched is None else searched.pointers,
            present=counts.present,
            missing=counts.missing,
            unlinked=0
            if searched is None
            else len({pointer.oid for pointer in searched.unlinked}),
            assets=world.catalog.state(state.name).releases.counts,
            damaged=self._named(state, remains),
            repaired=len(found.damaged) - len(remains),
            read=found.read,
            read_bytes=found.read_bytes,
        )

    def _remaining(self, damaged: Sequence[Damage]) -> list[Damage]:
        """Return what is not here now."""
        known = self._world.index.find(each.oid for each in damaged)
        here = {oid for oid, each in known.items() if each.damaged is None}
        return [each for each in damaged if each.oid not in here]

    def _named(self, state: RepoState, damaged: Sequence[Damage]) -> tuple[Damage, ...]:
        """Return what is damaged with the names of the assets that need it."""
        if not damaged:
            return ()
        names = names_of(self._world.releases.releases(state.id))
        return tuple(each._replace(names=names.get(each.oid, ())) for each in damaged)
