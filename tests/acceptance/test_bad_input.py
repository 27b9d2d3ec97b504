"""The bad days: each is one clear line, nothing is lost, the others go on."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.command import Command, name_on
from tests.acceptance.running import configure, running, until
from tests.conftest import _give_up
from tests.servers.http_faults import Fault, garbage, html_page, redirect, status
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.command import Ended
    from tests.servers.git_http import GitServer

    Upstream = Callable[[str], Repository]

FETCH = "command=fetch"
#: How upstream fails, and a part of the sentence that tells it.
FAULTS: dict[str, tuple[Fault, str]] = {
    "r401": (Fault(status=401), "refuses us access"),
    "r403": (Fault(status=403), "refuses us access"),
    "r404": (Fault(status=404), "404"),
    "r500": (Fault(status=500), "status 500"),
    "r503": (Fault(status=503), "status 503"),
    "moved": (redirect("http://127.0.0.1:1/elsewhere"), "redirects"),
    "page": (html_page(), ""),
    "garbage": (garbage(), ""),
}
#: How a fetch fails, of a mirror that is published already.
PACKS: dict[str, Fault] = {
    "corrupt": Fault(flip=20_000),
    "truncated": Fault(truncate=20_000),
    "short": Fault(short=20_000),
    "reset": Fault(reset=20_000),
}


def copy(syncer: Command, name: str) -> Repository:
    """Return a mirror's repository."""
    return Repository(syncer.place / "mirror" / "git" / f"{name}.git")


def one_error(done: Ended, status: int | None = None) -> str:
    """Return the only error of a command; there is no trace beside it."""
    if status is not None:
        assert done.status == status, done
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.err
    assert "Traceback" not in done.out + done.err
    assert "a defect in syncer" not in done.out + done.err
    return errors[0]


def _mirrored(
    syncer: Command, server: GitServer, upstream: Upstream, *kinds: str
) -> dict[str, Repository]:
    """Mirror one repository for each kind, then push to all of them."""
    repositories = {
        f"good.test/acme/{kind}": upstream(f"acme/{kind}") for kind in kinds
    }
    configure(syncer, *repositories, hosts={"good.test": server.url}, interval="1h")
    assert syncer("init").status == 0
    assert syncer("sync").status == 0
    for repository in repositories.values():
        repository.commit("main", {"large": os.urandom(100_000)})
    return repositories


