"""Writers to S3 of blobs whose digest only their bytes will tell.

    up to 64 MiB   held in memory, and put below the final key when it is known
    above          parts of `incoming/TICKET`, which a later process continues;
                   completed there, read back unless this process has hashed all
                   of it, copied to the final key by the server

What lies below the final key is replaced: these bytes were just found to have its
digest, and of those that are there nobody knows as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.model.blobs import Blob
from syncer.store.s3_multipart import StagedWriter
from syncer.store.s3_small import SmallWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.store.s3_bucket import Bucket


class SmallReceiver(SmallWriter):
    """An `UnnamedWriter` that holds it all; `blob` is the ticket and the size."""

    def __init__(self, bucket: Bucket, blob: Blob) -> None:
        super().__init__(bucket, blob, replace=True)

    def seal(self) -> str:
        """Return the digest of what is here, once all bytes are."""
        self._arrival.need_all()
        return self._arrival.digest()

    def commit(self) -> Blob:
        """Make the blob visible below its digest."""
        return self._stored(Blob(self.seal(), self._blob.size))


class StagedReceiver(StagedWriter):
    """An `UnnamedWriter` over many processes; `blob` is the ticket and the size."""

    def __init__(self, bucket: Bucket, blob: Blob) -> None:
        super().__init__(bucket, blob, replace=False)
        #: The blob, and the version below the staging key that it was found to be.
        self._sealed: tuple[Blob, str] | None = None

    def seal(self) -> str:
        """Return the digest of what is here, once all bytes are."""
        return self._found()[0].digest

    def commit(self) -> Blob:
        """Make the blob visible below its digest."""
        blob, etag = self._found()
        self._name(etag, blob)
        self._discard()
        self.is_committed = True
        return blob

    def _found(self) -> tuple[Blob, str]:
        self._arrival.need_all()
        if self._sealed is None:
            etag = self._assembled()
            if self._arrival.is_hashed:
                digest = self._arrival.digest()
            else:
                digest = self._bucket.objects.hash(self._key, etag)
            self._sealed = (Blob(digest, self._blob.size), etag)
        return self._sealed

    def _unless_stored(self, action: Callable[[], object]) -> None:
        # Nobody can know yet whether the blob is there: an upload that has gone
        # is an error.
        action()
