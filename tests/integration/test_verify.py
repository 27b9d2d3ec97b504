"""What a verification finds, records and repairs, on a real directory of blobs."""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from syncer.errors import Interrupted, Locked, Truncated, Unavailable
from syncer.model.blobs import Blob, StoredBlob, blob_key
from syncer.model.care import Damage, Depth
from syncer.model.lfs import LfsCounts, LfsObject, LfsPointer, LfsState
from syncer.model.runs import Outcome
from syncer.store.directory import DirectoryStore
from syncer.sync.holdings import of_objects
from syncer.sync.inspection import Inspector
from tests.fakes import NOW, FakeClock
from tests.fakes_blobs import FakeBlobStore, digest_for, pointer_to
from tests.fakes_catalog import FakeCatalog
from tests.fakes_index import FakeBlobIndex
from tests.fleet import ONE, TWO, Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from syncer.model.care import VerifyReport
    from syncer.model.runs import Progress

SMALL, LARGE, SHARED = b"small" * 9, b"large" * 9000, b"shared" * 70
LOOK, READ = Depth(), Depth(read=True)
DAY = timedelta(days=1)
BLOCK = 1000


@dataclass
class House(Fleet):
    """Two mirrors, one blob of which both need, in a directory."""

    root: Path | None = None

    def path(self, body: bytes) -> Path:
        """Return where a blob lies, open for being damaged."""
        assert self.root is not None
        path = self.root / blob_key(digest_for(body))
        if path.exists():
            path.chmod(0o600)
        return path

    def row(self, body: bytes) -> LfsObject:
        """Return what the first mirror says of an object."""
        return self.objects(ONE)[digest_for(body)]

    def damaged(self, report: VerifyReport) -> dict[str, str]:
        """Return why each damaged object is, by digest."""
        assert all(isinstance(each, Damage) for each in report.damaged)
        return {each.oid: each.why for each in report.damaged}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Return the mirrors, synced."""
    root = tmp_path / "blobs"
    made = House(real=DirectoryStore(root, tmp_path / "incoming"), root=root)
    made.push(ONE, SMALL, LARGE, SHARED)
    made.push(TWO, SHARED)
    for name in (ONE, TWO):
        assert made.sync(name).outcome is Outcome.CHANGED
    return made


def test_where_all_is_well_nothing_is_found(house: House) -> None:
    """Without reading, nothing is read; with it, every byte, and that is dated."""
    looked = house.verify(ONE, LOOK)
    assert (looked.pointers, looked.present, looked.damaged) == (3, 3, ())
    assert (looked.unlinked, looked.missing, looked.repaired) == (0, 0, 0)
    assert (looked.read, looked.read_bytes) == (0, 0)
    house.clock.advance(DAY)

    read = house.verify(ONE, READ)

    assert (read.present, read.damaged, read.read) == (3, (), 3)
    assert read.read_bytes == sum(map(len, (SMALL, LARGE, SHARED)))
    known = house.index.find([digest_for(SMALL)])[digest_for(SMALL)]
    assert known.verified == house.clock.now()
    assert house.verify(ONE, LOOK).read == 0


def rot(path: Path) -> None:
    """Turn one bit over."""
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def shorten(path: Path) -> None:
    """Take the last byte away."""
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    """Add a byte."""
    path.write_bytes(path.read_bytes() + b"!")


def empty(path: Path) -> None:
    """Leave the name alone."""
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "depth", "why"),
    [
        (os.unlink, LOOK, "lost from the store"),
        (empty, LOOK, "lost from the store"),
        (shorten, LOOK, f"it has {len(LARGE) - 1} bytes instead of {len(LARGE)}"),
        (lengthen, LOOK, f"it has {len(LARGE) + 1} bytes instead of {len(LARGE)}"),
        (rot, READ, "its bytes are not what its name says"),
    ],
)
@pytest.mark.parametrize("repair", [False, True])
def test_damage_is_found_told_and_repaired(
    house: House,
    spoil: Callable[[Path], None],
    depth: Depth,
    why: str,
    *,
    repair: bool,
) -> None:
    """It is marked at once; upstream's bytes replace what lies there."""
    spoil(house.path(LARGE))

    report = house.verify(ONE, depth, repair=repair)

    if repair:
        assert (report.damaged, report.repaired, report.present) == ((), 1, 3)
    else:
        assert house.damaged(report) == {digest_for(LARGE): why}
        assert (report.repaired, report.present) == (0, 2)
        assert house.row(LARGE).state is LfsState.DAMAGED
        assert house.row(LARGE).reason == why
        # The next run brings it by itself, though no ref has moved.
        run = house.sync(ONE)
        assert (run.outcome, run.lfs.fetched) == (Outcome.CHANGED, 1)
    assert house.path(LARGE).read_bytes() == LARGE
    assert house.row(LARGE).state is LfsState.PRESENT
    assert house.index.claimed([digest_for(LARGE)]) == frozenset()
    assert house.verify(ONE, READ).damaged == ()


