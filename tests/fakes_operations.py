"""What operators are told, in memory; it passes the contract of the real one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from syncer.catalog import counting
from syncer.model.machines import latest_allowances
from syncer.model.storage import Usage
from tests.fakes_catalog import FakeCatalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from syncer.model.incidents import Incident, Kind
    from syncer.model.machines import Machine
    from syncer.model.origin import Allowance
    from syncer.model.runs import AuditEvent, LagSample, SyncRun
    from syncer.model.storage import StorageSample


class FakeOperations:
    """`ports.Operations` without a database.

    What happened is the catalog's, as in the real one.
    """

    def __init__(self, catalog: FakeCatalog | None = None) -> None:
        self.catalog = FakeCatalog() if catalog is None else catalog
        self._machines: dict[str, Machine] = {}
        self._incidents: dict[int, Incident] = {}
        self._storage: list[StorageSample] = []
        self._ids = count(1)

    def seen(self, machine: Machine) -> None:
        self._machines[machine.name] = machine

    def machines(self) -> list[Machine]:
        return [self._machines[name] for name in sorted(self._machines)]

    def forget_machine(self, name: str) -> None:
        self._machines.pop(name, None)

    def allowances(self) -> list[tuple[str, Allowance]]:
        return latest_allowances(self.machines())

    def begin(self, incidents: Iterable[Incident]) -> list[Incident]:
        with self.catalog.lock:
            return [self._store(each) for each in incidents if not self._knows(each)]

    def _knows(self, each: Incident) -> bool:
        return any(
            (
                (known.kind, known.subject) == (each.kind, each.subject)
                and (known.began == each.began or (known.is_open and each.is_open))
            )
            or (each.event_id is not None and known.event_id == each.event_id)
            for known in self._ordered()
        )

    def _store(self, each: Incident) -> Incident:
        if each.mirror_id not in self.catalog.by_id():
            each = replace(each, mirror_id=None)
        new = replace(each, id=next(self._ids))
        self._incidents[new.id] = new
        return new

    def end(self, ids: Iterable[int], at: datetime) -> None:
        with self.catalog.lock:
            for each in self._known(ids):
                if each.is_open:
                    self._incidents[each.id] = replace(each, ended=max(at, each.began))

    def _known(self, ids: Iterable[int]) -> list[Incident]:
        return [self._incidents[id_] for id_ in ids if id_ in self._incidents]

    def open_incidents(self) -> list[Incident]:
        return [each for each in self._ordered() if each.is_open]

    def _ordered(self) -> list[Incident]:
        present = self.catalog.by_id()
        return sorted(
            (
                each
                for each in self._incidents.values()
                if each.mirror_id is None or each.mirror_id in present
            ),
            key=lambda each: (each.began, each.id),
        )

    def incidents(
        self, since: datetime, kinds: Iterable[Kind] | None = None
    ) -> list[Incident]:
        wanted = None if kinds is None else set(kinds)
        return [
            each
            for each in self._ordered()
            if (each.ended is None or each.ended >= since)
            and (wanted is None or each.kind in wanted)
        ]

    def untold(self, since: datetime) -> list[Incident]:
        return [
            each
            for each in self._ordered()
            if each.began >= since and (each.told is None or _has_end_to_tell(each))
        ]

    def told(self, ids: Iterable[int], at: datetime, *, recovery: bool = False) -> None:
        with self.catalog.lock:
            for each in self._known(ids):
                if recovery:
                    at_first = each.recovery_told or at
                    self._incidents[each.id] = replace(each, recovery_told=at_first)
                else:
                    self._incidents[each.id] = replace(each, told=each.told or at)

    def unfiled_events(self, since: datetime) -> list[tuple[int, AuditEvent]]:
        filed = {each.event_id for each in self._incidents.values()}
        found = self.catalog.past.events.items()
        return sorted(
            (
                (id_, each)
                for id_, each in found
                if each.alarming and each.at >= since and id_ not in filed
            ),
            key=_age,
        )

    def usage(self) -> Usage:
        states = self.catalog.by_id().values()
        shelf = self.catalog.shelf
        stored = [
            each.blob.size
            for digest, each in shelf.blobs.items()
            if shelf.reliable(digest)
        ]
        return Usage(
            git=sum(state.size for state in states),
            lfs=sum(state.lfs.size for state in states),
            assets=sum(state.releases.counts.size for state in states),
            blobs=sum(stored),
        )

    def sampled(self, sample: StorageSample) -> None:
        self._storage.append(sample)

    def storage(self, since: datetime) -> list[StorageSample]:
        found = [each for each in self._storage if each.at >= since]
        return sorted(found, key=lambda each: each.at)

    def counters(self) -> dict[tuple[str, str], float]:
        return counting.cumulated(self.catalog.past.counters)

    def runs_between(self, since: datetime, until: datetime) -> list[SyncRun]:
        states = self.catalog.by_id()
        ended = [
            (run.ended, run.id, replace(run, name=states[run.mirror_id].name))
            for run in self.catalog.past.runs.values()
            if run.ended is not None and since <= run.ended < until
        ]
        return [run for _, _, run in sorted(ended, key=lambda each: each[:2])]

    def lag_between(self, since: datetime, until: datetime) -> list[LagSample]:
        found = self.catalog.lag_samples(since)
        return [each for each in found if each.published < until]

    def events_between(
        self, since: datetime, until: datetime | None = None
    ) -> Iterator[AuditEvent]:
        for _, each in sorted(self.catalog.past.events.items(), key=_age):
            if each.at >= since and (until is None or each.at < until):
                yield each

    def prune(self, history: datetime, audit: datetime) -> dict[str, int]:
        with self.catalog.lock:
            before = self._sizes()
            past = self.catalog.past
            past.events = {k: e for k, e in past.events.items() if e.at >= audit}
            self._incidents = {
                id_: replace(each, event_id=None)
                if each.event_id not in past.events
                else each
                for id_, each in self._incidents.items()
            }
            past.runs = {
                id_: run
                for id_, run in past.runs.items()
                if run.ended is None or run.ended >= history or self._keeps(run)
            }
            past.samples = [s for s in past.samples if s.published >= history]
            self._storage = [each for each in self._storage if each.at >= history]
            self._incidents = {
                id_: each
                for id_, each in self._incidents.items()
                if each.is_open or each.began >= history or each.event_id is not None
            }
            after = self._sizes()
            return dict(before - after) | {
                k: 0 for k in before if before[k] == after[k]
            }

    def _keeps(self, run: SyncRun) -> bool:
        past = self.catalog.past
        of_mirror = [r.id for r in past.runs.values() if r.mirror_id == run.mirror_id]
        named = past.telling | {intent.run_id for intent in past.intents.values()}
        return run.id in {max(of_mirror), *named}

    def _sizes(self) -> Counter[str]:
        past = self.catalog.past
        return Counter(
            {
                "run": len(past.runs),
                "lag_sample": len(past.samples),
                "storage_sample": len(self._storage),
                "incident": len(self._incidents),
                "audit_event": len(past.events),
            }
        )


def _has_end_to_tell(each: Incident) -> bool:
    return not (each.is_open or each.is_event) and each.recovery_told is None


def _age(item: tuple[int, AuditEvent]) -> tuple[datetime, int]:
    return item[1].at, item[0]
