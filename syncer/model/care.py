"""What looking after the store found, and what it did about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from syncer.model.releases import ReleaseCounts

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


class Needed(NamedTuple):
    """A blob that a mirror needs; `bad` is why, where it is known to be damaged."""

    oid: str
    size: int
    bad: str | None = None


class Damage(NamedTuple):
    """A blob that is lost or wrong.

    `names` are those of the assets that need it, like `v1.0/model.bin`.
    """

    oid: str
    size: int
    why: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found of one mirror's blobs, as it is at its end.

    They are those of LFS objects and of assets; one that both need counts once in
    what is damaged, repaired and read.
    """

    name: RepoName
    #: Whether LFS objects are mirrored; if not, nothing was searched for them.
    lfs: bool = True
    #: Different objects that the pointers of the whole repository name.
    pointers: int = 0
    #: Objects whose blobs are there and, as far as they were read, right.
    present: int = 0
    #: Objects that upstream does not give.
    missing: int = 0
    #: Pointers that the catalog did not know of.
    unlinked: int = 0
    #: The assets that upstream shows and the selection takes.
    assets: ReleaseCounts = field(default_factory=ReleaseCounts)
    #: Blobs that are lost or wrong, and were not repaired; those that deleted and
    #: replaced assets had, and attestations, are among them.
    damaged: tuple[Damage, ...] = ()
    #: Blobs that were lost or wrong, and are right again.
    repaired: int = 0
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
