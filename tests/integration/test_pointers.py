"""LFS pointers found in real repositories, those of the real git-lfs among them."""

from __future__ import annotations

import errno
import os
import tracemalloc
from datetime import timedelta
from tempfile import SpooledTemporaryFile
from threading import Event
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from syncer.errors import IntegrityError, Interrupted, NoSpace, PermanentError
from syncer.git import lfs_config, pointers
from syncer.git.bare import BareStore
from syncer.git.command import GitCommand
from syncer.git.lease import hold
from syncer.git.pointers import PointerScan
from syncer.git.remote import Remote
from syncer.git.repository import Limits
from syncer.model.content import RefSnapshot
from syncer.model.lfs import LfsPointer
from syncer.model.runs import Incoming
from tests.pointer_files import ACCEPTED, OID, REFUSED
from tests.servers.bulk import build
from tests.servers.pointers import pointer_file, some_pointers, track
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.lfs_client import GitLfs

MINUTE = timedelta(minutes=1)


class Search:
    """Searches in a repository as a mirror's lease holder does."""

    def __init__(self, root: Path) -> None:
        self.git = GitCommand()
        self._lock = root / "lock"

    def everything(self, repository: Path) -> list[LfsPointer]:
        """Return the pointers among all objects."""
        with hold(self._lock, "the test") as lease:
            return PointerScan(self.git, repository, {}, lease, MINUTE).everything()

    def packed(self, repository: Path, *packs: Path) -> list[LfsPointer]:
        """Return the pointers in some packs."""
        with hold(self._lock, "the test") as lease:
            return PointerScan(self.git, repository, {}, lease, MINUTE).packed(packs)

    def reached(self, repository: Path, *tips: str) -> list[LfsPointer]:
        """Return the pointers that some objects reach."""
        with hold(self._lock, "the test") as lease:
            return PointerScan(self.git, repository, {}, lease, MINUTE).reached(tips)

    def lfs_url(self, repository: Repository) -> str | None:
        """Return what the `.lfsconfig` of `main` says."""
        oid = repository.oid("main")
        with hold(self._lock, "the test") as lease:
            return lfs_config.url(self.git, repository.path, {}, lease, oid)


@pytest.fixture
def search(tmp_path: Path) -> Search:
    """Return what looks for pointers."""
    return Search(tmp_path)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return an empty repository."""
    return Repository(tmp_path / "up.git")


def _pack(repository: Repository, *revisions: str) -> Path:
    """Pack what is reachable from some and not from other revisions."""
    directory = repository.path / "objects/pack"
    stdin = "".join(f"{each}\n" for each in revisions).encode()
    name = repository.git("pack-objects", "--revs", directory / "pack", stdin=stdin)
    return directory / f"pack-{name}.pack"


def test_what_git_lfs_lists_is_found(
    git_lfs: GitLfs, search: Search, tmp_path: Path
) -> None:
    """The objects of all refs and of the past, by the client's own word."""
    place = git_lfs.repository(tmp_path / "work", "*.bin")
    git_lfs.commit(place, {"a.bin": b"first", "text": b"no pointer"})
    git_lfs.commit(place, {"a.bin": b"second", "sub/b.bin": b"\0" * 5000})
    git_lfs.git("checkout", "--quiet", "-b", "topic", at=place)
    git_lfs.commit(place, {"c.bin": os.urandom(3000)})
    git_lfs.git("tag", "v1", at=place)
    git_lfs.git("reset", "--quiet", "--hard", "main", at=place)

    found = search.everything(place / ".git")

    listed = {each.oid for each in git_lfs.ls_files_all(place)}
    assert [pointer.oid for pointer in found] == sorted(listed)
    assert len(found) == 4
    # The client keeps each object under its digest, with its length.
    stored = {oid: len(data) for oid, data in git_lfs.stored(place).items()}
    assert dict(found) == stored


def test_every_kind_of_pointer_is_found(search: Search, repository: Repository) -> None:
    """Whatever the parser takes for a pointer; and what only looks like one is not."""
    files = {f"yes/{n}": data for n, (data, _) in enumerate(ACCEPTED.values())}
    files |= {f"no/{n}": data for n, data in enumerate(REFUSED.values())}
    repository.commit("main", files)

    sizes = sorted({size for _, size in ACCEPTED.values()})
    assert search.everything(repository.path) == [LfsPointer(OID, n) for n in sizes]


def test_many_pointers_are_found_among_many_blobs(
    search: Search, tmp_path: Path
) -> None:
    """Git's answers come in many pieces, and nothing gets lost between them."""
    repository = build(tmp_path / "bulk.git", commits=1500, blob_size=300)
    expected = track(repository, 700)

    assert search.everything(repository.path) == expected


