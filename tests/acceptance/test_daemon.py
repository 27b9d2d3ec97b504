"""The daemon among the living: signals, reloads, neighbours, and hosts that hang."""

from __future__ import annotations

import base64
import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.command import Command, name_on
from tests.acceptance.running import configure, gits, running, until
from tests.servers.git_http import GitServer
from tests.servers.http_faults import Fault, redirect
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Upstream = Callable[[str], Repository]

WIDGET = "acme/widget"
FETCH = "command=fetch"


@pytest.fixture
def mirror(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> tuple[str, Repository]:
    """One repository that is mirrored, by name and as upstream has it."""
    repository = upstream(WIDGET)
    name = listed(syncer, git_server, WIDGET)
    assert syncer("sync", name).status == 0
    return name, repository


def listed(syncer: Command, server: GitServer, *names: str) -> str:
    """Mirror repositories of a server from now on; return the first's name."""
    full = [name_on(server, name) for name in names]
    host = full[0].partition("/")[0]
    configure(syncer, *full, hosts={host: server.url})
    assert syncer("init").status == 0
    return full[0]


def copy(syncer: Command, name: str) -> Path:
    """Return where a mirror's repository lies."""
    return syncer.place / "mirror" / "git" / f"{name}.git"


def published(syncer: Command, name: str) -> dict[str, str]:
    """Return the branches and tags that consumers see, nothing when there is none."""
    place = copy(syncer, name)
    if not place.exists():
        return {}
    refs = Repository(place).refs()
    kinds = ("refs/heads/", "refs/tags/")
    return {ref: oid for ref, oid in refs.items() if ref.startswith(kinds)}


def asked(server: GitServer, what: str, name: str = "") -> int:
    """Return how many requests of a kind a server heard."""
    return sum(what in r.line and name in r.line for r in server.requests)


def large(repository: Repository) -> None:
    """Push so much that it arrives in many pieces."""
    repository.commit("main", {"large": os.urandom(300_000)})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_slow_first_mirror_within_seconds(
    syncer: Command, git_server: GitServer, upstream: Upstream, number: signal.Signals
) -> None:
    """Exit 0, nothing published by half, no git process left; later it goes on."""
    large(upstream(WIDGET))
    name = listed(syncer, git_server, WIDGET)
    git_server.fault(FETCH, Fault(hang=2000))
    with running(syncer) as daemon:
        until(lambda: asked(git_server, FETCH), "the fetch")
        until(lambda: gits(syncer.place), "git")
        daemon.signal(number)
        assert daemon.ends(20) == 0
        assert gits(syncer.place) == []
    assert daemon.said("stopped")
    assert "Traceback" not in daemon.output
    assert published(syncer, name) == {}
    git_server.heal()
    assert "1 ref new" in syncer("sync").out


def test_a_second_signal_ends_a_fetch_that_hangs_at_once(
    syncer: Command, mirror: tuple[str, Repository], git_server: GitServer
) -> None:
    """Asked twice it waits for no answer; refs are as before, no git is left."""
    name, repository = mirror
    before = published(syncer, name)
    large(repository)
    git_server.fault(FETCH, Fault(hang=2000))
    git_server.forget()
    with running(syncer) as daemon:
        until(lambda: asked(git_server, FETCH), "the fetch")
        daemon.signal(signal.SIGTERM)
        daemon.tells("stopping")
        daemon.signal(signal.SIGTERM)
        assert daemon.ends(20) == 0
        assert gits(syncer.place) == []
    assert published(syncer, name) == before
    git_server.heal()
    assert syncer("sync").status == 0
    assert published(syncer, name) == repository.refs()


def test_a_probe_that_hangs_does_not_delay_the_end(
    syncer: Command, mirror: tuple[str, Repository], git_server: GitServer
) -> None:
    """An upstream that says nothing is not waited for, and exit is 0."""
    name, repository = mirror
    repository.commit()
    before = published(syncer, name)
    git_server.fault("ls-refs", Fault(hang="accept"))
    git_server.forget()
    with running(syncer) as daemon:
        until(lambda: asked(git_server, "ls-refs"), "the probe")
        daemon.signal(signal.SIGTERM)
        assert daemon.ends(20) == 0
    assert published(syncer, name) == before


def test_a_changed_file_is_used_and_a_broken_one_is_not(
    syncer: Command,
    mirror: tuple[str, Repository],
    git_server: GitServer,
    upstream: Upstream,
) -> None:
    """What is added is mirrored without a restart; each broken file is told once."""
    name, repository = mirror
    other = name_on(git_server, "acme/other")
    added = upstream("acme/other")
    good = syncer.file.read_text()
    with running(syncer) as daemon:
        daemon.tells("syncer started", mirrors=1)
        syncer.file.write_text(good.replace("[syncer]", "[syncer"))
        told = daemon.tells("the new configuration is not used; the old one stays")
        assert "not TOML" in str(told["problems"]) + told["error"]
        syncer.file.write_text(f'{good}\n[[repo]]\nname = "a/b"\ntiger = "x"\n')
        until(lambda: len(daemon.said(told["event"])) == 2, "the second refusal")
        second = daemon.said(told["event"])[1]
        assert any("did you mean `tier`?" in each for each in second["problems"])
        syncer.file.write_text(good.replace("[syncer]", '[syncer]\ngit = "/no/git"'))
        until(lambda: len(daemon.said(told["event"])) == 3, "the third refusal")
        repository.commit()
        until(lambda: published(syncer, name) == repository.refs(), "the old mirror")

        syncer.file.write_text(f'{good}\n[[repo]]\nname = "{other}"\n')
        daemon.tells("configuration reloaded", mirrors=2)
        until(lambda: published(syncer, other) == added.refs(), "the new mirror")
        daemon.signal(signal.SIGHUP)
        until(lambda: len(daemon.said("configuration reloaded")) == 2, "the reload")
        repository.commit()
        until(lambda: published(syncer, name) == repository.refs(), "a push after it")
        daemon.stop()
    assert len(daemon.said(told["event"])) == 3


def test_a_reload_leaves_a_running_fetch_alone(
    syncer: Command, mirror: tuple[str, Repository], git_server: GitServer
) -> None:
    """The fetch goes on to its end, nobody else takes the mirror up meanwhile."""
    name, repository = mirror
    large(repository)
    git_server.fault(FETCH, Fault(drip=(4_000, 0.1)), times=1)
    git_server.forget()
    with running(syncer) as daemon:
        until(lambda: asked(git_server, FETCH), "the fetch")
        daemon.signal(signal.SIGHUP)
        daemon.tells("configuration reloaded")
        seen = asked(git_server, "ls-refs")
        until(lambda: published(syncer, name) == repository.refs(), "the fetch's end")
        assert asked(git_server, "ls-refs") <= seen + 1
        assert asked(git_server, FETCH) == 1
        daemon.stop()
    assert not [line for line in daemon.lines() if line.get("error")]


def test_two_daemons_on_one_store_refuse(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """The second one exits with 11 and one sentence that names the first."""
    assert mirror
    with running(syncer) as daemon:
        daemon.tells("syncer started")
        done = syncer("daemon")
        assert done.status == 11
        error, hint = done.err.splitlines()
        assert f"in use by process {daemon.process.pid} on" in error
        assert "nothing was changed" in error
        assert hint.startswith("hint: ")
        daemon.stop()


def test_a_killed_daemon_leaves_nothing_behind_for_long(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """The next one ends the orphaned git, and reaches upstream's state."""
    repository = upstream(WIDGET)
    large(repository)
    name = listed(syncer, git_server, WIDGET)
    git_server.fault(FETCH, Fault(hang=2000), times=1)
    with running(syncer) as daemon:
        until(lambda: asked(git_server, FETCH), "the fetch")
        until(lambda: gits(syncer.place), "git")
        daemon.signal(signal.SIGKILL)
        daemon.ends()
        orphans = gits(syncer.place)
        assert orphans
        with running(syncer) as second:
            until(lambda: published(syncer, name) == repository.refs(), "the mirror")
            assert not set(orphans) & set(gits(syncer.place))
            second.stop()
    incoming = copy(syncer, name).with_name("widget.git.incoming")
    assert not incoming.exists()
    runs = syncer("history", "--json").document()["runs"]
    assert [run["outcome"] for run in runs] == ["changed", "failed"]
    assert "the process died" in runs[1]["error"]


def test_a_restart_does_not_stampede(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """Mirrors that are all overdue keep to the host's probes a second."""
    names = [f"acme/r{number}" for number in range(16)]
    for name in names:
        upstream(name)
    listed(syncer, git_server, *names)
    rate = 4
    assert syncer("sync").status == 0
    text = syncer.file.read_text()
    slow = text.replace("private = true", f"private = true\nprobes = {rate}")
    syncer.file.write_text(slow)
    git_server.forget()
    with running(syncer) as daemon:
        until(lambda: _visited(git_server) == len(names), "a visit to everybody")
        daemon.stop()
    times = sorted(request.time for request in git_server.requests)
    for start in times:
        within = sum(start <= time < start + 2 for time in times)
        # What a second holds may be spent at once; a moment is for the clocks.
        assert within <= 3 * rate + 1


def _visited(server: GitServer) -> int:
    return len({request.path for request in server.requests})


def test_what_people_decide_takes_effect_in_the_running_daemon(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """`pause`, `resume` and `accept` need no restart."""
    name, repository = mirror
    for number in range(12):
        repository.branch(f"topic/{number}")
    with running(syncer) as daemon:
        until(lambda: published(syncer, name) == repository.refs(), "the branches")
        for number in range(12):
            repository.delete(f"topic/{number}")
        daemon.tells("sync run ended", outcome="held")
        assert len(published(syncer, name)) == 13
        assert syncer("accept", name).status == 0
        until(lambda: published(syncer, name) == repository.refs(), "the acceptance")

        assert syncer("pause", name).status == 0
        before = published(syncer, name)
        repository.commit()
        time.sleep(2.5)
        assert published(syncer, name) == before
        assert syncer("resume", name).status == 0
        until(lambda: published(syncer, name) == repository.refs(), "the resumption")
        daemon.stop()


def test_a_command_and_the_daemon_never_run_one_mirror_twice(
    syncer: Command, mirror: tuple[str, Repository], git_server: GitServer
) -> None:
    """Beside the daemon's run `sync` exits with 11, and with `--wait` it waits."""
    name, repository = mirror
    large(repository)
    git_server.fault(FETCH, Fault(drip=(3_000, 0.1)), times=1)
    git_server.forget()
    with running(syncer) as daemon:
        until(lambda: asked(git_server, FETCH), "the daemon's fetch")
        refused = syncer("sync", name)
        assert refused.status == 11
        assert f"in use by process {daemon.process.pid} on" in refused.out
        waited = syncer("sync", name, "--wait")
        assert waited.status == 0
        assert asked(git_server, FETCH) == 1
        assert published(syncer, name) == repository.refs()
        daemon.stop()


def test_the_daemon_waits_for_a_command(
    syncer: Command, mirror: tuple[str, Repository], git_server: GitServer
) -> None:
    """A mirror that a command works on is not fetched a second time."""
    name, repository = mirror
    large(repository)
    git_server.fault(FETCH, Fault(drip=(5_000, 0.05)), times=1)
    git_server.forget()
    command = syncer.start("sync", name)
    until(lambda: asked(git_server, FETCH), "the command's fetch")
    with running(syncer) as daemon:
        daemon.tells("syncer started")
        command.communicate(timeout=60)
        assert command.returncode == 0
        assert published(syncer, name) == repository.refs()
        repository.commit()
        until(lambda: published(syncer, name) == repository.refs(), "the next push")
        daemon.stop()
    assert asked(git_server, FETCH) == 2


def test_a_host_that_hangs_or_fails_holds_up_no_other(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """Mirrors of another host are published while one says nothing, one 503."""
    hosts = dict.fromkeys(("hung.test", "down.test", "good.test"), git_server.url)
    names = [
        f"{host}/acme/r{number}" for host in list(hosts)[:2] for number in range(6)
    ]
    repository = upstream(WIDGET)
    name = "good.test/acme/widget"
    few = "connections = 2\n"
    configure(syncer, *names, name, hosts=hosts, host_settings=few)
    assert syncer("init").status == 0

    def asks(host: str) -> Callable[[object], bool]:
        return lambda request: request.headers["host"].startswith(host)  # type: ignore[attr-defined]  # a server's request

    with GitServer() as hung:
        hung.fault("", Fault(hang="accept"))
        with GitServer() as down:
            down.fault("", Fault(status=503))
            hosts |= {"hung.test": hung.url, "down.test": down.url}
            configure(syncer, *names, name, hosts=hosts, host_settings=few)
            with running(syncer) as daemon:
                until(lambda: published(syncer, name) == repository.refs(), "it")
                until(lambda: len(hung.requests) >= 2, "the hung host")
                for _ in range(2):
                    repository.commit()
                    until(
                        lambda: published(syncer, name) == repository.refs(),
                        "a push",
                        within=15,
                    )
                assert daemon.said("sync run ended", outcome="failed")
                assert not daemon.said("sync run ended", repo=names[0])
                daemon.signal(signal.SIGTERM)
                assert daemon.ends(20) == 0


def test_what_dead_processes_left_is_swept(
    syncer: Command, mirror: tuple[str, Repository]
) -> None:
    """Lock files and half packs hold up nothing, and are gone with the next run."""
    name, repository = mirror
    place = copy(syncer, name)
    stale = [
        *("packed-refs.lock", "HEAD.lock", "config.lock"),
        *("refs/heads/main.lock", "objects/pack/tmp_pack_Xk2", "objects/info/tmp_x"),
        f"objects/pack/pack-{'1' * 40}.keep",
    ]
    for each in stale:
        (place / each).parent.mkdir(parents=True, exist_ok=True)
        (place / each).write_text("")
    repository.commit()
    with running(syncer) as daemon:
        until(lambda: published(syncer, name) == repository.refs(), "the push")
        told = daemon.tells("leftovers of a dead run removed")
        assert told["repo"] == name
        daemon.stop()
    assert [each for each in stale if (place / each).exists()] == []


@pytest.mark.parametrize(
    ("environ", "start"),
    [
        ({"SYNCER_LOG": ""}, r'timestamp=[-\dT:.]+Z level=info event="syncer started"'),
        ({"SYNCER_LOG": "", "JOURNAL_STREAM": "8:1"}, r'<6>event="syncer started"'),
    ],
)
def test_a_log_line_has_the_shape_that_its_reader_knows(
    syncer: Command, environ: dict[str, str], start: str
) -> None:
    """Logfmt by default; under journald the priority stands where the time would."""
    configure(syncer, hosts={})
    syncer.environ |= environ
    with running(syncer) as daemon:
        until(lambda: "\n" in daemon.output, "the first line")
        daemon.signal(signal.SIGTERM)
        assert daemon.ends() == 0
    assert re.match(start, daemon.output)
    assert "git=" in daemon.output


def test_no_log_line_shows_a_token(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """An upstream that echoes our Authorization header does not get it printed."""
    token = "s3cret/horse+battery"  # noqa: S105  made up
    pair = base64.b64encode(f"oauth2:{token}".encode()).decode()
    echo = f"denied: Authorization: Basic {pair} {token}"
    line = f"ERR {echo}\n"
    packet = f"{len(line) + 4:04x}{line}"
    faults = {
        "body": Fault(status=500, body=echo),
        "denied": Fault(status=403, body=echo, headers={"X-Echo": echo}),
        "moved": redirect(f"{git_server.url}/{token}/{pair}"),
        "type": Fault(status=200, body=f"{echo}\n", content_type=f"text/{pair}"),
        "err": Fault(status=200, body=packet),
    }
    names = []
    for kind, fault in faults.items():
        upstream(f"acme/{kind}")
        git_server.fault(f"acme/{kind}", fault)
        names.append(f"acme/{kind}")
    upstream("acme/late")
    git_server.fault(f"acme/late.*{FETCH}", faults["err"])
    git_server.require_token = token
    first = listed(syncer, git_server, *names, "acme/late")
    listing = [first.replace("acme/body", name) for name in names]
    host = first.partition("/")[0]
    variable = re.sub(r"[^A-Za-z0-9]", "_", host).upper()
    syncer.environ[f"SYNCER_TOKEN_{variable}"] = token
    with running(syncer) as daemon:
        until(
            lambda: len(daemon.said("sync run ended", outcome="failed")) >= 6,
            "every failure",
        )
        daemon.stop()
    said = daemon.output
    commands = [["history", "--json"], ["status"], *(["show", n] for n in listing)]
    for words in commands:
        done = syncer(*words)
        said += done.out + done.err
    assert token not in said
    assert pair not in said
    assert "********" in said


def test_a_daemon_that_starts_hears_signals(syncer: Command) -> None:
    """SIGHUP before the first tick is no end, and SIGTERM is a clean one."""
    configure(syncer, hosts={})
    with running(syncer) as daemon:
        daemon.tells("syncer started", mirrors=0)
        daemon.signal(signal.SIGHUP)
        daemon.tells("configuration reloaded")
        daemon.stop()
