"""What operators are told, in the catalog's database: one call, one transaction.

The statements are in `machines`, `incidents`, `storage`, `counters`, `spans` and
`pruning`.  What reads or drops very much takes several transactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.catalog import (
    counters,
    incidents,
    machines,
    pruning,
    spans,
    storage,
)
from syncer.catalog.transactions import Transactional
from syncer.model.machines import latest_allowances

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from syncer.catalog.pruning import Old
    from syncer.model.incidents import Incident, Kind
    from syncer.model.machines import Machine
    from syncer.model.origin import Allowance
    from syncer.model.runs import AuditEvent, LagSample, SyncRun
    from syncer.model.storage import StorageSample, Usage


class SqlOperations(Transactional):
    """`ports.Operations` on SQLite or Postgres; usable from many threads.

    Shares the engine with `SqlCatalog`, which closes it.
    """

    def seen(self, machine: Machine) -> None:
        """Store how a machine is; replaces what it said before."""
        with self._writing() as conn:
            machines.seen(conn, machine)

    def machines(self) -> list[Machine]:
        """Return every machine that was ever seen, by name."""
        with self._reading() as conn:
            return machines.known(conn)

    def forget_machine(self, name: str) -> None:
        """Forget a machine that ended in peace."""
        with self._writing() as conn:
            machines.forget(conn, name)

    def allowances(self) -> list[tuple[str, Allowance]]:
        """Return what APIs last granted: (host, allowance), of the latest answers."""
        return latest_allowances(self.machines())

    def begin(self, incidents_: Iterable[Incident]) -> list[Incident]:
        """Store incidents that are not known; return these, with their ids."""
        with self._writing() as conn:
            return incidents.begin(conn, incidents_)

    def end(self, ids: Iterable[int], at: datetime) -> None:
        """Record that open incidents are over."""
        with self._writing() as conn:
            incidents.end(conn, ids, at)

    def open_incidents(self) -> list[Incident]:
        """Return the incidents that last, oldest first."""
        with self._reading() as conn:
            return incidents.lasting(conn)

    def incidents(
        self, since: datetime, kinds: Iterable[Kind] | None = None
    ) -> list[Incident]:
        """Return the incidents that lasted into, or began after, an instant."""
        with self._reading() as conn:
            return incidents.since(conn, since, kinds)

    def untold(self, since: datetime) -> list[Incident]:
        """Return the incidents that nobody was told of, or of whose end."""
        with self._reading() as conn:
            return incidents.untold(conn, since)

    def told(self, ids: Iterable[int], at: datetime, *, recovery: bool = False) -> None:
        """Record that people were told of incidents, or of their ends."""
        with self._writing() as conn:
            incidents.told(conn, ids, at, recovery=recovery)

    def unfiled_events(self, since: datetime) -> list[tuple[int, AuditEvent]]:
        """Return (id, event) of alarming events that have no incident."""
        with self._reading() as conn:
            return incidents.unfiled(conn, since)

    def usage(self) -> Usage:
        """Return how many bytes are mirrored."""
        with self._reading() as conn:
            return storage.usage(conn)

    def sampled(self, sample: StorageSample) -> None:
        """Keep how full a store is."""
        with self._writing() as conn:
            storage.add(conn, sample)

    def storage(self, since: datetime) -> list[StorageSample]:
        """Return the samples since an instant, oldest first."""
        with self._reading() as conn:
            return storage.since(conn, since)

    def counters(self) -> dict[tuple[str, str], float]:
        """Return what was counted since the catalog was made."""
        with self._reading() as conn:
            return counters.known(conn)

    def runs_between(self, since: datetime, until: datetime) -> list[SyncRun]:
        """Return the runs that ended in a span of time, oldest first."""
        with self._reading() as conn:
            return spans.runs(conn, since, until)

    def lag_between(self, since: datetime, until: datetime) -> list[LagSample]:
        """Return the changes published in a span of time, oldest first."""
        with self._reading() as conn:
            return spans.lag(conn, since, until)

    def events_between(
        self, since: datetime, until: datetime | None = None
    ) -> Iterator[AuditEvent]:
        """Yield audit events in a span of time, oldest first.

        They are read as they are asked for: half a year of them need not fit into
        memory, and no transaction stays open between two.
        """
        after = 0
        while True:
            with self._reading() as conn:
                page = spans.events(conn, since, after, until)
            for _, event in page:
                yield event
            if len(page) < spans.PAGE:
                return
            after, last = page[-1]
            since = last.at

    def prune(self, history: datetime, audit: datetime) -> dict[str, int]:
        """Drop what is older, in many short transactions.

        A run that no later one of its mirror follows stays, as do those that an
        intent or ref changes name.
        """
        dropped = {pruning.AUDIT.table.name: self._prune(pruning.AUDIT, audit)}
        for old in pruning.HISTORY:
            dropped[old.table.name] = self._prune(old, history)
        return dropped

    def _prune(self, old: Old, before: datetime) -> int:
        """Drop what is older in one table; return how many rows that were."""
        after, dropped = pruning.START, 0
        while True:
            with self._reading() as conn:
                last = pruning.batch(conn, old, after, before)
            if last is None:
                return dropped
            with self._writing() as conn:
                dropped += pruning.drop(conn, old, after, last)
            after = last
