"""The LFS objects that a run's refs need: found, asked for, and accounted for.

    pointers of what is new ──> not known yet, or due again ──> transfer
            (all objects, until the mirror's mark is set)          │
                          present or missing, each by a row <──────┘

Every row is there before any ref moves: a published ref reaches objects that are
in the blob store, or that are recorded as missing upstream.  What is missing and
no ref needs any more is given up, once the refs have moved; when one needs it
again, it is asked for again before they do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING

from syncer.model.lfs import LfsState, LfsTally
from syncer.model.mirrors import Held
from syncer.sync.sizes import Quota
from syncer.sync.transfer import LfsBook, LfsOrigin, TransferJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from syncer.model.lfs import LfsObject, LfsPointer
    from syncer.model.mirrors import RepoState, Selection
    from syncer.model.runs import Incoming
    from syncer.ports import BareRepository, ProgressSink
    from syncer.sync.world import World

#: So many objects are named in a message; `syncer show` has them all.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class LfsResult:
    """What a run did for LFS, and what of the mirror is missing after it.

    `lacking` are those of them that what arrived has pointers to, or that old
    refs did not need.  `given_up` are missing objects that the new refs do not
    need: they are UNREACHED from the moment at which these are published.
    """

    tally: LfsTally = field(default_factory=LfsTally)
    missing: tuple[LfsObject, ...] = ()
    lacking: tuple[LfsObject, ...] = ()
    given_up: tuple[LfsObject, ...] = ()
    notes: tuple[str, ...] = ()
    #: How much more the mirror may have.
    quota: Quota = field(default_factory=lambda: Quota(0, None))


def is_owed(state: RepoState, now: datetime) -> bool:
    """Return whether a mirror needs a run for its LFS objects alone.

    It was never searched for pointers, or objects that are not here fall due.
    """
    if state.lfs_scanned is None:
        return True
    retry = state.lfs.retry_at
    return retry is not None and retry <= now


def is_whole(state: RepoState, selection: Selection) -> bool:
    """Return whether every LFS object that is wanted of a mirror is here."""
    return not selection.lfs or state.lfs.present == state.lfs.total


def bring(  # noqa: PLR0913, PLR0917 - what is wanted, and for whom
    world: World,
    repository: BareRepository,
    state: RepoState,
    incoming: Incoming,
    wanted: Sequence[LfsPointer],
    progress: ProgressSink | None,
) -> tuple[LfsTally, str | None]:
    """Transfer objects of a mirror; return what was done, and why not elsewhere.

    Its claims end with it, however it ends.  Raises as `Transfers.run`.
    """
    endpoint = world.lfs.endpoint(state.source, repository.lfs_url(incoming))
    source = LfsOrigin(world.lfs, state.source, endpoint)
    book = LfsBook(world.index, state.id, world.clean)
    job = TransferJob(state.id, state.source, source, wanted, book)
    try:
        return world.transfers.run(job, progress).tally, endpoint.note
    finally:
        world.index.release(state.id)


class LfsStage:
    """Brings the LFS objects that a run's refs need into the blob store."""

    def __init__(self, world: World, progress: ProgressSink | None) -> None:
        self._world = world
        self._progress = progress

    def run(
        self,
        repository: BareRepository,
        state: RepoState,
        incoming: Incoming,
        quota: Quota,
    ) -> LfsResult:
        """Account for every pointer of what arrived; see `ports.lfs` for errors.

        Raises:
            TooLarge: what is wanted is more than there is room; nothing was brought.
        """
        world = self._world
        everything = incoming.first or state.lfs_scanned is None
        found = repository.pointers(incoming, everything=everything)
        now = world.clock.now()
        absent = world.index.absent(state.id)
        oids = {pointer.oid for pointer in found}
        asked = oids | {each.pointer.oid for each in absent}
        # A walk through all of history: only for what is absent, and once.
        needed = cache(partial(repository.reachable, incoming, asked))
        back = [p for p in _unreached(absent) if p.oid in needed()]
        wanted = self._wanted(state, found, back, now)
        quota = quota.with_more(sum(pointer.size for pointer in wanted))
        done = self._transfer(repository, state, incoming, wanted)
        if everything:
            world.index.mark_scanned(state.id, now)
        arrived = oids.union(p.oid for p in back)
        return replace(self._result(state, done, arrived, needed), quota=quota)

    def _transfer(
        self,
        repository: BareRepository,
        state: RepoState,
        incoming: Incoming,
        wanted: Sequence[LfsPointer],
    ) -> LfsResult:
        """Bring what is wanted; return what was done for it."""
        if not wanted:
            return LfsResult()
        tally, note = bring(
            self._world, repository, state, incoming, wanted, self._progress
        )
        return LfsResult(tally, notes=(note,) if note else ())

    def _wanted(
        self,
        state: RepoState,
        found: Sequence[LfsPointer],
        back: Sequence[LfsPointer],
        now: datetime,
    ) -> list[LfsPointer]:
        """Return the pointers to transfer: unknown ones, and those due again."""
        index = self._world.index
        known = index.known(state.id, {pointer.oid for pointer in found})
        new = [p for p in found if not _is_settled(known.get(p.oid), p)]
        due = [each.pointer for each in index.due(state.id, now)]
        return list(dict.fromkeys([*new, *back, *due]))

    def _result(
        self,
        state: RepoState,
        done: LfsResult,
        arrived: set[str],
        needed: Callable[[], frozenset[str]],
    ) -> LfsResult:
        """Add what is missing; `arrived` are the oids that old refs did not need."""
        missing, given_up = [], []
        for each in self._missing(state):
            if each.state is LfsState.MISSING and each.pointer.oid not in needed():
                unreached = replace(each, state=LfsState.UNREACHED, retry_at=None)
                given_up.append(unreached)
            else:
                missing.append(each)
        return LfsResult(
            done.tally,
            missing=tuple(missing),
            lacking=tuple(each for each in missing if each.pointer.oid in arrived),
            given_up=tuple(given_up),
            notes=(*done.notes, *_told(missing)),
        )

    def _missing(self, state: RepoState) -> list[LfsObject]:
        """Return what refs may need and is not here."""
        index = self._world.index
        counts = index.counts(state.id)
        if counts.present == counts.total:
            return []
        settled = {LfsState.PRESENT, LfsState.UNREACHED}
        return [each for each in index.objects(state.id) if each.state not in settled]

    def give_up(self, state: RepoState, result: LfsResult) -> None:
        """Record what the refs, which are published by now, do not need.

        Before that, refs that need it may still be all that consumers see.
        """
        if result.given_up:
            self._world.index.link(state.id, result.given_up)


