"""What goes wrong on the way: the refs stay, and the next run goes on."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from syncer.errors import Interrupted, NoSpace, Unavailable
from syncer.git.command import Call, GitCommand
from syncer.model.runs import Outcome
from tests.sandbox import Sandbox
from tests.servers.git_http import GitServer
from tests.servers.http_faults import (
    Fault,
    endless_pack,
    garbage,
    html_page,
    redirect,
    status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO = "info/refs"
FETCH = "command=fetch"
#: curl gives up on a silent server after a second.
IMPATIENT = [("http.lowSpeedTime", "1"), ("http.lowSpeedLimit", "100000")]
ELSEWHERE = "http://127.0.0.1:9/acme/widget.git"


@pytest.fixture
def box(git_server: GitServer, tmp_path: Path) -> Sandbox:
    """Return a mirror that has been synced, and an upstream that moved on."""
    made = Sandbox(git_server, tmp_path / "git", config=IMPATIENT)
    made.upstream.commit()
    made.sync()
    made.upstream.commit("main", {"large": os.urandom(20_000)})
    return made


def processes(marker: str) -> list[int]:
    """Return the processes with a text in their arguments or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or entry.name == str(os.getpid()):
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if marker.encode() in text:
            found.append(int(entry.name))
    return found


FAULTS = [
    *(
        (where, fault, exit_code, said)
        for where in (HELLO, FETCH)
        for fault, exit_code, said in (
            (status(401), 4, "gone, private or renamed; the mirror is kept as it is"),
            (status(403), 4, "gone, private or renamed; the mirror is kept as it is"),
            (status(404), 1, "gone, private or renamed; the mirror is kept as it is"),
            (redirect(ELSEWHERE), 1, "answered 301: gone, private or renamed"),
            (redirect(ELSEWHERE, 302), 1, "answered 302: gone, private or renamed"),
            (status(429), 5, "too many requests"),
            (status(500), 5, "upstream answered 500"),
            (status(503), 5, "upstream answered 503"),
            (Fault(reset=0), 5, ""),
            (Fault(hang="accept"), 5, ""),
        )
    ),
    (HELLO, html_page(), 1, "is this a git repository?"),
    (HELLO, garbage(), 1, "protocol error"),
    (HELLO, Fault(truncate=40), 5, ""),
    (FETCH, html_page(), 5, ""),
    (FETCH, garbage(), 5, ""),
    (FETCH, Fault(hang="headers"), 5, ""),
    (FETCH, Fault(hang=6000), 5, ""),
    (FETCH, Fault(truncate=10), 5, ""),
    (FETCH, Fault(truncate=6000), 5, ""),
    (FETCH, Fault(short=6000), 5, ""),
    (FETCH, Fault(reset=6000), 5, ""),
    (FETCH, Fault(flip=6000), 5, "invalid index-pack output"),
]


def _name(value: object) -> str:
    if not isinstance(value, Fault):
        return ""
    parts = {
        "status": value.status,
        "hang": value.hang,
        "truncate": value.truncate,
        "short": value.short,
        "reset": value.reset,
        "flip": value.flip,
    }
    named = "-".join(f"{k}-{v}" for k, v in parts.items() if v is not None)
    return named or "body"


@pytest.mark.parametrize(("where", "fault", "exit_code", "said"), FAULTS, ids=_name)
def test_a_fault_changes_nothing(
    box: Sandbox, where: str, fault: Fault, exit_code: int, said: str
) -> None:
    """The run fails with its reason; refs stay, nothing is left, the next works."""
    before, generation = box.published(), box.state.generation
    box.server.fault(where, fault)

    run = box.sync()

    assert run.outcome is Outcome.FAILED
    assert run.exit_code == exit_code
    assert said in str(run.error)
    assert any(text in str(run.error) for text in ("unchanged", "kept as it is"))
    assert box.published() == before
    assert box.remains() == []
    assert (box.state.generation, box.state.failures) == (generation, 1)

    box.server.heal()
    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()
    assert box.state.failures == 0
    assert box.remains() == []