def test_whatever_upstream_answers_is_one_line_and_the_others_go_on(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """Twelve mirrors fail, each in its way, and keep what they have; one is fresh."""
    repositories = _mirrored(syncer, git_server, upstream, *FAULTS, *PACKS, "healthy")
    before = {name: copy(syncer, name).refs() for name in repositories}
    for kind, (fault, _) in FAULTS.items():
        git_server.fault(f"acme/{kind}", fault)
    for kind, fault in PACKS.items():
        git_server.fault(f"acme/{kind}.*{FETCH}", fault)
    healthy = "good.test/acme/healthy"

    document = syncer("sync", "--json").document()

    assert document["counts"]["changed"] == 1
    failed = {r["repository"]: r for r in document["runs"] if r["outcome"] == "failed"}
    assert len(failed) == len(FAULTS) + len(PACKS)
    for kind, (_, said) in FAULTS.items():
        assert said in failed[f"good.test/acme/{kind}"]["error"]
    for name, run in failed.items():
        assert "\n" not in run["error"], name
        assert "defect" not in run["error"], name
    assert copy(syncer, healthy).refs() == repositories[healthy].refs()
    assert {n: copy(syncer, n).refs() for n in failed} == {n: before[n] for n in failed}
    _is_told_alike_by_the_daemon(syncer, git_server, repositories, healthy)
    git_server.heal()
    assert syncer("sync").status == 0
    for name, repository in repositories.items():
        assert copy(syncer, name).refs() == repository.refs(), name
        copy(syncer, name).fsck()


def _is_told_alike_by_the_daemon(
    syncer: Command,
    server: GitServer,
    repositories: dict[str, Repository],
    healthy: str,
) -> None:
    """Check that a daemon logs each failure in one line, and that one is fresh.

    A copy of the store has not heard of the failures, so nothing stays away.
    """
    with closing(sqlite3.connect(syncer.place / "mirror/catalog.db")) as catalog:
        (table,) = catalog.execute(
            "SELECT name FROM sqlite_master WHERE sql LIKE '%last_attempt%'"
        ).fetchone()
        with catalog:
            catalog.execute(f"UPDATE {table} SET failures = 0, last_attempt = NULL")  # noqa: S608  the catalog's own name
    failing = len(repositories) - 1
    repositories[healthy].commit()
    hosts = {"good.test": server.url}
    configure(syncer, *repositories, hosts=hosts, interval="1s")
    with running(syncer) as daemon:
        told = {"event": "sync run ended", "outcome": "failed"}
        until(lambda: len(daemon.said(**told)) >= failing, "every failure")
        until(
            lambda: copy(syncer, healthy).refs() == repositories[healthy].refs(),
            "the healthy one",
        )
        daemon.stop()
        assert sorted(line["repo"] for line in daemon.said(**told)) == sorted(
            repositories.keys() - {healthy}
        )


def test_hosts_that_cannot_be_asked_are_told_apart(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """A closed port, an unknown name and a host that wants patience; one works."""
    repository = upstream("acme/widget")
    hosts = {
        "closed.test": "http://127.0.0.1:1",
        "unknown.test": "http://syncer-test.invalid",
        "busy.test": git_server.url,
        "good.test": git_server.url,
    }
    names = [f"{host}/acme/widget" for host in hosts]
    git_server.fault(
        lambda request: request.headers["user-agent"].startswith("git/2.0"),
        status(429, retry_after="90"),
        times=1,
    )
    configure(syncer, *names, hosts=hosts)
    assert syncer("init").status == 0

    busy = syncer("sync", "busy.test/acme/widget")
    assert busy.status == 5
    assert "it may be asked again in 90 s" in busy.out
    done = syncer("sync", "--json", *(n for n in names if "busy" not in n))

    assert done.status == 3
    runs = {run["repository"]: run for run in done.document()["runs"]}
    closed = runs["closed.test/acme/widget"]["error"]
    assert "did not answer" in closed
    assert "refused" in closed
    assert "resolve" in runs["unknown.test/acme/widget"]["error"]
    assert copy(syncer, "good.test/acme/widget").refs() == repository.refs()
    with running(syncer) as daemon:
        repository.commit()
        until(
            lambda: copy(syncer, "good.test/acme/widget").refs() == repository.refs(),
            "the push",
        )
        daemon.stop()
        assert not daemon.said("sync run ended", repo="busy.test/acme/widget")


def test_all_problems_of_a_file_are_told_at_once(syncer: Command) -> None:
    """Unknown keys, bad values and bad names, each with its line; nothing is done."""
    syncer.file.write_text(
        '[syncer]\nworkers = 0\ngti = "git"\n[tier.fast]\ninterval = "soon"\n'
        'target = "1h"\n[[repo]]\nname = "../etc"\n[[repo]]\nname = "a/b"\nref = []\n'
    )
    for words in (["daemon"], ["sync"], ["config", "validate"]):
        done = syncer(*words)
        error = one_error(done, 2)
        assert "has 5 problems; nothing was changed" in error
        for line in (2, 3, 5, 8, 11):
            assert f"repos.toml:{line}: " in done.err, done.err
    assert list(syncer.place.iterdir()) == [syncer.file]


def test_an_unknown_repository_is_refused_by_every_command(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """Exit 12 and one line, whatever was to be done with it."""
    upstream("acme/widget")
    syncer.init(git_server, name_on(git_server, "acme/widget"))
    text = syncer.file.read_text()
    unknown = name_on(git_server, "acme/gone")
    for words in (
        *(["sync"], ["show"], ["accept"], ["pause"], ["resume"]),
        *(["remove"], ["history"], ["gc"]),
    ):
        error = one_error(syncer(*words, unknown), 12)
        assert f"{unknown} is not mirrored; nothing was changed" in error, words
    assert syncer.file.read_text() == text


def test_a_hung_server_is_given_up(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """A fetch that stands still ends at `deadline`, and refs are as they were."""
    (name, repository), *_ = _mirrored(syncer, git_server, upstream, "widget").items()
    before = copy(syncer, name).refs()
    text = syncer.file.read_text()
    syncer.file.write_text(text.replace("[syncer]", '[syncer]\ndeadline = "1s"'))
    git_server.fault(FETCH, Fault(drip=(500, 0.2)))
    done = syncer("sync")
    assert done.status == 5
    assert "not done after 0:00:01; published refs are unchanged" in done.out
    assert copy(syncer, name).refs() == before
    git_server.heal()
    syncer.file.write_text(text)
    assert syncer("sync").status == 0
    assert copy(syncer, name).refs() == repository.refs()


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a file system of a few MiB for the length of a block."""
    place = Path(tempfile.mkdtemp(prefix="syncer-disk-"))
    words = ("mount", "-t", "tmpfs", "-o", "size=6m", "none", str(place))
    done = subprocess.run(words, capture_output=True, check=False)
    try:
        if done.returncode:
            said = done.stderr.decode().strip()
            _give_up(f"a full disk cannot be made here: {said}")
        yield place
    finally:
        if not done.returncode:
            subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def test_a_full_disk_is_told_and_harms_nothing(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """What does not fit is not published; with room again the next run does it."""
    repository = upstream("acme/widget")
    with small_disk() as disk:
        name = name_on(git_server, "acme/widget")
        host = name.partition("/")[0]
        setting = f'data = "{disk}/store"\n'
        configure(syncer, name, hosts={host: git_server.url}, settings=setting)
        assert syncer("init").status == 0
        assert syncer("sync").status == 0
        mirror = Repository(disk / "store" / "git" / f"{name}.git")
        before = mirror.refs()
        repository.commit("main", {"large": os.urandom(8_000_000)})
        done = syncer("sync")
        assert done.status == 5, done
        assert "the disk is full" in done.out
        assert "Traceback" not in done.out + done.err
        assert mirror.refs() == before
        mirror.fsck()
        repository.force("main")
        assert syncer("sync").status == 0
        assert mirror.oid("main") == repository.oid("main")


def test_below_its_floor_nothing_new_is_started(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """With less free than `min_free` no git starts, and readers keep what is there."""
    (name, _), *_ = _mirrored(syncer, git_server, upstream, "widget").items()
    before = copy(syncer, name).refs()
    text = syncer.file.read_text()
    syncer.file.write_text(text.replace("min_free = 0", 'min_free = "1024T"'))
    git_server.forget()
    done = syncer("sync")
    assert done.status == 5
    assert "below the floor" in done.out
    assert not any(request.command == "fetch" for request in git_server.requests)
    assert copy(syncer, name).refs() == before


@pytest.mark.parametrize("words", [("sync",), ("status",), ("list",), ("daemon",)])
def test_a_catalog_that_is_none_is_told_and_left_alone(
    syncer: Command, words: tuple[str, ...]
) -> None:
    """Bytes that are no database: exit 7, and they are still there."""
    configure(syncer, hosts={})
    assert syncer("init").status == 0
    catalog = syncer.place / "mirror" / "catalog.db"
    for path in catalog.parent.glob("catalog.db*"):
        path.unlink()
    catalog.write_bytes(b"not a database at all" * 1000)
    error = one_error(syncer(*words), 7)
    assert "the catalog refused, and is as it was" in error
    assert catalog.read_bytes() == b"not a database at all" * 1000


def test_a_catalog_from_the_future_is_left_alone(syncer: Command) -> None:
    """A newer schema is exit 10 and names the way out."""
    configure(syncer, hosts={})
    assert syncer("init").status == 0
    catalog = syncer.place / "mirror" / "catalog.db"
    with closing(sqlite3.connect(catalog)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    for words in (["sync"], ["status"], ["daemon"], ["db", "upgrade"]):
        done = syncer(*words)
        assert "which this program does not know" in one_error(done, 10), words
        assert "hint: install the newer syncer" in done.err
    with closing(sqlite3.connect(catalog)) as database:
        assert list(database.execute("SELECT version_num FROM alembic_version")) == [
            ("9999",)
        ]


def _unprivileged() -> tuple[str, ...]:
    """Return what starts a program that permissions apply to, even as root."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        _give_up("root cannot give up its rights here: there is no setpriv")
    dropped = "-dac_override,-dac_read_search"
    return ("setpriv", "--bounding-set", dropped, "--inh-caps", dropped)


@pytest.mark.parametrize("where", ["mirror", "."])
def test_a_store_that_cannot_be_written_is_one_error(
    syncer: Command, git_server: GitServer, upstream: Upstream, where: str
) -> None:
    """Neither the daemon nor a command leaves a trace of Python's, or of itself."""
    wrapper = _unprivileged()
    name = next(iter(_mirrored(syncer, git_server, upstream, "widget")))
    before = copy(syncer, name).refs()
    place = syncer.place / where
    if where == ".":
        shutil.rmtree(syncer.place / "mirror")
    else:
        (place / "daemon.lock").unlink(missing_ok=True)
    log = syncer.place.parent / "elsewhere"
    log.mkdir()
    away = Command(log, dict(syncer.environ))
    shutil.copy(syncer.file, log / "repos.toml")
    text = (log / "repos.toml").read_text()
    setting = f'[syncer]\ndata = "{syncer.place / "mirror"}"'
    (log / "repos.toml").write_text(text.replace("[syncer]", setting))
    place.chmod(0o555)
    try:
        with running(away, *wrapper) as daemon:
            assert daemon.ends() == 1
    finally:
        place.chmod(0o755)
    (line,) = [each for each in daemon.output.splitlines() if "error" in each]
    assert line.startswith("error: the store: Permission denied")
    assert "Traceback" not in daemon.output
    if where == "mirror":
        assert copy(syncer, name).refs() == before


def _git(place: Path, text: str) -> str:
    program = place / "fake-git"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize("kind", ["missing", "old", "broken"])
def test_a_git_that_cannot_be_used_is_told_before_anything_is_done(
    syncer: Command, git_server: GitServer, upstream: Upstream, kind: str
) -> None:
    """No git, one without security fixes, or one that fails: one error, no change."""
    (name, _), *_ = _mirrored(syncer, git_server, upstream, "widget").items()
    before = copy(syncer, name).refs()
    script, said = {
        "missing": ("", "there is no `/nonexistent/git`"),
        "old": ("echo git version 2.30.0", "lacks security fixes"),
        "broken": ("echo broken >&2; exit 3", "broken"),
    }[kind]
    program = _git(syncer.place, script) if script else "/nonexistent/git"
    text = syncer.file.read_text()
    syncer.file.write_text(text.replace("[syncer]", f'[syncer]\ngit = "{program}"'))
    assert said in one_error(syncer("daemon"))
    done = syncer("sync")
    assert done.status != 0
    assert said in done.out + done.err
    assert "defect" not in done.out + done.err
    assert copy(syncer, name).refs() == before
