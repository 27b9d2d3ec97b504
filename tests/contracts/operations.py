"""What everything that tells operators does, in memory or in a database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from syncer.errors import IntegrityError, Interrupted, Locked
from syncer.model.blobs import Blob, StoredBlob
from syncer.model.incidents import Incident, Kind
from syncer.model.lfs import LfsObject, LfsPointer, LfsState, LfsTally
from syncer.model.machines import Machine, Role
from syncer.model.origin import Allowance
from syncer.model.releases import ReleaseTally
from syncer.model.runs import AuditEvent, Outcome, ProbeResult, Stage, SyncRun, Trigger
from syncer.model.storage import StorageSample, Usage
from tests.contracts.catalog import (
    GIT,
    MINUTE,
    QWEN,
    RECEIPT,
    T0,
    ended,
    intent_of,
    opened,
    published,
)

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.mirrors import RepoState
    from syncer.ports import BlobIndex, Catalog, Operations

DAY = timedelta(days=1)
ALLOWANCE = Allowance("core", 5000, 4000, T0 + MINUTE, authorised=True)
NORTH = Machine(
    "north/worker",
    "1.2.3",
    (Role.SCHEDULER, Role.WORKER),
    T0 - DAY,
    T0,
    leader=True,
    running=3,
    waiting=2,
    oldest=T0 - MINUTE,
    capacity=8,
    tick=0.0625,
    allowances=(("github.com", ALLOWANCE),),
)
LATE = Incident(Kind.LATE, "git/git", T0, "2 h behind")
HAPPENED = Incident(Kind.FORCE_PUSH, "git/git", T0, "main", ended=T0)


@dataclass(frozen=True)
class Service:
    """What operators are told, and what they are told of."""

    operations: Operations
    catalog: Catalog
    blobs: BlobIndex

    @property
    def git(self) -> RepoState:
        """A mirror."""
        return self.catalog.state(GIT)

    @property
    def qwen(self) -> RepoState:
        """Another mirror."""
        return self.catalog.state(QWEN)

    def failed(self, started: datetime = T0, *, exit_code: int = 1) -> None:
        """Let a probe of git/git fail."""
        run = SyncRun(0, self.git.id, GIT, Trigger.SCHEDULE, started)
        run = replace(run, exit_code=exit_code)
        self.catalog.close_run(ended(run, Outcome.FAILED, "no route"))

    def ends(self) -> list[datetime | None]:
        """Return when the runs ended that are still known, oldest first."""
        found = self.operations.runs_between(T0 - 99 * DAY, T0 + 99 * DAY)
        return [run.ended for run in found]


class MachineContract:
    """The machines that work for a catalog."""

    def test_what_a_machine_last_said_counts(self, service: Service) -> None:
        """All of it is read back, by name."""
        south = Machine("south", "1.2.3", (), T0, T0)
        for told in (south, replace(NORTH, running=0, oldest=None), NORTH):
            service.operations.seen(told)

        assert service.operations.machines() == [NORTH, south]

    def test_one_that_ended_in_peace_is_forgotten(self, service: Service) -> None:
        """Nobody waits for it; another that was never seen is none."""
        service.operations.seen(NORTH)

        service.operations.forget_machine("south")
        assert service.operations.machines() == [NORTH]
        service.operations.forget_machine(NORTH.name)
        assert service.operations.machines() == []

    def test_the_latest_answer_of_an_api_counts(self, service: Service) -> None:
        """Of the window that ends last, what left least; each resource by itself."""
        core = ALLOWANCE
        less = replace(core, remaining=17)
        older = replace(core, remaining=3, reset=core.reset - MINUTE)
        graph = replace(core, resource="graphql")
        for number, each in enumerate((less, core, older, graph)):
            told = (("github.com", each),)
            service.operations.seen(replace(NORTH, name=f"m{number}", allowances=told))

        found = service.operations.allowances()

        assert found == [("github.com", less), ("github.com", graph)]


class IncidentContract:
    """What went wrong, and who was told."""

    def test_what_begins_gets_an_id_and_is_read_back(self, service: Service) -> None:
        """An open one lasts, and knows its mirror."""
        begun = replace(LATE, mirror_id=service.git.id)

        (stored,) = service.operations.begin([begun])

        assert stored.id > 0
        assert stored == replace(begun, id=stored.id)
        assert service.operations.open_incidents() == [stored]

    def test_a_mirror_that_is_purged_leaves_its_name(self, service: Service) -> None:
        """What is told of it afterwards has no mirror; what was is gone with it."""
        mirror_id = service.git.id
        service.operations.begin([replace(LATE, mirror_id=mirror_id)])
        service.catalog.reconcile([(QWEN, "normal")], T0)
        service.catalog.purge(GIT, AuditEvent(T0, "tester", "purge", "git/git"))
        assert service.operations.open_incidents() == []

        (stored,) = service.operations.begin([replace(LATE, mirror_id=mirror_id)])

        assert stored.mirror_id is None
        assert service.operations.open_incidents() == [stored]

    def test_what_is_known_does_not_begin_again(self, service: Service) -> None:
        """Neither the same, nor another while one of its kind and subject lasts."""
        later = replace(LATE, began=T0 + MINUTE)
        other = replace(LATE, kind=Kind.FAILING)
        (first,) = service.operations.begin([LATE, LATE])

        (second,) = service.operations.begin([LATE, later, other])
        assert second.kind is Kind.FAILING
        service.operations.end([first.id], T0 + MINUTE / 2)
        (third,) = service.operations.begin([LATE, later])

        assert third == replace(later, id=third.id)

    def test_an_event_is_filed_once(self, service: Service) -> None:
        """Whatever the incident that is made from it is called the second time."""
        event = AuditEvent(T0, "upstream", "licence", "git/git", "MIT", alarming=True)
        service.catalog.audit(replace(event, alarming=False))
        service.catalog.audit(replace(event, at=T0 - DAY))
        service.catalog.audit(event)
        ((id_, found),) = service.operations.unfiled_events(T0)
        filed = Incident(Kind.LICENCE, "git/git", T0, "MIT", ended=T0, event_id=id_)

        assert found == event
        assert len(service.operations.begin([filed])) == 1
        again = replace(filed, subject="git/GIT", began=T0 + MINUTE)
        assert service.operations.begin([again]) == []
        assert service.operations.unfiled_events(T0) == []

    def test_what_is_over_lasts_no_more(self, service: Service) -> None:
        """It ends once, and not before it began."""
        begun = [LATE, replace(LATE, kind=Kind.HELD)]
        one, other = service.operations.begin(begun)

        service.operations.end([one.id, 99_999], T0 + MINUTE)
        service.operations.end([one.id], T0 + DAY)
        service.operations.end([other.id], T0 - DAY)

        assert service.operations.open_incidents() == []
        found = {each.kind: each.ended for each in service.operations.incidents(T0)}
        assert found == {Kind.LATE: T0 + MINUTE, Kind.HELD: T0}

    def test_incidents_are_found_by_when_they_lasted(self, service: Service) -> None:
        """Also those that began before, and are over since or not yet."""
        over = replace(LATE, began=T0 - 2 * DAY, ended=T0 - DAY)
        long = replace(LATE, began=T0 - DAY, subject="mirrors")
        service.operations.begin([HAPPENED, over, long])

        def subjects(since: datetime, *kinds: Kind) -> list[str]:
            found = service.operations.incidents(since, kinds or None)
            return [f"{each.kind} {each.subject}" for each in found]

        assert subjects(T0) == ["late mirrors", "force-push git/git"]
        assert subjects(T0 + MINUTE) == ["late mirrors"]
        assert len(subjects(T0 - DAY)) == 3
        assert subjects(T0 - DAY, Kind.FORCE_PUSH) == ["force-push git/git"]
        assert service.operations.incidents(T0, []) == []

    def test_people_are_told_of_the_beginning_and_of_the_end(
        self, service: Service
    ) -> None:
        """Each once: an event has no end, and what nobody heard of has none to tell."""
        operations = service.operations
        lasting, event = operations.begin([LATE, HAPPENED])
        assert operations.untold(T0) == [lasting, event]
        assert operations.untold(T0 + MINUTE) == []

        operations.told([lasting.id, event.id], T0 + MINUTE)
        operations.told([lasting.id], T0 + DAY)
        assert operations.untold(T0) == []
        operations.end([lasting.id], T0 + 2 * MINUTE)
        (told,) = operations.untold(T0)
        assert (told.id, told.told) == (lasting.id, T0 + MINUTE)
        operations.told([lasting.id], T0 + DAY, recovery=True)

        assert operations.untold(T0) == []
        assert operations.incidents(T0)[0].recovery_told == T0 + DAY


class StorageContract:
    """How much is stored."""

    def test_nothing_takes_no_bytes(self, service: Service) -> None:
        """A new catalog has mirrors and no byte of them."""
        assert service.operations.usage() == Usage()

    def test_what_two_mirrors_need_lies_in_the_store_once(
        self, service: Service
    ) -> None:
        """Repositories count each; a blob that is lost lies nowhere."""
        blobs = [Blob(digit * 64, size) for digit, size in (("a", 100), ("b", 30))]
        service.blobs.stored(StoredBlob(each, T0, T0, "lfs") for each in blobs)
        for state in (service.git, service.qwen):
            pointers = [LfsPointer(*each) for each in blobs]
            here = [LfsObject(pointer, LfsState.PRESENT) for pointer in pointers]
            service.blobs.link(state.id, here)
            service.catalog.maintained(state.id, T0, 4000)
        assert service.operations.usage() == Usage(8000, 260, 0, 130)

        service.blobs.damaged(blobs[1].digest, T0, "lost")

        assert service.operations.usage() == Usage(8000, 200, 0, 100)
        assert service.operations.usage().shared == 100

    def test_what_leaves_the_store_is_not_counted(self, service: Service) -> None:
        """From the moment it is seized; what is brought anew counts once."""
        spare, kept = (Blob(digit * 64, 7) for digit in "ab")
        brought = [StoredBlob(each, T0, T0, "lfs") for each in (spare, kept)]
        service.blobs.stored(brought)
        service.blobs.stored(brought)
        assert service.operations.usage().blobs == 14
        service.blobs.claim(service.git.id, [kept.digest], T0)
        service.blobs.condemn(T0)
        assert service.operations.usage().blobs == 14

        service.blobs.seize(T0, T0, 9)
        assert service.operations.usage().blobs == 7
        service.blobs.removed([spare.digest])
        service.blobs.damaged(kept.digest, T0, "lost")
        assert service.operations.usage().blobs == 0
        service.blobs.verified([kept.digest], T0)

        assert service.operations.usage().blobs == 7

    def test_samples_are_kept(self, service: Service) -> None:
        """They come oldest first, however large the disk is."""
        usage = Usage(2**50, 2**41, 3, 2**42)
        first = StorageSample(T0, "north", 2**60, 2**61, usage)
        second = replace(first, at=T0 + MINUTE, free=0)
        for sample in (second, first, replace(first, at=T0 - DAY)):
            service.operations.sampled(sample)

        assert service.operations.storage(T0) == [first, second]


class CounterContract:
    """What was counted since the catalog was made."""

    def test_nothing_is_counted_at_first(self, service: Service) -> None:
        """A counter that is not there is none."""
        assert service.operations.counters() == {}

    def test_a_publication_is_counted(self, service: Service) -> None:
        """Its outcome, bytes, time, lag and force pushes."""
        run = replace(
            opened(service.catalog, service.git),
            counts={"moved": 5, "rewound": 2},
            received=1000,
            lfs=LfsTally(received=200),
            releases=ReleaseTally(received=30),
            stage=Stage.PROMOTE,
        )
        intent = intent_of(run)
        service.catalog.intend(intent)

        for _ in range(2):  # Once, however often it is asked to.
            service.catalog.finish(intent, RECEIPT, ended(run, Outcome.CHANGED))

        found = service.operations.counters()
        assert found["syncs", "changed"] == 1
        assert found["probes", "changed"] == 1
        assert found["force_pushes", ""] == 2
        brought = [found["bytes", kind] for kind in ("git", "lfs", "assets")]
        assert brought == [1000, 200, 30]
        assert found["sync_seconds_sum", ""] == 120
        assert found["lag_seconds_sum", "refs"] == 120
        assert ("mismatches", "run") not in found

    def test_buckets_have_those_below_them_too(self, service: Service) -> None:
        """As Prometheus wants them; the last one has all."""
        published(service.catalog, service.git)
        state = service.qwen
        run = opened(service.catalog, state)
        week = replace(run, ended=T0 + 7 * DAY, outcome=Outcome.UNCHANGED)
        service.catalog.close_run(week)

        found = service.operations.counters()
        bounds = ("1", "5", "15", "60", "300", "900", "3600", "21600", "+Inf")
        syncs = [found["sync_seconds_bucket", bound] for bound in bounds]
        assert syncs == [0, 0, 0, 0, 1, 1, 1, 1, 2]
        assert found["sync_seconds_count", ""] == 2
        lags = [found["lag_seconds_bucket", f"refs/{bound}"] for bound in bounds]
        assert lags == [0, 0, 0, 0, 1, 1, 1, 1, 1]
        assert found["lag_seconds_count", "refs"] == 1

    def test_probes_are_counted(self, service: Service) -> None:
        """Those that found nothing new, and those that failed."""
        for at in (T0, T0 + MINUTE):
            results = [ProbeResult(s.id, at) for s in service.catalog.states()]
            service.catalog.flush_probes(results)
        service.failed()

        found = service.operations.counters()
        assert (found["probes", "unchanged"], found["probes", "failed"]) == (4, 1)
        assert found["syncs", "failed"] == 1

    def test_what_was_cut_short_is_no_failure(self, service: Service) -> None:
        """Neither is who met another at work; wrong bytes are more than one."""
        for each in (Interrupted, Locked, IntegrityError):
            service.failed(exit_code=each.exit_code)

        found = service.operations.counters()
        words = {label: n for (name, label), n in found.items() if name == "syncs"}
        assert words == {"interrupted": 1, "locked": 1, "failed": 1}
        assert found["mismatches", "run"] == 1

    def test_dead_runs_are_failures_of_unknown_length(self, service: Service) -> None:
        """They count once, when they are found."""
        run = opened(service.catalog, service.git)
        other = opened(service.catalog, service.qwen)
        intent = intent_of(other)
        service.catalog.intend(intent)

        for _ in range(2):
            service.catalog.abandon_runs(run.mirror_id, T0 + DAY, "died")
            service.catalog.forget(intent, T0 + DAY, "died")

        assert service.operations.counters() == {("syncs", "failed"): 2}

    def test_a_blob_that_is_lost_counts_once(self, service: Service) -> None:
        """However often it is missed; one that was healed may be lost again."""
        blob = Blob("a" * 64, 7)
        service.blobs.stored([StoredBlob(blob, T0, T0, "lfs")])
        for _ in range(2):
            service.blobs.damaged(blob.digest, T0, "lost")
        assert service.operations.counters()["mismatches", "blob"] == 1

        service.blobs.verified([blob.digest], T0)
        service.blobs.damaged(blob.digest, T0, "lost")

        assert service.operations.counters()["mismatches", "blob"] == 2

    def test_counters_outlive_what_they_count(self, service: Service) -> None:
        """What is pruned was counted."""
        for minute in range(3):
            service.failed(T0 + minute * MINUTE)
        before = service.operations.counters()

        service.operations.prune(T0 + DAY, T0 + DAY)

        assert service.operations.counters() == before
        assert before["syncs", "failed"] == 3


class SpanContract:
    """The past, between two instants."""

    def test_runs_are_found_by_when_they_ended(self, service: Service) -> None:
        """A span has its start and not its end; what still runs has not ended."""
        for minute in range(4):
            service.failed(T0 + minute * MINUTE)
        opened(service.catalog, service.git)

        found = service.operations.runs_between(T0 + 3 * MINUTE, T0 + 5 * MINUTE)

        assert [run.ended for run in found] == [T0 + 3 * MINUTE, T0 + 4 * MINUTE]
        assert found[0].error == "no route"
        assert found[0].name == GIT

    def test_the_latest_runs_of_a_kind_are_found(self, service: Service) -> None:
        """Those that ended so, or lately; what is going on is the latest."""
        for minute in range(3):
            service.failed(T0 + minute * MINUTE)
        service.catalog.close_run(
            ended(opened(service.catalog, service.qwen), Outcome.UNCHANGED)
        )
        opened(service.catalog, service.git)

        def found(limit: int = 9, **wanted: Any) -> list[Outcome | None]:  # noqa: ANN401 - arguments of a port
            return [r.outcome for r in service.catalog.runs(None, limit, **wanted)]

        failed, unchanged = Outcome.FAILED, Outcome.UNCHANGED
        assert found() == [None, unchanged, failed, failed, failed]
        assert found(2, outcome=failed) == [failed, failed]
        assert found(since=T0 + 3 * MINUTE) == [None, failed, failed]
        assert found(since=T0 + 3 * MINUTE, outcome=unchanged) == []
        (run,) = service.catalog.runs(QWEN, 9, since=T0)
        assert run.outcome is unchanged

    def test_lag_is_found_by_when_it_ended(self, service: Service) -> None:
        """Likewise."""
        for minute in range(3):
            published(service.catalog, service.git, T0 + minute * MINUTE)

        found = service.operations.lag_between(T0 + 3 * MINUTE, T0 + 4 * MINUTE)

        assert [each.published for each in found] == [T0 + 3 * MINUTE]

    def test_events_come_oldest_first(self, service: Service) -> None:
        """By their instants, however late they were recorded."""
        events = [
            AuditEvent(T0 + minute * MINUTE, "tester", str(minute), "git/git")
            for minute in (1, 0, 2, 2, 3)
        ]
        for each in events:
            service.catalog.audit(each)

        def actions(since: datetime, until: datetime | None = None) -> str:
            found = service.operations.events_between(since, until)
            return "".join(each.action for each in found)

        assert actions(T0) == "01223"
        assert actions(T0 + MINUTE, T0 + 3 * MINUTE) == "122"
        assert actions(T0 + DAY) == ""


class PruningContract:
    """What is old goes, but for what somebody may still ask for."""

    def test_old_runs_go_but_the_last_of_each_mirror(self, service: Service) -> None:
        """It says how the mirror stands."""
        for minute in range(5):
            service.failed(T0 + minute * MINUTE)

        dropped = service.operations.prune(T0 + 3 * MINUTE, T0)
        assert dropped["run"] == 1
        assert service.operations.prune(T0 + DAY, T0)["run"] == 3

        assert service.ends() == [T0 + 6 * MINUTE]

    def test_what_something_names_stays(self, service: Service) -> None:
        """Runs that ref changes or an intent tell of, and those that have not ended."""
        published(service.catalog, service.git)
        planned = opened(service.catalog, service.git, T0 + MINUTE)
        service.catalog.intend(intent_of(planned))
        service.failed(T0 + 2 * MINUTE)
        service.failed(T0 + 3 * MINUTE)

        dropped = service.operations.prune(T0 + DAY, T0 + DAY)

        assert dropped["run"] == 1
        assert service.ends() == [T0 + 2 * MINUTE, T0 + 5 * MINUTE]
        assert service.catalog.intent(planned.mirror_id) == intent_of(planned)
        assert len(service.catalog.ref_changes(GIT, 9)) == 3

    def test_samples_and_incidents_go_with_the_runs(self, service: Service) -> None:
        """Not one that lasts, however long."""
        published(service.catalog, service.git)
        sample = StorageSample(T0, "north", 1, 2, Usage())
        service.operations.sampled(sample)
        service.operations.sampled(replace(sample, at=T0 + DAY))
        (lasting, _) = service.operations.begin([LATE, HAPPENED])

        dropped = service.operations.prune(T0 + DAY, T0)

        assert dropped == {
            "audit_event": 0,
            "run": 0,
            "lag_sample": 1,
            "storage_sample": 1,
            "incident": 1,
        }
        assert service.operations.incidents(T0 - DAY) == [lasting]
        assert service.operations.lag_between(T0, T0 + DAY) == []
        assert len(service.operations.storage(T0)) == 1

    def test_events_have_an_age_of_their_own(self, service: Service) -> None:
        """One with an incident goes too; before it does, the incident stays."""
        for minute in range(2):
            at = T0 + minute * MINUTE
            service.catalog.audit(
                AuditEvent(at, "upstream", "gone", "x", alarming=True)
            )
        for id_, event in service.operations.unfiled_events(T0):
            filed = Incident(Kind.UPSTREAM, "x", event.at, "", event_id=id_)
            service.operations.begin([replace(filed, ended=event.at)])

        dropped = service.operations.prune(T0 + DAY, T0 + MINUTE)

        assert (dropped["audit_event"], dropped["incident"]) == (1, 1)
        (left,) = service.operations.incidents(T0)
        assert left.began == T0 + MINUTE
        assert service.operations.unfiled_events(T0) == []
        assert len(list(service.operations.events_between(T0))) == 1


class OperationsContract(
    MachineContract,
    IncidentContract,
    StorageContract,
    CounterContract,
    SpanContract,
    PruningContract,
):
    """All that every `Operations` does."""