def test_only_the_objects_of_the_packs_are_searched(
    search: Search, repository: Repository
) -> None:
    """Of two packs those that are named, by two processes; blobs alone count."""
    first, second, third = some_pointers(3)
    old = repository.commit("main", {"a": pointer_file(first)})
    new = repository.commit(
        "main",
        {"a": pointer_file(second), "b": "short\n", "c": "x" * 5000},
        message=pointer_file(third).decode(),
    )
    packs = [_pack(repository, old), _pack(repository, new, f"^{old}")]

    assert search.packed(repository.path, packs[1]) == [second]
    assert search.git.started == 2
    assert search.packed(repository.path, *packs) == sorted([first, second])


def test_what_tips_reach_is_found(search: Search, repository: Repository) -> None:
    """Whatever kind of object a tip is, and whatever it took the place of."""
    first, second, third = some_pointers(3)
    old = repository.commit("main", {"a": pointer_file(first), "b": "x" * 5000})
    new = repository.commit("main", {"a": pointer_file(second), "c": "short\n"})
    other = repository.commit("topic", {"deep/er": pointer_file(third)})
    tag = repository.tag("v1", old)

    path = repository.path
    assert search.reached(path, old) == search.reached(path, tag) == [first]
    assert search.reached(path, new, old) == sorted([first, second])
    assert search.reached(path, f"{new}^{{tree}}") == [second]
    assert search.reached(path, repository.oid("topic:deep/er")) == [third]
    assert third in search.reached(path, new, other)
    assert search.reached(path) == []


@pytest.mark.parametrize("bitmap", [True, False], ids=["bitmap", "none"])
def test_a_walk_is_the_same_along_a_bitmap(
    search: Search, tmp_path: Path, *, bitmap: bool
) -> None:
    """What it covers and what came after it: of many objects none is left out."""
    repository = build(tmp_path / "bulk.git", commits=1500, blob_size=300)
    track(repository, 400)
    option = "--write-bitmap-index" if bitmap else "--no-write-bitmap-index"
    repository.git("repack", "-adq", option)
    expected = track(repository, 700)
    tip = repository.oid("main")
    track(repository, 900, "topic")

    assert bool(list(repository.path.glob("objects/pack/*.bitmap"))) == bitmap
    assert search.reached(repository.path, tip) == expected


def test_a_tip_that_is_not_there_is_no_answer(
    search: Search, repository: Repository
) -> None:
    """Nothing is said to be unneeded because a walk broke off."""
    tip = repository.commit("main", {"a": "short\n"})

    with pytest.raises(IntegrityError):
        search.reached(repository.path, tip, "f" * 40)


def test_a_second_process_is_started_only_for_what_can_be_a_pointer(
    search: Search, repository: Repository
) -> None:
    """No blob of that length: one process; no pack: none."""
    tip = repository.commit("main", {"a": "short\n", "b": "x" * 1024})

    assert search.packed(repository.path) == []
    assert search.git.started == 0
    assert search.packed(repository.path, _pack(repository, tip)) == []
    assert search.everything(repository.path) == []
    assert search.git.started == 2