@pytest.mark.parametrize(
    ("where", "fault", "exit_code"),
    [
        (HELLO, status(401), 4),
        (HELLO, status(404), 1),
        (HELLO, redirect(ELSEWHERE), 1),
        (HELLO, status(503), 5),
        (FETCH, Fault(truncate=6000), 5),
        (FETCH, Fault(flip=6000), 5),
        (FETCH, Fault(hang=6000), 5),
    ],
    ids=_name,
)
def test_a_first_mirror_fails_without_a_trace(
    git_server: GitServer, tmp_path: Path, where: str, fault: Fault, exit_code: int
) -> None:
    """There is no repository at its name, and the next run makes a whole one."""
    box = Sandbox(git_server, tmp_path / "git", config=IMPATIENT)
    box.upstream.commit("main", {"large": os.urandom(20_000)})
    git_server.fault(where, fault)

    run = box.sync()

    assert (run.outcome, run.exit_code) == (Outcome.FAILED, exit_code)
    assert not box.mirror.exists()
    assert box.remains() == []
    git_server.heal()
    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()


def test_a_redirect_is_not_followed(box: Sandbox) -> None:
    """The other host hears nothing at all of us."""
    with GitServer() as other:
        target = f"{other.url}/acme/widget.git"
        for where in (HELLO, FETCH):
            path = "/info/refs?service=git-upload-pack" if where == HELLO else ""
            box.server.fault(where, redirect(f"{target}{path}"), times=1)
            assert box.sync().outcome is Outcome.FAILED

        assert other.requests == []


def test_an_upstream_that_vanished_is_failed_not_gone(box: Sandbox) -> None:
    """A 404 of the git endpoint proves nothing: the mirror stays in the schedule."""
    before = box.published()
    box.server.fault(HELLO, status(404))

    for failures in (1, 2, 3):
        assert box.sync().outcome is Outcome.FAILED
        assert box.state.failures == failures

    assert box.published() == before


def test_a_stop_ends_git_at_once(box: Sandbox) -> None:
    """A hung upstream does not keep the program; no process of git's is left."""
    before = box.published()
    box.server.forget()
    box.server.fault(FETCH, Fault(hang="headers"))
    runs = []
    thread = threading.Thread(target=lambda: runs.append(box.sync()))
    thread.start()
    marker = str(box.mirror)
    deadline = time.monotonic() + 10
    while not any(FETCH in r.line for r in box.server.requests):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert processes(marker)

    began = time.monotonic()
    box.stop.set()
    thread.join(10)

    assert time.monotonic() - began < 2
    assert runs[0].outcome is Outcome.FAILED
    assert runs[0].exit_code == Interrupted.exit_code
    assert "stopped on request" in str(runs[0].error)
    assert box.state.failures == 0
    assert processes(marker) == []
    assert box.published() == before
    assert box.remains() == []
    box.stop.clear()
    box.server.heal()
    assert box.sync().outcome is Outcome.CHANGED


