"""What a worker does with a job: it looks whether that still stands, and begins.

Between the scheduler's decision and this moment a mirror may have been paused,
removed or moved.  The workers are those of the configuration in use.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple, Protocol

from syncer.model.mirrors import Activity
from syncer.model.names import RepoName
from syncer.model.runs import Trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.model.mirrors import RepoState
    from syncer.ports import Catalog, WorkQueue
    from syncer.workers.cluster_queue import Visit

log = logging.getLogger(__name__)


class Flushed(Protocol):
    """Where unchanged probes wait."""

    def flush(self) -> None:
        """Store what waits."""


class Tools(NamedTuple):
    """What works with one configuration."""

    catalog: Catalog
    workers: WorkQueue
    probes: Flushed
    #: Whether the configuration says what to mirror of a repository.
    knows: Callable[[RepoName], bool]
    #: Marks a mirror whose releases changed, as a sweep over many saw.
    hint: Callable[[int], None]


class LocalHands:
    """Begins visits with the tools in use; those before them finish theirs."""

    def __init__(
        self,
        machine: str,
        tools: Tools,
        *,
        former: Callable[[], set[int]],
        on_stranger: Callable[[], None],
    ) -> None:
        """`former` returns what is in hand still with earlier configurations.

        `on_stranger` is called when the configuration in use does not know a mirror:
        a newer one may.
        """
        self._machine = machine
        self._tools = tools
        self._former = former
        self._on_stranger = on_stranger
        self._strangers: set[int] = set()

    def use(self, tools: Tools) -> None:
        """Begin with other tools from now on."""
        self._tools = tools
        self._strangers.clear()

    def begin(self, visit: Visit) -> bool:
        """Take a mirror in hand; False if that is not to be done here.

        Raises:
            UnknownMirror: there is none of this name any more.
            CatalogBusy: the database does not answer.
        """
        state = self._tools.catalog.state(RepoName.parse(visit.name))
        if not self._stands(state, visit):
            return False
        if not self._tools.knows(state.name):
            self._meet(state)
            return False
        if state.id in self._former():
            return False
        if visit.hinted:
            self._tools.hint(state.id)
        return self._tools.workers.submit(state, visit.trigger)

    def busy(self) -> set[int]:
        """Return the mirrors in hand."""
        return self._tools.workers.busy() | self._former()

    def store(self) -> None:
        """Store unchanged probes.

        Raises:
            CatalogBusy: the database does not answer; they wait on.
        """
        self._tools.probes.flush()

    def _stands(self, state: RepoState, visit: Visit) -> bool:
        """Return whether what the scheduler decided is still to be done, and here."""
        if state.id != visit.mirror_id or state.activity is Activity.REMOVED:
            return False
        if state.home != self._machine:
            extra = {"repo": str(state.name), "home": state.home}
            log.info("left to its home", extra=extra)
            return False
        paused = state.activity is Activity.PAUSED
        return not (paused and visit.trigger is Trigger.SCHEDULE)

    def _meet(self, state: RepoState) -> None:
        if state.id not in self._strangers:
            self._strangers.add(state.id)
            hint = "every machine needs the same repos.toml"
            extra = {"repo": str(state.name), "hint": hint}
            log.warning("not configured on this machine", extra=extra)
            self._on_stranger()
