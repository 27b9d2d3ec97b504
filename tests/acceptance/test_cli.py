"""What a person gets who types `syncer`: the first ten minutes, and the bad days."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.command import Command, name_on
from tests.servers.http_faults import Fault
from tests.servers.repositories import git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.git_http import GitServer
    from tests.servers.repositories import Repository

    Upstream = Callable[[str], Repository]


@pytest.fixture
def mirror(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> tuple[str, Repository]:
    """One repository that is mirrored, by name and as upstream has it."""
    repository = upstream("acme/widget")
    name = name_on(git_server, "acme/widget")
    syncer.init(git_server, name)
    assert syncer("sync", name).status == 0
    return name, repository


def published(syncer: Command, name: str) -> dict[str, str]:
    """Return the branches and tags that consumers see."""
    place = syncer.place / "mirror" / "git" / f"{name}.git"
    text = git(
        "for-each-ref",
        "--format=%(refname) %(objectname)",
        "refs/heads",
        "refs/tags",
        at=place,
    ).decode()
    return dict(line.split(" ", 1) for line in text.splitlines())


def test_the_first_ten_minutes(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """From an empty directory to a mirror in four commands, each naming the next."""
    repository = upstream("acme/widget")
    name = name_on(git_server, "acme/widget")

    done = syncer("init")
    assert done.status == 0
    assert "syncer add OWNER/NAME" in done.err
    with syncer.file.open("a") as file:
        host = name.partition("/")[0]
        file.write(f'[host."{host}"]\ngit = "{git_server.url}"\nprivate = true\n')

    done = syncer("add", name, "--tier", "core")
    assert done.status == 0
    assert "1 branch, 0 tags, default branch main" in done.err
    assert f"syncer sync {name}" in done.err
    assert syncer.file.read_text().endswith(
        f'[[repo]]\nname = "{name}"\ntier = "core"\n'
    )

    done = syncer("sync", name)
    assert done.status == 0
    assert "1 ref new" in done.out
    assert "1 synced, 0 unchanged, 0 failed" in done.out
    assert published(syncer, name) == repository.refs()

    done = syncer("status")
    assert done.status == 0
    assert "1 OK" in done.out
    assert "NEEDS ATTENTION" not in done.out


def test_a_second_sync_has_nothing_to_do(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """An unchanged mirror is probed and left alone."""
    name, _ = mirror
    document = syncer("sync", "--json").document()
    assert document["schema"] == "syncer.sync/v1"
    assert document["counts"]["unchanged"] == 1
    assert [run["repository"] for run in document["runs"]] == [name]
    assert syncer("sync", "--due").err.startswith("nothing to do")


def test_a_push_is_seen_and_told(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """New commits, force pushes and deletions are in the summary and in history."""
    name, repository = mirror
    repository.branch("topic")
    repository.commit("main")
    assert "1 ref new, 1 moved" in syncer("sync").out
    old = repository.oid("main")
    repository.force("main")
    repository.delete("topic")

    done = syncer("sync")

    assert "1 ref rewound, 1 deleted" in done.out
    assert f"note: refs/heads/main was force-pushed ({old[:7]}.." in done.out
    assert published(syncer, name) == repository.refs()
    history = syncer("history", name, "--refs", "--json").document()
    kinds = [change["kind"] for change in history["changes"]]
    assert sorted(kinds) == ["created", "deleted", "moved", "rewound"]
    assert len(syncer("history", "--json").document()["runs"]) == 3


def test_init_keeps_what_is_there(syncer: Command, git_server: GitServer) -> None:
    """Run again, `init` overwrites nothing, and refuses to move the data."""
    syncer.init(git_server)
    text = syncer.file.read_text()
    assert syncer("init").status == 0
    done = syncer("init", "--data", "elsewhere")
    assert done.status == 2
    assert "nothing was changed" in done.err
    assert syncer.file.read_text() == text
    assert not (syncer.place / "elsewhere").exists()


def test_init_prepares_the_catalog_of_a_file_that_was_written_by_hand(
    syncer: Command,
) -> None:
    """Without a catalog commands say what to do, and `init` does just that."""
    syncer.file.write_text('[syncer]\ndata = "data"\n')
    for words in (["status"], ["sync"], ["add", "acme/widget"]):
        done = syncer(*words)
        assert done.status == 10
        assert "syncer init" in done.err
    assert syncer("init").status == 0
    assert syncer("status").status == 0
    assert syncer("db", "current").status == 0


def test_without_a_configuration_the_way_to_one_is_told(syncer: Command) -> None:
    """In an empty directory every command names `init`."""
    done = syncer("list")
    assert done.status == 10
    assert done.err.startswith("error: there is no repos.toml here")
    assert "\nhint: create one: syncer init\n" in done.err


def test_add_of_what_is_not_there_changes_nothing(
    syncer: Command, git_server: GitServer
) -> None:
    """A misspelt name, a bad name or an unknown tier leave the file as it was."""
    syncer.init(git_server)
    text = syncer.file.read_text()
    done = syncer("add", name_on(git_server, "acme/widgte"))
    assert done.status == 1
    assert "does not show" in done.err
    assert "nothing was changed" in done.err
    bad = syncer("add", "../../etc/passwd", "widget")
    assert bad.status == 2
    assert bad.err.count("is not a repository") + bad.err.count("no host") == 2
    assert syncer("add", "acme/new", "--tier", "platinum").status == 2
    assert syncer.file.read_text() == text
    assert syncer("list", "--json").document()["mirrors"] == []


def test_add_of_several_is_all_or_nothing(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """One wrong name among good ones adds none of them."""
    upstream("acme/widget")
    syncer.init(git_server)
    names = [name_on(git_server, name) for name in ("acme/widget", "acme/gone")]
    assert syncer("add", *names).status == 1
    assert "[[repo]]\nname" not in syncer.file.read_text()


def test_add_with_dry_run_prints_the_difference(syncer: Command) -> None:
    """`-n` shows a unified diff, asks nobody and writes nothing."""
    syncer.file.write_text("# mine\n[syncer]\n")
    done = syncer("add", "-n", "acme/widget")
    assert done.status == 0
    assert '+[[repo]]\n+name = "acme/widget"' in done.out
    assert syncer.file.read_text() == "# mine\n[syncer]\n"


def test_add_twice_is_no_error(syncer: Command, mirror: tuple[str, Repository]) -> None:
    """What is listed already is said to be."""
    name, _ = mirror
    done = syncer("add", name.upper().replace("ACME", "Acme"))
    assert done.status == 0
    assert "is listed already" in done.err


def test_a_refused_token_is_an_authentication_error(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """401 from upstream is exit 4, and with the token it works."""
    upstream("acme/widget")
    git_server.require_token = "correct-horse"  # noqa: S105  made up
    syncer.init(git_server)
    name = name_on(git_server, "acme/widget")
    done = syncer("add", name)
    assert done.status == 4
    host = name.partition("/")[0].upper().replace(".", "_").replace(":", "_")
    syncer.environ[f"SYNCER_TOKEN_{host}"] = "correct-horse"
    assert syncer("add", name).status == 0
    done = syncer("-vv", "sync", name)
    assert done.status == 0
    assert "correct-horse" not in done.out + done.err
    shown = syncer("config", "show", "--origin")
    assert 'token = "********"' in shown.out
    assert "correct-horse" not in shown.out


def test_some_failures_are_a_partial_success(
    syncer: Command,
    mirror: tuple[str, Repository],
    git_server: GitServer,
    upstream: Upstream,
) -> None:
    """One mirror fails, the others go on: exit 3; all alike: that failure's status."""
    name, _ = mirror
    upstream("acme/other")
    other = name_on(git_server, "acme/other")
    assert syncer("add", other).status == 0
    git_server.fault("acme/widget", Fault(status=503))
    done = syncer("sync")
    assert done.status == 3
    assert "1 synced, 0 unchanged, 1 failed" in done.out
    assert "FAIL" in done.out
    assert syncer("sync", name).status == 5
    status = syncer("status", "--check")
    assert status.status == 6
    assert "NEEDS ATTENTION" in status.out
    assert f"syncer sync {name}" in status.out
    git_server.heal()
    assert syncer("sync").status == 0
    assert syncer("status", "--check").status == 0


