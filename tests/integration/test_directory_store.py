"""The blob store in a directory: its files, its locks, and a failing disk."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from syncer.errors import (
    Interrupted,
    NoSpace,
    NotFound,
    PermanentError,
    SyncerError,
    Truncated,
)
from syncer.model.blobs import Blob, Leftover, blob_key
from syncer.store import unnamed
from syncer.store.directory import DirectoryStore
from tests.contracts.blob_receive import TICKET, dropped, received
from tests.contracts.blob_store import (
    SMALL,
    assert_absent,
    assert_traceless,
    begun,
    blob_of,
    content,
    made,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOB = blob_of(SMALL)
ROOT = Path(__file__).resolve().parents[2]

#: A process that writes the beginning of a blob, says so, and never ends.
WRITER = """
import sys, time
from pathlib import Path
from syncer.store.directory import DirectoryStore
root, digest, size, body = sys.argv[1:]
store = DirectoryStore(Path(root, "blobs"), Path(root, "incoming"))
with store.write(digest, int(size)) as writer:
    writer.write(body.encode())
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """Return a store in a directory."""
    return DirectoryStore(tmp_path / "blobs", tmp_path / "incoming")


@pytest.fixture
def name(tmp_path: Path) -> Path:
    """Return where the blob `BLOB` is to lie."""
    return tmp_path / "blobs" / blob_key(BLOB.digest)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """Return where the blob `BLOB` is on its way."""
    return tmp_path / "incoming" / f"{BLOB.digest}.part"


@contextmanager
def failing(call: str, number: int, *before: None) -> Iterator[mock.Mock]:
    """Let a call of `os` fail with an errno, after some that succeed."""
    error = OSError(number, os.strerror(number))
    with mock.patch.object(os, call, side_effect=[*before, error, error]) as made_to:
        yield made_to


class TestFiles:
    """What lies where."""

    def test_a_blob_is_a_file_that_nobody_writes_to(
        self, store: DirectoryStore, name: Path, part: Path
    ) -> None:
        """It lies at its key, with the bits for reading that the umask leaves."""
        stored(store, SMALL)
        old = os.umask(0o027)
        try:
            other = stored(store, b"other")
        finally:
            os.umask(old)

        assert name.read_bytes() == SMALL
        assert name.stat().st_mode & 0o7777 == 0o444
        other_name = name.parents[2] / blob_key(other.digest)
        assert other_name.stat().st_mode & 0o7777 == 0o440
        assert not part.exists()

    def test_a_part_is_named_by_its_digest(
        self, store: DirectoryStore, part: Path
    ) -> None:
        """What is on its way lies in one file; a second writer's goes when it ends."""
        with store.write(*BLOB) as writer:
            writer.write(SMALL[:100])
            with store.write(*BLOB) as other:
                other.write(SMALL[:50])
                assert len(list(part.parent.iterdir())) == 2
            assert list(part.parent.iterdir()) == [part]

        assert part.read_bytes() == SMALL[:100]

    @pytest.mark.parametrize("kind", ["link", "directory", "fifo", "empty"])
    def test_what_is_no_file_is_no_blob(
        self, store: DirectoryStore, name: Path, kind: str
    ) -> None:
        """A link, a directory, a pipe and a file without bytes count as absent."""
        name.parent.mkdir(parents=True)
        if kind == "link":
            name.with_name("target").write_bytes(SMALL)
            name.symlink_to("target")
        elif kind == "directory":
            name.mkdir()
        elif kind == "fifo":
            os.mkfifo(name)
        else:
            name.touch()

        assert_absent(store, BLOB)
        store.remove(BLOB.digest)

    def test_a_file_that_is_cut_while_it_is_read_is_truncated(
        self, store: DirectoryStore, name: Path
    ) -> None:
        """Whoever reads is told, rather than given less."""
        body = made(3 << 20)
        blob = stored(store, body)
        path = name.parents[2] / blob_key(blob.digest)
        path.chmod(0o644)

        with store.read(blob.digest) as blocks:
            next(blocks)
            os.truncate(path, 2 << 20)
            with pytest.raises(Truncated, match="ended at 2097152 of 3145728"):
                list(blocks)

    def test_there_is_nothing_beyond_the_end(self, store: DirectoryStore) -> None:
        """An offset that the blob does not have is an error."""
        stored(store, SMALL)

        with store.read(BLOB.digest, offset=BLOB.size + 1) as blocks:
            with pytest.raises(Truncated):
                next(blocks)
            assert list(blocks) == []

    def test_a_file_above_the_blobs_is_no_blob(
        self, store: DirectoryStore, name: Path
    ) -> None:
        """A file where a directory should be hides what would be below it."""
        name.parents[1].parent.mkdir()
        name.parents[1].write_bytes(b"foreign")

        assert_absent(store, BLOB)
        store.remove(BLOB.digest)
        with pytest.raises(PermanentError, match="nothing became visible"):
            stored(store, SMALL)


