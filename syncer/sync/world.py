"""The ports that a run works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from syncer.ports import Catalog, Clock, Forge, GitStore, ProbeLog


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
    scopes: Mapping[str, tuple[str, ...]]
