"""The ports that a run works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.model.mirrors import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from syncer.model.names import RepoName
    from syncer.ports import (
        BlobIndex,
        BlobStore,
        Catalog,
        Clock,
        Forge,
        GitStore,
        LfsSource,
        ProbeLog,
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

    def selection(self, name: RepoName) -> Selection:
        """Return what is mirrored of a repository."""
        return self.selections.get(name.identity, DEFAULT_SELECTION)
