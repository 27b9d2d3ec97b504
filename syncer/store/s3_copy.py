"""Copies within a bucket, by the server: no byte comes here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.store.s3_client import Begun
from syncer.store.s3_failures import Refused

if TYPE_CHECKING:
    from syncer.model.blobs import Blob
    from syncer.store.s3_bucket import Bucket

#: The largest object that is copied by one request, and the ranges of others:
#: an answer has to come before the connection is given up.
WHOLE, RANGE = 1 << 30, 512 << 20


def copy(bucket: Bucket, source: str, etag: str, blob: Blob) -> None:
    """Give a blob's name to the bytes below `source`, in the version of `etag`.

    What lies below the name is replaced.  A server that does not copy in one
    way is asked for the other.

    Raises:
        UploadGone: there is another version of it now.
    """
    ways = [_whole, _by_ranges]
    if blob.size > WHOLE:
        ways.reverse()
    try:
        ways[0](bucket, source, etag, blob)
    except Refused:
        ways[1](bucket, source, etag, blob)


def _whole(bucket: Bucket, source: str, etag: str, blob: Blob) -> None:
    key = bucket.address.key(blob.digest)
    bucket.multipart.copy(source, etag, key, blob.digest)


def _by_ranges(bucket: Bucket, source: str, etag: str, blob: Blob) -> None:
    key = bucket.address.key(blob.digest)
    bucket.note(key, blob)
    try:
        upload = bucket.multipart.begin(key, blob.digest, checked=False)
        begun = Begun(key, upload)
        parts = []
        for number, start in enumerate(range(0, blob.size, RANGE), 1):
            bucket.check_stop()
            span = range(start, min(start + RANGE, blob.size))
            part = bucket.multipart.copy_part(source, etag, begun, number, span)
            parts.append(part)
        bucket.multipart.complete(key, upload, parts, fresh=False)
    finally:
        bucket.forget(key)
