"""One large object on its way from an upstream into a store, and its interruptions."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Self

from syncer.model.blobs import blob_key
from tests.acceptance.command import name_on
from tests.crash.orders import Order
from tests.servers.lfs import STORAGE
from tests.servers.pointers import pointer_file
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syncer.model.lfs import LfsPointer
    from tests.servers.git_http import GitServer
    from tests.servers.s3 import S3Server

NAME = "acme/large"
MIB = 1 << 20
_ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"block#[0-9]+ -> ([0-9]+)")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended; `events` are those of `cut_syncer`."""

    status: int
    output: str
    events: list[str]

    @property
    def ends(self) -> list[int]:
        """The offsets in the object at which its blocks ended."""
        return [int(match[1]) for e in self.events if (match := _BLOCK.match(e))]

    @property
    def arrived(self) -> int:
        """How far into the object its blocks came, 0 without any."""
        return max(self.ends, default=0)


class Syncers:
    """A warm process that runs commands; it lives as long as a `with`."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.cut_syncer"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        with self._process as process:
            if process.stdin is not None:
                process.stdin.close()

    def run(self, order: Order, during: Callable[[int], object] = abs) -> Ran:
        """Run a command to its end; `during` is told its process id."""
        log, output = Path(order.log), Path(order.output)
        log.unlink(missing_ok=True)
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise AssertionError
        process.stdin.write(f"{json.dumps(asdict(order))}\n")
        process.stdin.flush()
        during(int(process.stdout.readline()))
        status = int(process.stdout.readline())
        return Ran(status, output.read_text(), log.read_text().splitlines())


@dataclass
class Large:
    """An upstream with one object of `size` bytes, mirrored by `syncers`.

    Into a directory, or into a bucket of `minio`; its parts have `part` bytes.
    """

    server: GitServer
    syncers: Syncers
    place: Path
    size: int
    part: int
    minio: S3Server | None = None
    settings: dict[str, str] = field(default_factory=dict)
    pointer: LfsPointer = field(init=False)
    upstream: Repository = field(init=False)
    bucket: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.place.mkdir()
        self.upstream = self.server.repository(NAME)
        self.pointer = self.server.lfs.generate(NAME, 1, self.size)
        self.upstream.commit("main", {"large.bin": pointer_file(self.pointer)})
        host = self.server.url.partition("//")[2]
        text = f'[host."{host}"]\ngit = "{self.server.url}"\nprivate = true\n'
        name = name_on(self.server, NAME)
        file = self.place / "repos.toml"
        file.write_text(f'{text}\n[[repo]]\nname = "{name}"\n')
        self.settings = {"SYNCER_STALE": "0s", "SYNCER_MIN_FREE": "0", **self.settings}
        if self.minio is not None:
            self.bucket = self.minio.bucket()
            self.settings |= {
                "SYNCER_BLOBS": f"s3://{self.bucket}",
                "SYNCER_S3_ENDPOINT": self.minio.endpoint,
                "SYNCER_S3_ACCESS_KEY": self.minio.access_key,
                "SYNCER_S3_SECRET_KEY": self.minio.secret_key,
            }
        self.start_over()

    def start_over(self) -> None:
        """Have no mirror and no blob, and an upstream that was never asked."""
        shutil.rmtree(self.place / "mirror", ignore_errors=True)
        if self.minio is not None:
            client, bucket = self.minio.client(), self.bucket
            for key in self.keys():
                client.delete_object(Bucket=bucket, Key=key)
        done = self("init")
        assert done.status == 0, done.output
        self.server.forget()
        self.server.lfs.sent = 0

    def __call__(
        self, *words: str, at: str = "", during: Callable[[int], object] = abs
    ) -> Ran:
        """Run `syncer`, killed at an event if one is named."""
        order = Order(
            words=list(words),
            place=str(self.place),
            environ=dict(os.environ) | self.settings,
            log=str(self.place / "events"),
            output=str(self.place / "output"),
            part=self.part,
            resumable=2 * self.part,
            at=at,
        )
        return self.syncers.run(order, during)

    @property
    def offsets(self) -> list[int]:
        """From where on the object was asked for, oldest request first."""
        asked = [r for r in self.server.requests if r.path.startswith(STORAGE)]
        ranges = [each.headers.get("range", "bytes=0-") for each in asked]
        return [int(text.removeprefix("bytes=").rstrip("-")) for text in ranges]

    @property
    def is_published(self) -> bool:
        """Whether readers see the commit that needs the object."""
        host = self.server.url.partition("//")[2]
        path = self.place / f"mirror/git/{host}/{NAME}.git"
        if not path.is_dir():
            return False
        refs = Repository(path).refs()
        return refs.get("refs/heads/main") == self.upstream.oid("main")

    def is_right(self) -> bool:
        """Return whether the blob is there; what is there is read and hashed."""
        hashed, size = sha256(), 0
        for block in self._visible():
            hashed.update(block)
            size += len(block)
        if not size:
            return False
        assert (hashed.hexdigest(), size) == tuple(self.pointer)
        return True

    def rests(self) -> list[str]:
        """Return what is neither the blob nor anything that is used."""
        if self.minio is None:
            left = (self.place / "mirror/incoming").glob("*")
            return sorted(str(path) for path in left)
        blob = f"blobs/{blob_key(self.pointer.oid)}"
        client, found = self.minio.client(), [k for k in self.keys() if k != blob]
        # MinIO lists the uploads of a whole key alone.
        for key in (blob, f"blobs/incoming/{self.pointer.oid}"):
            listed = client.list_multipart_uploads(Bucket=self.bucket, Prefix=key)
            found += [each["UploadId"] for each in listed.get("Uploads", [])]
        return found

    def keys(self) -> list[str]:
        """Return what lies in the bucket."""
        if self.minio is None:
            return []
        listed = self.minio.client().list_objects_v2(Bucket=self.bucket)
        return [each["Key"] for each in listed.get("Contents", [])]

    def _visible(self) -> Iterator[bytes]:
        key = blob_key(self.pointer.oid)
        if self.minio is None:
            path = self.place / "mirror/blobs" / key
            if path.exists():
                with path.open("rb") as file:
                    yield from iter(partial(file.read, MIB), b"")
        elif f"blobs/{key}" in self.keys():
            client = self.minio.client()
            answer = client.get_object(Bucket=self.bucket, Key=f"blobs/{key}")
            yield from answer["Body"].iter_chunks(MIB)