def _unreached(absent: Iterable[LfsObject]) -> list[LfsPointer]:
    return [each.pointer for each in absent if each.state is LfsState.UNREACHED]


def _is_settled(known: LfsObject | None, pointer: LfsPointer) -> bool:
    """Return whether a pointer needs nothing now: it is here, or waits its turn.

    Or no ref needs it: whether one does is seen to by itself.  A digest has one
    length: a pointer with another one than the object that is here names nothing
    that could ever be had.
    """
    if known is None:
        return False
    if known.state is LfsState.PRESENT:
        return True
    return known.state.is_absent and known.pointer == pointer


def hold(
    missing: Iterable[LfsObject], before: Held | None, now: datetime
) -> Held | None:
    """Return why refs wait for `syncer accept` while objects are missing.

    None when a person accepted that all of these are.
    """
    oids = tuple(each.pointer.oid for each in missing)
    if not oids:
        return None
    if before is not None and before.accepted and set(oids) <= set(before.missing):
        return None
    since = before.since if before is not None and before.missing else now
    count = "1 LFS object is" if len(oids) == 1 else f"{len(oids)} LFS objects are"
    return Held(f"{count} missing upstream", since, missing=oids)


def _told(missing: Sequence[LfsObject]) -> tuple[str, ...]:
    """Return a note that names what upstream does not give."""
    if not missing:
        return ()
    named = [f"{each.pointer.oid} ({each.reason})" for each in missing[:_NAMED]]
    more = len(missing) - len(named)
    rest = f" and {more} more" if more else ""
    return (f"missing upstream: {', '.join(named)}{rest}",)
