"""How the transfer of one object ended, and how we know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from syncer.model.blobs import Blob
from syncer.model.lfs import Delivered, Delivery

if TYPE_CHECKING:
    from syncer.model.blobs import StoredBlob
    from syncer.model.lfs import LfsPointer

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
    #: What its bytes turned out to be, where the pointer is a ticket.
    digest: str | None = None

    @property
    def blob(self) -> Blob:
        """What is in the store, when it is present."""
        oid, size = self.delivered.pointer
        return Blob(self.digest or oid, size)


def fetched(pointer: LfsPointer, digest: str | None = None) -> Ending:
    """Return the ending of an object that was downloaded."""
    delivered = Delivered(pointer, Delivery.FETCHED)
    return Ending(delivered, Proof.HASHED, digest=digest)


def linked(pointer: LfsPointer, proof: Proof, digest: str | None = None) -> Ending:
    """Return the ending of an object that the store had."""
    return Ending(Delivered(pointer, Delivery.LINKED), proof, digest=digest)


def missing(pointer: LfsPointer, reason: str, code: int = 0) -> Ending:
    """Return the ending of an object that upstream does not give."""
    delivered = Delivered(pointer, Delivery.MISSING, reason)
    return Ending(delivered, over_quota=code in _QUOTA_CODES)


def over_quota(pointer: LfsPointer, reason: str) -> Ending:
    """Return the ending of an object for which the owner's allowance is spent."""
    return Ending(Delivered(pointer, Delivery.MISSING, reason), over_quota=True)


def of_known(pointer: LfsPointer, known: StoredBlob) -> Ending:
    """Return the ending of an object whose blob is in the store."""
    if known.blob.size == pointer.size:
        return linked(pointer, Proof.KNOWN)
    reason = (
        f"there is no such object: the one with this sha256 has {known.blob.size} bytes"
    )
    return missing(pointer, reason)
