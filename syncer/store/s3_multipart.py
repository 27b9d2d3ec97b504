"""Writers of blobs that are uploaded in parts.

    up to 512 MiB   parts of the final key; completed only if the hash is right
    above           parts of `incoming/DIGEST`, which a later process continues;
                    completed there, read back unless this process has hashed
                    all of it, copied to the final key by the server

Every upload is noted before it is begun: MinIO lists those of a whole key alone.
A server completes an upload only of the parts whose tags we name, so that two
writers of one upload cannot mix their bytes unseen.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, TypeVar

from syncer.errors import IntegrityError, NotFound, SyncerError, Unavailable
from syncer.store.s3_client import Part
from syncer.store.s3_copy import copy
from syncer.store.s3_failures import Refused, UploadGone
from syncer.store.s3_objects import Body
from syncer.store.s3_parts import Arrival, PartStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from syncer.model.blobs import Blob
    from syncer.store.s3_bucket import Bucket

log = logging.getLogger(__name__)


class _PartsWriter:
    """What both have in common: bytes come, are hashed, and go out in parts."""

    #: Whether the next part is filled while one is on its way.
    _AHEAD: ClassVar[bool]

    def __init__(self, bucket: Bucket, blob: Blob, *, replace: bool) -> None:
        self._bucket = bucket
        self._blob = blob
        self._replace = replace
        self._key = ""
        self._upload: str | None = None
        self.is_committed = False
        self._elsewhere = False  # somebody else has stored it meanwhile
        self._length = bucket.sizes.part_of(blob.size)
        self._arrival = Arrival(blob)
        self._stream = self._streaming()

    @property
    def offset(self) -> int:
        """Bytes that are here."""
        return self._arrival.received

    @property
    def is_wrong(self) -> bool:
        """Whether what came cannot be the blob."""
        return self._arrival.is_wrong

    def write(self, block: bytes) -> None:
        """Add a block."""
        self._arrival.add(block)
        self._unless_stored(lambda: self._stream.add(block))

    def rest(self) -> None:
        """Wait for what is on its way, whatever becomes of it."""
        self._stream.rest()

    def _streaming(self, parts: Sequence[Part] = ()) -> PartStream:
        return PartStream(
            self._bucket, self._send, self._length, parts, ahead=self._AHEAD
        )

    def _unless_stored(self, action: Callable[[], object]) -> None:
        """Do it; when our upload has gone because the blob is there, never mind."""
        if self._elsewhere:
            return
        try:
            action()
        except (UploadGone, NotFound):
            if self._replace or not self._bucket.holds(self._blob):
                raise
            self._elsewhere = True

    def _send(self, number: int, blocks: Sequence[bytes], size: int, crc: str) -> Part:
        if self._upload is None:
            self._bucket.note(self._key, self._blob)
            self._upload = self._bucket.multipart.begin(self._key, self._blob.digest)
        etag = self._bucket.objects.put_part(
            self._key, self._upload, number, Body(blocks, size), crc
        )
        return Part(number, size, etag, crc)

    def _complete(self, parts: Sequence[Part], *, fresh: bool) -> bool:
        """Put the parts together; False if `fresh` and something is there."""
        if self._upload is None:
            raise AssertionError  # pragma: no cover - there is a part, so it was begun
        complete = self._bucket.multipart.complete
        try:
            return complete(self._key, self._upload, parts, fresh=fresh)
        except Refused:
            if not fresh:
                raise
            return complete(self._key, self._upload, parts, fresh=False)


class DirectWriter(_PartsWriter):
    """A blob that is uploaded to its final key; a dead one starts over."""

    _AHEAD = True

    def __init__(self, bucket: Bucket, blob: Blob, *, replace: bool) -> None:
        super().__init__(bucket, blob, replace=replace)
        self._key = bucket.address.key(blob.digest)
        bucket.forget(self._key)

    def commit(self) -> Blob:
        """Make the blob visible."""
        self._arrival.verify()
        self._unless_stored(self._publish)
        # Another writer's unfinished upload has no purpose any more either.
        self._bucket.forget(self._key)
        self.is_committed = True
        return self._blob

    def close(self, *, keep: bool) -> None:
        """Leave nothing of what was not committed, whatever may be kept."""
        del keep
        if self._upload is not None:
            self._bucket.forget(self._key)
            self._upload = None

    def _publish(self) -> None:
        parts = self._stream.finish()
        fresh = not self._replace and self._bucket.capabilities().conditional
        try:
            done = self._complete(parts, fresh=fresh)
        except UploadGone:
            raise
        except Unavailable:
            # The answer may be lost, and the upload completed all the same.
            if self._replace or not self._bucket.holds(self._blob):
                raise
            done = True
        if not done and not self._bucket.holds(self._blob):
            self._complete(parts, fresh=False)
        self._bucket.expect(self._key, self._blob)


class StagedWriter(_PartsWriter):
    """A blob that is put together beside its final key, over many processes."""

    # What has not become a part is downloaded again: never more than one.
    _AHEAD = False

    def __init__(self, bucket: Bucket, blob: Blob, *, replace: bool) -> None:
        super().__init__(bucket, blob, replace=replace)
        self._key = bucket.address.staging_key(blob.digest)
        self._whole = False  # the staging object is there already
        if replace:
            self._discard()
        else:
            self._continue()

    def commit(self) -> Blob:
        """Make the blob visible."""
        self._arrival.verify()
        self._unless_stored(self._publish)
        self._discard()
        self.is_committed = True
        return self._blob

    def close(self, *, keep: bool) -> None:
        """Leave what can be continued if `keep`, else nothing."""
        if not keep:
            self._discard()

    def _continue(self) -> None:
        """Find what an earlier process left, and go on from there."""
        head = self._bucket.objects.head(self._key)
        if head is not None and head.size == self._blob.size:
            self._whole = True
            self._arrival = Arrival(self._blob, head.size)
            return
        found = [
            (self._unbroken(self._bucket.multipart.parts(begun)), begun.upload)
            for begun in self._bucket.multipart.uploads(self._key)
            if begun.key == self._key
        ]
        if found:
            parts, self._upload = max(found, key=lambda each: len(each[0]))
            self._bucket.note(self._key, self._blob)
            self._arrival = Arrival(self._blob, sum(part.size for part in parts))
            self._stream = self._streaming(parts)

    def _unbroken(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Return the parts from the first on that are whole, without a gap."""
        for index, part in enumerate(parts):
            left = self._blob.size - index * self._length
            if part.number != index + 1 or part.size != min(self._length, left):
                return parts[:index]
        return parts

    def _publish(self) -> None:
        etag = self._assembled()
        if not self._arrival.is_hashed:
            self._arrival.compare(self._bucket.objects.hash(self._key, etag))
        self._name(etag, self._blob)

    def _assembled(self) -> str:
        """Have all of it below the staging key; return its version there."""
        if not self._whole:
            self._assemble()
        head = self._bucket.objects.head(self._key)
        if head is None or head.size != self._blob.size:
            msg = f"{self._key} is not there any more; nothing became visible"
            raise UploadGone(msg)
        return head.etag

    def _name(self, etag: str, blob: Blob) -> None:
        """Give a blob's name to what lies below the staging key."""
        copy(self._bucket, self._key, etag, blob)
        self._bucket.expect(self._bucket.address.key(blob.digest), blob)

    def _assemble(self) -> None:
        parts = self._stream.finish()
        try:
            self._complete(parts, fresh=False)
        except Unavailable as exc:
            # The answer may be lost, or another's upload be complete: what is
            # there is not known to be ours.
            head = self._bucket.objects.head(self._key)
            if head is None or head.size != self._blob.size:
                raise
            log.debug("doubt about a completed upload", exc_info=exc)
            self._arrival.is_hashed = False

    def _discard(self) -> None:
        self._bucket.forget(self._key)
        self._bucket.objects.delete(self._key)
        self._upload = None


_W = TypeVar("_W", bound=DirectWriter | StagedWriter)


@contextmanager
def leaving(writer: _W) -> Iterator[_W]:
    """Leave a write, at the end of the block.

    One that was not committed leaves what can be continued, unless it is wrong;
    what stays by an error is swept later.
    """
    keep = False
    try:
        yield writer
        keep = not writer.is_wrong
    except IntegrityError:
        raise
    except BaseException:
        keep = not writer.is_wrong
        raise
    finally:
        _leave(writer, keep=keep)


def _leave(writer: DirectWriter | StagedWriter, *, keep: bool) -> None:
    writer.rest()
    if writer.is_committed:
        return
    try:
        writer.close(keep=keep)
    except SyncerError as exc:
        log.debug("an upload stays until it is swept", exc_info=exc)