def test_wrong_bytes_of_the_right_length_are_found_by_reading_alone(
    house: House,
) -> None:
    """And once they are known, a look is enough to say so again."""
    rot(house.path(LARGE))
    assert house.verify(ONE, LOOK).damaged == ()
    assert len(house.verify(ONE, READ).damaged) == 1
    again = house.verify(ONE, LOOK)
    assert house.damaged(again) == {
        digest_for(LARGE): "its bytes are not what its name says"
    }


def test_damage_is_that_of_every_mirror(house: House) -> None:
    """Whichever was looked at; and one repair heals them all."""
    rot(house.path(SHARED))
    assert len(house.verify(TWO, READ).damaged) == 1
    assert house.row(SHARED).state is LfsState.DAMAGED
    assert house.state(ONE).lfs.damaged == 1

    assert house.verify(ONE, LOOK, repair=True).repaired == 1

    assert house.objects(TWO)[digest_for(SHARED)].state is LfsState.PRESENT
    assert house.state(TWO).lfs == LfsCounts(present=1, size=len(SHARED))


@contextmanager
def bad_sectors(path: Path) -> Iterator[None]:
    """Let reads of a file fail, as a disk's or a checksumming file system's do."""
    inode, real = path.stat().st_ino, os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        if os.fstat(descriptor).st_ino == inode:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, length, offset)

    with patch("os.pread", pread):
        yield


def test_a_blob_that_cannot_be_read_is_damaged(house: House) -> None:
    """The others are read all the same, and it is replaced by another file."""
    with bad_sectors(house.path(LARGE)):
        report = house.verify(ONE, READ)
        assert set(house.damaged(report)) == {digest_for(LARGE)}
        assert "cannot be read beyond 0" in house.damaged(report)[digest_for(LARGE)]
        assert report.read == 2
        assert house.verify(ONE, READ, repair=True).repaired == 1
    assert house.verify(ONE, READ).damaged == ()


def test_what_upstream_has_lost_too_stays_damaged(house: House) -> None:
    """It is named, the run is PARTIAL, and a copy that somebody kept makes it whole."""
    house.path(LARGE).unlink()
    house.source.objects.pop(digest_for(LARGE))

    for _ in range(2):
        report = house.verify(ONE, LOOK, repair=True)
        assert house.damaged(report) == {digest_for(LARGE): "lost from the store"}
        assert (report.repaired, report.present, report.missing) == (0, 2, 0)
    house.clock.advance(DAY)
    run = house.sync(ONE)
    assert run.outcome is Outcome.PARTIAL
    assert digest_for(LARGE) in " ".join(run.notes)
    row = house.row(LARGE)
    assert row.state is LfsState.DAMAGED
    assert row.retry_at is not None
    assert row.retry_at > house.clock.now()
    assert row.tries == 3

    house.path(LARGE).write_bytes(LARGE)
    assert not house.sweep()
    assert house.verify(ONE, READ).present == 3
    assert house.sync(ONE).outcome is Outcome.UNCHANGED


