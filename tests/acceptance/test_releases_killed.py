"""Killed while a large asset is on its way: nothing wrong is visible.

With a digest and without one: what has no name yet is received in a place of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from syncer.model.blobs import blob_key
from tests.acceptance.running import until
from tests.crash.orders import Order
from tests.large_object import MIB, Syncers
from tests.release_store import SECRET, WIDGET, configuration
from tests.servers.http_faults import Fault
from tests.servers.lfs import Generated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.large_object import Ran
    from tests.servers.github import GitHubServer
    from tests.servers.github_state import GitHubRepository
    from tests.servers.s3 import S3Server

#: The smallest that S3 takes.
PART = 5 * MIB
SIZE = 5 * PART - 1000
#: Where upstream stands still, and a while for what came to be written.
HANGS, SETTLES = 3 * PART + MIB, 0.4
STORAGE = "github-production-release-asset"


class Place(NamedTuple):
    """A directory with a configuration, and where its blobs go."""

    path: Path
    server: GitHubServer
    repository: GitHubRepository
    syncers: Syncers
    minio: S3Server | None
    bucket: str

    def __call__(self, *words: str, kill: bool = False) -> Ran:
        """Run the command, killed once upstream stands still if it is to be."""
        environ = dict(os.environ) | {"SYNCER_GITHUB_TOKEN": SECRET}
        if self.minio is not None:
            environ |= {
                "SYNCER_BLOBS": f"s3://{self.bucket}",
                "SYNCER_S3_ENDPOINT": self.minio.endpoint,
                "SYNCER_S3_ACCESS_KEY": self.minio.access_key,
                "SYNCER_S3_SECRET_KEY": self.minio.secret_key,
            }
        order = Order(
            words=list(words),
            place=str(self.path),
            environ=environ,
            log=str(self.path / "events"),
            output=str(self.path / "output"),
            part=PART,
            resumable=2 * PART,
        )
        return self.syncers.run(order, self._kill if kill else abs)

    def _kill(self, process: int) -> None:
        until(lambda: self.server.storage.sent >= HANGS, "what comes before the halt")
        time.sleep(SETTLES)
        os.kill(process, signal.SIGKILL)

    def visible(self) -> dict[str, int]:
        """Return the size of every blob that readers can see, by its key."""
        if self.minio is not None:
            listed = self.minio.client().list_objects_v2(
                Bucket=self.bucket, Prefix="blobs/"
            )
            keys = {
                each["Key"].removeprefix("blobs/"): each["Size"]
                for each in listed.get("Contents", [])
            }
            return {k: n for k, n in keys.items() if not k.startswith("incoming/")}
        place = self.path / "mirror/blobs"
        files = [path for path in place.rglob("*") if path.is_file()]
        return {str(path.relative_to(place)): path.stat().st_size for path in files}

    def ranges(self) -> list[int]:
        """Return from which byte on storage was asked, in order."""
        asked = [s for s in self.server.requests if s.host == "assets"]
        texts = [seen.headers.get("range", "bytes=0-") for seen in asked]
        return [int(text.removeprefix("bytes=").rstrip("-")) for text in texts]


@pytest.fixture(scope="module")
def syncers() -> Iterator[Syncers]:
    """Have the program ready, imported."""
    with Syncers() as warm:
        yield warm


@pytest.fixture(params=["directory", "minio"])
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    github: GitHubServer,
    syncers: Syncers,
) -> Iterator[Place]:
    """Provide a store, in a directory and in a bucket, of one repository."""
    minio = request.getfixturevalue("minio") if request.param == "minio" else None
    path = tmp_path / "here"
    path.mkdir()
    repository = github.repository(WIDGET)
    github.git.repository(repository).commit()
    github.token(SECRET)
    (path / "repos.toml").write_text(configuration(github, WIDGET))
    bucket = minio.bucket() if minio else ""
    made = Place(path, github, repository, syncers, minio, bucket)
    assert made("init").status == 0
    yield made
    shutil.rmtree(path)


@pytest.mark.parametrize("digest", [True, False], ids=["digest", "no digest"])
def test_a_killed_download_goes_on(place: Place, *, digest: bool) -> None:
    """Nothing is visible after the death; the next sync asks for the rest alone."""
    body = Generated(7, SIZE)
    release = place.repository.release("v1")
    release.asset("large.bin", body, digest=digest)
    place.server.fault(STORAGE, Fault(hang=HANGS), times=1)

    killed = place("sync", kill=True)

    assert killed.status == -signal.SIGKILL, killed
    assert place.visible() == {}
    done = place("sync")
    assert done.status == 0, done
    first, second = place.ranges()
    assert first == 0
    # Of a directory nothing comes twice but what was in a buffer; of S3, a part.
    assert HANGS - PART - 2 * MIB <= second <= HANGS
    assert place.visible() == {blob_key(body.pointer.oid): SIZE}
    assert place("verify", "--read-data").status == 0