def test_ids_that_do_not_fit_in_memory_go_to_a_file_without_a_name(
    search: Search, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is the same, and nothing is left behind."""
    expected = track(repository, 300)
    monkeypatch.setattr(pointers, "_IN_MEMORY", 1000)
    before = sorted(repository.path.parent.iterdir())

    assert search.everything(repository.path) == expected
    assert set(repository.path.parent.iterdir()) - set(before) <= {
        repository.path.parent / "lock"
    }


def test_a_full_disk_is_told_as_one(repository: Repository, tmp_path: Path) -> None:
    """No search is done by half: the run fails, with words."""
    track(repository, 3)
    limits = Limits(deadline=MINUTE, grace=MINUTE)
    store = BareStore(tmp_path, GitCommand(), lambda _name: Remote("none"), limits)
    full = OSError(errno.ENOSPC, "No space left on device")

    with (
        store.lease(repository.path.name) as leased,
        patch.object(SpooledTemporaryFile, "write", side_effect=full),
        pytest.raises(NoSpace, match=r"pointers: the disk is full.*unchanged"),
    ):
        leased.pointers(Incoming(RefSnapshot(), exact=True), everything=True)


@pytest.mark.parametrize("length", [0, 8, 1031, 1032 + 30])
def test_a_damaged_index_is_an_error(
    search: Search, repository: Repository, length: int
) -> None:
    """A cut index is not taken for one of a pack without pointers."""
    track(repository, 3)
    pack = _pack(repository, "main")
    index = pack.with_suffix(".idx")
    index.chmod(0o600)
    os.truncate(index, length)

    with pytest.raises(IntegrityError, match="published refs are unchanged"):
        search.packed(repository.path, pack)


def test_an_index_of_another_format_is_an_error(
    search: Search, repository: Repository
) -> None:
    """An index whose layout we do not know is not guessed at."""
    track(repository, 3)
    pack = _pack(repository, "main")
    index = pack.with_suffix(".idx")
    index.chmod(0o600)
    repository.git("index-pack", "--index-version=1", "-o", index, pack)

    with pytest.raises(IntegrityError, match="not an index"):
        search.packed(repository.path, pack)


def test_a_damaged_object_is_an_error(search: Search, repository: Repository) -> None:
    """A pointer that cannot be read is not taken for none."""
    (pointer,) = some_pointers(1)
    blob = repository.git("hash-object", "-w", "--stdin", stdin=pointer_file(pointer))
    assert search.everything(repository.path) == [pointer]
    path = repository.path / "objects" / blob[:2] / blob[2:]
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[-8] ^= 0xFF  # type and length, at the start, can still be read
    path.write_bytes(data)

    with pytest.raises(PermanentError):
        search.everything(repository.path)


def test_a_stop_ends_a_search(repository: Repository, tmp_path: Path) -> None:
    """A daemon that ends does not wait for it."""
    track(repository, 3)
    stop = Event()
    stop.set()
    git = GitCommand(stop=stop)

    with hold(tmp_path / "lock", "the test") as lease:
        scan = PointerScan(git, repository.path, {}, lease, MINUTE)
        with pytest.raises(Interrupted):
            scan.everything()


def test_memory_does_not_grow_with_the_repository(
    search: Search, tmp_path: Path
) -> None:
    """Forty thousand objects, all blobs as long as pointers, in a few blocks."""
    repository = build(tmp_path / "bulk.git", commits=10_000, blob_size=200)
    search.everything(repository.path)  # loads what is loaded once
    tracemalloc.start()
    try:
        assert search.everything(repository.path) == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2 << 20  # git prints 2.5 MB of ids, and 2 MB of contents


def _configurations() -> Iterator[tuple[str, bytes, str | None]]:
    url = "https://lfs.test/acme/widget"
    plain = f"[lfs]\n\turl = {url}\n".encode()
    yield "plain", plain, url
    yield "the last one counts", b"[lfs]\n\turl = first\n" + plain, url
    yield "with spaces", b'[lfs]\n\turl = "a b"\n', "a b"
    yield "nothing set", b"[lfs]\n\tfetchexclude = *\n", None
    yield "no value", b"[lfs]\n\turl\n", None
    yield "an empty value", b"[lfs]\n\turl =\n", None
    yield "another section", b'[lfs "x"]\n\turl = a\n', None
    yield "no configuration", b"rubbish\n", None
    yield "an error further down", plain + b"[oh\n", None
    yield "binary", bytes(range(256)), None
    yield "a line break", b'[lfs]\n\turl = "a\\nb"\n', None
    yield "a control character", b"[lfs]\n\turl = a\x1b[31mb\n", None
    yield "another control character", b"[lfs]\n\turl = a\xc2\x9bb\n", None
    yield "no text", b"[lfs]\n\turl = a\xc3(\n", None
    yield "as long as can be", b"[lfs]\n\turl = " + b"a" * 2000 + b"\n", "a" * 2000
    yield "longer", b"[lfs]\n\turl = " + b"a" * 2001 + b"\n", None
    yield "much longer", b"[lfs]\n\turl = " + b"a" * 2_000_000 + b"\n", None


@pytest.mark.parametrize(
    ("text", "expected"),
    [pytest.param(text, url, id=name) for name, text, url in _configurations()],
)
def test_lfs_url_is_what_the_file_sets(
    search: Search, repository: Repository, text: bytes, expected: str | None
) -> None:
    """The file is upstream's: only a plain value of a good file counts."""
    repository.commit("main", {".lfsconfig": text})

    assert search.lfs_url(repository) == expected


def test_lfs_url_of_what_is_no_file(search: Search, repository: Repository) -> None:
    """Without the file, with a directory or a link in its place, nothing is set."""
    repository.commit("main")
    assert search.lfs_url(repository) is None
    repository.commit("main", {".lfsconfig/file": "[lfs]\n\turl = a\n"})
    assert search.lfs_url(repository) is None
    target = repository.git("hash-object", "-w", "--stdin", stdin=b"../elsewhere")
    tree = f"120000 blob {target}\t.lfsconfig\n".encode()
    commit = repository.git("commit-tree", repository.git("mktree", stdin=tree))
    repository.branch("main", commit)
    assert search.lfs_url(repository) is None


def test_lfs_url_includes_nothing(
    search: Search, repository: Repository, tmp_path: Path
) -> None:
    """A repository cannot make us read a file of this machine."""
    other = tmp_path / "included"
    other.write_text("[lfs]\n\turl = https://secret.test/\n")
    repository.commit("main", {".lfsconfig": f"[include]\n\tpath = {other}\n"})

    assert search.lfs_url(repository) is None
