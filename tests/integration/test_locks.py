"""One process at a time: locks that outlive whoever took them, and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncer.errors import Locked
from syncer.model.runs import Outcome, Trigger
from tests.fakes import NOW
from tests.sandbox import NAME, Sandbox, snapshot
from tests.servers.http_faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.git_http import GitServer

ROOT = Path(__file__).parents[2]
FETCH = "command=fetch"
#: Another process that fetches the same mirror, until it is killed.
FETCHER = """
import sys
from datetime import timedelta
from pathlib import Path
from syncer.git.bare import BareStore
from syncer.git.command import GitCommand
from syncer.git.remote import Remote
from syncer.git.repository import Limits
from tests.sandbox import NAME, snapshot
root, url, upstream = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
limits = Limits(timedelta(minutes=1), timedelta(hours=1))
store = BareStore(root, GitCommand(), lambda name: Remote(url), limits)
with store.lease(NAME.path) as repository:
    repository.recover(None)
    repository.fetch(NAME, snapshot(upstream), scope=("refs/heads/",))
"""


@pytest.fixture
def box(git_server: GitServer, tmp_path: Path) -> Sandbox:
    """Return a mirror whose upstream moved on, and does not answer a fetch."""
    made = Sandbox(git_server, tmp_path / "git")
    made.upstream.commit()
    made.sync()
    made.upstream.commit()
    git_server.forget()
    git_server.fault(FETCH, Fault(hang="headers"), times=1)
    return made


@pytest.fixture
def other(box: Sandbox) -> Iterator[subprocess.Popen[bytes]]:
    """Yield another process that waits for upstream, with git at work."""
    words = [box.root, box.server.address("acme/widget"), box.upstream.path]
    process = subprocess.Popen(
        [sys.executable, "-c", FETCHER, *map(str, words)], cwd=ROOT
    )
    _until_fetching(box)
    yield process
    process.kill()
    process.wait()


def _until_fetching(box: Sandbox) -> None:
    deadline = time.monotonic() + 20
    while not any(FETCH in request.line for request in box.server.requests):
        assert time.monotonic() < deadline, "no fetch has begun"
        time.sleep(0.01)


def gits(box: Sandbox) -> list[int]:
    """Return the living processes of git's that work on the mirror."""
    found = []
    marker = f"GIT_DIR={box.mirror}\0".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_two_runs_at_one_moment(box: Sandbox, other: subprocess.Popen[bytes]) -> None:
    """The second is refused at once, and says who is first."""
    before = box.published()

    run = box.sync()

    assert run.outcome is Outcome.FAILED
    assert run.exit_code == Locked.exit_code
    assert f"in use by process {other.pid} on" in str(run.error)
    assert "upstream.test/acme/widget" in str(run.error)
    assert box.published() == before
    assert other.poll() is None
    assert gits(box)


def test_two_threads_at_one_moment(box: Sandbox) -> None:
    """The same holds within one process."""
    runs = []
    thread = threading.Thread(target=lambda: runs.append(box.sync()))
    thread.start()
    _until_fetching(box)

    assert box.sync().exit_code == Locked.exit_code

    box.stop.set()
    thread.join(10)
    box.stop.clear()
    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()


def test_a_killed_process_is_recovered_from(
    box: Sandbox, other: subprocess.Popen[bytes]
) -> None:
    """Its git held the lease after it: that is ended, and the run goes on."""
    other.send_signal(signal.SIGKILL)
    other.wait()
    orphans = gits(box)
    assert orphans

    run = box.sync()

    assert run.outcome is Outcome.CHANGED
    assert box.agrees()
    assert box.remains() == []
    assert not set(orphans) & set(gits(box))


def test_an_unchanged_probe_needs_no_lease(
    box: Sandbox, other: subprocess.Popen[bytes]
) -> None:
    """While somebody works, asking upstream goes on."""
    box.forge.publish(NAME, box.published())
    visit = box.pipeline.probe(box.state, Trigger.SCHEDULE)

    assert visit.run is not None
    assert visit.run.outcome is Outcome.UNCHANGED
    assert other.poll() is None


def test_maintenance_waits_its_turn(
    box: Sandbox, other: subprocess.Popen[bytes]
) -> None:
    """Nothing is repacked beside a fetch."""
    with pytest.raises(Locked):
        box.pipeline.maintain(box.state, idle=True)
    with pytest.raises(Locked):
        box.store.discard(NAME.path)

    assert box.mirror.exists()
    assert other.poll() is None


def test_stale_lock_files_of_gits_do_not_matter(box: Sandbox) -> None:
    """What a killed git left locked is swept before the run."""
    box.server.heal()
    for name in ("packed-refs.lock", "HEAD.lock", "config.lock", "gc.pid"):
        (box.mirror / name).write_text(f"{os.getpid()} elsewhere\n")
    (box.mirror / "objects" / "pack" / "multi-pack-index.lock").touch()

    assert box.sync().outcome is Outcome.CHANGED

    assert box.agrees()
    with box.store.lease(NAME.path) as repository:
        repository.maintain(now=NOW)
    assert box.remains() == []
    assert snapshot(box.mirror) == box.published()
