"""A blob on its way: its running hash, and the parts it is uploaded in."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from concurrent.futures import Future, wait
from hashlib import sha256
from threading import Thread
from typing import TYPE_CHECKING, NoReturn

from syncer.errors import IntegrityError, SyncerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from syncer.model.blobs import Blob
    from syncer.store.s3_bucket import Bucket
    from syncer.store.s3_client import Part

_NOTHING = "nothing became visible"


class Arrival:
    """How much of a blob has come, and whether it is right so far.

    The hash of what an earlier process sent is not known: its state cannot be
    saved, and parts cannot be read back before they are put together.
    """

    def __init__(self, blob: Blob, offset: int = 0) -> None:
        self.blob = blob
        self.received = offset
        self.is_hashed = offset == 0
        self.is_wrong = False
        self._hash = sha256()

    def add(self, block: bytes) -> None:
        """Take the next bytes into account.

        Raises:
            IntegrityError: they go beyond the declared size.
        """
        if self.received + len(block) > self.blob.size:
            self._refuse(f"more than its {self.blob.size} bytes came")
        if self.is_hashed:
            self._hash.update(block)
        self.received += len(block)

    def verify(self) -> None:
        """Raise IntegrityError unless all of it is here, and right if known."""
        self.need_all()
        if self.is_hashed:
            self.compare(self.digest())

    def need_all(self) -> None:
        """Raise IntegrityError unless all of it is here."""
        if self.is_wrong:
            self._refuse(f"more than its {self.blob.size} bytes came")
        if self.received < self.blob.size:
            self._refuse(f"{self.received} of its {self.blob.size} bytes came")

    def digest(self) -> str:
        """Return the sha256 of what came; only if `is_hashed` is that all."""
        return self._hash.hexdigest()

    def compare(self, found: str) -> None:
        """Raise IntegrityError unless a digest is the blob's."""
        if found != self.blob.digest:
            self._refuse(f"its bytes have the sha256 {found}")

    def _refuse(self, what: str) -> NoReturn:
        self.is_wrong = True
        msg = f"{self.blob.digest} is not right: {what}; {_NOTHING}"
        raise IntegrityError(msg)


class PartStream:
    """Cuts blocks into parts and uploads them; with `ahead`, one in the background.

    That takes room for one part more; without it, whoever writes waits.
    """

    def __init__(
        self,
        bucket: Bucket,
        send: Callable[[int, Sequence[bytes], int, str], Part],
        length: int,
        parts: Sequence[Part] = (),
        *,
        ahead: bool,
    ) -> None:
        self._bucket = bucket
        self._send = send
        self._length = length
        self._ahead = ahead
        self._parts = list(parts)
        self._number = len(self._parts)
        self._under_way: Future[Part] | None = None
        self._failed: SyncerError | None = None
        self._blocks: list[bytes] = []
        self._filled = 0
        self._crc = 0

    def add(self, block: bytes) -> None:
        """Take a block; upload what makes a whole part.

        Raises:
            SyncerError: a part did not get through; so does every later call.
        """
        while block:
            head = block[: self._length - self._filled]
            block = block[len(head) :]
            self._blocks.append(head)
            self._filled += len(head)
            self._crc = zlib.crc32(head, self._crc)
            if self._filled == self._length:
                self._ship()

    def finish(self) -> list[Part]:
        """Upload what is left and return all parts, once they are there."""
        if self._filled or not (self._parts or self._under_way):
            self._ship()
        self._settle()
        return self._parts

    def rest(self) -> None:
        """Wait for the part that is under way, whatever becomes of it."""
        if self._under_way is not None:
            wait([self._under_way])

    def _ship(self) -> None:
        try:
            self._settle()
            self._bucket.check_stop()
            self._upload()
        except SyncerError as exc:
            self._failed = exc  # a later part must not close the gap
            raise

    def _upload(self) -> None:
        self._number += 1
        crc = b64encode(struct.pack(">I", self._crc)).decode()
        part = (self._number, self._blocks, self._filled, crc)
        room, length = self._bucket.room, self._filled
        self._blocks, self._filled, self._crc = [], 0, 0
        if not (self._ahead and room.try_take(length)):
            self._parts.append(self._send(*part))
            return
        try:
            self._under_way = _begun(lambda: self._send(*part))
        except BaseException:
            room.give(length)
            raise
        self._under_way.add_done_callback(lambda _: room.give(length))

    def _settle(self) -> None:
        """Wait for the part that is under way; raise what it met."""
        if self._failed is not None:
            raise self._failed
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            self._parts.append(under_way.result())


def _begun(work: Callable[[], Part]) -> Future[Part]:
    """Begin work in a thread of its own.

    A server that does not answer it keeps no process from its end, as the
    threads of an executor would.
    """
    future: Future[Part] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as exc:  # noqa: BLE001 - whoever waits raises it
            future.set_exception(exc)

    Thread(target=run, name="s3-part", daemon=True).start()
    return future
