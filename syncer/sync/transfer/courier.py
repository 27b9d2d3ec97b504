"""One object's way: network, digest, store; continued where it broke off."""

from __future__ import annotations

from dataclasses import dataclass
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
from syncer.model.lfs import Grant
from syncer.sync.transfer.deposit import of_store, opened
from syncer.sync.transfer.endings import Proof, fetched, linked, missing, over_quota
from syncer.sync.transfer.patience import Attempts

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.model.lfs import LfsPointer
    from syncer.ports import BlobWriter
    from syncer.sync.transfer.claims import Claims
    from syncer.sync.transfer.endings import Ending
    from syncer.sync.transfer.job import TransferJob
    from syncer.sync.transfer.means import Means

#: Seconds between two looks at whether to go on, while waiting.
_TICK = 0.25


@dataclass(slots=True, eq=False)
class Item:
    """One object that upstream has granted.

    `done` and `received` are moved by the thread that brings it, and may be read
    by any other.
    """

    grant: Grant
    #: Its oid is a ticket: the digest is not known.
    unnamed: bool = False
    #: What another run found the digest behind the ticket to be.
    told: str | None = None
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

    @property
    def digest(self) -> str | None:
        """Its digest, as far as it is known."""
        return self.told if self.unnamed else self.grant.pointer.oid

    @property
    def key(self) -> str:
        """What it is in hand by: a pointer may name a digest like a ticket."""
        oid = self.grant.pointer.oid
        return f"ticket {oid}" if self.unnamed else oid


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

    job: TransferJob
    means: Means
    claims: Claims
    check: Callable[[], None]

    def bring(self, item: Item) -> Ending:
        """Have an object in the store, whole and right, or learn why not.

        Raises:
            StoreFault: the store failed; the part that arrived can be continued.
            IntegrityError: upstream sent wrong bytes twice; nothing stays.
            SyncerError: of `Source`, when patience is at an end.
        """
        self.check()
        pointer = item.pointer
        if self._is_there(item):
            return linked(pointer, Proof.SEEN, item.told)
        try:
            digest = self._download_right(item)
        except _Refused as exc:
            return missing(pointer, exc.reason, exc.code)
        except OverQuota as exc:
            return over_quota(pointer, str(exc))
        return fetched(pointer, digest)

    def _is_there(self, item: Item) -> bool:
        """Ask the store, where it may have the object."""
        digest = item.digest
        if digest is None or not item.look or item.replace:
            return False
        if item.unnamed:
            self.claims.make([digest])
        with of_store():
            found = self.means.blobs.find(digest)
        return found == Blob(digest, item.pointer.size)

    def _download_right(self, item: Item) -> str | None:
        """Download an object; return its digest where that was not known."""
        try:
            return self._download(item, replace=item.replace)
        except IntegrityError:
            # A part from an earlier process may have been stale: once more, all.
            item.done = 0
            self.check()
            return self._download(item, replace=True)

    def _download(self, item: Item, *, replace: bool) -> str | None:
        blobs, (oid, size) = self.means.blobs, item.pointer
        with self.means.room.taken(blobs.footprint(size)):
            if item.unnamed:
                # Wrong bytes leave nothing below a ticket: nothing to replace.
                return self._receive(item)
            with opened(blobs.write(oid, size, replace=replace)) as writer:
                self._fill(item, writer)
                with of_store():
                    writer.commit()
        return None

    def _receive(self, item: Item) -> str:
        """Download what has only a ticket, and return its digest."""
        with opened(self.means.blobs.receive(*item.pointer)) as writer:
            self._fill(item, writer)
            with of_store():
                digest = writer.seal()
            # Visible and not claimed, it could be taken for one that nobody needs.
            self.claims.make([digest])
            with of_store():
                return writer.commit().digest

    def _fill(self, item: Item, writer: BlobWriter) -> None:
        """Read until the writer has all bytes, over as many requests as it takes."""
        size, now = item.pointer.size, self.means.clock.monotonic
        item.done = writer.offset
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
        (oid, size), pace = item.pointer, self.means.pace
        try:
            with self.job.source.open(item.grant, writer.offset) as blocks:
                for block in blocks:
                    item.received += len(block)
                    with of_store():
                        writer.write(block)
                    item.done = writer.offset
                    pace.pay(len(block))
                    self.check()
        except NotFound as exc:
            # Of the object's own address: the store's errors have another class.
            raise _Refused(str(exc)) from exc
        if writer.offset < size:
            what = self.job.book.one(oid)
            msg = f"{self.job.name} sent {writer.offset} of {size} bytes of {what}"
            raise Truncated(msg)

    def _renewed(self, item: Item) -> Grant:
        """Ask once more for an object whose grant counts no longer."""
        reply = self.job.source.batch([item.pointer])
        for answer in reply:
            if answer.pointer != item.pointer:
                continue
            if isinstance(answer, Grant):
                return answer
            raise _Refused(answer.reason, answer.code)
        book = self.job.book
        label = book.label(item.pointer.oid)
        msg = f"{self.job.name} did not answer for the {book.noun} {label}"
        raise ProtocolError(msg)

    def _is_past(self, grant: Grant) -> bool:
        return (
            grant.expires is not None and grant.expires <= self.means.clock.monotonic()
        )

    def _wait(self, left: float) -> None:
        while left > 0:
            self.means.stop.wait(min(left, _TICK))
            self.check()
            left -= _TICK
