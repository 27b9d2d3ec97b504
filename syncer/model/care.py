"""What looking after the store found, and what it did about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from syncer.model.blobs import Blob, Leftover
    from syncer.model.names import RepoName


@dataclass(frozen=True, slots=True)
class Depth:
    """How closely a verification looks at blobs.

    Without `read` it only asks the store for them; with it, the bytes of this
    `share` of them (above 0, at most 1) are read and hashed: of those that were
    not read for longest.
    """

    read: bool = False
    share: float = 1.0


class Damage(NamedTuple):
    """A blob that is lost or wrong."""

    oid: str
    size: int
    why: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found of one mirror's LFS objects, as it is at its end."""

    name: RepoName
    #: Different objects that the pointers of the whole repository name.
    pointers: int = 0
    #: Objects whose blobs are there and, as far as they were read, right.
    present: int = 0
    #: Objects that upstream does not give.
    missing: int = 0
    #: Objects that are lost or wrong, and were not repaired.
    damaged: tuple[Damage, ...] = ()
    #: Objects that were lost or wrong, and are right again.
    repaired: int = 0
    #: Pointers that the catalog did not know of.
    unlinked: int = 0
    #: Blobs whose bytes were read, and how many bytes.
    read: int = 0
    read_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep of the blob store did, or would do."""

    #: Blobs that nothing needs; they go a grace period later.
    condemned: tuple[Blob, ...] = ()
    #: Blobs whose grace period was over.
    removed: tuple[Blob, ...] = ()
    #: Unfinished writes that nobody continued.
    aborted: tuple[Leftover, ...] = ()
    #: Blobs in the store that the catalog had not heard of: known and condemned
    #: from here on.
    adopted: tuple[Blob, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.condemned or self.removed or self.aborted or self.adopted)