def test_a_mass_disappearance_waits_for_accept(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """What upstream lost is held, told, and published only when accepted."""
    name, repository = mirror
    for number in range(12):
        repository.branch(f"topic/{number}")
    assert syncer("sync").status == 0
    before = published(syncer, name)
    for number in range(12):
        repository.delete(f"topic/{number}")

    done = syncer("sync")

    assert done.status == 1
    assert "HELD" in done.out
    assert f"syncer accept {name}" in done.err
    assert published(syncer, name) == before
    shown = syncer("show", name)
    assert "12 of 13 refs are gone upstream" in shown.out
    assert "gone: refs/heads/topic/0" in shown.out
    assert "HELD" in syncer("status").out
    assert syncer("accept", name).status == 0
    assert syncer("sync").status == 0
    assert published(syncer, name) == repository.refs()
    nothing = syncer("accept", name)
    assert nothing.status == 1
    assert "nothing was changed" in nothing.err


def test_a_paused_mirror_is_left_out_until_it_is_resumed(
    syncer: Command, mirror: tuple[str, Repository], git_server: GitServer
) -> None:
    """`pause` and `resume` are one word in every view."""
    name, repository = mirror
    assert syncer("pause", name).status == 0
    repository.commit("main")
    git_server.forget()
    assert syncer("sync").err.startswith("nothing to do")
    assert git_server.requests == []
    (listed,) = syncer("list", "--json").document()["mirrors"]
    assert listed["state"] == "PAUSED"
    assert "paused already" in syncer("pause", name).err
    assert syncer("resume", name).status == 0
    assert "1 ref moved" in syncer("sync").out


def test_remove_keeps_the_copy_until_it_is_purged(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """A removed mirror comes back as it was; a purged one is gone for good."""
    name, _ = mirror
    copy = syncer.place / "mirror" / "git" / f"{name}.git"
    assert f'-name = "{name}"' in syncer("remove", name, "-n").out
    assert syncer("remove", name).status == 0
    assert copy.is_dir()
    assert syncer("list", "--json").document()["mirrors"] == []
    assert "removed" in syncer("show", name).out
    assert syncer("sync", name).status == 12
    assert syncer("add", name).status == 0
    assert "unchanged" in syncer("sync", name).out
    refused = syncer("remove", name, "--purge")
    assert refused.status == 2
    assert "nothing was changed" in refused.err
    assert name in syncer.file.read_text()
    assert syncer("remove", name, "--purge", "--yes").status == 0
    assert not copy.exists()
    assert syncer("show", name).status == 12


def test_an_unknown_mirror_is_told_with_the_nearest(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """A misspelt name is exit 12 wherever it is typed."""
    name, _ = mirror
    for words in (["sync"], ["show"], ["accept"]):
        done = syncer(*words, name.replace("widget", "wigdet"))
        assert done.status == 12, words
        assert f"did you mean {name}?" in done.err


def test_lag_misses_its_target(syncer: Command, mirror: tuple[str, Repository]) -> None:
    """`lag --max` exits with 6 when a mirror is further behind."""
    name, _ = mirror
    assert syncer("lag", "--max", "1h").status == 0
    done = syncer("lag", "--max", "1ms", "--json")
    assert done.status == 6
    assert done.document()["missed"] == [name]
    assert syncer("lag", "--tier", "core", "--json").document()["mirrors"] == []
    assert syncer("lag", "--tier", "gold").status == 2
    assert syncer("lag", "--max", "soon").status == 2


def test_a_ref_that_is_not_utf8_ends_no_command(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """Latin-1 in a branch name is mirrored, printed lossily, and whole in JSON."""
    name, repository = mirror
    raw = b"refs/heads/caf\xe9"
    line = b"create " + raw + b" " + repository.oid().encode() + b"\n"
    repository.git("update-ref", "--stdin", stdin=line)
    assert "1 ref new" in syncer("sync").out
    done = syncer("history", name, "--refs")
    assert done.status == 0
    assert "refs/heads/caf" in done.out
    history = syncer("history", name, "--refs", "--json").document()
    assert base64.b64decode(history["changes"][0]["ref_b64"]) == raw
    syncer.environ["PYTHONIOENCODING"] = "ascii"
    assert syncer("history", name, "--refs").status == 0


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_a_sync_cleanly(
    syncer: Command,
    mirror: tuple[str, Repository],
    git_server: GitServer,
    number: signal.Signals,
    status: int,
) -> None:
    """Stopped in a fetch, it says so, publishes nothing by half, and goes on later."""
    name, repository = mirror
    before = published(syncer, name)
    repository.commit("main", {"large": os.urandom(200_000)})
    git_server.fault("command=fetch", Fault(drip=(1000, 0.1)))
    git_server.forget()
    running = syncer.start("sync")
    while not any(r.command == "fetch" for r in git_server.requests):
        time.sleep(0.02)
    time.sleep(0.2)
    running.send_signal(number)
    out, err = running.communicate(timeout=20)

    assert running.returncode == status
    assert "1 stopped" in out
    assert "Traceback" not in err
    assert published(syncer, name) == before
    git_server.heal()
    assert syncer("sync").status == 0
    assert published(syncer, name) == repository.refs()


def test_a_held_lock_is_told_and_can_be_waited_for(
    syncer: Command, mirror: tuple[str, Repository], git_server: GitServer
) -> None:
    """Beside another process a command exits with 11, or waits when asked to."""
    name, repository = mirror
    repository.commit("main", {"large": os.urandom(100_000)})
    git_server.fault("command=fetch", Fault(drip=(10_000, 0.2)), times=1)
    git_server.forget()
    first = syncer.start("sync")
    while not any(r.command == "fetch" for r in git_server.requests):
        time.sleep(0.02)

    refused = syncer("sync", name)
    assert refused.status == 11
    assert "in use by process" in refused.out
    assert "hint:" in refused.err
    waited = syncer("sync", name, "--wait")

    assert first.wait(20) == 0
    assert waited.status == 0
    first.communicate()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[syncer\n", "not TOML"),
        ('[syncer]\ndatta = "x"\n', "did you mean `data`?"),
        ('[[repo]]\nname = "a/b"\ntier = "x"\n', "there is no tier 'x'"),
        ('[[repo]]\nname = "a/b"\n[[repo]]\nname = "A/B"\n', "listed twice"),
    ],
)
def test_a_wrong_configuration_is_one_clear_error(
    syncer: Command, text: str, said: str
) -> None:
    """Every problem with its file and line, exit 2, nothing done."""
    syncer.file.write_text(text)
    for words in (["config", "validate"], ["daemon"]):
        done = syncer(*words)
        assert done.status == 2
        assert said in done.err
        assert "nothing was changed" in done.err
        assert "Traceback" not in done.err


def test_colour_is_a_terminals_and_can_be_forced(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """Pipes get none, CLICOLOR_FORCE gives some, NO_COLOR wins."""
    assert "\x1b[" not in syncer("list").out
    syncer.environ["CLICOLOR_FORCE"] = "1"
    assert "\x1b[" in syncer("list").out
    syncer.environ["NO_COLOR"] = "1"
    done = syncer("show", mirror[0] + "x")
    assert "\x1b[" not in done.out + done.err


def test_data_goes_to_stdout_and_the_rest_elsewhere(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """A pipe gets the table alone; `-q` keeps the terminal quiet as well."""
    done = syncer("list")
    assert done.out.splitlines()[0].startswith("REPOSITORY")
    assert "Next:" in done.err
    quiet = syncer("-q", "list")
    assert quiet.out.splitlines()[0].startswith("REPOSITORY")
    assert quiet.err == ""
    assert syncer("-q", "sync", mirror[0]).out == ""


def test_every_view_has_its_document(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """`--json` prints one document that names its schema."""
    name, _ = mirror
    for words, schema in (
        (["status"], "status"),
        (["list"], "list"),
        (["show", name], "show"),
        (["lag"], "lag"),
        (["history"], "history"),
        (["gc", "-n"], "gc"),
        (["config", "show"], "config"),
        (["db", "current"], "db"),
        (["sync", "-n"], "sync-plan"),
    ):
        document = syncer(*words, "--json").document()
        assert document["schema"] == f"syncer.{schema}/v1", words


def test_gc_tells_what_it_would_do(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """A dry run changes nothing; the run itself drops old tips past their time."""
    name, repository = mirror
    repository.commit("main")
    assert syncer("sync").status == 0
    repository.force("main")
    assert syncer("sync").status == 0
    keeps = "refs/syncer/keep/"
    place = syncer.place / "mirror" / "git" / f"{name}.git"
    assert keeps in git("for-each-ref", at=place).decode()
    done = syncer("gc", "-n")
    assert done.status == 0
    assert keeps in git("for-each-ref", at=place).decode()
    assert syncer("gc").status == 0
    assert keeps in git("for-each-ref", at=place).decode(), "not past its time yet"
    assert syncer("sync").status == 0
    assert published(syncer, name) == repository.refs()


def test_help_answers_at_once_and_lists_statuses(syncer: Command) -> None:
    """No command's library is imported for an overview."""
    done = syncer("--help")
    assert done.status == 0
    for command in ("init", "add", "sync", "accept", "gc", "completion"):
        assert f"\n  {command}" in done.out
    assert "Exit statuses:" in syncer("sync", "--help").out
    assert "143" in syncer("help", "exit-codes").out
    wrong = syncer("sycn")
    assert wrong.status == 2
    assert "did you mean `sync`?" in wrong.err


def test_the_overview_imports_no_library_but_click(syncer: Command) -> None:
    """What makes `--help` quick is what it leaves out."""
    code = (
        "import sys; from syncer.cli.main import main; main(['--help']); "
        "print(sorted({'sqlalchemy', 'rich', 'pydantic', 'urllib3', 'git', 'alembic',"
        " 'structlog', 'apscheduler'} & set(sys.modules)), file=sys.stderr)"
    )
    done = syncer.python(code)
    assert done.err.strip() == "[]"


def _everybody_may_read(*files: str) -> bool:
    return all(
        place.stat().st_mode & 0o001
        for file in files
        for place in Path(file).resolve().parents
    )


@pytest.fixture
def open_place() -> Iterator[Path]:
    """Provide a directory that every user can enter."""
    place = Path(tempfile.mkdtemp(prefix="syncer-owner-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_the_owner_of_the_store(
    open_place: Path, git_server: GitServer, upstream: Upstream
) -> None:
    """What root's commands write belongs to the store's owner, but for repos.toml."""
    upstream("acme/widget")
    syncer = Command(open_place)
    store = open_place / "mirror"
    store.mkdir()
    os.chown(store, 65534, 65534)
    name = name_on(git_server, "acme/widget")
    if not _everybody_may_read(os.__file__, sys.executable, __file__):
        syncer.file.write_text("")
        done = syncer("status")
        assert done.status == 1
        assert "who may not read" in done.err
        assert list(store.iterdir()) == []
        return
    syncer.init(git_server)

    assert syncer("add", name).status == 0
    assert syncer("sync").status == 0

    assert {path.stat().st_uid for path in store.rglob("*")} == {65534}
    assert syncer.file.stat().st_uid == 0
    assert name in syncer.file.read_text()
