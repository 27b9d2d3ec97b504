"""The sweep itself: that it misses no call, and sees deliberate mistakes.

An independent witness counts the calls: `strace`, where it is installed.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.crash import example
from tests.crash.calls import CALLS
from tests.crash.sweep import ROOT, Sweep
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.git_http import GitServer

pytestmark = pytest.mark.crash

_CHANGING = re.compile(r"O_CREAT|O_TRUNC|O_TMPFILE")
_BY_FD = {call.name: call.fd for call in CALLS if call.fd is not None}
_BY_FLAGS = {call.name for call in CALLS if call.flags is not None}
#: Calls about files and descriptors that change no file.
_HARMLESS = {
    "access",
    "chdir",
    "close",
    "dup",
    "dup2",
    "dup3",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "eventfd2",
    "execve",
    "execveat",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fchdir",
    "fcntl",
    "flock",
    "fstat",
    "fstatfs",
    "getcwd",
    "getdents64",
    "lseek",
    "lstat",
    "mmap",
    "newfstatat",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "pread64",
    "preadv",
    "pselect6",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "select",
    "stat",
    "statfs",
    "statx",
}


@pytest.fixture
def sweep() -> Iterator[Callable[..., Sweep]]:
    """Open sweeps of the example operations, and close them."""
    opened: list[Sweep] = []

    def open_one(
        operation: str, prepare: Callable[[Path], object] = example.prepare
    ) -> Sweep:
        opened.append(Sweep(f"tests.crash.example:{operation}", prepare))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def _names(calls: list[str]) -> Counter[str]:
    return Counter(call.split(" ", 1)[0] for call in calls)


def _witness(operation: str, world: Path, logs: Path) -> Counter[str]:
    """Count the file-changing calls of an operation with `strace`."""
    logs.mkdir()
    program = (
        "from pathlib import Path; from tests.crash import example;"
        f" example.{operation}(Path({str(world)!r}))"
    )
    subprocess.run(
        [
            *("strace", "-ff", "-y", "-o", str(logs / "log")),
            *("-e", "trace=%file,%desc,?sync,?syncfs,?msync"),
            *(sys.executable, "-B", "-c", program),
        ],
        cwd=ROOT,
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    lines = [
        line for log in logs.iterdir() for line in log.read_text("latin-1").splitlines()
    ]
    return Counter(name for name in map(_changing, lines) if name)


def _changing(line: str) -> str | None:
    """Return the name of the call in a line of strace, if it changes a file."""
    match = re.match(r"([a-z0-9_]+)\((.*)", line)
    if match is None:
        return None
    name, rest = match[1], match[2]
    if name == "mmap" and "MAP_SHARED" in rest and "PROT_WRITE" in rest:
        # SQLite's index of its log, which it builds anew after a crash.
        assert "-shm>" in rest, line
    if name in _HARMLESS or (name == "ioctl" and "FICLONE" not in rest):
        return None
    if name in _BY_FLAGS and _CHANGING.search(rest) is None:
        return None
    if (index := _BY_FD.get(name)) is not None:
        files = re.findall(r"\d+<([^>]*)>", rest)
        # Pipes, sockets and devices are no files that a crash can spoil.
        place = files[1 if index and len(files) > 1 else 0] if files else "?"
        return name if place.startswith("/") and "/dev/" not in place[:5] else None
    return name


@pytest.mark.parametrize("operation", ["replace", "create", "commit", "names"])
def test_every_call_of_python_is_counted(
    operation: str, sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    """What strace sees change a file, the sweep stops at."""
    if shutil.which("strace") is None:
        pytest.skip("`strace` is not installed; the expected calls are tested below")
    world = tmp_path / "world"
    world.mkdir()
    example.prepare(world)

    seen = _witness(operation, world, tmp_path / "logs")

    assert _names(sweep(operation).calls()) == seen


def test_expected_calls_are_counted_in_order(sweep: Callable[..., Sweep]) -> None:
    """The calls of an operation are known, one by one, with their files."""
    one = sweep("replace")
    world = one.path()

    assert one.calls() == [
        f"openat {world}/file.new",
        f"write {world}/file.new",
        f"fsync {world}/file.new",
        f"rename {world}/file.new {world}/file",
        f"fsync {world}",
    ]


@pytest.fixture
def fetch_world(upstream: Callable[[str], Repository]) -> Callable[[Path], None]:
    """Prepare a bare repository that is behind its upstream."""
    repository = upstream("acme/crash")
    repository.branch("gone")
    repository.tag("v1")
    old = repository.copy(repository.path.with_name("old.git"))
    for _ in range(3):
        repository.commit()
    repository.delete("gone")
    repository.tag("v2")

    def prepare(world: Path, address: str) -> None:
        old.copy(world / "bare.git")
        (world / "address").write_text(address)

    return lambda world: prepare(world, repository.path.as_uri())


def test_every_call_of_git_over_http_is_counted(
    git_server: GitServer,
    fetch_world: Callable[[Path], None],
    sweep: Callable[..., Sweep],
    tmp_path: Path,
) -> None:
    """No call of git, its children or its stdio escapes the sweep."""
    if shutil.which("strace") is None:
        pytest.skip("`strace` is not installed")

    def prepare(world: Path) -> None:
        fetch_world(world)
        (world / "address").write_text(git_server.address("acme/crash"))

    for operation in ("fetch", "repack"):
        world = tmp_path / operation
        world.mkdir()
        prepare(world)

        seen = _witness(operation, world, tmp_path / f"{operation}-logs")

        counted = _names(sweep(operation, prepare).calls())
        assert counted.total() > 10
        # How much of a pack one read of the network gives varies.
        assert abs(counted.pop("write") - seen.pop("write")) <= 3
        assert counted == seen


def test_git_writes_packed_refs_in_a_counted_call(
    fetch_world: Callable[[Path], None], sweep: Callable[..., Sweep]
) -> None:
    """The bytes git gives to stdio are a crash point of their own."""
    calls = sweep("repack", fetch_world).calls()

    assert any(call.startswith("write ") and "packed-refs" in call for call in calls), (
        calls
    )


def test_a_killed_fetch_leaves_a_sound_repository(
    fetch_world: Callable[[Path], None], sweep: Callable[..., Sweep]
) -> None:
    """Git killed with its children, at sampled points, corrupts nothing."""
    one = sweep("fetch", fetch_world)
    total = one.count()

    for n in one.points(total, sample=8):
        with one.point(n) as point:
            assert point.result.hit == (n <= total), point.result
            Repository(point.path / "bare.git").fsck()


def test_a_right_replacement_is_old_or_new_at_every_point(
    sweep: Callable[..., Sweep],
) -> None:
    """Written aside, synced and renamed, a file is never half of anything."""
    one = sweep("replace")

    states = []
    for n in one.points(one.count()):
        with one.point(n) as point:
            states.append((point.path / "file").read_bytes())

    assert set(states) == {example.OLD, example.NEW}
    assert states[-1] == example.NEW


def test_writing_in_place_is_caught(sweep: Callable[..., Sweep]) -> None:
    """The sweep finds the mutant that writes where readers look."""
    one = sweep("replace_in_place")

    states = set()
    for n in one.points(one.count()):
        with one.point(n) as point:
            states.add((point.path / "file").read_bytes())

    assert not states <= {example.OLD, example.NEW}


def test_an_errno_is_what_the_operation_gets(sweep: Callable[..., Sweep]) -> None:
    """A call that is made to fail does not happen, and the operation goes on."""
    one = sweep("replace")

    with one.point(4, "errno:28") as point:
        assert point.result.hit
        assert point.result.exit == 1
        assert "No space left on device" in point.result.output
        assert (point.path / "file.new").read_bytes() == example.NEW
        assert (point.path / "file").read_bytes() == example.OLD


def test_a_process_in_its_own_session_dies_too(sweep: Callable[..., Sweep]) -> None:
    """Sessions and process groups do not save a process from the crash."""
    one = sweep("spawn_session")

    for n in one.points(one.count()):
        with one.point(n) as point:
            world = str(point.path).encode()
            lines = [_command_line(process) for process in Path("/proc").glob("[0-9]*")]
            assert not any(b"while :" in line and world in line for line in lines)


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_committed_rows_survive_a_kill(sweep: Callable[..., Sweep]) -> None:
    """SQLite is whole at every point, and has the rows once it said so."""
    one = sweep("commit")
    total = one.count()

    for n in one.points(total, sample=12):
        with one.point(n) as point:
            assert _rows(point.path) in ((2,) if n > total else (0, 2)), point.result


def _rows(world: Path) -> int:
    with closing(sqlite3.connect(world / "rows.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        try:
            return int(database.execute("SELECT count(*) FROM rows").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def test_samples_are_stratified_and_repeatable() -> None:
    """A sample takes a point from each stretch, and one beyond the end."""
    with Sweep("m:f", Path()) as one, Sweep("m:f", Path()) as other:
        points = one.points(100, sample=11)

        assert points == other.points(100, sample=11)
        assert [(n - 1) // 10 for n in points] == [*range(10), 10]
        assert one.points(5) == one.points(5, sample=40) == [1, 2, 3, 4, 5, 6, 7, 8]


def _lengths(one: Sweep, name: str) -> list[int | None]:
    """Return the length of a file after the power was cut at each point."""
    lengths: list[int | None] = []
    for n in one.points(one.count("power")):
        with one.point(n, "power") as point:
            file = point.path / name
            lengths.append(file.stat().st_size if file.exists() else None)
    return lengths


@pytest.mark.power
class TestPower:
    """A cut power loses what was not synced, and nothing else."""

    def test_a_name_without_its_bytes_is_caught(
        self, sweep: Callable[..., Sweep]
    ) -> None:
        """Without fsync the file is there and empty."""
        assert 0 in _lengths(sweep("create_unsynced"), "fresh")

    def test_synced_bytes_are_there_with_their_name(
        self, sweep: Callable[..., Sweep]
    ) -> None:
        """With fsync the file is absent or whole, and whole after success."""
        lengths = _lengths(sweep("create"), "fresh")

        assert set(lengths) == {None, len(example.NEW)}
        assert lengths[-1] == len(example.NEW)

    def test_success_without_a_synced_directory_is_caught(
        self, sweep: Callable[..., Sweep]
    ) -> None:
        """A rename that was only acknowledged is gone."""
        assert _lengths(sweep("rename_only"), "renamed")[-1] is None

    def test_committed_rows_survive(self, sweep: Callable[..., Sweep]) -> None:
        """SQLite with WAL and FULL keeps what it acknowledged."""
        one = sweep("commit")
        total = one.count("power")

        for n in one.points(total, sample=8):
            with one.point(n, "power") as point:
                assert _rows(point.path) in ((2,) if n > total else (0, 2))

    def test_an_acknowledged_fetch_of_git_alone_is_lost(
        self, fetch_world: Callable[[Path], None], sweep: Callable[..., Sweep]
    ) -> None:
        """Git's default configuration says success before the disk has it."""
        one = sweep("fetch", fetch_world)

        with one.point(one.count("power") + 1, "power") as point:
            assert not point.result.hit
            assert "refs/tags/v2" not in Repository(point.path / "bare.git").refs()
