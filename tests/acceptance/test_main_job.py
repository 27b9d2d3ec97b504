"""The main job: a whole repository, byte for byte, and nothing done in vain."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from syncer.bootstrap import build as wire
from syncer.config import environment, load
from syncer.model.content import DEFAULT_SCOPE
from tests.acceptance.command import Command, name_on
from tests.acceptance.running import configure, running, until
from tests.servers.bulk import build
from tests.servers.replay import ReplayServer, synthetic
from tests.servers.repositories import Repository, create, git

if TYPE_CHECKING:
    import subprocess

    from syncer.bootstrap import App
    from syncer.model.mirrors import RepoState
    from syncer.model.runs import Probe
    from tests.acceptance.running import Daemon
    from tests.servers.git_http import GitServer

#: Tells each start of git, and is new enough whatever the machine has.
_WRAPPER = """\
#!/bin/sh
echo "$@" >> "$(dirname "$0")/starts"
[ "$1" = version ] && echo "git version 2.50.1" && exit
exec git "$@"
"""


def starts(syncer: Command) -> list[str]:
    """Return what git was started for, but to ask its version."""
    lines = (syncer.place / "starts").read_text().splitlines()
    return [line for line in lines if line != "version"]


def refs(repository: Repository) -> dict[str, str]:
    """Return branches and tags, with what annotated tags peel to."""
    words = ("--format=%(refname) %(objectname) %(*objectname) %(objecttype)",)
    text = repository.git("for-each-ref", *words, "refs/heads", "refs/tags")
    return dict(line.split(" ", 1) for line in text.splitlines())


def test_a_large_repository_is_mirrored_byte_for_byte(
    syncer: Command, git_server: GitServer
) -> None:
    """Every head and tag is upstream's, fsck is content, what is unchanged is free."""
    path = git_server.path("acme/large")
    path.parent.mkdir()
    upstream = build(path, commits=7_000, files=500, branches=40, tags=60)
    for number in range(5):
        upstream.tag(f"release/{number}", f"refs/tags/v/{number}")
    upstream.tag("of-a-tag", "refs/tags/release/0")
    upstream.rename_head("main", "trunk")
    name = name_on(git_server, "acme/large")
    program = syncer.place / "wrapper"
    program.write_text(_WRAPPER)
    program.chmod(0o755)
    host = name.partition("/")[0]
    setting = f'git = "{program}"\n'
    configure(syncer, name, hosts={host: git_server.url}, settings=setting)
    assert syncer("init").status == 0

    document = syncer("sync", "--json").document()

    assert document["counts"]["changed"] == 1
    assert document["runs"][0]["objects"] > 25_000
    mirror = Repository(syncer.place / "mirror" / "git" / f"{name}.git")
    assert refs(mirror) == refs(upstream)
    assert mirror.head() == "refs/heads/trunk"
    packed = (mirror.path / "packed-refs").read_text()
    assert all(f" {ref}\n" in packed for ref in upstream.refs())
    assert not [each for each in (mirror.path / "refs").rglob("*") if each.is_file()]
    checks = ("--connectivity-only", "--no-dangling", "--no-progress")
    assert mirror.git("fsck", *checks) == ""
    assert any(start.startswith("clone ") for start in starts(syncer))
    _is_free_when_unchanged(syncer)
    with running(syncer) as daemon:
        _is_fresh(daemon, upstream, mirror, git_server)
    clone = syncer.place / "clone"
    git("clone", "--quiet", str(mirror.path), str(clone))
    assert (clone / "0").is_dir()


def _is_free_when_unchanged(syncer: Command) -> None:
    """Check that a further run says UNCHANGED, and starts no git to find out."""
    (syncer.place / "starts").write_text("")
    document = syncer("sync", "--json").document()
    assert document["counts"]["unchanged"] == 1
    assert starts(syncer) == []


def _is_fresh(
    daemon: Daemon, upstream: Repository, mirror: Repository, server: GitServer
) -> None:
    """Check that what is pushed is published at the first probe that can see it.

    The interval is one second; the clock of a loaded machine is not held
    against it, so what counts is how often upstream was asked.
    """
    daemon.tells("syncer started")
    until(lambda: _probes(server) > 1, "a probe")
    before = upstream.oid("trunk")
    pushed = upstream.commit("trunk")
    probes = _probes(server)
    until(lambda: mirror.oid("trunk") != before, "the publication")
    assert mirror.oid("trunk") == pushed
    # One may have been under way while the push was, one saw it, one came after.
    assert _probes(server) <= probes + 3
    took = daemon.tells("sync run ended", outcome="changed")["seconds"]
    assert took < 10
    upstream.delete("refs/heads/topic/7")
    upstream.force("topic/8", 2)
    upstream.tag("v9")
    until(lambda: refs(mirror) == refs(upstream), "all of it")
    daemon.stop()


def _probes(server: GitServer) -> int:
    return sum(request.command == "ls-refs" for request in server.requests)


def test_a_thousand_mirrors_need_little_memory(syncer: Command) -> None:
    """With 1,000 mirrors, each asked about, the daemon stays below 150 MiB."""
    count = 1000
    names = [f"replay.test/acme/r{number}" for number in range(count)]
    with ReplayServer(synthetic(50), tls=False) as server:
        configure(
            syncer,
            *names,
            hosts={"replay.test": server.url},
            host_settings="probes = 400\n",
        )
        assert syncer("init").status == 0
        app = wire(load(syncer.file, environment()))
        try:
            _mirror_all(app)
            began = app.clock.now()
            with running(syncer) as daemon:
                until(lambda: _all_seen(app, began), "a visit to everybody", 60)
                used = _peak(daemon.process)
                daemon.stop()
        finally:
            app.close()
    assert [line["event"] for line in daemon.lines()] == [
        "syncer started",
        "stopping",
        "stopped",
    ]
    assert used < 150 << 20


def _mirror_all(app: App) -> None:
    """Make every mirror what the server shows, without fetching any."""
    app.reconcile()
    states = app.catalog.states()
    probe = app.forge.probe(states[0].name, DEFAULT_SCOPE)
    refs = probe.read()
    for state in states:
        place = app.store.path(state.path)
        create(place)
        (place / "packed-refs").write_bytes(refs.packed)
        _confirm(app, state, probe)


def _confirm(app: App, state: RepoState, probe: Probe) -> None:
    stamp = app.store.stamp(state.path)
    assert stamp is not None
    app.catalog.confirm(state, probe, stamp, probe.read())
    app.world.index.mark_scanned(state.id, app.clock.now())


def _all_seen(app: App, since: object) -> bool:
    return all(
        state.last_attempt is not None and state.last_attempt > since  # type: ignore[operator]  # an instant
        for state in app.catalog.states()
    )


def _peak(process: subprocess.Popen[bytes]) -> int:
    """Return the most bytes that a process has had in memory (proc(5), VmHWM)."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel
        found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
    assert found is not None
    return int(found[1]) << 10
