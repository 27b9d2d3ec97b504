"""The blobs that one run relies on: none of them is removed before it has ended."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from syncer.errors import Unavailable
from syncer.sync.transfer.deposit import of_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from syncer.sync.transfer.job import TransferJob
    from syncer.sync.transfer.means import Means

#: Seconds between two looks at blobs that are being removed, and to the last.
_TICK = 0.2
_PATIENCE = 30.0


@dataclass(slots=True, eq=False)
class _Asked:
    """What one thread claims, and the answer: which of it is being removed."""

    digests: frozenset[str]
    leaving: frozenset[str] | None = None


class Claims:
    """Claims blobs for a run.  Usable from many threads.

    Claims that come while a transaction is under way share the next one: alone,
    each would wait for the disk.
    """

    def __init__(
        self, means: Means, job: TransferJob, check: Callable[[], None]
    ) -> None:
        """Begin; `check` raises when it is of no use to wait any longer."""
        self._means = means
        self._job = job
        self._check = check
        self._asked: deque[_Asked] = deque()
        self._turn = Lock()

    def make(self, digests: Iterable[str]) -> None:
        """Rely on blobs from here on; wait for those that are being removed.

        Raises:
            Unavailable: their removal does not end.
            StoreFault: the index failed.
        """
        clock = self._means.clock
        deadline = clock.monotonic() + _PATIENCE
        leaving = self._claim(digests)
        while leaving:
            if clock.monotonic() >= deadline:
                msg = (
                    f"{len(leaving)} {self._job.book.noun}s of {self._job.name} are "
                    "being removed by `gc`; nothing was published"
                )
                raise Unavailable(msg, hint="the next run takes them")
            self._means.stop.wait(_TICK)
            self._check()
            leaving = self._claim(leaving)

    def _claim(self, digests: Iterable[str]) -> frozenset[str]:
        """Claim blobs; return those that are being removed."""
        mine = _Asked(frozenset(digests))
        self._asked.append(mine)
        with self._turn:
            if mine.leaving is None:
                self._claim_all(mine)
        return mine.leaving or frozenset()

    def _claim_all(self, mine: _Asked) -> None:
        """Claim what every waiting thread asked for, by one transaction.

        If that fails, it fails for whose turn it is; the others try themselves.
        """
        means = self._means
        # Only whose turn it is takes from here: what is counted stays there.
        together = [self._asked.popleft() for _ in range(len(self._asked))]
        wanted = frozenset[str]().union(*(each.digests for each in together))
        try:
            with of_store():
                leaving = means.index.claim(
                    self._job.mirror_id, wanted, means.clock.now()
                )
        except BaseException:
            self._asked.extend(each for each in together if each is not mine)
            raise
        for each in together:
            each.leaving = each.digests & leaving
