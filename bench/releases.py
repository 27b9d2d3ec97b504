"""Assets of releases into MinIO: `syncer sync` against `curl` of each and rclone.

Both begin with the repository mirrored and none of its assets; both end with every
byte of them in a bucket, checked against upstream's digests.  Ours is the whole
process: start-up, the listing, downloads, hashes, uploads, rows, names.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from bench.harness import Bar, Spent, middle, report, spent
from bench.into_minio import measured, rclone, run
from bench.release_quiet import quiet
from bench.release_stock import Stock
from bench.release_upstream import NAME, TOKEN, build, serve
from tests.servers.s3 import S3Server
from tests.servers.s3_kinds import MINIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.into_minio import Ours
    from bench.release_upstream import ReleaseUpstream

KIB, MIB = 1 << 10, 1 << 20
SIZES = [64 * MIB] * 8 + [4 * MIB] * 64 + [256 * KIB] * 1024
_LEAST = 1.5
_RESIDENT = 200


@dataclass
class _Figures:
    """What was measured, round after round."""

    ours: list[Ours] = field(default_factory=list)
    each: list[Spent] = field(default_factory=list)
    check: list[Spent] = field(default_factory=list)
    copy: list[Spent] = field(default_factory=list)
    eight: list[Spent] = field(default_factory=list)
    parallel: list[Spent] = field(default_factory=list)


def main() -> int:
    """Measure and print the verdicts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("digests", "unnamed", "quiet"))
    parser.add_argument("--scheme", choices=("http", "https"))
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    missed = 0
    if chosen.only != "quiet":
        with tempfile.TemporaryDirectory(prefix="bench-releases-") as name:
            wanted = build(Path(name), SIZES)
            for title in ("digests", "unnamed"):
                for scheme in ("http", "https"):
                    if chosen.scheme in {None, scheme} and chosen.only in {None, title}:
                        mix = _Mix(Path(name), title, scheme, wanted)
                        missed |= _measure(mix, chosen.rounds)
    if chosen.only in {None, "quiet"}:
        missed |= quiet()
    return missed


class _Mix(NamedTuple):
    """What is served, and how."""

    place: Path
    title: str
    scheme: str
    wanted: frozenset[str]


def _measure(mix: _Mix, rounds: int) -> int:
    place, title, scheme, wanted = mix
    tls, digests = scheme == "https", title == "digests"
    figures = _Figures()
    with (
        serve(place, tls=tls, digests=digests) as upstream,
        S3Server(MINIO, tls=tls) as minio,
    ):
        for number in range(rounds):
            bench = _Round(place / f"{title}-{scheme}{number}", upstream, minio, wanted)
            if number % 2 == 0:  # a fresh server is slower: each begins in turn
                figures.ours.append(bench.syncer())
            bench.stock(figures)
            if number % 2:
                figures.ours.append(bench.syncer())
            minio.clear()
            shutil.rmtree(bench.place)
    return _judged(figures, title, scheme, digests=digests)


def _judged(figures: _Figures, title: str, scheme: str, *, digests: bool) -> int:
    size, count = sum(SIZES), len(SIZES)
    mine = middle([each.spent for each in figures.ours])
    after = [middle(figures.check), middle(figures.copy)]
    each, eight, parallel = (
        _sum([middle(fetched), *after])
        for fetched in (figures.each, figures.eight, figures.parallel)
    )
    resident = max(one.resident for one in figures.ours) / MIB
    facts = {
        "assets": f"{count}, {size / MIB:.0f} MiB, over {scheme}, "
        + ("with digests" if digests else "without digests, by id"),
        "syncer sync": f"{_seconds(mine)}, {size / 1e6 / mine.wall:.0f} MB/s, "
        f"wall {_spread([one.spent for one in figures.ours])}",
        "MinIO meanwhile": f"CPU {median(one.server for one in figures.ours):.2f} s",
        "curl of each": f"{_seconds(middle(figures.each))}, "
        f"wall {_spread(figures.each)}",
        "xargs -P8 curl": f"{_seconds(middle(figures.eight))}",
        "curl --parallel, one process": f"{_seconds(middle(figures.parallel))}",
        "sha256sum": _seconds(after[0]),
        "rclone copy": f"{_seconds(after[1])}, wall {_spread(figures.copy)}",
        "CPU, ours / curl of each, checked, rclone": f"{mine.cpu / each.cpu:.2f}",
        "wall, with xargs -P8 / ours": f"{eight.wall / mine.wall:.2f}",
        "wall, with curl --parallel / ours": f"{parallel.wall / mine.wall:.2f}",
        "resident": f"{resident:.0f} MiB",
    }
    ratio = each.wall / mine.wall
    if not digests:
        facts["wall, curl of each + rclone / ours"] = f"{ratio:.2f}"
    bars = [
        Bar(
            "resident MiB beyond bytes in flight",
            resident - 128,
            _RESIDENT,
            at_least=False,
        )
    ]
    if digests:
        bars.insert(
            0,
            Bar("wall, curl of each + rclone / ours", ratio, _LEAST, at_least=True),
        )
    return report(f"releases {title}, {scheme}", bars, facts)


