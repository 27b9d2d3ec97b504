"""What the face shows from: the ports, and the configuration in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer import freshness

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.ports import Catalog, Clock, GitStore, Operations, ReleaseIndex
    from syncer.schedule.lag import Freshness
    from syncer.settings import Config


@dataclass(frozen=True)
class View:
    """Everything a request may look at; a reload puts another in its place."""

    config: Config
    catalog: Catalog
    operations: Operations
    releases: ReleaseIndex
    store: GitStore
    clock: Clock
    #: When this process began.
    started: datetime

    def fresh(self, now: datetime) -> list[Freshness]:
        """Return how fresh each configured mirror is, by name."""
        states = freshness.configured(self.config, self.catalog.states())
        return freshness.fresh(self.config, states, now)
