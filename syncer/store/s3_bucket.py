"""One bucket: both of our ways to it, what its server can do, what lies there."""

from __future__ import annotations

import logging
import secrets
import threading
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from syncer.errors import Interrupted, Unavailable
from syncer.model.blobs import Upload
from syncer.store.s3_objects import Body
from syncer.store.signing import EMPTY

if TYPE_CHECKING:
    from syncer.limits import Room
    from syncer.model.blobs import Blob
    from syncer.ports import Clock, UploadLog
    from syncer.store.s3_address import S3Address
    from syncer.store.s3_client import Multipart
    from syncer.store.s3_objects import Head, Objects

log = logging.getLogger(__name__)

_FINE, _THERE = 300, 412
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server was seen to do."""

    #: It refuses a body that has not the digest that was declared.
    checks_bodies: bool
    #: `If-None-Match: *` keeps it from replacing an object.
    conditional: bool


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes: of a part, and from where on a write is worth being continued."""

    part: int
    resumable: int

    #: What S3 takes in one upload.
    PARTS = 10_000

    def part_of(self, size: int) -> int:
        """Return the length of the parts of a blob, whole MiB when it is larger."""
        least = -(-size // self.PARTS)
        return max(self.part, -(-least // (1 << 20)) << 20)


class Bucket:
    """What all writers of one store share.  Safe to use from many threads."""

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        address: S3Address,
        objects: Objects,
        multipart: Multipart,
        uploads: UploadLog,
        *,
        clock: Clock,
        room: Room,
        stop: threading.Event,
        sizes: Sizes,
    ) -> None:
        self.address = address
        self.objects = objects
        self.multipart = multipart
        self.uploads = uploads
        self.room = room
        self.sizes = sizes
        self._clock = clock
        self._stop = stop
        self._lock = threading.Lock()
        self._capabilities: Capabilities | None = None
        self._foreign: dict[tuple[str, str, int], bool] = {}

    def capabilities(self) -> Capabilities:
        """Return what the server can do; it is tried once, by the first who asks."""
        with self._lock:
            if self._capabilities is None:
                self._capabilities = _probe(self.objects)
            return self._capabilities

    def find(self, digest: str) -> Head | None:
        """Return what lies below a blob's name if it is that blob.

        What its writer did not mark as ours is read once to find out.
        """
        key = self.address.key(digest)
        head = self.objects.head(key)
        if head is None or (not head.size and digest != EMPTY):
            return None
        if head.digest is not None:
            return head if head.digest == digest else None
        known = (digest, head.etag, head.size)
        if known not in self._foreign:
            if len(self._foreign) >= _REMEMBERED:
                self._foreign.clear()
            self._foreign[known] = self.objects.hash(key, head.etag) == digest
        return head if self._foreign[known] else None

    def holds(self, blob: Blob) -> bool:
        """Return whether a blob is there, at its size."""
        head = self.find(blob.digest)
        return head is not None and head.size == blob.size

    def expect(self, key: str, blob: Blob) -> None:
        """Make sure that the server has what it said it took.

        Raises:
            Unavailable: it has not; what it has instead was removed.
        """
        head = self.objects.head(key)
        if head is not None and head.size == blob.size and head.digest == blob.digest:
            return
        self.objects.delete(key)
        found = "nothing" if head is None else f"{head.size} bytes"
        msg = (
            f"the object store at {self.address.origin} took the {blob.size} bytes of "
            f"{blob.digest} and has {found}; the blob is not stored"
        )
        raise Unavailable(msg)

    def note(self, key: str, blob: Blob) -> None:
        """Note an upload before it is begun or continued."""
        now = self._clock.now()
        self.uploads.begin_upload(Upload(key, blob.digest, blob.size, now))

    def forget(self, key: str) -> None:
        """Remove every unfinished upload of a key, and the note of it."""
        for begun in self.multipart.uploads(key):
            if begun.key == key:
                self.multipart.abort(begun)
        self.uploads.end_upload(key)

    def check_stop(self) -> None:
        """Raise Interrupted if we were asked to stop."""
        if self._stop.is_set():
            msg = "stopped on request; no blob was changed"
            raise Interrupted(msg)


def _probe(objects: Objects) -> Capabilities:
    """Try what the server does, with an object that is removed afterwards."""
    key = f"{objects.address.prefix}probe/{secrets.token_hex(8)}"
    text = b"what does this server do?\n"
    right, wrong = sha256(text).hexdigest(), sha256(text[1:]).hexdigest()
    body = Body([text], len(text))
    try:
        checked = objects.try_put(key, body, wrong, fresh=False).status >= _FINE
        objects.put(key, body, right, fresh=False)
        second = objects.try_put(key, body, right, fresh=True).status
    finally:
        objects.delete(key)
    found = Capabilities(checks_bodies=checked, conditional=second == _THERE)
    facts = {"endpoint": objects.address.origin, "bucket": objects.address.bucket}
    log.info(
        "the object store was tried",
        extra={
            **facts,
            "checks_bodies": found.checks_bodies,
            "conditional": found.conditional,
        },
    )
    return found
