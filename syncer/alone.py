"""One machine by itself: who is due is handed to threads of this process.

`member.py` is the same where several machines work for one catalog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.catalog import database
from syncer.catalog.leadership import Leadership
from syncer.crew import Crew
from syncer.errors import Locked
from syncer.model.runs import Trigger
from syncer.schedule.backlog import Backlog
from syncer.schedule.due import due
from syncer.schedule.share import admit

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from syncer.bootstrap import App
    from syncer.model.mirrors import RepoState
    from syncer.schedule.due import Decision


class Alone(Crew):
    """Decides for the mirrors of this machine, and has them worked on."""

    def __init__(self, app: App) -> None:
        """Be the only one that decides for the catalog.

        Raises:
            Locked: a daemon on another machine does, or several machines had it.
        """
        super().__init__(app)
        self._backlog = Backlog()
        self._shares: Mapping[str, int] = {}
        self._others: AbstractSet[int] = frozenset()
        self._leadership = _leadership(app)

    def leads(self) -> bool:
        """Return whether nobody else decides; to be asked before each tick."""
        return self._leadership is None or self._leadership.hold()

    def hand_out(self, states: Sequence[RepoState], others: AbstractSet[int]) -> int:
        """Begin visits to who is due and may begin; return how many.

        `others` are mirrors that something else has in hand.
        """
        app, busy = self._app, self.busy() | others
        hosts = {state.name.host for state in states}
        known = {host: app.config.target_host(host) for host in hosts}
        budgets = {host: settings.probes for host, settings in known.items()}
        now, pending = app.clock.now(), app.probes.pending()
        ready = due(states, app.config.tier, budgets, now, pending, busy)
        self._shares = {host: settings.connections for host, settings in known.items()}
        self._backlog.renew(ready, states)
        self._others = others
        return self.hand_on()

    def hand_on(self) -> int:
        """Begin visits to those for whom there was no room before; return how many."""
        if not self._backlog:
            return 0
        admitted = self._backlog.take(self.busy() | self._others, self._admit)
        for decision in admitted:
            self._workers.submit(decision.state, Trigger.SCHEDULE)
        return len(admitted)

    def _admit(self, ready: list[Decision], in_hand: list[RepoState]) -> list[Decision]:
        return admit(ready, (state.name.host for state in in_hand), self._shares)

    def use(self, app: App, others: Iterable[threading.Thread | None] = ()) -> None:
        """Work with a new configuration; runs of the old one, and `others`, end."""
        super().use(app, others)
        self._backlog.forget()

    def hand_hinted(self, states: Sequence[RepoState], hinted: AbstractSet[int]) -> int:
        """Begin visits to those of which a sweep saw that they changed."""
        those = [state for state in states if state.id in hinted]
        for state in those:
            self._workers.submit(state, Trigger.SCHEDULE)
        return len(those)

    def close(self) -> None:
        """Begin nothing more, and let what runs come to its end."""
        super().close()
        if self._leadership is not None:
            self._leadership.release()


def _leadership(app: App) -> Leadership | None:
    """Return the lead in a catalog that other machines can reach; None in SQLite.

    Raises:
        Locked: somebody else has it.
    """
    url = app.config.catalog_url
    if url.startswith("sqlite"):
        return None
    homes = {state.home for state in app.catalog.states()} - {None}
    if homes:
        told = ", ".join(sorted(map(str, homes)))
        msg = f"the mirrors of this catalog are kept by {told}; nothing was started"
        raise Locked(msg, hint="name this machine: [syncer] host, or SYNCER_HOST")
    lead = Leadership(database.connect(url))
    if lead.hold():
        return lead
    msg = "a daemon on another machine works for this catalog; nothing was started"
    hint = "one daemon works for a catalog; several machines have [syncer] host"
    raise Locked(msg, hint=hint)
