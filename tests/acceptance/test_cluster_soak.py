"""Several machines over a long time: whatever happens, every mirror is current."""

from __future__ import annotations

import os
import random
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from syncer.catalog import database
from syncer.catalog.sql import SqlCatalog
from tests.acceptance.cluster import Cluster
from tests.acceptance.running import end, gits, until
from tests.acceptance.soak import Soak
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.git_http import GitServer
    from tests.servers.repositories import Repository
    from tests.servers.s3 import S3Server

    Upstream = Callable[[str], Repository]

pytestmark = pytest.mark.postgres

NAMES = [f"acme/widget-{number}" for number in range(8)]
#: The order of events, and how many; nine of them are each kind once.
SEED = int(os.environ.get("SOAK_SEED", "6"))
STEPS = int(os.environ.get("SOAK_STEPS", "27"))


@pytest.fixture
def soak(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    git_server: GitServer,
    minio: S3Server,
    upstream: Upstream,
) -> Iterator[Soak]:
    """Provide machines at work, with a database of their own."""
    postgres.shared(request.config)  # skips, or fails, where it is not installed
    for name in NAMES:
        upstream(name).commit("main", {"more": "of it"})
    with ExitStack() as stack:
        server = stack.enter_context(postgres.running())
        server.prepare()
        url = stack.enter_context(server.migrated())
        cluster = Cluster(tmp_path, git_server, minio, url, NAMES)
        done = cluster.machine("a")("db", "upgrade")
        assert done.status == 0, done.err
        stack.callback(lambda: end(gits(tmp_path)))
        stack.callback(cluster.end)
        catalog = SqlCatalog(database.connect(url))
        stack.callback(catalog.close)
        yield Soak(cluster, catalog, server, SEED)


@pytest.mark.long
def test_whatever_happens_every_mirror_is_current(
    soak: Soak, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once all is quiet; never in two hands, and nothing is left open."""
    order = random.Random(SEED)  # noqa: S311 - an order of events
    soak.settle()
    with capsys.disabled():
        sys.stdout.write(f"\nseed {SEED}\n")
        for name in _sequence(list(soak.steps), order):
            sys.stdout.write(f"  {name}: ")
            sys.stdout.flush()
            began = time.monotonic()
            told = soak.step(name)
            sys.stdout.write(f"{told}, {time.monotonic() - began:.1f} s\n")
    until(lambda: not soak.jobs(older=15), "the queue to move on", 60)
    soak.check_status()


def _sequence(names: list[str], order: random.Random) -> Iterator[str]:
    """Yield so many of them, each as often as any other, in any order."""
    for number in range(STEPS):
        if number % len(names) == 0:
            order.shuffle(names)
        yield names[number % len(names)]
