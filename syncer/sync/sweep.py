"""What nothing needs any more leaves the blob store, in two steps.

    needed by no mirror, claimed by no run ──> condemned ──grace──> looked at
    again, seized ──> removed from the store ──> forgotten

A run claims blobs before it relies on them, which takes a condemned one back; one
that is seized already it waits for, and fetches anew.  Several may sweep at once:
a blob is seized by one, and taken over from that one only when it is long dead.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from syncer.errors import Interrupted, Locked, SyncerError
from syncer.model.blobs import NEVER, REMOVAL, StoredBlob
from syncer.model.care import Swept

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime, timedelta

    from syncer.model.blobs import Blob, Leftover
    from syncer.model.mirrors import RepoState
    from syncer.sync.world import World

log = logging.getLogger(__name__)

#: Blobs that are seized, removed and forgotten together.
_BATCH = 100
#: Who has removed for longer stops, long before others take it for dead.
_LONGEST = REMOVAL / 4
#: Digests of one question to the index.
_QUESTION = 1000


class BlobSweeper:
    """Removes from the blob store what nothing needs, and unfinished writes."""

    def __init__(
        self,
        world: World,
        recover: Callable[[RepoState], bool],
        stop: threading.Event,
        *,
        grace: timedelta,
        stale: timedelta,
    ) -> None:
        """Wait `grace` between condemning and removing; writes age for `stale`.

        `recover` settles what a dead run left of a mirror, so that its claims
        protect nothing any more.  When `stop` is set, the next sweep goes on.
        """
        self._world = world
        self._recover = recover
        self._stop = stop
        self._grace = grace
        self._stale = stale

    def sweep(self, *, dry_run: bool = False, orphans: bool = False) -> Swept:
        """Take one step with every blob that nothing needs.

        With `orphans`, blobs that the catalog has never heard of are taken in
        hand as well: condemned now, removed a grace period later.  They may
        be somebody else's who shares the store.

        Raises:
            Interrupted: the stop event was set between two removals.
            SyncerError: of the store or the catalog; what was done until then
                is recorded, the next sweep does the rest.
        """
        if not dry_run:
            self._settle()
        adopted = tuple(self._adopt(dry_run=dry_run)) if orphans else ()
        now = self._world.clock.now()
        condemned = tuple(self._world.index.condemn(now, dry_run=dry_run))
        before = now - self._grace
        if dry_run:
            removed = tuple(self._world.index.condemned(before))
        else:
            removed = tuple(self._remove(before))
        known = set(adopted)
        return Swept(
            condemned=tuple(blob for blob in condemned if blob not in known),
            removed=removed,
            aborted=tuple(self._abort(dry_run=dry_run)),
            adopted=adopted,
        )

    def _settle(self) -> None:
        """Close the runs of dead processes; those at work hold their lease."""
        for state in self._world.catalog.unfinished():
            self._check()
            try:
                self._recover(state)
            except (Locked, Interrupted):
                continue
            except SyncerError as exc:
                # What it claims stays, and what all others do not need goes.
                extra = {"repo": str(state.name), "error": str(exc)}
                log.warning("a dead run could not be settled", extra=extra)

    def _adopt(self, *, dry_run: bool) -> Iterator[Blob]:
        """Yield the blobs that the index does not know; tell it of them.

        Nobody has read them, and another sweep may have removed one since it
        was listed: whoever wants it asks the store.
        """
        index, now = self._world.index, self._world.clock.now()
        for blobs in _chunks(self._world.blobs.blobs(), _QUESTION):
            self._check()
            unknown = index.orphans([blob.digest for blob in blobs])
            found = [blob for blob in blobs if blob.digest in unknown]
            if found and not dry_run:
                index.stored(
                    StoredBlob(blob, now, NEVER, "found in the store") for blob in found
                )
            yield from found

    def _remove(self, before: datetime) -> Iterator[Blob]:
        """Yield what has left the store, batch by batch."""
        index = self._world.index
        since = self._world.clock.now()
        while seized := index.seize(before, since, _BATCH):
            gone: list[Blob] = []
            try:
                for blob in seized:
                    self._check()
                    if self._is_late(since):
                        return
                    self._world.blobs.remove(blob.digest)
                    gone.append(blob)
            finally:
                self._forget(gone, since)
            yield from gone
            since = self._world.clock.now()

    def _is_late(self, since: datetime) -> bool:
        """Return whether what was seized may soon be somebody else's."""
        late = self._world.clock.now() - since > _LONGEST
        if late:
            log.warning("removing blobs takes too long; the next sweep goes on")
        return late

    def _forget(self, gone: Sequence[Blob], since: datetime) -> None:
        """Tell the index what has left, unless another sweep does so by now."""
        if not gone or self._is_late(since):
            return
        self._world.index.removed(blob.digest for blob in gone)
        log.info("blobs removed that nothing needs", extra={"count": len(gone)})

    def _abort(self, *, dry_run: bool) -> Iterator[Leftover]:
        """Yield the unfinished writes that nobody continues; remove them."""
        blobs, index = self._world.blobs, self._world.index
        oldest = self._world.clock.now() - self._stale
        old = [each for each in blobs.leftovers() if each.since <= oldest]
        for each in old:
            self._check()
            # Asked for each at the last moment: a run may have begun meanwhile.
            if index.claimed([each.digest]):
                continue
            if not dry_run:
                blobs.discard(each)
            yield each

    def _check(self) -> None:
        if self._stop.is_set():
            msg = "stopped on request; the next sweep goes on"
            raise Interrupted(msg)


def _chunks(blobs: Iterable[Blob], size: int) -> Iterator[list[Blob]]:
    chunk: list[Blob] = []
    for blob in blobs:
        chunk.append(blob)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
