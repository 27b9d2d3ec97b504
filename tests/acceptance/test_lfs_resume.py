"""Killed while a large object is on its way: little comes twice, nothing is wrong.

`make test` kills a few times with small parts; `make test-long` at every event of a
run, and an object of 1 GiB with the parts that people have.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.large_object import MIB, Large, Syncers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.large_object import Ran
    from tests.servers.git_http import GitServer
    from tests.servers.s3 import S3Server

    Make = Callable[..., Large]

#: The smallest that S3 takes.
PART = 5 * MIB
SIZE = 6 * PART - 1000
GIB = 1 << 30
#: A server does not see how much of what it sent was read: the buffers of two
#: sockets, and a block of each side's.
IN_FLIGHT = 14 * MIB
#: What is read at once: a block may end beyond its part.
AT_HAND = MIB

#: In the order in which they come.
S3_POINTS = [
    "after staged begin",
    "block#19",
    "after staged part 4",
    "before staged complete",
    "after staged complete",
    "after final copy",
    "before stored",
    "before promote",
]
DIRECTORY_POINTS = ["block#19", "after rename", "before promote"]
#: What is there when the process dies, and what `gc` finds to do about it.
ABANDONED = ["after staged part 2", "after staged complete", "after final copy"]


@pytest.fixture(scope="module")
def syncers() -> Iterator[Syncers]:
    """Have the program ready, imported."""
    with Syncers() as warm:
        yield warm


@pytest.fixture
def make(git_server: GitServer, syncers: Syncers, tmp_path: Path) -> Make:
    """Offer an object upstream, and mirror it into what the test chooses."""

    def make(minio: S3Server | None, size: int = SIZE, part: int = PART) -> Large:
        return Large(git_server, syncers, tmp_path / "here", size, part, minio)

    return make


def kill(large: Large, point: str) -> Ran:
    """Kill a run at a point; what readers see then is right."""
    killed = large("sync", at=point)
    assert killed.status == -signal.SIGKILL, (point, killed)
    name = point if "#" in point else f"{point}#1"
    assert name in [event.split(" -> ")[0] for event in killed.events], killed
    assert large.is_right() or not large.is_published, point
    return killed


def goes_on(large: Large, killed: Ran, point: str) -> None:
    """Check that the next run continues the work of a killed one."""
    before = len(large.offsets)
    ends_well(large, point)
    resumed = [*large.offsets[before:], large.size][0]
    assert killed.arrived - resumed <= large.part + AT_HAND, (point, killed)
    assert large.server.lfs.sent <= large.size + large.part + IN_FLIGHT, point


def ends_well(large: Large, point: str) -> None:
    """Check that the next run ends the work, and `gc` the traces of others."""
    done = large("sync")
    assert done.status == 0, (point, done)
    assert large.is_right(), point
    assert large.is_published, point
    swept = large("gc")
    assert swept.status == 0, (point, swept)
    assert large.rests() == [], point
    assert large.is_right(), point


@pytest.mark.parametrize("point", S3_POINTS)
def test_an_upload_goes_on_where_it_was_killed(
    make: Make, minio: S3Server, point: str
) -> None:
    """At most a part comes twice; what becomes visible is right."""
    large = make(minio)
    goes_on(large, kill(large, point), point)


@pytest.mark.parametrize("point", DIRECTORY_POINTS)
def test_a_part_file_goes_on_where_it_was_killed(make: Make, point: str) -> None:
    """Nothing of what had arrived comes twice."""
    large = make(None)
    killed = kill(large, point)
    goes_on(large, killed, point)
    assert large.server.lfs.sent <= large.size + IN_FLIGHT
    again = large.offsets[1:]
    assert not again or killed.arrived - again[0] <= AT_HAND


@pytest.mark.parametrize("point", ABANDONED)
def test_what_a_dead_run_left_is_removed(
    make: Make, minio: S3Server, point: str
) -> None:
    """`gc` alone leaves no upload and no staging object, and the next run works."""
    large = make(minio)
    kill(large, point)
    assert large.rests() != []
    assert large("gc", "--dry-run").status == 0
    assert large.rests() != []
    swept = large("gc")
    assert swept.status == 0, swept
    assert "1 unfinished transfer removed" in swept.output
    assert large.rests() == []
    assert large("sync").status == 0
    assert large.is_right()
    assert large.is_published
    assert large.rests() == []


@pytest.mark.parametrize("point", ["after final part 1", "after final complete"])
def test_a_short_upload_starts_over(make: Make, minio: S3Server, point: str) -> None:
    """What is not continued leaves nothing behind either."""
    large = make(minio, size=2 * PART)
    kill(large, point)
    ends_well(large, point)


def test_two_deaths_cost_two_parts(make: Make, minio: S3Server) -> None:
    """What one run brought is kept by the next, and by the one after that."""
    large = make(minio)
    for point in ("block#14", "after staged part 4"):
        kill(large, point)
    assert large("sync").status == 0
    assert large.offsets[0] == 0
    assert large.offsets == sorted(large.offsets)
    assert large.offsets[-1] >= 4 * PART
    assert large.is_right()
    assert large.rests() == []


def test_a_wrong_part_of_a_dead_run_is_found_out(make: Make, minio: S3Server) -> None:
    """What an earlier process uploaded is read back, and brought again if wrong."""
    large = make(minio)
    kill(large, "after staged part 4")
    client, key = minio.client(), f"blobs/incoming/{large.pointer.oid}"
    listed = client.list_multipart_uploads(Bucket=large.bucket, Prefix=key)
    client.upload_part(
        Bucket=large.bucket,
        Key=key,
        UploadId=listed["Uploads"][0]["UploadId"],
        PartNumber=1,
        Body=bytes(PART),
        ChecksumAlgorithm="CRC32",
    )
    ends_well(large, "with a wrong part")
    assert large.offsets == [0, 4 * PART, 0]


@pytest.mark.long
@pytest.mark.parametrize("store", ["s3", "directory"])
def test_every_event_may_be_the_last(
    make: Make, request: pytest.FixtureRequest, store: str
) -> None:
    """No point of a run is worse than another."""
    large = make(request.getfixturevalue("minio") if store == "s3" else None)
    whole = large("sync")
    assert whole.status == 0, whole
    hit = 0
    for point in [event.split(" -> ")[0] for event in whole.events]:
        large.start_over()
        killed = large("sync", at=point)
        if killed.status == 0:
            continue  # threads took other turns, this one among them
        hit += 1
        assert large.is_right() or not large.is_published, point
        goes_on(large, killed, point)
    assert hit > len(whole.events) * 0.9


@pytest.mark.long
@pytest.mark.parametrize("store", ["s3", "directory"])
def test_an_object_of_one_gibibyte_is_continued(
    make: Make, request: pytest.FixtureRequest, store: str
) -> None:
    """With parts of 64 MiB: killed by an event, and from outside while bytes come."""
    minio = request.getfixturevalue("minio") if store == "s3" else None
    large = make(minio, size=GIB, part=64 * MIB)
    names = S3_POINTS if minio is not None else DIRECTORY_POINTS
    for point in names:
        large.start_over()
        goes_on(large, kill(large, point), point)
    for sent in range(50 * MIB, GIB, 100 * MIB):
        large.start_over()
        killed = large("sync", during=_killer(large, sent))
        assert killed.status == -signal.SIGKILL
        assert large.is_right() or not large.is_published
        goes_on(large, killed, f"{sent} bytes")


def _killer(large: Large, after: int) -> Callable[[int], None]:
    """Return what kills a process once upstream has sent so many bytes."""
    lfs = large.server.lfs

    def kill_when_sent(process: int) -> None:
        def look(sent: int) -> None:
            if sent >= after:
                lfs.on_sent = abs
                os.kill(process, signal.SIGKILL)

        lfs.on_sent = look

    return kill_when_sent
