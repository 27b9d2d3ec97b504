"""The git server that the other tests stand on, seen by real git."""

from __future__ import annotations

import json
import resource
import subprocess
import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers import bulk
from tests.servers.git_http import GitServer
from tests.servers.http_faults import (
    Fault,
    endless_pack,
    garbage,
    html_page,
    redirect,
    status,
)
from tests.servers.repositories import GitFailed, Repository, git, git_environment

if TYPE_CHECKING:
    from collections.abc import Callable

_CLONE = ("git", "clone", "-q", "--bare")
_FETCH = "git-upload-pack command=fetch"


def _mirror(address: str, place: Path, *options: str) -> Repository:
    git(*options, "clone", "--quiet", "--mirror", address, place)
    return Repository(place)


def _eventful(repository: Repository) -> Repository:
    """Let everything happen that a repository's people do."""
    repository.tag("v1")
    repository.tag("light", annotated=False)
    repository.branch("topic/a")
    repository.commit("topic/a", {"a": "1\n", "README": None})
    repository.note("seen")
    repository.pull(7)
    repository.branch("gone")
    repository.delete("gone")
    repository.commit()
    repository.force("main", 1)
    repository.rename_head("main", "trunk")
    return repository


def test_a_clone_has_every_ref(
    git_server: GitServer, upstream: Callable[..., Repository], tmp_path: Path
) -> None:
    """What git gets by HTTP is what upstream has, whatever happened there."""
    repository = _eventful(upstream())

    mirror = _mirror(git_server.address("acme/widget"), tmp_path / "mirror")

    assert mirror.refs() == repository.refs()
    assert mirror.head() == "refs/heads/trunk"
    assert mirror.fsck() == ""


def test_the_same_calls_make_the_same_repository(tmp_path: Path) -> None:
    """Ids depend on what a test does, not on when or where."""
    one, other = (
        _eventful(Repository(tmp_path / name)) if repository.commit() else repository
        for name in ("one.git", "other.git")
        for repository in [Repository(tmp_path / name)]
    )

    assert one.refs() == other.refs()


def test_tls_is_trusted_with_the_authority_alone(
    tls_git_server: GitServer, tmp_path: Path
) -> None:
    """The certificate is right for who knows its authority, and for no one else."""
    repository = tls_git_server.repository("acme/widget")
    repository.commit()
    address = tls_git_server.address("acme/widget")

    trust = ("-c", f"http.sslCAInfo={tls_git_server.ca_pem}")
    mirror = _mirror(address, tmp_path / "mirror", *trust)

    assert mirror.refs() == repository.refs()
    with pytest.raises(GitFailed, match="certificate"):
        git("ls-remote", address)


def test_large_packs_stream(git_server: GitServer, tmp_path: Path) -> None:
    """A repository of 50 MB arrives whole."""
    large = bulk.build(
        git_server.path("acme/large"), commits=100, blob_size=500_000, tags=5
    )

    mirror = _mirror(git_server.address("acme/large"), tmp_path / "mirror")

    assert mirror.refs() == large.refs()
    assert sum(f.stat().st_size for f in mirror.path.glob("objects/pack/*")) > 50e6


def test_long_requests_are_read_in_chunks(
    git_server: GitServer, upstream: Callable[..., Repository], tmp_path: Path
) -> None:
    """A request that git sends gzipped or in chunks is understood."""
    bulk.build(git_server.path("acme/refs"), commits=3000, branches=3000)
    mirror = Repository(tmp_path / "mirror.git")
    address = git_server.address("acme/refs")

    small_buffer = ("-c", "http.postBuffer=65536")
    mirror.git(*small_buffer, "fetch", "--quiet", address, "+refs/*:refs/*")

    assert len(mirror.refs()) == 3000
    headers = [request.headers for request in git_server.requests]
    assert any(one.get("transfer-encoding") == "chunked" for one in headers)
    upstream("acme/refs2")
    mirror.git("fetch", "--quiet", address.replace("refs.git", "refs2.git"))
    headers = [request.headers for request in git_server.requests]
    assert any(one.get("content-encoding") == "gzip" for one in headers)


