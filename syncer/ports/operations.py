"""What operators are told: machines, incidents, storage, counters, and the past.

One call is one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from syncer.model.incidents import Incident, Kind
    from syncer.model.machines import Machine
    from syncer.model.origin import Allowance
    from syncer.model.runs import AuditEvent, LagSample, SyncRun
    from syncer.model.storage import StorageSample, Usage


class Operations(Protocol):
    """What operators are told, and what it is made from."""

    def seen(self, machine: Machine) -> None:
        """Store how a machine is; replaces what it said before."""

    def machines(self) -> list[Machine]:
        """Return every machine that was ever seen, by name."""

    def forget_machine(self, name: str) -> None:
        """Forget a machine that ended in peace."""

    def allowances(self) -> list[tuple[str, Allowance]]:
        """Return what APIs last granted: (host, allowance), of the latest answers."""

    def begin(self, incidents: Iterable[Incident]) -> list[Incident]:
        """Store incidents that are not known; return these, with their ids.

        One whose kind, subject and `began`, or whose `event_id`, is known is not
        stored again; nor an open one while another of its kind and subject is open.
        """

    def end(self, ids: Iterable[int], at: datetime) -> None:
        """Record that open incidents are over; `at` is not before they began."""

    def open_incidents(self) -> list[Incident]:
        """Return the incidents that last, oldest first."""

    def incidents(
        self, since: datetime, kinds: Iterable[Kind] | None = None
    ) -> list[Incident]:
        """Return the incidents that lasted into, or began after, an instant."""

    def untold(self, since: datetime) -> list[Incident]:
        """Return the incidents that nobody was told of, or of whose end.

        Those that began after an instant, oldest first; an event has no end to
        tell, and the end of what was never told is not told.
        """

    def told(self, ids: Iterable[int], at: datetime, *, recovery: bool = False) -> None:
        """Record that people were told of incidents, or of their ends."""

    def unfiled_events(self, since: datetime) -> list[tuple[int, AuditEvent]]:
        """Return (id, event) of alarming events that have no incident, oldest first."""

    def usage(self) -> Usage:
        """Return how many bytes are mirrored."""

    def sampled(self, sample: StorageSample) -> None:
        """Keep how full a store is."""

    def storage(self, since: datetime) -> list[StorageSample]:
        """Return the samples since an instant, oldest first."""

    def counters(self) -> dict[tuple[str, str], float]:
        """Return what was counted since the catalog was made: (name, label) → value.

        They only grow, and are kept when the rows they count are pruned.
        """

    def runs_between(self, since: datetime, until: datetime) -> list[SyncRun]:
        """Return the runs that ended in a span of time, oldest first."""

    def lag_between(self, since: datetime, until: datetime) -> list[LagSample]:
        """Return the changes published in a span of time, oldest first."""

    def events_between(
        self, since: datetime, until: datetime | None = None
    ) -> Iterable[AuditEvent]:
        """Return audit events in a span of time, oldest first."""

    def prune(self, history: datetime, audit: datetime) -> dict[str, int]:
        """Drop what is older: runs, samples and incidents; audit events.

        A mirror's last run, open runs and what an intent names stay, and runs that
        ref changes tell of.  Returns the rows dropped, by table.
        """
