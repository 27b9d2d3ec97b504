"""One object's way: network, digest, store; continued where it broke off."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from syncer.errors import (
    Expired,
    IntegrityError,
    NotFound,
    OverQuota,
    ProtocolError,
    RateLimited,
    Truncated,
    Unavailable,
)
from syncer.model.blobs import Blob
from syncer.model.lfs import Delivered, Delivery, Grant
from syncer.sync.transfer.deposit import of_store, opened
from syncer.sync.transfer.patience import Attempts

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from syncer.limits import Pace, Room
    from syncer.model.lfs import LfsEndpoint, LfsPointer
    from syncer.model.names import RepoName
    from syncer.ports import BlobStore, BlobWriter, Clock, LfsSource

#: Seconds between two looks at whether to go on, while waiting.
_TICK = 0.25
#: Codes of HTTP that mean an allowance is used up.
_QUOTA_CODES = {507, 509}


class Proof(Enum):
    """How we know that a blob is in the store."""

    KNOWN = auto()  # the index says so
    SEEN = auto()  # the store says so; the index does not know yet
    HASHED = auto()  # its bytes have just been read and found right


@dataclass(frozen=True, slots=True)
class Ending:
    """How the transfer of one object ended; `proof` when it is present."""

    delivered: Delivered
    proof: Proof | None = None
    over_quota: bool = False


def linked(pointer: LfsPointer, proof: Proof) -> Ending:
    """Return the ending of an object that the store had."""
    return Ending(Delivered(pointer, Delivery.LINKED), proof)


def missing(pointer: LfsPointer, reason: str, code: int = 0) -> Ending:
    """Return the ending of an object that upstream does not give."""
    delivered = Delivered(pointer, Delivery.MISSING, reason)
    return Ending(delivered, over_quota=code in _QUOTA_CODES)


def over_quota(pointer: LfsPointer, reason: str) -> Ending:
    """Return the ending of an object for which the owner's allowance is spent."""
    return Ending(Delivered(pointer, Delivery.MISSING, reason), over_quota=True)


@dataclass(slots=True, eq=False)
class Item:
    """One object that upstream has granted.

    `done` and `received` are moved by the thread that brings it, and may be read
    by any other.
    """

    grant: Grant
    #: What the store has below its name is known to be bad.
    replace: bool = False
    #: Whether the store may have it: then it is asked first.
    look: bool = True
    #: Bytes of it that are here.
    done: int = 0
    #: Bytes that were downloaded, also in vain.
    received: int = 0

    @property
    def pointer(self) -> LfsPointer:
        return self.grant.pointer


class _Refused(Exception):
    """Upstream took its leave back."""

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True)
class Courier:
    """Brings objects of one repository.  Usable from many threads.

    `check` raises when nothing is to be brought any more; it is called between
    blocks and while waiting.
    """

    name: RepoName
    endpoint: LfsEndpoint
    blobs: BlobStore
    source: LfsSource
    clock: Clock
    stop: threading.Event
    room: Room
    pace: Pace
    check: Callable[[], None]

    def bring(self, item: Item) -> Ending:
        """Have an object in the store, whole and right, or learn why not.

        Raises:
            StoreFault: the store failed; the part that arrived can be continued.
            IntegrityError: upstream sent wrong bytes twice; nothing stays.
            SyncerError: of `LfsSource`, when patience is at an end.
        """
        self.check()
        pointer = item.pointer
        if item.look and not item.replace:
            with of_store():
                found = self.blobs.find(pointer.oid)
            if found == Blob(*pointer):
                return linked(pointer, Proof.SEEN)
        try:
            self._download_right(item)
        except _Refused as exc:
            return missing(pointer, exc.reason, exc.code)
        except OverQuota as exc:
            return over_quota(pointer, str(exc))
        return Ending(Delivered(pointer, Delivery.FETCHED), Proof.HASHED)

    def _download_right(self, item: Item) -> None:
        try:
            self._download(item, replace=item.replace)
        except IntegrityError:
            # A part from an earlier process may have been stale: once more, all.
            item.done = 0
            self.check()
            self._download(item, replace=True)

    def _download(self, item: Item, *, replace: bool) -> None:
        pointer = item.pointer
        with (
            self.room.taken(self.blobs.footprint(pointer.size)),
            opened(self.blobs, pointer, replace=replace) as writer,
        ):
            item.done = writer.offset
            self._fill(item, writer)
            with of_store():
                writer.commit()

    def _fill(self, item: Item, writer: BlobWriter) -> None:
        """Read until the writer has all bytes, over as many requests as it takes."""
        size, now = item.pointer.size, self.clock.monotonic
        attempts = Attempts(item.pointer.oid, writer.offset, now())
        stale = self._is_past(item.grant)
        while writer.offset < size:
            try:
                if stale:
                    item.grant, stale = self._renewed(item), False
                self._read(item, writer)
            except (Expired, RateLimited, Truncated, Unavailable) as exc:
                self._wait(attempts.after(exc, writer.offset, now()))
                stale = stale or isinstance(exc, Expired) or self._is_past(item.grant)

    def _read(self, item: Item, writer: BlobWriter) -> None:
        """Read one answer as far as it goes."""
        size = item.pointer.size
        try:
            with self.source.open(self.name, item.grant, writer.offset) as blocks:
                for block in blocks:
                    item.received += len(block)
                    with of_store():
                        writer.write(block)
                    item.done = writer.offset
                    self.pace.pay(len(block))
                    self.check()
        except NotFound as exc:
            # Of the object's own address: the store's errors have another class.
            raise _Refused(str(exc)) from exc
        if writer.offset < size:
            msg = f"{self.name} sent {writer.offset} of {size} bytes of an LFS object"
            raise Truncated(msg)

    def _renewed(self, item: Item) -> Grant:
        """Ask once more for an object whose grant counts no longer."""
        reply = self.source.batch(self.name, self.endpoint, [item.pointer])
        for answer in reply:
            if answer.pointer != item.pointer:
                continue
            if isinstance(answer, Grant):
                return answer
            raise _Refused(answer.reason, answer.code)
        msg = f"{self.name} did not answer for the LFS object {item.pointer.oid}"
        raise ProtocolError(msg)

    def _is_past(self, grant: Grant) -> bool:
        return grant.expires is not None and grant.expires <= self.clock.monotonic()

    def _wait(self, left: float) -> None:
        while left > 0:
            self.stop.wait(min(left, _TICK))
            self.check()
            left -= _TICK