def test_requests_are_recorded(
    git_server: GitServer, upstream: Callable[..., Repository]
) -> None:
    """Each request is known by its method, path, headers and connection."""
    upstream()

    git("ls-remote", git_server.address("acme/widget"))

    first, second = git_server.requests
    assert first.line == "GET /acme/widget.git/info/refs?service=git-upload-pack"
    assert second.line == "POST /acme/widget.git/git-upload-pack command=ls-refs"
    assert first.headers["git-protocol"] == "version=2"
    assert first.connection == second.connection
    assert first.time <= second.time <= time.time()
    git_server.forget()
    assert git_server.requests == []


@pytest.mark.parametrize(
    ("match", "fault", "words"),
    [
        ("info/refs", status(404), "not found"),
        ("info/refs", status(429, retry_after="2"), "error: 429"),
        ("info/refs", status(403), "error: 403"),
        (_FETCH, status(503), "HTTP 503"),
        (_FETCH, Fault(truncate=1000), "early EOF|outstanding read data"),
        (_FETCH, Fault(truncate=0), "outstanding read data"),
        (_FETCH, Fault(truncate=1000, framing="close"), "early EOF|disconnect"),
        (_FETCH, Fault(short=1000), "early EOF|disconnect"),
        (_FETCH, Fault(reset=1000), "reset by peer"),
        (_FETCH, Fault(flip=20_000), "bad object|inflate|pack is corrupted"),
        (_FETCH, html_page(), "bad line length"),
        (_FETCH, garbage(), "bad line length"),
        (_FETCH, Fault(endless="0" * 500), "expected response end|protocol error"),
        ("info/refs", html_page(), "not valid"),
        ("info/refs", Fault(content_type="text/plain"), "not valid|bad"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, Fault) else None,
)
def test_faults_reach_the_client(
    match: str, fault: Fault, words: str, git_server: GitServer, tmp_path: Path
) -> None:
    """Git fails, with words about the fault; healed, the server is right again."""
    bulk.build(git_server.path("acme/widget"), commits=10, blob_size=10_000)
    address = git_server.address("acme/widget")
    git_server.fault(match, fault)

    with pytest.raises(GitFailed, match=words):
        _mirror(address, tmp_path / "spoiled", "-c", "protocol.version=2")

    git_server.heal()
    _mirror(address, tmp_path / "right")


def test_an_endless_pack_ends_at_the_limit_of_the_client(
    git_server: GitServer, upstream: Callable[..., Repository], tmp_path: Path
) -> None:
    """Git goes on receiving until it may write no more."""
    upstream()
    git_server.fault(_FETCH, endless_pack())
    mirror = Repository(tmp_path / "mirror.git")
    limit = 4 << 20

    done = subprocess.run(
        (
            "git",
            "-c",
            "fetch.unpackLimit=1",
            "fetch",
            git_server.address("acme/widget"),
        ),
        cwd=mirror.path,
        env=git_environment(),
        check=False,
        capture_output=True,
        timeout=20,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )

    assert done.returncode != 0
    (partial,) = mirror.path.glob("objects/pack/tmp_pack_*")
    assert partial.stat().st_size == limit


def test_redirects_are_counted_and_limited(
    git_server: GitServer, upstream: Callable[..., Repository]
) -> None:
    """A fault skips the first requests and ends after so many."""
    upstream("acme/new")
    address = git_server.address("acme/old")
    away = redirect(
        git_server.address("acme/new") + "/info/refs?service=git-upload-pack"
    )
    git_server.fault("old.git/info/refs", away, times=1, skip=1)

    with pytest.raises(GitFailed, match="not found"):
        git("ls-remote", address)
    assert b"refs/heads/main" in git("ls-remote", address)
    with pytest.raises(GitFailed, match="not found"):
        git("ls-remote", address)


def test_a_repository_carries_its_faults(
    git_server: GitServer, upstream: Callable[..., Repository]
) -> None:
    """A `fault.json` in a repository spoils its own requests alone."""
    upstream("acme/other")
    entry = {"match": "info/refs", "status": 503, "times": 1}
    file = upstream().path / "fault.json"
    file.write_text(json.dumps([entry]))

    assert git("ls-remote", git_server.address("acme/other"))
    with pytest.raises(GitFailed, match="503"):
        git("ls-remote", git_server.address("acme/widget"))
    assert git("ls-remote", git_server.address("acme/widget"))


def test_a_token_opens_the_server(
    git_server: GitServer, upstream: Callable[..., Repository]
) -> None:
    """Without the token every request is answered 401."""
    upstream()
    address = git_server.address("acme/widget")
    git_server.require_token = "secret-1"  # noqa: S105  of this test alone

    def ask(value: str) -> bytes:
        header = f"http.extraHeader=Authorization: {value}"
        return git("-c", header, "-c", "credential.helper=", "ls-remote", address)

    assert ask("Bearer secret-1")
    assert ask("Basic " + b64encode(b"x-access-token:secret-1").decode())
    with pytest.raises(GitFailed, match="could not read Username"):
        ask("Bearer secret-2")
    with pytest.raises(GitFailed, match="could not read Username"):
        git("ls-remote", address)


@pytest.mark.parametrize("hang", ["accept", "headers", 0, 5000])
def test_hanging_ends_with_the_server(hang: str | int, tmp_path: Path) -> None:
    """A client hangs until the server stops, which it does at once."""
    with GitServer() as server:
        bulk.build(server.path("acme/widget"), commits=10, blob_size=10_000)
        server.fault(_FETCH, Fault(hang=hang))  # type: ignore[arg-type]  # a literal
        words = (*_CLONE, server.address("acme/widget"), "c")
        client = subprocess.Popen(
            words, cwd=tmp_path, env=git_environment(), stderr=subprocess.DEVNULL
        )
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(0.5)
        before = time.monotonic()
    assert time.monotonic() - before < 2
    assert client.wait(5) != 0


def test_children_end_with_the_server(tmp_path: Path) -> None:
    """No process of git's survives the server that started it."""
    with GitServer() as server:
        bulk.build(server.path("acme/widget"), commits=200, blob_size=50_000)
        server.fault(_FETCH, Fault(drip=(1, 0.05)))
        words = (*_CLONE, server.address("acme/widget"), "c")
        client = subprocess.Popen(
            words, cwd=tmp_path, env=git_environment(), stderr=subprocess.DEVNULL
        )
        root = str(server.root).encode()
        assert _await(lambda: _serving(root))
    assert _await(lambda: not _serving(root))
    assert client.wait(5) != 0


def _await(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def _serving(root: bytes) -> bool:
    """Tell whether a process with this project root is there."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if b"GIT_PROJECT_ROOT=" + root in environment:
            return True
    return False


def test_many_requests_share_few_connections(
    git_server: GitServer, upstream: Callable[..., Repository]
) -> None:
    """Connections are kept alive, and hundreds of requests take about a second."""
    urllib3 = pytest.importorskip("urllib3")
    upstream()
    body = b"0014command=ls-refs\n00010009peel\n0000"
    address = git_server.address("acme/widget") + "/git-upload-pack"
    headers = {
        "Git-Protocol": "version=2",
        "Content-Type": "application/x-git-upload-pack-request",
    }

    with urllib3.PoolManager(maxsize=1) as pool:
        for _ in range(100):
            answer = pool.request("POST", address, body=body, headers=headers)
            assert answer.data.endswith(b" refs/heads/main\n0000")

    assert len({request.connection for request in git_server.requests}) == 1


@pytest.mark.parametrize("kind", [*bulk.HARMLESS, *bulk.DANGEROUS])
def test_known_bad_repositories_are_bad_in_one_way(kind: str, tmp_path: Path) -> None:
    """`git fsck --strict` has exactly this complaint."""
    repository = bulk.known_bad(tmp_path / "bad.git", kind)

    done = subprocess.run(
        ["git", "--git-dir", repository.path, "fsck", "--strict"],
        env=git_environment(),
        check=False,
        capture_output=True,
        text=True,
    )

    said = [line for line in done.stderr.splitlines() if ": " in line]
    assert len(said) == 1
    assert f" {kind}: " in said[0].replace(":", ": ", 1)
    assert repository.refs()


def test_rot_is_seen_by_fsck(tmp_path: Path) -> None:
    """A spoiled pack is found when its bytes are read."""
    repository = bulk.build(tmp_path / "rotten.git", commits=5, blob_size=10_000)
    bulk.spoil(repository)

    with pytest.raises(GitFailed):
        repository.fsck()


@pytest.mark.long
def test_hundreds_of_thousands_of_objects_take_seconds(tmp_path: Path) -> None:
    """400,000 objects in one pack, and thousands of refs, in under a minute."""
    before = time.monotonic()
    repository = bulk.build(
        tmp_path / "huge.git", commits=100_000, files=2000, branches=4000, tags=500
    )

    assert time.monotonic() - before < 60
    assert "in-pack: 400000" in repository.git("count-objects", "-v")
    assert len(repository.refs()) == 4500
