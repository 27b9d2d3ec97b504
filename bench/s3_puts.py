"""Small objects to S3: boto3's `put_object` against our signer on warm connections.

Into MinIO and into a server that throws everything away, so that one can see
how much of the time is the server's.  Both send the digest for the server to
check; sixteen threads, one connection each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from bench.harness import ROOT, Bar, middle, report, spent
from syncer.credentials import Secret
from syncer.limits import Room
from syncer.store.s3 import S3Address, S3Store
from syncer.store.s3_objects import checksum
from tests.fakes_s3 import FakeUploadLog, RealClock
from tests.servers.s3 import S3Server
from tests.servers.s3_kinds import MINIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.harness import Spent

SIZE, COUNT, THREADS, ROUNDS = 8192, 600, 16, 3
KEYS = ("benchaccess", "benchsecret123")
BUCKET = "bench"


def main() -> int:
    """Measure both servers and print the verdict."""
    facts, bars = {}, []
    with S3Server(MINIO) as minio, _discarding() as nowhere:
        minio.client().create_bucket(Bucket=BUCKET)
        servers = {
            "MinIO": (minio.endpoint, (minio.access_key, minio.secret_key)),
            "a server that discards": (nowhere, KEYS),
        }
        for name, (endpoint, keys) in servers.items():
            ours, theirs = _compare(endpoint, keys)
            facts[f"{name}, ours"] = _shown(ours)
            facts[f"{name}, boto3"] = _shown(theirs)
            ratio = theirs.cpu / ours.cpu
            bars.append(Bar(f"{name}: CPU, boto3 / ours", ratio, 2.0, at_least=True))
            facts[f"{name}: wall, boto3 / ours"] = f"{theirs.wall / ours.wall:.2f}"
    return report("s3_puts", bars, facts)


def _compare(endpoint: str, keys: tuple[str, str]) -> tuple[Spent, Spent]:
    address = S3Address(
        BUCKET, endpoint=endpoint, keys=(Secret(keys[0]), Secret(keys[1]))
    )
    store = S3Store(
        address,
        uploads=FakeUploadLog(),
        clock=RealClock(),
        room=Room(1 << 27),
        stop=threading.Event(),
    )
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            max_pool_connections=THREADS,
        ),
    )

    def ours(body: bytes) -> None:
        with store.write(sha256(body).hexdigest(), len(body)) as writer:
            writer.write(body)
            writer.commit()

    def theirs(body: bytes) -> None:
        digest = sha256(body).hexdigest()
        client.put_object(
            Bucket=BUCKET,
            Key=address.key(digest),
            Body=body,
            ChecksumSHA256=checksum(digest),
            Metadata={"sha256": digest},
            IfNoneMatch="*",
        )

    found: tuple[list[Spent], list[Spent]] = ([], [])
    for number in range(ROUNDS + 1):
        for index, put in enumerate((ours, theirs)):
            cost = _put_all(put)
            if number:  # the first round warms up
                found[index].append(cost)
    store.close()
    return middle(found[0]), middle(found[1])


def _put_all(put: Callable[[bytes], None]) -> Spent:
    bodies: Sequence[bytes] = [os.urandom(SIZE) for _ in range(COUNT)]
    with ThreadPoolExecutor(THREADS) as threads:
        return spent(lambda: list(threads.map(put, bodies)))


def _shown(cost: Spent) -> str:
    return (
        f"{COUNT / cost.wall:.0f} puts/s, CPU {cost.cpu / COUNT * 1000:.2f} ms for each"
    )


@contextmanager
def _discarding() -> Iterator[str]:
    """Serve, in a process of its own, what takes every body and keeps none."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.s3_puts", "--discard"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        if process.stdout is None:
            sys.exit("the server has no pipes")
        yield process.stdout.readline().strip()
    finally:
        process.communicate(timeout=30)  # the end of its stdin stops it


class _Discarding(BaseHTTPRequestHandler):
    """Takes every body and says that all is well; of trials, what MinIO says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    trials = count()

    def do_PUT(self) -> None:
        """Discard an object."""
        self.rfile.read(int(self.headers["Content-Length"]))
        status = 200
        if "/probe/" in self.path:
            status = (400, 200, 412)[next(self.trials) % 3]
        self._answer(status)

    def do_DELETE(self) -> None:
        """Forget what was not kept."""
        self._answer(204)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int) -> None:
        self.wfile.write(b"HTTP/1.1 %d -\r\nContent-Length: 0\r\n\r\n" % status)


def _discard() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Discarding) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    if "--discard" in sys.argv:
        _discard()
    else:
        sys.exit(main())
