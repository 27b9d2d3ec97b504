"""LFS objects into MinIO: `syncer sync` against `git lfs fetch` and `rclone copy`.

Both begin with the repository mirrored and its objects not; both end with the
same objects in a bucket.  Ours is the whole process: start-up, the search for
pointers, batches, downloads, hashes, uploads, rows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.harness import Bar, Spent, middle, report, spent
from bench.into_minio import measured, rclone, run
from bench.lfs_upstream import NAME, build, serve
from tests.fakes_s3 import S3Rig
from tests.servers import programs
from tests.servers.lfs_client import GitLfs
from tests.servers.s3 import S3Server
from tests.servers.s3_kinds import MINIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.into_minio import Ours
    from bench.lfs_upstream import LfsUpstream

KIB, MIB = 1 << 10, 1 << 20
MIXED = [100 * MIB] * 8 + [100 * KIB] * 12_000
SMALL = [4 * KIB] * 3_000


def main() -> int:
    """Measure and print the verdicts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", choices=("mixed", "small"))
    parser.add_argument("--scheme", choices=("http", "https"))
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    missed = 0
    for title, sizes in (("mixed", MIXED), ("small", SMALL)):
        if chosen.only not in {None, title}:
            continue
        with tempfile.TemporaryDirectory(prefix="bench-lfs-") as name:
            build(Path(name), sizes)
            for scheme in ("http", "https"):
                if chosen.scheme in {None, scheme}:
                    missed |= _measure(Path(name), title, sizes, scheme, chosen.rounds)
    return missed


def _measure(
    place: Path, title: str, sizes: Sequence[int], scheme: str, rounds: int
) -> int:
    tls = scheme == "https"
    ours: list[Ours] = []
    fetches: list[Spent] = []
    copies: list[Spent] = []
    alone: list[float] = []
    with serve(place, tls=tls) as upstream, S3Server(MINIO, tls=tls) as minio:
        for number in range(rounds):
            bench = _Round(place / f"{scheme}{number}", upstream, minio)
            if number % 2 == 0:  # a fresh server is slower: each begins in turn
                ours.append(bench.syncer(len(sizes)))
            fetch, copy = bench.stock(len(sizes))
            fetches.append(fetch)
            copies.append(copy)
            if number % 2:
                ours.append(bench.syncer(len(sizes)))
            alone.append(_puts_alone(minio, sizes))
            minio.clear()
            shutil.rmtree(bench.place)
    mine = middle([each.spent for each in ours])
    fetch, copy = middle(fetches), middle(copies)
    wall, cpu = fetch.wall + copy.wall, fetch.cpu + copy.cpu
    size = sum(sizes)
    facts = {
        "objects": f"{len(sizes)}, {size / 1e6:.0f} MB, over {scheme}",
        "syncer sync": f"{mine.wall:.2f} s, CPU {mine.cpu:.2f} s, "
        f"{size / 1e6 / mine.wall:.0f} MB/s, {len(sizes) / mine.wall:.0f} objects/s",
        "MinIO meanwhile": f"CPU {median(each.server for each in ours):.2f} s",
        "git lfs fetch --all": f"{fetch.wall:.2f} s, CPU {fetch.cpu:.2f} s",
        "rclone copy": f"{copy.wall:.2f} s, CPU {copy.cpu:.2f} s",
        "the small puts alone": f"{median(alone):.2f} s, by 12 threads that do "
        "nothing else",
        "resident": f"{max(each.resident for each in ours) / MIB:.0f} MiB",
        "written to disk": f"{max(each.written for each in ours) / MIB:.1f} MiB "
        "(catalog and refs)",
    }
    least = 1.5 if title == "mixed" else 2.0
    bars = [
        Bar("wall, stock / ours", wall / mine.wall, least, at_least=True),
        Bar("CPU, ours / stock", mine.cpu / cpu, 0.7, at_least=False),
        Bar(
            "resident MiB beyond bytes in flight",
            max(each.resident for each in ours) / MIB - 128,
            200,
            at_least=False,
        ),
        Bar(
            "bytes written / bytes of objects",
            max(each.written for each in ours) / size,
            0.02 if title == "mixed" else 3,  # the catalog's rows, not the objects
            at_least=False,
        ),
    ]
    return report(f"lfs {title}, {scheme}", bars, facts)


class _Round:
    """One measurement of each, from nothing."""

    def __init__(self, place: Path, upstream: LfsUpstream, minio: S3Server) -> None:
        self.place = place
        self.place.mkdir()
        self._upstream = upstream
        self._minio = minio

    def syncer(self, count: int) -> Ours:
        """Mirror the repository, then its objects: the second is measured."""
        bucket = self._minio.bucket()
        config = self._config(bucket, lfs=False)
        run("init", config, self._minio)
        run("sync", config, self._minio)
        self._config(bucket, lfs=True)
        ours = measured("sync", config, self._minio)
        _check(self._minio, bucket, count)
        return ours

    def stock(self, count: int) -> tuple[Spent, Spent]:
        """Fetch with git-lfs, then upload with rclone; its checks as they come."""
        client = GitLfs("new", programs.GIT_LFS.find(), self._upstream.ca)
        url = f"{self._upstream.url}/{NAME}.git"
        clone = self.place / "clone.git"
        client.git("clone", "--quiet", "--bare", url, str(clone))
        bucket = self._minio.bucket()
        fetch = spent(lambda: client.fetch_all(clone, url))
        copy = spent(lambda: rclone(clone / "lfs/objects", self._minio, bucket))
        _check(self._minio, bucket, count)
        return fetch, copy

    def _config(self, bucket: str, *, lfs: bool) -> Path:
        minio, upstream = self._minio, self._upstream
        ca = "" if minio.ca is None else f'ca = "{minio.ca}"\n'
        theirs = "" if upstream.ca is None else f'ca = "{upstream.ca}"\n'
        objects = upstream.storage.partition("://")[2]
        path = self.place / "repos.toml"
        path.write_text(
            f'[syncer]\ndata = "{self.place / "mirror"}"\n'
            f'blobs = "s3://{bucket}/blobs/"\n\n'
            f'[syncer.s3]\nendpoint = "{minio.endpoint}"\n{ca}\n'
            f'[host."github.com"]\ngit = "{upstream.url}"\nprivate = true\n'
            f'downloads = ["{objects}"]\n{theirs}\n'
            f'[[repo]]\nname = "{NAME}"\nlfs = {json.dumps(lfs)}\n',
            encoding="utf-8",
        )
        return path


def _puts_alone(minio: S3Server, sizes: Sequence[int]) -> float:
    """Return the seconds that the server needs for objects which are all there."""
    rig = S3Rig(minio)
    body = os.urandom(MIB)
    with closing(rig.open()) as store, ThreadPoolExecutor(12) as pool:

        def put(number: int) -> None:
            blob = _content(body, sizes[number], number)
            with store.write(sha256(blob).hexdigest(), len(blob)) as writer:
                writer.write(blob)
                writer.commit()

        small = [n for n, size in enumerate(sizes) if size <= MIB]
        return spent(lambda: list(pool.map(put, small))).wall


def _content(body: bytes, size: int, number: int) -> bytes:
    return number.to_bytes(8, "big") + body[: size - 8]


def _check(minio: S3Server, bucket: str, count: int) -> None:
    """End the measurement unless the bucket holds every object."""
    pages = minio.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    found = sum(len(page.get("Contents", ())) for page in pages)
    if found != count:
        sys.exit(f"{found} of {count} objects arrived")


if __name__ == "__main__":
    sys.exit(main())