class TestLocks:
    """Writers of one blob, in any process."""

    def test_the_part_of_a_killed_process_is_continued(
        self, store: DirectoryStore, tmp_path: Path
    ) -> None:
        """Its part is in use while it lives, and free at once when it is dead."""
        half = SMALL[: len(SMALL) // 2]
        words = [str(tmp_path), BLOB.digest, str(BLOB.size), half.decode()]
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, *words], cwd=ROOT, stdout=subprocess.PIPE
        )
        with process, ExitStack() as undo:
            undo.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            with store.write(*BLOB) as writer:
                assert writer.offset == 0

            process.send_signal(signal.SIGKILL)
            process.wait(10)

            with store.write(*BLOB) as writer:
                assert writer.offset == len(half)
                writer.write(SMALL[len(half) :])
                writer.commit()
        assert content(store, BLOB) == SMALL

    def test_a_part_in_use_is_not_discarded(
        self, store: DirectoryStore, part: Path
    ) -> None:
        """It is listed while it grows, and stays until its writer has left."""
        with store.write(*BLOB) as writer:
            writer.write(SMALL[:100])
            (left,) = store.leftovers()
            store.discard(left)
            assert part.exists()
            writer.write(SMALL[100:])
            writer.commit()

        assert content(store, BLOB) == SMALL

    def test_a_part_that_got_its_name_is_not_written_to(
        self,
        store: DirectoryStore,
        part: Path,
        name: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Who opened it before that takes a new one once the lock is free."""
        lock = fcntl.flock
        ended: list[bool] = []

        def late(descriptor: int, operation: int) -> None:
            if not ended:  # the first writer ends between our open and our lock
                ended.append(True)
                part.write_bytes(SMALL)
                part.rename(name)
            lock(descriptor, operation)

        name.parent.mkdir(parents=True)
        monkeypatch.setattr(fcntl, "flock", late)
        with store.write(*BLOB) as writer:
            assert writer.offset == 0
            writer.write(b"!")

        assert name.read_bytes() == SMALL
        assert part.read_bytes() == b"!"

    def test_a_stranger_at_the_part_gets_no_name(
        self, store: DirectoryStore, part: Path
    ) -> None:
        """What somebody put where our part was is not made a blob."""
        with store.write(*BLOB) as writer:
            writer.write(SMALL)
            part.unlink()
            part.write_bytes(b"!" * BLOB.size)
            with pytest.raises(PermanentError, match="removed the part"):
                writer.commit()

        assert_absent(store, BLOB)

    @pytest.mark.parametrize("place", ["../keep", "keep", "", ".", "x.part"])
    def test_only_parts_are_discarded(
        self, store: DirectoryStore, part: Path, place: str
    ) -> None:
        """A name that no part has removes nothing."""
        stored(store, SMALL)
        begun(store, blob_of(b"abc"), b"ab")
        files = [part.parent / "keep", part.parents[1] / "keep"]
        for file in files:
            file.touch()
        (left,) = store.leftovers()

        store.discard(Leftover(place, left.digest, left.size, left.since))

        assert all(file.exists() for file in files)
        assert store.leftovers() == [left]


@pytest.fixture
def _another_boot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Have the kernel tell another boot than it did."""
    monkeypatch.setattr(unnamed, "_BOOT", tmp_path / "boot_id")
    (tmp_path / "boot_id").write_text("7d3f8f2e-another-boot\n")
    unnamed._boot.cache_clear()  # noqa: SLF001 - the file is read once a process
    yield
    unnamed._boot.cache_clear()  # noqa: SLF001 - as above


class TestUnnamed:
    """Parts of what has only a ticket: no digest tells whether they are right."""

    def test_a_ticket_and_a_blob_of_one_name_do_not_meet(
        self, store: DirectoryStore, part: Path
    ) -> None:
        """A part that waits for its digest is not taken for one without."""
        begun(store, BLOB, SMALL[:-1])

        with store.receive(BLOB.digest, BLOB.size) as writer:
            assert writer.offset == 0
            assert len(list(part.parent.iterdir())) == 2

        assert [left.place for left in store.leftovers()] == [part.name]

    def test_a_part_of_another_length_is_not_continued(
        self, store: DirectoryStore
    ) -> None:
        """What upstream declares otherwise now is another file."""
        dropped(store, 5000, b"!" * 1000)

        assert received(store, SMALL) == BLOB

        (left,) = store.leftovers()
        assert (left.digest, left.size) == (TICKET, 1000)

    @pytest.mark.parametrize("told", [True, False])
    def test_a_part_does_not_outlive_the_boot(
        self, store: DirectoryStore, request: pytest.FixtureRequest, *, told: bool
    ) -> None:
        """What a power cut made of it nobody knows: it waits to be swept."""
        dropped(store, BLOB.size, SMALL[:1000])
        request.getfixturevalue("_another_boot")
        if not told:  # nor does it where the kernel has no name for it
            unnamed._BOOT.unlink()  # noqa: SLF001 - the file of the fixture

        with store.receive(TICKET, BLOB.size) as writer:
            assert writer.offset == 0
            writer.write(SMALL[:10])
        with store.receive(TICKET, BLOB.size) as writer:
            assert writer.offset == 10

        left, other = store.leftovers()
        assert {left.size, other.size} == {1000, 10}
        for each in (left, other):
            assert each.digest == TICKET
            store.discard(each)
        assert store.leftovers() == []

    def test_a_failed_fsync_makes_nothing_visible(self, store: DirectoryStore) -> None:
        """The digest is known, the bytes are not on the disk: all begins anew."""
        with store.receive(TICKET, BLOB.size) as writer:
            writer.write(SMALL)
            assert writer.seal() == BLOB.digest
            with failing("fsync", errno.EIO), pytest.raises(PermanentError):
                writer.commit()

        assert_absent(store, BLOB)
        assert store.leftovers() == []
        assert received(store, SMALL) == BLOB

    def test_a_full_disk_is_told_before_the_first_byte(
        self, store: DirectoryStore
    ) -> None:
        """A file that the disk cannot hold is not begun."""
        with pytest.raises(NoSpace, match="nothing new is started"):
            dropped(store, 1 << 60, b"")

        assert store.leftovers() == []


class TestFaults:
    """A disk that is full or broken, and a process that is to stop."""

    def test_a_full_disk_can_be_continued(
        self, store: DirectoryStore, part: Path
    ) -> None:
        """A block that did not fit is written again when there is room."""
        body = made(100_000)
        blob = blob_of(body)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

        with store.write(*blob) as writer:
            writer.write(body[:40_000])
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
            try:
                with pytest.raises(NoSpace, match="nothing became visible"):
                    writer.write(body[40_000:])
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert part.with_name(f"{blob.digest}.part").stat().st_size == 50_000
            assert writer.offset == 40_000
            writer.write(body[40_000:70_000])
            writer.write(body[70_000:])
            writer.commit()

        assert content(store, blob) == body

    def test_what_fitted_on_a_full_disk_is_kept(self, store: DirectoryStore) -> None:
        """The next writer continues where the disk was full, within a block too."""
        body = made(100_000)
        blob = blob_of(body)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            with pytest.raises(NoSpace):
                stored(store, body)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

        with store.write(*blob) as writer:
            assert writer.offset == 50_000

        assert stored(store, body) == blob

    @pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
    def test_a_failed_fsync_is_never_tried_again(
        self, store: DirectoryStore, number: int
    ) -> None:
        """The kernel tells once; the part is gone, and its writer is of no use."""
        with store.write(*BLOB) as writer:
            writer.write(SMALL)
            with failing("fsync", number), pytest.raises(SyncerError) as caught:
                writer.commit()
            assert isinstance(caught.value, NoSpace) == (number != errno.EIO)
            with pytest.raises(PermanentError):
                writer.commit()

        assert_traceless(store, BLOB)
        assert stored(store, SMALL) == BLOB

    def test_success_is_not_told_before_the_name_is_durable(
        self, store: DirectoryStore
    ) -> None:
        """A name that the disk has not taken is an error, also when it is found."""
        with store.write(*BLOB) as writer:
            writer.write(SMALL)
            with failing("fsync", errno.EIO, None), pytest.raises(PermanentError):
                writer.commit()

        with failing("fsync", errno.EIO), pytest.raises(PermanentError):
            store.find(BLOB.digest)
        assert store.find(BLOB.digest) == BLOB

    def test_nothing_begins_below_the_floor(self, tmp_path: Path) -> None:
        """A store that is nearly full says so before it takes a byte."""
        store = DirectoryStore(tmp_path / "b", tmp_path / "i", min_free=1 << 60)

        with pytest.raises(NoSpace, match="below the floor"):
            store.check()
        with pytest.raises(NoSpace, match="below the floor"):
            stored(store, SMALL)

        assert store.leftovers() == []

    def test_nothing_begins_that_cannot_end(self, store: DirectoryStore) -> None:
        """A blob that the disk cannot hold is refused before its first byte."""
        with pytest.raises(NoSpace, match="nothing new is started"):
            begun(store, Blob(BLOB.digest, 1 << 60), b"")

        assert store.leftovers() == []

    def test_a_stop_ends_the_second_look(self, tmp_path: Path) -> None:
        """A process that is to end does not hash what is left; it stays."""
        stop = threading.Event()
        store = DirectoryStore(tmp_path / "b", tmp_path / "i", stop=stop)
        begun(store, BLOB, SMALL[:-1])
        stop.set()

        with pytest.raises(Interrupted, match="the part is kept"):
            stored(store, SMALL)

        (left,) = store.leftovers()
        assert left.size == BLOB.size - 1

    def test_a_store_that_is_no_directory_is_told(self, tmp_path: Path) -> None:
        """What cannot be used is an error of ours, with the place in it."""
        (tmp_path / "blobs").touch()
        store = DirectoryStore(tmp_path / "blobs", tmp_path / "incoming")

        with pytest.raises(PermanentError, match=f"{tmp_path}/blobs"):
            store.check()

    def test_a_store_that_is_not_ours_is_told(
        self, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Directories that cannot be written to are found before a transfer."""
        # Not by their mode: whoever runs the tests may be allowed everything.
        monkeypatch.setattr(os, "access", lambda path, _: path.name != "incoming")

        with pytest.raises(PermanentError, match=r"not ours to write.*incoming"):
            store.check()

    def test_one_file_system_is_needed(self, tmp_path: Path) -> None:
        """Parts that could not be renamed to blobs are refused at once."""
        other = Path("/dev/shm")  # noqa: S108 - the other file system that is meant
        if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is no second file system to try it on")

        with pytest.raises(PermanentError, match="two file systems") as caught:
            DirectoryStore(tmp_path / "blobs", other).check()

        assert caught.value.hint is not None

    def test_a_blob_that_cannot_be_read_is_told(self, store: DirectoryStore) -> None:
        """A bad sector is the trouble of one blob, which is there all the same."""
        stored(store, SMALL)

        with (
            failing("pread", errno.EIO),
            store.read(BLOB.digest) as blocks,
            pytest.raises(Truncated, match="cannot be read beyond 0 of 3200 bytes"),
        ):
            next(blocks)
        with (
            failing("pread", errno.ESTALE),
            store.read(BLOB.digest) as blocks,
            pytest.raises(PermanentError, match="Stale file handle"),
        ):
            next(blocks)
        with (
            failing("open", errno.EACCES),
            pytest.raises(PermanentError, match="Permission denied") as caught,
        ):
            content(store, BLOB)
        assert not isinstance(caught.value, NotFound)
