"""What is needed or claimed is never removed, whatever happens in between.

The real index on SQLite and the one in memory are told the same: they answer
alike, and a model of what runs rely on finds nothing of it seized.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event

from syncer.catalog import database
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.sql import SqlCatalog
from syncer.model.blobs import Blob, StoredBlob
from syncer.model.lfs import LfsCounts, LfsObject, LfsPointer, LfsState
from tests.contracts.blob_index import blob_of
from tests.contracts.catalog import GIT, QWEN, T0
from tests.contracts.catalog import event as audit_event
from tests.fakes_catalog import FakeCatalog
from tests.fakes_index import FakeBlobIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from syncer.model.names import RepoName
    from syncer.ports import BlobIndex, Catalog

_NAMES = (GIT, QWEN)
_BLOBS = {blob.digest: blob for blob in map(blob_of, range(3))}
_GRACE = timedelta(minutes=30)

mirrors = st.sampled_from(_NAMES)
digests = st.sets(st.sampled_from(sorted(_BLOBS)), min_size=1)
digest = st.sampled_from(sorted(_BLOBS))


class Removals(RuleBasedStateMachine):
    """Runs claim, fetch and link; gc condemns, seizes and removes, or dies."""

    migrated: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(dir=self.migrated.parent)
        file = Path(self.directory.name) / self.migrated.name
        shutil.copy(self.migrated, file)
        engine = database.connect(f"sqlite:///{file}")
        event.listen(engine, "connect", _hurry)
        fake = FakeCatalog()
        self.catalogs: tuple[Catalog, ...] = (SqlCatalog(engine), fake)
        self.indexes: tuple[BlobIndex, ...] = (
            SqlBlobIndex(engine),
            FakeBlobIndex(fake),
        )
        for catalog in self.catalogs:
            catalog.reconcile([(name, "normal") for name in _NAMES], T0)
        self.ids = {n: tuple(c.state(n).id for c in self.catalogs) for n in _NAMES}
        self.now = T0
        #: What a run of a mirror may rely on, and what a mirror needs.
        self.claims: dict[RepoName, set[str]] = {name: set() for name in _NAMES}
        self.needs: dict[RepoName, set[str]] = {name: set() for name in _NAMES}
        #: The bytes that are in the store, and what a removal has in hand.
        self.bytes: set[str] = set()
        self.seized: set[str] = set()
        #: When each blob was last relied on.
        self.relied: dict[str, datetime] = {}

    def teardown(self) -> None:
        """Leave nothing behind."""
        for catalog in self.catalogs:
            catalog.close()
        self.directory.cleanup()

    def both(self, ask: Callable[[BlobIndex], Any]) -> Any:  # noqa: ANN401 - what a question answers
        """Ask both indexes, and return the one answer they have."""
        real, fake = (ask(index) for index in self.indexes)
        assert real == fake
        return real

    def told(self, name: RepoName, tell: Callable[[BlobIndex, int], Any]) -> Any:  # noqa: ANN401 - as above
        """Tell both indexes something of a mirror."""
        pairs = zip(self.indexes, self.ids[name], strict=True)
        real, fake = (tell(index, mirror_id) for index, mirror_id in pairs)
        assert real == fake
        return real

    def relied_on(self) -> set[str]:
        """Return what must not be removed."""
        return set().union(*self.claims.values(), *self.needs.values())

    @rule(minutes=st.sampled_from([1, 20, 40, 70]))
    def time_passes(self, minutes: int) -> None:
        """Let marks grow old."""
        self.now += timedelta(minutes=minutes)

    @rule(name=mirrors, wanted=digests)
    def run_claims(self, name: RepoName, wanted: set[str]) -> None:
        """Let a run rely on blobs, but not on those being removed."""
        now = self.now
        busy = self.told(name, lambda i, mirror_id: i.claim(mirror_id, wanted, now))
        assert busy <= self.seized
        self.claims[name] |= wanted - busy

    @precondition(lambda self: any(self.claims.values()))
    @rule(name=mirrors)
    def run_fetches_and_links(self, name: RepoName) -> None:
        """Link what is claimed, fetched where the index does not know it."""
        claimed = self.claims[name]
        known = self.both(lambda index: index.find(claimed))
        # Promise: what the index says is there, and is claimed, is there.
        assert {d for d, each in known.items() if not each.damaged} <= self.bytes
        fetched = [d for d in claimed if d not in known or known[d].damaged]
        self.bytes |= set(fetched)
        found = [StoredBlob(_BLOBS[d], self.now, self.now, str(name)) for d in fetched]
        self.both(lambda index: index.stored(found))
        objects = [self._object(_BLOBS[d], LfsState.PRESENT) for d in sorted(claimed)]
        self.told(name, lambda index, mirror_id: index.link(mirror_id, objects))
        self.needs[name] |= claimed

    def _object(self, blob: Blob, state: LfsState) -> LfsObject:
        is_settled = state in {LfsState.PRESENT, LfsState.UNREACHED}
        retry_at = None if is_settled else self.now
        return LfsObject(LfsPointer(*blob), state, None, self.now, retry_at)

    @rule(name=mirrors, refused=digests)
    def upstream_refuses(self, name: RepoName, refused: set[str]) -> None:
        """Take objects from a mirror that does not have them, or that lost them."""
        objects = [self._object(_BLOBS[d], LfsState.MISSING) for d in sorted(refused)]
        self.told(name, lambda index, mirror_id: index.link(mirror_id, objects))
        known = self.both(
            lambda i: i.known(self.ids[name][i is self.indexes[1]], refused)
        )
        self.needs[name] -= {d for d, each in known.items() if each.state.is_absent}

    @rule(name=mirrors)
    def refs_move(self, name: RepoName) -> None:
        """Give up what is missing: nothing that is here goes with it."""
        absent = self.told(name, lambda index, mirror_id: index.absent(mirror_id))
        given_up = [
            self._object(_BLOBS[o.pointer.oid], LfsState.UNREACHED) for o in absent
        ]
        self.told(name, lambda index, mirror_id: index.link(mirror_id, given_up))

    @rule(name=mirrors)
    def run_ends(self, name: RepoName) -> None:
        """Let a run rely on nothing any more."""
        self.told(name, lambda index, mirror_id: index.release(mirror_id))
        self.claims[name] = set()

    @rule(lost=digest)
    def a_blob_rots(self, lost: str) -> None:
        """Lose a blob, and tell everybody who needs it."""
        count = self.both(lambda index: index.damaged(lost, self.now, "rotten"))
        assert count == sum(lost in needed for needed in self.needs.values())

    @rule(right=digests)
    def blobs_are_read(self, right: set[str]) -> None:
        """Find blobs right, for everybody who needs them."""
        good = right & self.bytes
        self.both(lambda index: index.verified(good, self.now))

    @rule(found=digests)
    def gc_adopts(self, found: set[str]) -> None:
        """Take in hand what lies in the store and nobody knows."""
        orphans = self.both(lambda index: index.orphans(found))
        adopted = [StoredBlob(_BLOBS[each], self.now, self.now) for each in orphans]
        self.bytes |= orphans
        self.both(lambda index: index.stored(adopted))

    @rule()
    def gc_condemns(self) -> None:
        """Condemn what a dry run tells."""
        planned = self.both(lambda index: index.condemn(self.now, dry_run=True))
        done = self.both(lambda index: index.condemn(self.now))
        assert planned == done
        assert not {blob.digest for blob in done} & self.relied_on()

    @rule(grace=st.sampled_from([timedelta(0), _GRACE]), limit=st.integers(1, 3))
    def gc_seizes(self, grace: timedelta, limit: int) -> None:
        """Seize what waited long enough, never what is needed or claimed."""
        before = self.now - grace
        waiting = self.both(lambda index: index.condemned(before))
        found = self.both(lambda index: index.seize(before, self.now, limit))
        assert set(found) <= set(waiting)
        taken = {blob.digest for blob in found}
        assert not taken & self.relied_on()
        fresh = taken - self.seized
        assert all(self.relied.get(each, T0) <= before for each in fresh)
        self.seized |= taken

    @precondition(lambda self: self.seized)
    @rule(data=st.data())
    def gc_removes(self, data: st.DataObject) -> None:
        """Remove bytes first, then the row; in time, that meets no claim."""
        one = data.draw(st.sampled_from(sorted(self.seized)))
        self.seized.discard(one)
        if one in self.relied_on() or not self._is_dying(one):
            return  # It took over an hour, and the sweeper looks at the clock.
        self.bytes.discard(one)
        self.both(lambda index: index.removed([one]))

    def _is_dying(self, one: str) -> bool:
        known = self.both(lambda index: index.find([one]))
        orphan = self.both(lambda index: index.orphans([one]))
        return not known and not orphan

    @rule(name=mirrors)
    def a_mirror_is_purged(self, name: RepoName) -> None:
        """Delete a mirror, its claims and needs with it."""
        for catalog in self.catalogs:
            others = [(other, "normal") for other in _NAMES if other != name]
            catalog.reconcile(others, T0)
            catalog.purge(name, audit_event("purge"))
            catalog.reconcile([(other, "normal") for other in _NAMES], T0)
        self.ids[name] = tuple(c.state(name).id for c in self.catalogs)
        self.claims[name], self.needs[name] = set(), set()

    @invariant()
    def what_is_needed_is_there(self) -> None:
        """No row claims what the store has lost, and counts are those of rows."""
        for name in _NAMES:
            every = self.told(name, lambda index, mirror_id: index.objects(mirror_id))
            here = {o.pointer.oid for o in every if o.state is LfsState.PRESENT}
            assert here <= self.bytes
            needed = {o.pointer.oid for o in every if not o.state.is_absent}
            assert needed == self.needs[name]
            absent = self.told(name, lambda index, mirror_id: index.absent(mirror_id))
            assert absent == [o for o in every if o.state.is_absent]
            counts = self.told(name, lambda index, mirror_id: index.counts(mirror_id))
            assert counts == _counted(every)
            for catalog in self.catalogs:
                assert catalog.state(name).lfs == counts

    @invariant()
    def what_is_relied_on_is_dated(self) -> None:
        """Note it: a condemned blob waits out its time from then on."""
        self.relied.update(dict.fromkeys(self.relied_on(), self.now))

    @invariant()
    def what_is_claimed_is_known_as_claimed(self) -> None:
        """By both indexes."""
        claimed = self.both(lambda index: index.claimed(_BLOBS))
        assert claimed == set().union(*self.claims.values())


def _hurry(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection has no common type
    # Nothing here loses power, and each commit would wait for the disk.
    connection.execute("PRAGMA synchronous = OFF")


def _counted(objects: Iterable[LfsObject]) -> LfsCounts:
    every = list(objects)
    states = [each.state for each in every]
    return LfsCounts(
        present=states.count(LfsState.PRESENT),
        missing=states.count(LfsState.MISSING),
        damaged=states.count(LfsState.DAMAGED),
        size=sum(o.pointer.size for o in every if o.state is LfsState.PRESENT),
        retry_at=min((o.retry_at for o in every if o.retry_at), default=None),
    )


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated file that examples copy."""
    file = tmp_path_factory.mktemp("migrated") / "catalog.db"
    database.upgrade(f"sqlite:///{file}")
    return file


def test_nothing_that_is_relied_on_is_removed(migrated: Path) -> None:
    """However runs, upstream, rot, gc, purges and the clock alternate."""
    Removals.migrated = migrated
    chosen = settings(stateful_step_count=20, phases=[Phase.generate, Phase.shrink])
    run_state_machine_as_test(Removals, settings=chosen)
