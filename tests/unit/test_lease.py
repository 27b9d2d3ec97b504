"""The lease of a mirror: one holder over processes, orphans included."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from syncer.errors import Locked
from syncer.git.lease import Patience, born, hold

ROOT = Path(__file__).parents[2]
LONG = 10.0
#: Holds the lease with a child of its own group at work, and says so.
HOLDER = """
import subprocess, sys, time
from pathlib import Path
from syncer.git.lease import Patience, hold
with hold(Path(sys.argv[1]), "acme/widget") as lease:
    child = subprocess.Popen(
        ["sleep", "60"], pass_fds=(lease.fd,), start_new_session=True
    )
    lease.note(child.pid)
    print(child.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Return where the lock file is, in a directory that is not there yet."""
    return tmp_path / "acme" / "widget.git.lock"


def holder(lock: Path) -> tuple[subprocess.Popen[str], int]:
    """Start a process that holds the lease; return it and its child's id."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        return process, int(process.stdout.readline())


def gone(pid: int) -> bool:
    """Return whether a process has ended, reaped or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_the_file_names_the_holder(lock: Path) -> None:
    """Who wants to know finds process, host and since when; then nothing."""
    with hold(lock, "acme/widget"):
        note = json.loads(lock.read_text())
        assert note["pid"] == os.getpid()
        assert note["born"] == born(os.getpid())
        assert note["host"]
        assert note["since"].endswith("Z")

    assert lock.read_text() == ""


def test_a_second_holder_is_told_who_is_first(lock: Path) -> None:
    """The message names mirror, process and host, and what to do."""
    with hold(lock, "acme/widget"), pytest.raises(Locked) as caught:
        hold(lock, "acme/widget").__enter__()

    assert f"acme/widget is in use by process {os.getpid()} on " in str(caught.value)
    assert "nothing was changed" in str(caught.value)
    assert "--wait" in str(caught.value.hint)
    with hold(lock, "acme/widget"):
        pass


def test_waiting_is_rewarded(lock: Path) -> None:
    """Whoever waits long enough gets the lease when it is given back."""
    held, done = threading.Event(), threading.Event()

    def first() -> None:
        with hold(lock, "acme/widget"):
            held.set()
            done.wait(LONG)

    thread = threading.Thread(target=first)
    thread.start()
    held.wait(LONG)
    threading.Timer(0.15, done.set).start()

    with hold(lock, "acme/widget", Patience(timedelta(seconds=LONG))):
        assert done.is_set()
    thread.join()


def test_waiting_ends(lock: Path) -> None:
    """After `wait`, and not long after, it is refused."""
    began = time.monotonic()
    with hold(lock, "acme/widget"), pytest.raises(Locked):
        hold(lock, "acme/widget", Patience(timedelta(seconds=0.2))).__enter__()

    assert 0.2 <= time.monotonic() - began < 2


def test_a_running_group_is_noted(lock: Path) -> None:
    """The process group at work is in the file while it works."""
    with hold(lock, "acme/widget") as lease:
        lease.note(os.getpid())
        assert json.loads(lock.read_text())["group"][0] == os.getpid()
        lease.note(None)
        assert "group" not in json.loads(lock.read_text())


def test_a_live_holder_keeps_its_lease(lock: Path) -> None:
    """Another process is refused while the holder lives, child or no child."""
    process, child = holder(lock)
    try:
        with pytest.raises(Locked, match=f"process {process.pid} on"):
            hold(lock, "acme/widget").__enter__()
        assert not gone(child)
    finally:
        process.kill()
        process.wait()
        os.killpg(child, signal.SIGKILL)


def test_a_dead_holders_orphans_are_ended(lock: Path) -> None:
    """What a killed daemon left running loses the lease, and is gone."""
    process, child = holder(lock)
    process.kill()
    process.wait()
    assert not gone(child)

    with hold(lock, "acme/widget"):
        assert gone(child)


def test_a_lease_that_nobody_has_is_taken(lock: Path) -> None:
    """What is written in the file means nothing when nobody holds it."""
    lock.parent.mkdir()
    stale = {"pid": 1, "born": born(1), "host": "here", "group": [1, born(1)]}
    for text in (json.dumps(stale), "not json", "[]", ""):
        lock.write_text(text)
        with hold(lock, "acme/widget"):
            assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_a_number_used_again_is_not_killed(lock: Path) -> None:
    """A group whose leader was born later is somebody else's."""
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        with hold(lock, "acme/widget"):
            note = json.loads(lock.read_text())
            note |= {"pid": 2**22 + 1, "born": 1, "group": [bystander.pid, 1]}
            lock.write_text(json.dumps(note))
            with pytest.raises(Locked):
                hold(lock, "acme/widget").__enter__()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_removed_lock_file_is_no_lease(lock: Path) -> None:
    """Who waited for a mirror that was removed gets the lease of the new file."""
    held, done = threading.Event(), threading.Event()

    def remover() -> None:
        with hold(lock, "acme/widget"):
            held.set()
            done.wait(LONG)
            lock.unlink()

    thread = threading.Thread(target=remover)
    thread.start()
    held.wait(LONG)
    threading.Timer(0.15, done.set).start()

    with hold(lock, "acme/widget", Patience(timedelta(seconds=LONG))):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
        with pytest.raises(Locked):
            hold(lock, "acme/widget").__enter__()
    thread.join()


def test_a_process_that_is_gone_was_never_born() -> None:
    """A birth needs a process."""
    assert born(2**22 + 1) is None
    assert born(os.getpid()) == born(os.getpid()) is not None