def test_wrong_bytes_from_upstream_are_no_repair(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of them stays, what else is bad is repaired, and the rest reported."""
    for body in (SMALL, LARGE):
        house.path(body).unlink()
    house.source.bodies[digest_for(LARGE)] = b"?" * len(LARGE)

    report = house.verify(ONE, LOOK, repair=True)

    assert set(house.damaged(report)) == {digest_for(LARGE)}
    assert report.repaired == 1
    assert not house.path(LARGE).exists()
    assert "upstream's copy is bad as well" in caplog.text
    assert house.state(ONE).lfs_scanned is not None


def forget(house: House, body: bytes) -> None:
    """Let the catalog know nothing of an object, as one restored from a backup."""
    catalog = house.catalog
    assert isinstance(catalog, FakeCatalog)
    catalog.lfs_objects[house.state(ONE).id].pop(digest_for(body))


def test_pointers_that_nobody_recorded_are_found(house: House) -> None:
    """The next run searches everything, and links what it finds."""
    forget(house, LARGE)

    report = house.verify(ONE, LOOK)

    assert (report.pointers, report.present, report.unlinked) == (3, 2, 1)
    assert house.state(ONE).lfs_scanned is None
    assert house.sync(ONE).outcome is Outcome.CHANGED
    assert house.row(LARGE).state is LfsState.PRESENT
    assert house.state(ONE).lfs_scanned is not None
    assert house.verify(ONE, LOOK).unlinked == 0


def test_what_no_ref_needs_is_nothing_to_report(house: House) -> None:
    """A missing object, until a forced push took its commit away; repaired or not."""
    lost = pointer_to(b"lost")
    house.upstream(ONE).track(lost)
    assert house.sync(ONE).outcome is Outcome.PARTIAL
    before = house.verify(ONE, READ)
    assert (before.pointers, before.present, before.missing) == (4, 3, 1)
    house.upstream(ONE).force()
    assert house.sync(ONE).outcome is Outcome.CHANGED
    house.source.batches.clear()

    for repair in (False, True):
        report = house.verify(ONE, READ, repair=repair)
        assert (report.pointers, report.present, report.missing) == (3, 3, 0)
        assert (report.unlinked, report.damaged) == (0, ())

    assert house.source.batches == []
    assert house.objects(ONE)[lost.oid].state is LfsState.UNREACHED


def test_a_repair_links_what_nobody_recorded(house: House) -> None:
    """After upstream has granted it; then nothing has to be searched again."""
    forget(house, LARGE)
    house.source.batches.clear()

    report = house.verify(ONE, LOOK, repair=True)

    assert (report.pointers, report.present, report.unlinked) == (3, 3, 1)
    assert house.source.batches == [[pointer_to(LARGE)]]
    assert house.state(ONE).lfs_scanned == house.clock.now()
    assert house.index.claimed([digest_for(LARGE)]) == frozenset()


def test_what_a_repair_could_not_link_is_searched_for_again(house: House) -> None:
    """Wrong bytes leave no row, so the mark must not say that all is accounted for."""
    forget(house, LARGE)
    house.path(LARGE).unlink()
    house.index.damaged(digest_for(LARGE), NOW, "lost")
    house.source.bodies[digest_for(LARGE)] = b"?" * len(LARGE)

    assert house.verify(ONE, LOOK, repair=True).present == 2

    assert house.state(ONE).lfs_scanned is None
    del house.source.bodies[digest_for(LARGE)]
    assert house.sync(ONE).outcome is Outcome.CHANGED
    assert house.row(LARGE).state is LfsState.PRESENT


def test_an_upstream_that_is_down_ends_a_repair_alone(house: House) -> None:
    """What was found is recorded, nothing is claimed any more, the next run heals."""
    house.path(LARGE).unlink()
    house.source.batch_errors.extend([Unavailable("no answer")] * 9)
    with pytest.raises(Unavailable):
        house.verify(ONE, LOOK, repair=True)
    assert house.row(LARGE).state is LfsState.DAMAGED
    assert house.index.claimed([digest_for(LARGE)]) == frozenset()
    house.source.batch_errors.clear()
    assert house.sync(ONE).outcome is Outcome.CHANGED


def test_a_mirror_at_work_is_not_verified(house: House) -> None:
    """Its lease is another's."""
    with house.store.lease(house.state(ONE).path), pytest.raises(Locked):
        house.verify(ONE, LOOK)


def test_a_stop_before_the_end_is_obeyed(house: House) -> None:
    """By the event alone, without any progress to tell."""
    house.stop.set()
    with pytest.raises(Interrupted, match="what was found until then is recorded"):
        house.verify(ONE, READ)


def test_progress_ends_at_the_total(house: House) -> None:
    """In bytes to read, and in objects."""
    told: list[Progress] = []
    house.verify(ONE, READ, progress=told.append)
    total = sum(map(len, (SMALL, LARGE, SHARED)))
    last = told[-1]
    assert (last.done, last.total, last.items) == (total, total, (3, 3))
    assert all(each.done <= total for each in told)


class Shelf(FakeBlobStore):
    """A store that believes lengths, and lets a test meet each block of a read."""

    def __init__(self) -> None:
        super().__init__()
        self.meet: Callable[[str, int], None] = lambda _digest, _offset: None

    def find(self, digest: str) -> Blob | None:
        """Return what lies there, unread."""
        self._called("find", digest)
        body = self.disk.bodies.get(blob_key(digest))
        return None if body is None else Blob(digest, len(body))

    @contextmanager
    def read(self, digest: str, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Open a blob's bytes, some at a time."""
        self._called("read", digest)

        def blocks() -> Iterator[bytes]:
            body = self.body(digest)
            for start in range(offset, len(body), BLOCK):
                self.meet(digest, start)
                yield body[start : start + BLOCK]

        yield blocks()


@dataclass
class Bench:
    """Blobs that one mirror needs, and what looks at them."""

    def __post_init__(self) -> None:
        self.shelf, self.index = Shelf(), FakeBlobIndex()
        self.clock, self.stop = FakeClock(), Event()

    def put(self, *bodies: bytes) -> list[LfsPointer]:
        """Have some blobs."""
        found = [pointer_to(body) for body in bodies]
        now = self.clock.now()
        for body in bodies:
            self.shelf.put(body)
        blobs = [StoredBlob(Blob(*pointer), now, now) for pointer in found]
        self.index.stored(blobs)
        self.index.link(
            1, [LfsObject(pointer, LfsState.PRESENT, since=now) for pointer in found]
        )
        return found

    def look(
        self, depth: Depth, progress: Callable[[Progress], None] | None = None
    ) -> tuple[set[str], int]:
        """Return which blobs are damaged, and how many were read."""
        inspector = Inspector(self.shelf, self.index, self.clock, self.stop, progress)
        found = inspector.run(list(of_objects(self.index.objects(1))), depth)
        return {each.oid for each in found.damaged}, found.read

    def verified(self) -> set[str]:
        """Return the digests that were found right just now."""
        now = self.clock.now()
        found = self.index.find(each.pointer.oid for each in self.index.objects(1))
        return {oid for oid, each in found.items() if each.verified == now}


@pytest.fixture
def bench() -> Bench:
    """Return one without any blob."""
    return Bench()


def bodies(count: int) -> list[bytes]:
    """Return some different bodies."""
    return [b"%06d" % number for number in range(count)]


@pytest.mark.parametrize(("share", "days"), [(0.25, 4), (0.05, 20), (0.3, 4)])
def test_a_sample_is_another_one_each_day(
    bench: Bench, share: float, days: int
) -> None:
    """Those come first that were not read for longest, so that all have a turn."""
    every = {pointer.oid for pointer in bench.put(*bodies(40))}
    seen: list[set[str]] = []
    for _ in range(days):
        bench.clock.advance(DAY)
        assert bench.look(Depth(read=True, share=share)) == (set(), 40 * share)
        seen.append(bench.verified())
    assert set().union(*seen) == every
    if days * share == 1:
        assert sum(map(len, seen)) == len(every)


def test_a_sample_is_never_empty(bench: Bench) -> None:
    """A share of one object is that object; of none, nothing."""
    assert bench.look(Depth(read=True, share=0.001)) == (set(), 0)
    bench.put(b"alone")
    assert bench.look(Depth(read=True, share=0.001)) == (set(), 1)


def test_what_stays_damaged_takes_no_turn(bench: Bench) -> None:
    """Else a few bad blobs would be all that a sample ever reads."""
    bad = bench.put(*bodies(4))
    for pointer in bad:
        bench.index.damaged(pointer.oid, NOW, "rotten")
    good = {pointer.oid for pointer in bench.put(b"one", b"two")}
    seen = set()
    for _ in range(2):
        bench.clock.advance(DAY)
        damaged, read = bench.look(Depth(read=True, share=0.5))
        assert (damaged, read) == ({pointer.oid for pointer in bad}, 1)
        seen |= bench.verified()
    assert seen == good


def test_an_empty_object_is_not_verified_unread(bench: Bench) -> None:
    """Its length says nothing of whether anybody looked."""
    bench.put(b"")
    bench.clock.advance(DAY)
    bench.look(LOOK)
    assert bench.verified() == set()
    bench.look(READ)
    assert bench.verified() == {digest_for(b"")}


@pytest.mark.parametrize("by", ["event", "progress"])
def test_a_stop_is_seen_between_two_blocks(bench: Bench, by: str) -> None:
    """A blob of gigabytes does not hold up who presses Ctrl-C."""
    (large,) = bench.put(b"x" * (1000 * BLOCK))
    blocks: list[int] = []
    seen = Event()

    def meet(_digest: str, start: int) -> None:
        blocks.append(start)
        bench.clock.advance(timedelta(seconds=1))
        if by == "event" and len(blocks) == 3:
            bench.stop.set()
        if by == "progress" and len(blocks) == 3:
            seen.wait(10)

    def progress(_progress: Progress) -> None:
        if by == "progress":
            seen.set()
            msg = "stopped on request"
            raise Interrupted(msg)

    bench.shelf.meet = meet
    with pytest.raises(Interrupted):
        bench.look(READ, progress)
    assert len(blocks) < 1000
    assert bench.index.known(1, [large.oid])[large.oid].state is LfsState.PRESENT


def test_a_store_that_fails_leaves_what_was_found(bench: Bench) -> None:
    """Bad ones are marked and right ones dated, up to the failure."""
    pointers = bench.put(*bodies(300))
    oids = sorted(pointer.oid for pointer in pointers)
    lost, last = oids[0], oids[-1]
    del bench.shelf.disk.bodies[blob_key(lost)]
    bench.clock.advance(DAY)

    def meet(digest: str, _start: int) -> None:
        if digest == last:
            msg = "the store is down"
            raise Unavailable(msg)

    bench.shelf.meet = meet
    with pytest.raises(Unavailable, match="the store is down"):
        bench.look(READ)
    assert bench.index.known(1, [lost])[lost].state is LfsState.DAMAGED
    assert bench.index.counts(1).damaged == 1
    assert len(bench.verified()) > 250
    assert last not in bench.verified()


def test_what_ends_after_a_failure_is_recorded_too(bench: Bench) -> None:
    """A thread that had found something is not asked in vain."""
    slow, failing = bench.put(b"slow", b"failing")
    failed = Event()

    def find(digest: str) -> Blob | None:
        if digest == failing.oid:
            failed.set()
            msg = "the store is down"
            raise Unavailable(msg)
        failed.wait(10)
        time.sleep(0.1)  # The other's end is taken first, then.
        return None

    with (
        patch.object(bench.shelf, "find", find),
        pytest.raises(Unavailable, match="the store is down"),
    ):
        bench.look(LOOK)
    row = bench.index.known(1, [slow.oid])[slow.oid]
    assert row.state is LfsState.DAMAGED


@pytest.mark.parametrize("error", [Truncated("cut"), Unavailable("reset")])
def test_a_read_that_breaks_off_goes_on(bench: Bench, error: Exception) -> None:
    """As long as something comes each time: a bad line is no bad blob."""
    (pointer,) = bench.put(bytes(range(256)) * 40)
    tries: list[int] = []

    def meet(_digest: str, start: int) -> None:
        if start not in tries:
            tries.append(start)
            if start:
                raise error

    bench.shelf.meet = meet
    assert bench.look(READ) == (set(), 1)
    assert tries == list(range(0, pointer.size, BLOCK))
    assert bench.shelf.called("read") == [pointer.oid] * len(tries)


def test_a_blob_that_always_ends_early_is_damaged(bench: Bench) -> None:
    """Twice at the same byte, and it is the blob."""
    (pointer,) = bench.put(b"y" * (5 * BLOCK))

    def meet(_digest: str, start: int) -> None:
        if start == 3 * BLOCK:
            msg = f"the blob ended at {start} bytes"
            raise Truncated(msg)

    bench.shelf.meet = meet
    assert bench.look(READ) == ({pointer.oid}, 1)
    row = bench.index.known(1, [pointer.oid])[pointer.oid]
    assert row.reason == "the blob ended at 3000 bytes"


def test_a_blob_that_goes_while_it_is_opened_is_lost(bench: Bench) -> None:
    """Whoever removed it between the look and the read."""
    (pointer,) = bench.put(b"here, then gone")
    body = bench.shelf.disk.bodies

    def gone(name: str, digest: str = "") -> None:
        if name == "read":
            body.pop(blob_key(digest), None)

    with (
        patch.object(bench.shelf, "_called", gone),
        patch.object(Shelf, "read", FakeBlobStore.read),
    ):
        assert bench.look(READ)[0] == {pointer.oid}


def test_few_objects_are_in_hand_at_a_time(bench: Bench) -> None:
    """However many there are: what waits is not held twice."""
    bench.put(*bodies(2000))
    asked: list[int] = []

    def progress(told: Progress) -> None:
        assert told.items is not None
        asked.append(len(bench.shelf.called("find")) - told.items[0])

    bench.shelf.meet = lambda _digest, _start: bench.clock.advance(DAY)
    bench.look(READ, progress)
    assert max(asked) <= 16
    assert len(asked) > 100
