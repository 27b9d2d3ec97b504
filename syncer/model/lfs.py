"""Git LFS: pointers in repositories, what upstream grants, what we hold.

The pointer file is specified in docs/spec.md of git-lfs, the replies in its
docs/api/batch.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from syncer.model.counts import Counts, Tally

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: Objects in one batch request; what GitHub and the reference client use.
BATCH = 100


class LfsPointer(NamedTuple):
    """What a pointer file says: the sha256 of an object, and its length in bytes."""

    oid: str
    size: int


class LfsState(StrEnum):
    """What we hold of an object that a mirror's pointers name."""

    PRESENT = "present"
    MISSING = "missing"  # upstream does not give it
    DAMAGED = "damaged"  # it was here, and is lost or wrong now
    UNREACHED = "unreached"  # upstream does not give it, and none of its refs needs it

    @property
    def is_absent(self) -> bool:
        """Whether it never was here, so that no blob is needed for it."""
        return self in {LfsState.MISSING, LfsState.UNREACHED}


@dataclass(frozen=True, slots=True)
class LfsObject:
    """One object of one mirror."""

    pointer: LfsPointer
    state: LfsState
    #: Why it is not present, in upstream's words; None when it is.
    reason: str | None = None
    #: Since when it is in this state.
    since: datetime | None = None
    #: When upstream is asked for it again; None when it is present or unreached.
    retry_at: datetime | None = None
    #: How often upstream was asked for it in vain.
    tries: int = 0


@dataclass(frozen=True, slots=True)
class LfsCounts(Counts):
    """How much of a mirror's LFS content is here; what is unreached is none of it."""


@dataclass(frozen=True, slots=True)
class LfsTally(Tally):
    """What one run did for LFS: objects, and bytes that were downloaded."""


@dataclass(frozen=True, slots=True)
class LfsEndpoint:
    """Where a repository's batch requests go; `note` says why not elsewhere."""

    url: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Upstream's leave to download one object.

    The address and headers may hold signatures: they are never shown or stored.
    """

    pointer: LfsPointer
    href: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    #: On the monotonic clock, in seconds; None when upstream does not say.
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Upstream's word that it does not give one object: `code` as in HTTP."""

    pointer: LfsPointer
    code: int
    reason: str


BatchReply: TypeAlias = "list[Grant | Refusal]"


class Delivery(StrEnum):
    """What became of one object in a transfer."""

    FETCHED = "fetched"
    LINKED = "linked"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Delivered:
    """One object whose transfer has ended well, or that upstream refuses."""

    pointer: LfsPointer
    how: Delivery
    reason: str | None = None