def test_a_server_that_says_nothing_is_given_up(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first word the patience is shorter than for the whole run."""
    monkeypatch.setattr("syncer.git.fetching.FIRST_WORD", timedelta(seconds=0.3))
    box.server.fault(FETCH, Fault(hang="headers"))
    began = time.monotonic()

    run = box.sync()

    assert time.monotonic() - began < 3
    assert run.exit_code == Unavailable.exit_code
    assert "nothing heard for 0:00:00.3" in str(run.error)
    assert processes(str(box.mirror)) == []


def test_a_run_has_a_deadline(git_server: GitServer, tmp_path: Path) -> None:
    """However busy upstream seems, a run comes to its end."""
    box = Sandbox(git_server, tmp_path / "git")
    box.upstream.commit("main", {"large": os.urandom(200_000)})
    slow = Sandbox(git_server, tmp_path / "git", deadline=timedelta(seconds=0.5))
    git_server.fault(FETCH, Fault(drip=(600, 0.02)))
    began = time.monotonic()

    run = slow.sync()

    assert time.monotonic() - began < 3
    assert run.exit_code == Unavailable.exit_code
    assert "not done after 0:00:00.5" in str(run.error)
    assert not slow.mirror.exists()
    assert slow.remains() == []


def test_a_file_has_a_largest_size(git_server: GitServer, tmp_path: Path) -> None:
    """A pack over `max_file` ends its run with that reason, at first and later."""
    limited = Sandbox(git_server, tmp_path / "limited", max_file=50_000)
    limited.upstream.commit("main", {"large": os.urandom(100_000)})

    run = limited.sync()

    assert run.outcome is Outcome.FAILED
    assert "larger than `max_file`; nothing was published" in str(run.error)
    assert not limited.mirror.exists()
    assert limited.remains() == []

    Sandbox(git_server, limited.root).sync()
    later = Sandbox(git_server, limited.root, max_file=50_000)
    later.upstream.commit("main", {"large": os.urandom(100_000)})
    before = later.published()

    run = later.sync()

    assert "larger than `max_file`" in str(run.error)
    assert later.published() == before
    assert later.remains() == []


def test_an_endless_pack_ends(git_server: GitServer, tmp_path: Path) -> None:
    """An upstream that never stops sending meets the largest size of a file."""
    box = Sandbox(git_server, tmp_path / "git", max_file=3_000_000)
    box.upstream.commit()
    git_server.fault(FETCH, endless_pack())

    run = box.sync()

    assert run.outcome is Outcome.FAILED
    assert "larger than `max_file`" in str(run.error)
    assert not box.mirror.exists()
    assert box.remains() == []


def test_below_the_floor_nothing_starts(git_server: GitServer, tmp_path: Path) -> None:
    """A store with too little room asks nobody for anything."""
    box = Sandbox(git_server, tmp_path / "git", min_free=1 << 60)
    box.upstream.commit()

    run = box.sync()

    assert (run.outcome, run.exit_code) == (Outcome.FAILED, NoSpace.exit_code)
    assert "below the floor" in str(run.error)
    assert "nothing new is started" in str(run.error)
    assert git_server.requests == []
    assert box.git.started == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of one megabyte and a half; needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1536k", "none", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"a small disk cannot be mounted here: {done.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_survived(git_server: GitServer, small_disk: Path) -> None:
    """The refs stay, its room is given back at once, and more room is enough."""
    box = Sandbox(git_server, small_disk / "git")
    box.upstream.commit()
    box.sync()
    before = box.published()
    box.upstream.commit("main", {"large": os.urandom(3_000_000)})

    run = box.sync()

    assert (run.outcome, run.exit_code) == (Outcome.FAILED, NoSpace.exit_code)
    assert "the disk is full; published refs are unchanged" in str(run.error)
    assert box.published() == before
    assert box.remains() == []

    words = ["mount", "-o", "remount,size=32m", str(small_disk)]
    subprocess.run(words, check=True)
    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()


def test_a_full_disk_has_no_first_mirror(
    git_server: GitServer, small_disk: Path
) -> None:
    """There is nothing at its name, and nothing beside it."""
    box = Sandbox(git_server, small_disk / "git")
    box.upstream.commit("main", {"large": os.urandom(3_000_000)})

    run = box.sync()

    assert run.exit_code == NoSpace.exit_code
    assert not box.mirror.exists()
    assert box.remains() == []


def test_what_git_leaves_running_is_ended(tmp_path: Path) -> None:
    """Also when git itself succeeded, and its child has the pipes still."""
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nsleep 60 &\necho $! >&2\nexit 0\n")
    program.chmod(0o755)
    began = time.monotonic()

    done = GitCommand(str(program)).run(Call(["version"]))

    assert time.monotonic() - began < 3
    child = Path(f"/proc/{done.stderr.strip()}/stat")
    deadline = time.monotonic() + 2
    while child.exists() and ") Z" not in child.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stubborn_git_is_killed(tmp_path: Path) -> None:
    """A process that ignores the polite signal gets the other one."""
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")
    program.chmod(0o755)
    call = Call(["gc"], timeout=timedelta(seconds=0.2))

    with pytest.raises(Unavailable, match=r"not done after .*; published refs"):
        GitCommand(str(program)).run(call)

    assert processes(str(program)) == []
