"""A large object whose way is broken off by upstream, or by who asked for it."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.large_object import MIB, NAME, Large, Syncers
from tests.servers.http_faults import Fault
from tests.servers.lfs import BLOCK, STORAGE
from tests.servers.s3_faults import S3Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.large_object import Ran
    from tests.servers.git_http import GitServer
    from tests.servers.s3 import S3Server
    from tests.servers.s3_proxy import S3Proxy

    Make = Callable[..., Large]

PART = 5 * MIB
SIZE = 5 * PART + 1000
#: Bytes that a server sent and nobody read: in the buffers of two sockets.
BUFFERS = 14 * MIB
#: Seconds that the end may take.
PROMPT = 10.0
_STORAGE = re.escape(STORAGE)


@pytest.fixture(scope="module")
def syncers() -> Iterator[Syncers]:
    """Have the program ready, imported."""
    with Syncers() as warm:
        yield warm


@pytest.fixture
def make(git_server: GitServer, syncers: Syncers, tmp_path: Path) -> Make:
    """Offer an object upstream, and mirror it into what the test chooses."""

    def make(minio: S3Server | None = None, size: int = SIZE) -> Large:
        return Large(git_server, syncers, tmp_path / "here", size, PART, minio)

    return make


def batches(large: Large) -> int:
    """Return how often upstream was asked for a grant."""
    asked = [r.path for r in large.server.requests]
    return sum(path == f"/{NAME}.git/info/lfs/objects/batch" for path in asked)


def arrives(large: Large, downloaded: int, lost: int = BLOCK) -> Ran:
    """Check that one run is enough, and takes no more bytes than that.

    An answer that is broken off is `lost` bytes shorter than it was sent: at
    least a block that was not sent as a whole.
    """
    done = large("sync")
    assert done.status == 0, done.output
    assert large.is_right()
    assert large.is_published
    assert large.rests() == []
    assert large.server.lfs.sent <= downloaded + len(large.offsets) * lost
    return done


def test_a_connection_that_breaks_again_and_again_is_enough(
    make: Make, minio: S3Server
) -> None:
    """Each answer brings a little: what came does not come again."""
    large = make(minio)
    large.server.fault(_STORAGE, Fault(reset=9 * MIB), times=3)
    done = arrives(large, SIZE, BUFFERS)
    assert len(large.offsets) == 4
    # Of what comes before a reset, the end may be lost; of what arrived, nothing.
    ends = [0, *done.ends]
    assert large.offsets == [end for end in ends if end in large.offsets]


def test_an_address_that_is_good_once_is_asked_for_again(make: Make) -> None:
    """Each refusal leads to another grant, and each grant goes on from there."""
    large = make()
    large.server.lfs.uses = 1
    large.server.fault(_STORAGE, Fault(truncate=10 * MIB))
    arrives(large, SIZE)
    assert batches(large) == 3
    assert [offset // MIB for offset in sorted(set(large.offsets))] == [0, 10, 20]


def test_an_address_whose_time_is_over_is_not_tried(make: Make) -> None:
    """What upstream said of its end is believed: no request is refused."""
    large = make()
    large.server.lfs.lifetime = 1
    slowly = Fault(drip=(BLOCK, 0.1), truncate=12 * MIB)
    large.server.fault(_STORAGE, slowly, times=1)
    arrives(large, SIZE)
    assert large.offsets == [0, 12 * MIB]
    assert batches(large) == 2


def test_grants_taken_back_in_the_midst_are_replaced(make: Make) -> None:
    """Nobody said that they would end, and they do."""
    large = make()
    lfs = large.server.lfs

    def look(sent: int) -> None:
        if sent >= 10 * MIB:
            lfs.on_sent = abs
            lfs.revoke()

    lfs.on_sent = look
    large.server.fault(_STORAGE, Fault(truncate=12 * MIB), times=1)
    arrives(large, SIZE)
    assert large.offsets == [0, 12 * MIB, 12 * MIB]
    assert batches(large) == 2


@pytest.mark.parametrize("ranges", ["no", "wrong", "refused"])
def test_a_server_without_ranges_is_read_from_the_beginning(
    make: Make, ranges: str
) -> None:
    """It costs what had come already, once, and is right."""
    large = make()
    large.server.lfs.ranges = ranges  # type: ignore[assignment]  # one of its words
    large.server.fault(_STORAGE, Fault(truncate=12 * MIB), times=1)
    # With `wrong`, what is on its way already is thrown away as well.
    arrives(large, SIZE + 12 * MIB, BUFFERS if ranges == "wrong" else BLOCK)
    assert large.offsets[:2] == [0, 12 * MIB]


def ends(large: Large, when: Callable[[], object]) -> float:
    """Ask a run to end, and return how many seconds that took."""
    asked: list[float] = []

    def during(process: int) -> None:
        when()
        asked.append(time.monotonic())
        os.kill(process, signal.SIGTERM)

    done = large("sync", during=during)
    took = time.monotonic() - asked[0]
    assert done.status == 128 + signal.SIGTERM, done
    assert "Traceback" not in done.output
    assert not large.is_published
    assert not large.is_right()
    return took


@pytest.mark.parametrize("store", ["s3", "directory"])
def test_who_is_asked_to_end_does_so_and_continues(
    make: Make, request: pytest.FixtureRequest, store: str
) -> None:
    """A server that stands still holds nobody up, and what had come is kept."""
    large = make(request.getfixturevalue("minio") if store == "s3" else None)
    large.server.fault(_STORAGE, Fault(hang=17 * MIB), times=1)
    # The last whole block before the server stands still.
    assert ends(large, lambda: happens(large, "block#22")) < PROMPT
    arrives(large, SIZE + 2 * MIB)
    assert large.offsets == [0, 3 * PART if store == "s3" else 17_664_000]


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(SIZE, id="staged", marks=pytest.mark.long),
        pytest.param(2 * PART, id="direct"),
    ],
)
def test_a_store_that_stands_still_holds_nobody_up(
    make: Make, s3_proxy: S3Proxy, minio: S3Server, size: int
) -> None:
    """The process ends while a part waits for its answer; the next run works."""
    large = make(minio, size)
    large.settings["SYNCER_S3_ENDPOINT"] = s3_proxy.endpoint
    s3_proxy.fault("partNumber=2", S3Fault(delay=60), times=1)
    took = ends(large, lambda: s3_proxy.wait_for(1, "partNumber=2"))
    assert took < PROMPT
    arrives(large, size + 2 * PART, BUFFERS)
    assert large("gc").status == 0
    assert large.rests() == []


def happens(large: Large, event: str) -> None:
    """Wait for an event of a run."""
    log, deadline = large.place / "events", time.monotonic() + 30
    while not log.exists() or event not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
