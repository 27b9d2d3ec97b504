"""The blob store on S3: MinIO, AWS and others, by as little as they share.

Needed are multipart uploads, ranges, user metadata and ListObjectsV2.  What
else a server does is tried, not assumed; our own sha256 decides in any case.
No byte of a blob is written to a local disk.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from syncer.model.blobs import Blob, check_digest, digest_of
from syncer.store.s3_address import S3Address
from syncer.store.s3_bucket import Bucket, Sizes
from syncer.store.s3_client import Multipart
from syncer.store.s3_http import Wire
from syncer.store.s3_leftovers import discard, leftovers
from syncer.store.s3_multipart import DirectWriter, StagedWriter, leaving
from syncer.store.s3_objects import Objects
from syncer.store.s3_small import SmallWriter
from syncer.store.s3_trial import Scratch
from syncer.store.s3_unnamed import SmallReceiver, StagedReceiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.limits import Room
    from syncer.model.blobs import Leftover
    from syncer.ports import BlobWriter, Clock, UploadLog
    from syncer.ports.blobs import UnnamedWriter

__all__ = ["S3Address", "S3Store"]

#: Bytes of a part, of what is held in memory and stored by one request.
PART = 64 << 20
#: Larger blobs survive a restart half-way.
RESUMABLE = 512 << 20


class S3Store:
    """Blobs in one bucket below a prefix.  Nothing is opened before it is used."""

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        address: S3Address,
        *,
        uploads: UploadLog,
        clock: Clock,
        room: Room,
        stop: threading.Event,
        part: int = PART,
        resumable: int = RESUMABLE,
    ) -> None:
        self._address = address
        self._uploads = uploads
        self._clock = clock
        self._room = room
        self._stop = stop
        self._sizes = Sizes(part, resumable)
        self._lock = threading.Lock()
        self._opened: tuple[Bucket, Wire] | None = None

    def check(self) -> None:
        """Raise unless the store can take and give blobs now."""
        self._bucket.objects.page(self._address.prefix, limit=1)

    def find(self, digest: str) -> Blob | None:
        """Return a blob that is there.

        An object that another program wrote is read once to be believed.
        """
        head = self._bucket.find(check_digest(digest))
        return None if head is None else Blob(digest, head.size)

    def survey(self) -> frozenset[str] | None:
        """Return all digests where one page lists them."""
        page = self._bucket.objects.page(self._address.prefix)
        if page.following is not None:
            return None
        found = (self._digest(entry.key) for entry in page.entries)
        return frozenset(digest for digest in found if digest is not None)

    @contextmanager
    def write(
        self, digest: str, size: int, *, replace: bool = False
    ) -> Iterator[BlobWriter]:
        """Open a writer: for one request, for an upload, or for one that lasts."""
        blob = Blob(check_digest(digest), size)
        if size <= self._sizes.part:
            yield SmallWriter(self._bucket, blob, replace=replace)
            return
        kind = DirectWriter if size <= self._sizes.resumable else StagedWriter
        with leaving(kind(self._bucket, blob, replace=replace)) as writer:
            yield writer

    @contextmanager
    def receive(self, ticket: str, size: int) -> Iterator[UnnamedWriter]:
        """Open a writer: for one request, or for an upload that lasts."""
        blob = Blob(check_digest(ticket), size)
        if size <= self._sizes.part:
            yield SmallReceiver(self._bucket, blob)
            return
        with leaving(StagedReceiver(self._bucket, blob)) as writer:
            yield writer

    @contextmanager
    def read(self, digest: str, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Open a blob's bytes from `offset` on, as blocks."""
        key = self._address.key(check_digest(digest))
        with self._bucket.objects.read(key, offset) as blocks:
            yield blocks

    def remove(self, digest: str) -> None:
        """Remove a blob."""
        self._bucket.objects.delete(self._address.key(check_digest(digest)))

    def blobs(self) -> Iterator[Blob]:
        """Yield every blob, in the order of the digests; foreign keys are left."""
        for entry in self._bucket.objects.listed(self._address.prefix):
            digest = self._digest(entry.key)
            if digest is not None:
                yield Blob(digest, entry.size)

    def leftovers(self) -> list[Leftover]:
        """Return what the log, the server's own list and `incoming/` know of."""
        return leftovers(self._bucket)

    def discard(self, leftover: Leftover) -> None:
        """Abort the uploads of a key; remove what was put together for staging."""
        discard(self._bucket, leftover.place)

    def footprint(self, size: int) -> int:
        """Return the bytes of memory that writing a blob holds: it, or a part."""
        return min(size, self._sizes.part_of(size))

    def presign_get(self, digest: str, expires: int) -> str:
        """Return an address at which anybody reads a blob for `expires` seconds."""
        key = self._address.key(check_digest(digest))
        return self._reached()[1].presign(key, expires)

    def scratch(self) -> Scratch:
        """Return the way to objects that are no blobs, for who tries and measures."""
        return Scratch(*self._reached())

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            if self._opened is not None:
                self._opened[1].close()
                self._opened = None

    @property
    def _bucket(self) -> Bucket:
        return self._reached()[0]

    def _reached(self) -> tuple[Bucket, Wire]:
        with self._lock:
            if self._opened is None:
                multipart = Multipart(self._address)
                wire = Wire(self._address, multipart.keys, self._clock, self._stop)
                bucket = Bucket(
                    self._address,
                    Objects(self._address, wire),
                    multipart,
                    self._uploads,
                    clock=self._clock,
                    room=self._room,
                    stop=self._stop,
                    sizes=self._sizes,
                )
                self._opened = (bucket, wire)
            return self._opened

    def _digest(self, key: str) -> str | None:
        return digest_of(key.removeprefix(self._address.prefix))
