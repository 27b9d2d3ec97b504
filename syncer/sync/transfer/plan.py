"""What one run is still to ask upstream for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from syncer.model.lfs import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from syncer.model.lfs import LfsPointer


class Plan:
    """The wanted objects in batches, in the order given.

    A digest has one length: of two pointers that differ in it, the second is asked
    for only when the first came to nothing.  So an oid is never under way twice.
    """

    def __init__(self, wanted: Iterable[LfsPointer]) -> None:
        first: dict[str, LfsPointer] = {}
        self._others: dict[str, list[LfsPointer]] = {}
        for pointer in dict.fromkeys(wanted):
            if pointer.oid in first:
                self._others.setdefault(pointer.oid, []).append(pointer)
            else:
                first[pointer.oid] = pointer
        #: One pointer of each object.
        self.objects = tuple(first.values())
        self._unasked = deque(self.objects)

    def __bool__(self) -> bool:
        return bool(self._unasked)

    def batch(self) -> list[LfsPointer]:
        """Take what is asked for next."""
        count = min(BATCH, len(self._unasked))
        return [self._unasked.popleft() for _ in range(count)]

    def put_back(self, batch: Sequence[LfsPointer]) -> None:
        """Have a batch asked for once more, before everything else."""
        self._unasked.extendleft(reversed(batch))

    def retry(self, pointer: LfsPointer) -> bool:
        """Plan to ask for the same oid with another length, if there is one."""
        others = self._others.get(pointer.oid)
        if not others:
            return False
        self._unasked.append(others.pop(0))
        return True

    def rest(self) -> list[LfsPointer]:
        """Take everything that is not asked for yet; nothing remains."""
        left = list(self._unasked)
        self._unasked.clear()
        self._others.clear()
        return left
