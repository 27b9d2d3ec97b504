"""How the service is: its machines, what waits, what APIs have left, incidents."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from syncer.cli.render import stamp, styled
from syncer.model.machines import Role, latest_allowances
from syncer.units import duration, plural

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from syncer.cli.records import Records
    from syncer.model.incidents import Incident
    from syncer.model.machines import Machine
    from syncer.model.origin import Allowance
    from syncer.model.storage import StorageSample

#: A machine that has not told of itself for so long is not at work.
SILENT = timedelta(seconds=60)


@dataclass(frozen=True)
class Service:
    """What the machines last told, read at once."""

    machines: list[Machine]
    incidents: list[Incident]
    storage: list[StorageSample] = field(default_factory=list)

    @classmethod
    def of(cls, records: Records) -> Service:
        """Read it from the catalog."""
        from syncer.reports.growth import WINDOW

        operations = records.operations()
        return cls(
            operations.machines(),
            operations.open_incidents(),
            operations.storage(records.now - WINDOW),
        )

    def here(self, name: str, now: datetime) -> Machine | None:
        """Return the machine of this name, if it is at work."""
        found = (each for each in self.live(now) if each.name == name)
        return next(found, None)

    def live(self, now: datetime) -> list[Machine]:
        """Return the machines that are at work."""
        return [each for each in self.machines if now - each.seen <= SILENT]

    def silent(self, now: datetime) -> list[Machine]:
        """Return those that are not, and did not say goodbye."""
        return [each for each in self.machines if now - each.seen > SILENT]

    def samples(self, machine: str) -> list[StorageSample]:
        """Return how full a machine's store was, lately."""
        return [each for each in self.storage if each.machine == machine]

    def left(self, now: datetime) -> Iterator[tuple[str, str]]:
        """Yield for each host what its API last said is left, if that still holds."""
        for host, each in latest_allowances(self.machines):
            if each.resource == "core" and each.reset > now:
                yield host, _left(each, now)


def _left(each: Allowance, now: datetime) -> str:
    anew = duration(each.reset - now)
    return f"{each.remaining:,} of {each.limit:,} left, anew in {anew}"


def lines(told: Service, now: datetime) -> list[str]:
    """Return what machines do; nothing when none ever told."""
    live = told.live(now)
    found = []
    decides = any(Role.SCHEDULER in each.roles for each in live)
    if len(told.machines) > 1 or (live and not decides):
        workers = [each for each in live if Role.WORKER in each.roles]
        slots = sum(each.capacity for each in workers)
        leader = next((each.name for each in live if each.leader), None)
        said = f"{plural(len(workers), 'worker')} with {plural(slots, 'slot')}"
        elected = f"scheduler {leader}" if leader else "no scheduler"
        met = styled("OK" if leader else "FAIL")
        found.append(f"  {'machines':<10}{said}, {elected}   {met}")
        found += [
            f"  {'':<10}{each.name} was last heard of {duration(now - each.seen)} ago"
            for each in told.silent(now)
        ]
    if live:
        running = sum(each.running for each in live)
        waiting = sum(each.waiting for each in live)
        since = [each.oldest for each in live if each.oldest is not None]
        oldest = f", the first for {duration(now - min(since))}" if since else ""
        found.append(f"  {'queue':<10}{running} running, {waiting} waiting{oldest}")
    return found


def document(told: Service, now: datetime) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "machines": [
            {
                "name": each.name,
                "version": each.version,
                "roles": [role.value for role in each.roles],
                "started": stamp(each.started),
                "seen": stamp(each.seen),
                "at_work": now - each.seen <= SILENT,
                "leader": each.leader,
                "running": each.running,
                "waiting": each.waiting,
                "oldest": stamp(each.oldest),
                "capacity": each.capacity,
                "tick_seconds": each.tick,
            }
            for each in told.machines
        ],
        "allowances": [
            {
                "host": host,
                "resource": each.resource,
                "limit": each.limit,
                "remaining": each.remaining,
                "reset": stamp(each.reset),
            }
            for host, each in latest_allowances(told.machines)
        ],
        "incidents": [
            {
                "kind": each.kind.value,
                "subject": each.subject,
                "began": stamp(each.began),
                "detail": each.detail,
            }
            for each in told.incidents
        ],
    }
