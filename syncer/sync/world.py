"""The ports that a run works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from syncer.model.mirrors import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName
    from syncer.ports import (
        BlobIndex,
        BlobStore,
        Catalog,
        Clock,
        Forge,
        ForgeApi,
        GitStore,
        LfsSource,
        ProbeLog,
        ReleaseIndex,
    )
    from syncer.sync.transfer import Transfers

DEFAULT_SELECTION = Selection()


@dataclass(frozen=True)
class World:
    """The ports a run works with."""

    forge: Forge
    store: GitStore
    catalog: Catalog
    clock: Clock
    probes: ProbeLog
    #: Takes secrets out of words that upstream may have chosen.
    clean: Callable[[str], str]
    #: What to mirror of each repository, by identity.
    selections: Mapping[str, Selection]
    blobs: BlobStore
    index: BlobIndex
    lfs: LfsSource
    transfers: Transfers
    api: ForgeApi
    releases: ReleaseIndex
    #: The time between two looks at a mirror's releases.
    every: Callable[[RepoState], timedelta]
    #: Mirrors whose releases changed, as a sweep over many hints.
    hinted: set[int] = field(default_factory=set)

    def selection(self, name: RepoName) -> Selection:
        """Return what is mirrored of a repository."""
        return self.selections.get(name.identity, DEFAULT_SELECTION)
