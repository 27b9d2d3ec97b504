"""One run's transfer: what is asked for, under way, and how each object ends.

The calling thread decides and writes; the threads of `Lanes` talk to upstream and
to the store, and hand back what follows as calls for the calling thread.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from syncer.errors import IntegrityError, Interrupted
from syncer.model.blobs import NEVER
from syncer.model.lfs import BATCH
from syncer.sync.transfer.claims import Claims
from syncer.sync.transfer.courier import Courier, Item
from syncer.sync.transfer.crew import Crew
from syncer.sync.transfer.deposit import StoreFault, of_store
from syncer.sync.transfer.endings import Ending, Proof, linked, of_known
from syncer.sync.transfer.failures import Failures
from syncer.sync.transfer.inhand import Waiter
from syncer.sync.transfer.inquiry import Inquiry
from syncer.sync.transfer.job import TransferResult
from syncer.sync.transfer.ledger import Ledger
from syncer.sync.transfer.meter import INTERVAL, Meter
from syncer.sync.transfer.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.model.blobs import StoredBlob
    from syncer.model.lfs import Grant
    from syncer.ports import ProgressSink
    from syncer.sync.transfer.job import TransferJob
    from syncer.sync.transfer.means import Means

log = logging.getLogger(__name__)

#: So many unknown objects are asked for one by one, not by a survey of the store.
_HANDFUL = 8
#: Waits, in seconds and their number, for threads to see that a run has ended.
_LEAVE_TICK = 0.1
_LEAVE_TICKS = 18


class Passage:
    """The transfer of one run; used once."""

    def __init__(
        self, means: Means, job: TransferJob, on_progress: ProgressSink | None
    ) -> None:
        self._means = means
        self._job = job
        self._plan = Plan(job.wanted)
        self._ledger = Ledger(means.index, means.clock, job)
        self._meter = Meter(on_progress, means.clock, job.book, self._plan.objects)
        self._failures = Failures(job)
        self._claims = Claims(means, job, self._check)
        self._courier = Courier(job, means, self._claims, self._check)
        self._known: dict[str, StoredBlob] = {}
        self._survey: frozenset[str] | None = None
        #: What other runs have brought since.
        self._arrivals: set[str] = set()
        self._crew = Crew(means.lanes, means.in_hand, job.name.host)
        self._inquiry = Inquiry(means.clock, job, self._plan, self._crew, self)
        self._under_way: dict[str, Item] = {}
        #: The store is being asked what it has; nothing begins before it answers.
        self._surveying = False
        #: Nothing more begins; what is under way comes to its end.
        self._halted = False
        #: What is under way ends between two blocks.
        self._cancelled = False

    def run(self) -> TransferResult:
        """Bring everything, as `Transfers.run` says."""
        if not self._plan:
            return self._result()
        named = [p.oid for p in self._plan.objects if p.oid not in self._job.unnamed]
        with self._means.in_hand.heard() as self._arrivals:
            try:
                if named:
                    self._prepare(named)
                while self._crew or self._plan:
                    self._step()
                self._ledger.write()
            except BaseException:
                self._abandon()
                raise
        self._meter.tell((), last=True)
        self._failures.raise_worst()
        return self._result()

    def _prepare(self, oids: Sequence[str]) -> None:
        """Rely on blobs, and only then find out which of them are here."""
        try:
            self._claims.make(oids)
        except StoreFault as exc:
            raise exc.error from exc
        self._known = self._means.index.find(oids)
        self._look_around(oids)

    def _result(self) -> TransferResult:
        ledger, failures, untried = self._ledger, self._failures, frozenset[str]()
        if self._job.lenient:
            ended = ledger.arrived.keys() | {d.pointer.oid for d in ledger.missing}
            oids = (pointer.oid for pointer in self._plan.objects)
            untried = failures.leave_rest(oid for oid in oids if oid not in ended)
        return TransferResult(
            ledger.tally,
            ledger.missing,
            ledger.arrived,
            failures.left,
            untried,
            ledger.over_quota,
        )

    def _look_around(self, oids: Sequence[str]) -> None:
        """Ask the store what it has, where one request may spare many."""

        def survey() -> frozenset[str] | None:
            with of_store():
                return self._means.blobs.survey()

        def seen(digests: frozenset[str] | None) -> None:
            self._surveying, self._survey = False, digests

        if len(oids) - len(self._known) > _HANDFUL:
            self._surveying = True
            self._crew.ask(survey, seen, self.failed)

    def _step(self) -> None:
        means = self._means
        if means.stop.is_set():
            self._abandon()
            self._ledger.write()
            self._check()
        if self._halted:
            self._halt()
        # Grants expire: they are not gathered far ahead of the downloads.
        if not self._surveying and len(self._under_way) <= BATCH:
            self._inquiry.ask()
        if self._crew:
            self._crew.take(INTERVAL)
        else:
            means.stop.wait(min(self._inquiry.wait, INTERVAL))
        self._ledger.write_due()
        self._meter.tell(self._under_way.values())

    def granted(self, grant: Grant) -> None:
        """Link an object, or have it brought."""
        pointer = grant.pointer
        if pointer.oid in self._job.unnamed:
            self._begin(Item(grant, unnamed=True))
            return
        known = self._known.get(pointer.oid)
        bad = known is not None and known.damaged is not None
        if known is not None and not bad and known.verified > NEVER:
            self.ended(of_known(pointer, known))
            return
        # What nobody has read yet, we only believe to be there: the store knows.
        survey = self._survey
        look = known is not None or survey is None or pointer.oid in survey
        self._begin(Item(grant, replace=bad, look=look))

    def _begin(self, item: Item) -> None:
        self._under_way[item.pointer.oid] = item
        self._crew.add(partial(self._bring, item))

    def _bring(self, item: Item) -> None:
        """Bring an object, or leave that to the run that does; in a thread."""
        key, in_hand = item.key, self._means.in_hand
        outcome: Ending | BaseException
        try:
            self._check(begins=True)
            if not in_hand.take(key, Waiter(self._crew, partial(self._follow, item))):
                return
        except BaseException as exc:  # noqa: BLE001 - the calling thread raises it
            self._note(exc)
            outcome = exc
        else:
            try:
                if item.digest in self._arrivals:
                    item.look, item.replace = True, False
                outcome = self._courier.bring(item)
            except BaseException as exc:  # noqa: BLE001 - the calling thread raises it
                outcome = exc
            self._note(outcome)
            other = outcome if isinstance(outcome, Ending) and outcome.proof else None
            arrived = None if other is None else other.blob.digest
            for waiter in in_hand.leave(key, arrived):
                waiter.go(other)
        self._crew.hand_back(partial(self._brought, item, outcome))

    def _follow(self, item: Item, other: Ending | None) -> None:
        """Go on with an object that another run had in hand; in its thread."""
        if other is not None and _serves(other, item):
            if not item.unnamed:
                ending = linked(item.pointer, other.proof or Proof.SEEN)
                self._crew.hand_back(partial(self._brought, item, ending))
                return
            # Not ours to rely on before it is claimed for this mirror, too.
            item.told = other.blob.digest
        item.look = True
        try:
            self._crew.resume(partial(self._bring, item))
        except Interrupted as exc:
            self._note(exc)
            self._crew.hand_back(partial(self._brought, item, exc))

    def _note(self, outcome: Ending | BaseException) -> None:
        """See at once whether that is the end, before other threads go on."""
        if isinstance(outcome, Ending):
            if outcome.proof is not Proof.SEEN:
                self._failures.answered()
        elif isinstance(outcome, IntegrityError):
            self._failures.answered()
        elif not (self._halted and isinstance(outcome, Interrupted)):
            self._halted = self._failures.note(outcome) or self._halted

    def _brought(self, item: Item, outcome: Ending | BaseException) -> None:
        pointer = item.pointer
        self._under_way.pop(pointer.oid, None)
        self._ledger.received += item.received
        self._meter.receive(item.received)
        if isinstance(outcome, Ending):
            self.ended(outcome)
        elif not isinstance(outcome, IntegrityError):
            self._failures.leave(pointer.oid, outcome)
        elif not self._plan.retry(pointer):
            self._failures.poison(pointer.oid, outcome)

    def ended(self, ending: Ending) -> None:
        """Note how an object ended."""
        pointer = ending.delivered.pointer
        if ending.proof is None and self._plan.retry(pointer):
            return
        self._ledger.add(ending)
        self._meter.end(pointer)

    def failed(self, error: BaseException) -> None:
        """Note an error of a batch or a survey, and whether that is the end."""
        if self._failures.note_all(error):
            self._halt()

    def _check(self, *, begins: bool = False) -> None:
        ends = self._cancelled or (begins and self._halted)
        if ends or self._means.stop.is_set():
            msg = "stopped on request; nothing was published"
            raise Interrupted(msg)

    def _halt(self) -> None:
        """Begin nothing more."""
        self._halted = True
        self._inquiry.end()
        self._crew.drop()

    def _abandon(self) -> None:
        """End what is under way, for a caller that cannot wait for it."""
        if self._cancelled:
            return
        self._cancelled = True
        self._halt()
        for _ in range(_LEAVE_TICKS):
            if not self._crew:
                return
            self._crew.take(_LEAVE_TICK)
            self._crew.drop()
        # They end by themselves, and what they leave is found by the next run.
        extra = {"repo": str(self._job.name), "tasks": len(self._crew)}
        log.warning("transfers still wait for a server", extra=extra)


def _serves(other: Ending, item: Item) -> bool:
    """Return whether what another run brought is what `item` wants."""
    hashed = other.proof is Proof.HASHED
    seen = other.proof is Proof.SEEN and not item.replace
    return other.delivered.pointer == item.pointer and (hashed or seen)
