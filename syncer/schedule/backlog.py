"""Who was due when that was last decided, and begins as soon as there is room.

With very many mirrors that decision costs too much to be made every second, and what
it let begin is done long before the next one.  Between two of them this hands on,
from the front, which costs nothing.  Decides only, as the rest of the schedule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from syncer.model.mirrors import RepoState
    from syncer.schedule.due import Decision

    Admit = Callable[[list[Decision], list[RepoState]], list[Decision]]


class Backlog:
    """Those that wait to begin, the most urgent first; for one thread."""

    def __init__(self) -> None:
        self._ready: list[Decision] = []
        self._states: Sequence[RepoState] = ()

    def __bool__(self) -> bool:
        """Return whether anybody waits."""
        return bool(self._ready)

    def renew(self, ready: Sequence[Decision], states: Sequence[RepoState]) -> None:
        """Take a new decision, made of all `states`; forget the one before."""
        self._ready, self._states = list(ready), states

    def forget(self) -> None:
        """Let nobody wait, as when what is wanted has changed."""
        self.renew((), ())

    def take(self, busy: AbstractSet[int], admit: Admit) -> list[Decision]:
        """Return who begins now: those `admit` chooses, beside the `busy` ones.

        Who is in hand already is not due any more.
        """
        ready = [each for each in self._ready if each.mirror_id not in busy]
        admitted = admit(ready, [s for s in self._states if s.id in busy])
        begun = {each.mirror_id for each in admitted}
        self._ready = [each for each in ready if each.mirror_id not in begun]
        return admitted
