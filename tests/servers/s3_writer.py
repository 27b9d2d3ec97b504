"""A process that writes one blob to S3, from its standard input: to be killed.

`ENDPOINT BUCKET PREFIX ACCESS SECRET DIGEST SIZE`
"""

from __future__ import annotations

import sys
import threading

from syncer.credentials import Secret
from syncer.limits import Room
from syncer.store.s3 import S3Address, S3Store
from tests.fakes_s3 import PART, RESUMABLE, FakeUploadLog, RealClock


def main() -> None:
    """Write what comes until it ends, and say so."""
    endpoint, bucket, prefix, access, secret, digest, size = sys.argv[1:]
    keys = (Secret(access), Secret(secret))
    store = S3Store(
        S3Address(bucket, prefix, endpoint, keys=keys),
        uploads=FakeUploadLog(),
        clock=RealClock(),
        room=Room(1 << 30),
        stop=threading.Event(),
        part=PART,
        resumable=RESUMABLE,
    )
    with store.write(digest, int(size)) as writer:
        while block := sys.stdin.buffer.read(PART):
            writer.write(block)
        writer.commit()
    store.survey()
    how = "with" if "boto3" in sys.modules else "without"
    sys.stdout.write(f"stored {how} boto3\n")


if __name__ == "__main__":
    main()