class _Round:
    """One measurement of each, from nothing."""

    def __init__(
        self,
        place: Path,
        upstream: ReleaseUpstream,
        minio: S3Server,
        wanted: frozenset[str],
    ) -> None:
        self.place = place
        self.place.mkdir()
        self._upstream = upstream
        self._minio = minio
        self._wanted = wanted

    def syncer(self) -> Ours:
        """Mirror the repository, then its releases: the second is measured."""
        bucket = self._minio.bucket()
        config = self._config(bucket, "off")
        token = {"SYNCER_GITHUB_TOKEN": TOKEN}
        run("init", config, self._minio, token)
        run("sync", config, self._minio, token)
        self._config(bucket, "all")
        ours = measured("sync", config, self._minio, token)
        _verify(self._minio, bucket, self._wanted, named=True)
        return ours

    def stock(self, figures: _Figures) -> None:
        """List by one call, get each asset, check them all, upload them all."""
        stock = Stock(self.place, self._upstream)
        for get, costs in (
            (stock.each, figures.each),
            (stock.eight, figures.eight),
            (stock.at_once, figures.parallel),
        ):
            stock.renew()
            costs.append(spent(get))
        figures.check.append(spent(stock.check))
        bucket = self._minio.bucket()
        figures.copy.append(spent(lambda: rclone(stock.files, self._minio, bucket)))
        _verify(self._minio, bucket, self._wanted, named=False)

    def _config(self, bucket: str, releases: str) -> Path:
        minio, upstream = self._minio, self._upstream
        ca = "" if minio.ca is None else f'ca = "{minio.ca}"\n'
        theirs = "" if upstream.ca is None else f'ca = "{upstream.ca}"\n'
        storage = upstream.storage.partition("://")[2]
        path = self.place / "repos.toml"
        path.write_text(
            f'[syncer]\ndata = "{self.place / "mirror"}"\n'
            f'blobs = "s3://{bucket}/blobs/"\n\n'
            f'[syncer.s3]\nendpoint = "{minio.endpoint}"\n{ca}\n'
            f'[host."github.com"]\ngit = "{upstream.url}"\napi = "{upstream.url}"\n'
            f'private = true\nprobes = 100000\ndownloads = ["{storage}"]\n{theirs}\n'
            f'[[repo]]\nname = "{NAME}"\nreleases = "{releases}"\n',
            encoding="utf-8",
        )
        return path


def _verify(
    minio: S3Server, bucket: str, wanted: frozenset[str], *, named: bool
) -> None:
    """End the measurement unless the bucket holds every byte of every asset.

    `named`: each is below its digest.
    """
    client, found = minio.client(), set()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    for key in (each["Key"] for page in pages for each in page.get("Contents", ())):
        hasher = sha256()
        with closing(client.get_object(Bucket=bucket, Key=key)["Body"]) as body:
            for block in body.iter_chunks(MIB):
                hasher.update(block)
        digest = hasher.hexdigest()
        if named and not key.replace("/", "").endswith(digest):
            sys.exit(f"{key} holds the bytes of {digest}")
        found.add(digest)
    if found != wanted:
        sys.exit(f"{len(found & wanted)} of {len(wanted)} assets arrived whole")


def _sum(parts: Sequence[Spent]) -> Spent:
    return Spent(sum(p.wall for p in parts), sum(p.cpu for p in parts))


def _seconds(cost: Spent) -> str:
    return f"{cost.wall:.2f} s, CPU {cost.cpu:.2f} s"


def _spread(costs: Sequence[Spent]) -> str:
    walls = [cost.wall for cost in costs]
    return f"{min(walls):.2f} to {max(walls):.2f} s in {len(walls)} rounds"


if __name__ == "__main__":
    sys.exit(main())
