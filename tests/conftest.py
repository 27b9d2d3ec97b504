"""What every test stands on: a clean environment, servers, profiles, markers.

`--long` runs the tests marked `long` too, and many more examples of each
property; so does a marker expression that names `long`, or an empty one.
Tests marked `crash` or `power` fail under `CI=true` where the machine cannot
run them, and skip with the reason elsewhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.servers import programs, s3
from tests.servers.git_http import GitServer
from tests.servers.github import GitHubServer
from tests.servers.lfs_client import GitLfs
from tests.servers.s3_kinds import KINDS, MINIO, RCLONE, VERSITYGW
from tests.servers.s3_proxy import S3Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.repositories import Repository
    from tests.servers.s3_kinds import Kind

_MARKERS = (
    "long: takes minutes; runs with --long",
    "crash: needs a PID namespace and a seccomp listener",
    "power: needs root, loop devices and ext4",
)
#: The expression in `pyproject.toml`, for runs that do not say otherwise.
_NOT_LONG = "not long"
#: Prefixes of variables that must not reach a test from whoever runs it.
_FOREIGN = (
    *("GIT_", "SYNCER_", "XDG_", "GITHUB_", "GH_", "SSH_", "PG"),
    *("AWS_", "MINIO_", "RCLONE_"),
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long`."""
    parser.addoption("--long", action="store_true", help="run the long tests too")


def pytest_configure(config: pytest.Config) -> None:
    """Register markers, and choose how many examples properties get."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    if config.getoption("--long") and config.option.markexpr == _NOT_LONG:
        config.option.markexpr = ""
    _choose_profile(long=_wants_long(config))


def _wants_long(config: pytest.Config) -> bool:
    expression: str = config.option.markexpr
    named = "long" in expression and _NOT_LONG not in expression
    return bool(config.getoption("--long")) or named or not expression


def _choose_profile(*, long: bool) -> None:
    try:
        from hypothesis import settings  # noqa: PLC0415  not every suite has it
    except ImportError:
        return
    # The same examples each time: a commit is not to blame for its luck.
    settings.register_profile(
        "fast", max_examples=50, deadline=None, derandomize=True, database=None
    )
    settings.register_profile("long", max_examples=2000, deadline=None)
    default = "long" if long else "fast"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", default))


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Deselect the long tests unless they were asked for."""
    if _wants_long(config):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail under `CI=true`, what this machine cannot run."""
    power = item.get_closest_marker("power") is not None
    if not power and item.get_closest_marker("crash") is None:
        return
    from tests.crash.obstacles import obstacle  # noqa: PLC0415  few tests need it

    reason = obstacle(power=power)
    if reason is not None:
        _give_up(f"crash points cannot run here: {reason}")


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's configuration and secrets into a test."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


@pytest.fixture
def git_server() -> Iterator[GitServer]:
    """Serve git on loopback, from no repositories yet."""
    with GitServer() as server:
        yield server


@pytest.fixture
def tls_git_server() -> Iterator[GitServer]:
    """Serve git by TLS, with a certificate of its own authority."""
    with GitServer(tls=True) as server:
        yield server


@pytest.fixture
def github() -> Iterator[GitHubServer]:
    """Serve GitHub's API on loopback, and assets from a second host."""
    with GitHubServer() as server:
        yield server


@pytest.fixture
def tls_github() -> Iterator[GitHubServer]:
    """Serve it by TLS, with certificates of its own authority."""
    with GitHubServer(tls=True) as server:
        yield server


@pytest.fixture
def upstream(git_server: GitServer) -> Callable[[str], Repository]:
    """Make `OWNER/NAME` on `git_server`, with one commit on `main`."""

    def make(name: str = "acme/widget") -> Repository:
        repository = git_server.repository(name)
        repository.commit("main", {"README": f"{name}\n"}, "the first")
        return repository

    return make


@pytest.fixture
def minio(request: pytest.FixtureRequest) -> Iterator[s3.S3Server]:
    """Lend MinIO; its buckets are gone after the test."""
    yield from _lent(request, MINIO)


@pytest.fixture
def tls_minio(request: pytest.FixtureRequest) -> Iterator[s3.S3Server]:
    """Lend MinIO by TLS, with a certificate of its own authority."""
    yield from _lent(request, MINIO, tls=True)


@pytest.fixture
def versitygw(request: pytest.FixtureRequest) -> Iterator[s3.S3Server]:
    """Lend the second S3 server."""
    yield from _lent(request, VERSITYGW)


@pytest.fixture
def rclone_s3(request: pytest.FixtureRequest) -> Iterator[s3.S3Server]:
    """Lend the S3 server that believes everything."""
    yield from _lent(request, RCLONE)


@pytest.fixture(params=KINDS, ids=[kind.name for kind in KINDS])
def s3_server(request: pytest.FixtureRequest) -> Iterator[s3.S3Server]:
    """Lend each kind of S3 server, one after the other."""
    yield from _lent(request, request.param)


@pytest.fixture
def s3_proxy(minio: s3.S3Server) -> Iterator[S3Proxy]:
    """Stand in front of MinIO, and go wrong when told to."""
    with S3Proxy(minio) as proxy:
        yield proxy


def _lent(
    request: pytest.FixtureRequest, kind: Kind, *, tls: bool = False
) -> Iterator[s3.S3Server]:
    try:
        yield from s3.lent(request.config, kind, tls=tls)
    except programs.Missing as missing:
        _give_up(str(missing))


@pytest.fixture(params=["old", "new"])
def git_lfs(request: pytest.FixtureRequest) -> GitLfs:
    """Hand out the real git-lfs: the distribution's, and today's."""
    old = request.param == "old"
    find = programs.packaged_git_lfs if old else programs.GIT_LFS.find
    try:
        return GitLfs(request.param, find())
    except programs.Missing as missing:
        _give_up(str(missing))
