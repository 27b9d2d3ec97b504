"""The writer of blobs that fit into memory: one request, once all is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.store.s3_failures import Broken
from syncer.store.s3_objects import Body
from syncer.store.s3_parts import Arrival

if TYPE_CHECKING:
    from syncer.model.blobs import Blob
    from syncer.store.s3_bucket import Bucket

#: Up to so many bytes a blob is put whether or not one is there: the same bytes
#: below the same name.  A condition costs MinIO 40 % of its small puts a second.
UNCONDITIONAL = 1 << 20


class SmallWriter:
    """Collects a blob, hashing it, and sends it when it is known to be right."""

    def __init__(self, bucket: Bucket, blob: Blob, *, replace: bool) -> None:
        self._bucket = bucket
        self._blob = blob
        self._replace = replace
        self._arrival = Arrival(blob)
        self._blocks: list[bytes] = []

    @property
    def offset(self) -> int:
        """Bytes that are here."""
        return self._arrival.received

    def write(self, block: bytes) -> None:
        """Add a block."""
        self._arrival.add(block)
        if block:
            self._blocks.append(block)

    def commit(self) -> Blob:
        """Make the blob visible."""
        self._arrival.verify()
        return self._stored(self._blob)

    def _stored(self, blob: Blob) -> Blob:
        able = self._bucket.capabilities()
        heavy = blob.size > UNCONDITIONAL
        fresh = able.conditional and heavy and not self._replace
        if not self._put(blob, fresh=fresh):
            if self._bucket.holds(blob):
                return blob
            self._put(blob, fresh=False)  # what lies there is wrong
        if not able.checks_bodies:
            self._bucket.expect(self._bucket.address.key(blob.digest), blob)
        self._blocks = []
        return blob

    def _put(self, blob: Blob, *, fresh: bool) -> bool:
        key = self._bucket.address.key(blob.digest)
        body = Body(self._blocks, blob.size)
        try:
            return self._bucket.objects.put(key, body, blob.digest, fresh=fresh)
        except Broken:
            # A server may refuse in the midst of a body and hang up.
            if fresh and self._bucket.objects.head(key) is not None:
                return False
            raise
