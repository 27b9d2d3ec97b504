"""What one run asks of its source: batch after batch, patiently."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from syncer.errors import (
    OverQuota,
    ProtocolError,
    RateLimited,
    TransientError,
    Truncated,
    Unavailable,
)
from syncer.model.lfs import Grant
from syncer.sync.transfer.endings import missing, over_quota
from syncer.sync.transfer.patience import Attempts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from syncer.model.lfs import BatchReply, LfsPointer
    from syncer.ports import Clock
    from syncer.sync.transfer.crew import Crew
    from syncer.sync.transfer.endings import Ending
    from syncer.sync.transfer.job import TransferJob
    from syncer.sync.transfer.plan import Plan

    class Listener(Protocol):
        """Who hears what came of each object that was asked for."""

        def granted(self, grant: Grant) -> None: ...

        def ended(self, ending: Ending) -> None: ...

        def failed(self, error: BaseException) -> None: ...


class Inquiry:
    """Asks for what is planned; one batch is open at a time."""

    def __init__(
        self,
        clock: Clock,
        job: TransferJob,
        plan: Plan,
        crew: Crew,
        listener: Listener,
    ) -> None:
        self._clock = clock
        self._job = job
        self._plan = plan
        self._crew = crew
        self._listener = listener
        self._is_open = False
        self._attempts: Attempts | None = None
        self._next = 0.0  # on the monotonic clock
        self._ended = False

    @property
    def wait(self) -> float:
        """Seconds until the server may be asked again."""
        return max(self._next - self._clock.monotonic(), 0.0)

    def ask(self) -> None:
        """Ask for the next batch, unless one is open or the server needs a rest."""
        if self._is_open or not self._plan or self.wait > 0:
            return
        batch = self._plan.batch()
        self._is_open = True
        self._crew.ask(
            partial(self._job.source.batch, batch),
            partial(self._answered, batch),
            partial(self._not_answered, batch),
        )

    def end(self) -> None:
        """Ask for nothing more; an answer that is still to come is not heard."""
        self._ended = True
        self._plan.rest()

    def _answered(self, batch: Sequence[LfsPointer], reply: BatchReply) -> None:
        self._is_open, self._attempts = False, None
        if self._ended:
            return
        unanswered = dict.fromkeys(batch)
        for answer in reply:
            if answer.pointer not in unanswered:
                continue
            del unanswered[answer.pointer]
            if isinstance(answer, Grant):
                self._listener.granted(answer)
            else:
                reason, code = answer.reason, answer.code
                self._listener.ended(missing(answer.pointer, reason, code))
        if unanswered:
            noun = self._job.book.noun
            msg = f"{self._job.name} did not answer for {len(unanswered)} {noun}s"
            self._give_up(ProtocolError(msg))

    def _not_answered(self, batch: Sequence[LfsPointer], error: BaseException) -> None:
        self._is_open = False
        if self._ended:
            return
        if isinstance(error, OverQuota):
            for pointer in [*batch, *self._plan.rest()]:
                self._listener.ended(over_quota(pointer, str(error)))
            return
        if not isinstance(error, (RateLimited, Truncated, Unavailable)):
            self._give_up(error)
            return
        now = self._clock.monotonic()
        self._attempts = self._attempts or Attempts(str(self._job.name), 0, now)
        try:
            self._next = now + self._attempts.after(error, 0, now)
        except TransientError:
            self._give_up(error)
        else:
            self._plan.put_back(batch)

    def _give_up(self, error: BaseException) -> None:
        """Let what was granted come to its end, and ask for no more."""
        self._plan.rest()
        self._listener.failed(error)
