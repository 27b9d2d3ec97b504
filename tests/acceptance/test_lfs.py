"""LFS, the main job: what the real client pushed is what it gets back from us."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.blob_places import in_bucket, of_bucket, of_directory
from tests.acceptance.command import Command, name_on
from tests.servers.git_http import GitServer
from tests.servers.pointers import pointer_file
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tests.servers.http_faults import Request
    from tests.servers.lfs_client import GitLfs
    from tests.servers.s3 import S3Server
    from tests.servers.s3_proxy import S3Proxy

    Upstream = Callable[[str], Repository]

NAME = "acme/widget"
KIB = 1 << 10
SIZES = (7, 1000, 4 * KIB, 5 * KIB, 17 * KIB, 100 * KIB, 300 * KIB, 3 << 20)


def _bodies(seed: int) -> Iterator[bytes]:
    """Yield bytes for files, small ones and large ones, never the same."""
    noise = random.Random(seed)  # noqa: S311 - content, no secret
    while True:
        for size in SIZES:
            yield noise.randbytes(size)


class Author:
    """Somebody with the real git-lfs, who pushes to the test's upstream."""

    def __init__(self, client: GitLfs, place: Path, server: GitServer) -> None:
        self._client = client
        self._server = server
        self._bodies = _bodies(len(client.name))
        self.upstream = server.repository(NAME)
        self.place = client.repository(place, "*.bin")
        #: Everything that was ever pushed, by digest.
        self.objects: dict[str, bytes] = {}

    def commit(self, *files: str) -> None:
        """Commit new content to files, on the branch that is checked out."""
        found = {file: next(self._bodies) for file in files}
        self._client.commit(self.place, found)
        self.objects |= {sha256(data).hexdigest(): data for data in found.values()}

    def git(self, *words: str) -> None:
        """Run git in the working repository."""
        self._client.git(*words, at=self.place)

    def push(self) -> None:
        """Send the objects, and then every ref as it is."""
        self._client.push(self.place, self._server.address(NAME))
        self.git("push", "--quiet", "--force", "--all", str(self.upstream.path))
        self.git("push", "--quiet", "--force", "--tags", str(self.upstream.path))

    def history(self) -> None:
        """Push 30 objects: over two branches, a tag alone, and files that changed."""
        for number in range(4):
            self.commit(*(f"{number}/{each}.bin" for each in range(4)))
        self.commit(*(f"0/{each}.bin" for each in range(4)))
        self.git("checkout", "--quiet", "-b", "topic")
        self.commit(*(f"topic/{each}.bin" for each in range(6)), "text")
        self.git("checkout", "--quiet", "-b", "released", "main")
        self.commit("a.bin", "b.bin", "c.bin", "d.bin")
        self.git("tag", "-a", "-m", "the first", "v1")
        self.git("checkout", "--quiet", "main")
        self.git("branch", "--quiet", "-D", "released")
        self.objects = self._client.stored(self.place)
        assert len(self.objects) == 30
        self.push()


@pytest.fixture
def author(git_lfs: GitLfs, tmp_path: Path, git_server: GitServer) -> Author:
    """Return an author with either git-lfs, who has pushed a history."""
    made = Author(git_lfs, tmp_path / "work", git_server)
    made.history()
    return made


def _mirror(syncer: Command, name: str) -> Repository:
    return Repository(syncer.place / "mirror" / "git" / f"{name}.git")


def _synced(syncer: Command, outcome: str = "changed") -> dict[str, Any]:
    """Run `sync` for one mirror; return what it tells of the run."""
    done = syncer("sync", "--json")
    assert done.status == 0, done.out + done.err
    (run,) = done.document()["runs"]
    assert run["outcome"] == outcome
    found: dict[str, Any] = run
    return found


def _is_right(blobs: dict[str, bytes]) -> bool:
    return all(sha256(data).hexdigest() == oid for oid, data in blobs.items())


def _check_out(
    client: GitLfs, mirror: Repository, blobs: dict[str, bytes], place: Path
) -> None:
    """Clone, give the clone our blobs, and let the real client judge them all."""
    client.git("clone", "--quiet", str(mirror.path), str(place))
    for oid, data in blobs.items():
        path = place / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for ref in ("origin/topic", "v1", "origin/main~3"):
        client.git("checkout", "--quiet", "--detach", ref, at=place)
        client.run("checkout", at=place)
        client.run("fsck", at=place)
        files = [path.read_bytes() for path in place.rglob("*.bin")]
        assert {sha256(data).hexdigest() for data in files} <= set(blobs), ref
        assert len(files) > 3, ref


def test_what_the_real_client_pushed_is_what_it_gets_back(
    author: Author,
    git_lfs: GitLfs,
    git_server: GitServer,
    minio: S3Server,
    tmp_path: Path,
) -> None:
    """By a directory and by MinIO: each object, of all history, byte for byte."""
    name, bucket = name_on(git_server, NAME), minio.bucket()
    far, near = Command(tmp_path / "far"), Command(tmp_path / "near")
    in_bucket(far, minio, bucket)
    for syncer in (far, near):
        syncer.place.mkdir()
        syncer.init(git_server, name)
        assert _synced(syncer)["lfs"]["fetched"] == 30
    blobs = of_bucket(minio.client(), bucket)

    assert blobs == author.objects
    assert of_directory(near.place / "mirror" / "blobs") == author.objects

    assert _is_right(blobs)
    assert not (far.place / "mirror" / "blobs").exists()
    assert list((near.place / "mirror" / "incoming").iterdir()) == []
    mirror = _mirror(far, name)
    assert mirror.refs() == author.upstream.refs()
    _check_out(git_lfs, mirror, blobs, tmp_path / "clone")


@pytest.mark.parametrize("git_lfs", ["new"], indirect=True)
def test_later_pushes_bring_what_is_new(
    author: Author, syncer: Command, git_server: GitServer, s3_proxy: S3Proxy
) -> None:
    """A push, a force-push, nothing at all, and a branch upon what was gone."""
    name, bucket = name_on(git_server, NAME), s3_proxy.server.bucket()
    in_bucket(syncer, s3_proxy.server, bucket, s3_proxy.endpoint)
    syncer.init(git_server, name)
    _synced(syncer)
    author.commit("new.bin", "0/0.bin")
    author.push()

    assert _synced(syncer)["lfs"] == _tally(author, 2)

    author.git("reset", "--quiet", "--hard", "HEAD~2")
    author.commit("other.bin")
    author.push()
    assert _synced(syncer)["lfs"] == _tally(author, 1)

    for server in (git_server, s3_proxy):
        server.forget()
    assert _synced(syncer, "unchanged")["lfs"] == _tally(author, 0)
    assert s3_proxy.requests == []
    assert _lfs_requests(git_server.requests) == []

    author.git("branch", "back", "main@{2}")
    author.push()
    assert _synced(syncer)["lfs"] == _tally(author, 0)
    assert _lfs_requests(git_server.requests, "/lfs-objects/") == []
    assert of_bucket(s3_proxy.server.client(), bucket) == author.objects
    assert _mirror(syncer, name).refs()["refs/heads/back"]


def _tally(author: Author, fetched: int) -> dict[str, int]:
    """Return what `--json` says of LFS after so many of the last objects came."""
    sizes = [len(data) for data in list(author.objects.values())[-fetched or 30 :]]
    received = sum(sizes) if fetched else 0
    return {"fetched": fetched, "linked": 0, "missing": 0, "received_bytes": received}


def _lfs_requests(requests: Iterable[Request], *parts: str) -> list[str]:
    """Return the requests for objects, or about them."""
    wanted = parts or ("/info/lfs/", "/lfs-objects/")
    return [r.line for r in requests if any(part in r.path for part in wanted)]


@pytest.fixture
def media() -> Iterator[GitServer]:
    """Serve LFS objects on a host of their own."""
    with GitServer() as server:
        server.repository("acme/media")
        yield server


def _with_lfsconfig(upstream: Repository, server: GitServer, media: GitServer) -> str:
    """Push a pointer and where its object is said to be; return its digest."""
    body = b"kept elsewhere"
    pointer = media.lfs.add("acme/media", body)
    server.lfs.add(NAME, body)
    url = f"{media.address('acme/media')}/info/lfs"
    config = f"[lfs]\n\turl = {url}\n"
    upstream.commit("main", {".lfsconfig": config})
    upstream.commit("main", {"a.bin": pointer_file(pointer)})
    return pointer.oid


def test_another_lfs_server_is_asked_where_it_is_allowed(
    syncer: Command, git_server: GitServer, media: GitServer, upstream: Upstream
) -> None:
    """`.lfsconfig` of HEAD names it, and `downloads` lists it: it alone is asked."""
    oid = _with_lfsconfig(upstream(NAME), git_server, media)
    syncer.init(git_server, name_on(git_server, NAME))
    _allow(syncer, media)

    run = _synced(syncer)

    assert run["notes"] == []
    assert list(of_directory(syncer.place / "mirror" / "blobs")) == [oid]
    assert len(_lfs_requests(media.requests)) == 2
    assert _lfs_requests(git_server.requests) == []


def _allow(syncer: Command, media: GitServer) -> None:
    """List a server among those that objects may come from."""
    host = media.url.partition("://")[2]
    text = syncer.file.read_text()
    line = f'private = true\ndownloads = ["{host}"]\n'
    syncer.file.write_text(text.replace("private = true\n", line))


def test_another_lfs_server_is_not_asked_unless_it_is_allowed(
    syncer: Command, git_server: GitServer, media: GitServer, upstream: Upstream
) -> None:
    """A private address that upstream chose hears nothing; the run says so."""
    oid = _with_lfsconfig(upstream(NAME), git_server, media)
    syncer.init(git_server, name_on(git_server, NAME))

    run = _synced(syncer)

    (note,) = run["notes"]
    assert ".lfsconfig" in note
    assert media.url.partition("://")[2] in note
    assert "downloads" in note
    assert list(of_directory(syncer.place / "mirror" / "blobs")) == [oid]
    assert media.requests == []
    assert len(_lfs_requests(git_server.requests)) == 2
