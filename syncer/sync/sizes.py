"""How large a mirror may become: git, LFS objects and assets together.

A repository that grows without end is held, before it fills the disk of all others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from syncer.errors import TooLarge
from syncer.model.mirrors import Held
from syncer.units import size as spelled

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.mirrors import RepoState, Selection

#: What a person accepted may turn out to be larger by this part: upstream's own
#: figures are late, and packs have no exact size before they are here.
_LEEWAY = 0.25


@dataclass(frozen=True, slots=True)
class Quota:
    """The bytes a mirror has, and those it may have; None is no limit."""

    taken: int
    limit: int | None

    @property
    def left(self) -> int | None:
        """The bytes that may come; None is no limit."""
        return None if self.limit is None else max(0, self.limit - self.taken)

    def with_more(self, count: int) -> Quota:
        """Return the quota after so many bytes came.

        Raises:
            TooLarge: they are too many.
        """
        total = self.taken + count
        if count > 0 and self.limit is not None and total > self.limit:
            raise too_large(total, self.limit)
        return replace(self, taken=total)


def quota_of(state: RepoState, selection: Selection) -> Quota:
    """Return the quota of a mirror; what a person accepted widens it."""
    limit, held = selection.max_size, state.held
    if limit is None:
        return Quota(state.stored, None)
    if held is not None and held.accepted and held.size is not None:
        limit = max(limit, int(held.size * (1 + _LEEWAY)))
    return Quota(state.stored, limit)


def too_large(size: int, limit: int) -> TooLarge:
    """Return the error of a mirror that would come to `size` bytes, at least."""
    said = f"it would come to {spelled(size)}, above its max_size"
    return TooLarge(f"{said} of {spelled(limit)}", size=size)


def hold(exc: TooLarge, before: Held | None, now: datetime) -> Held:
    """Return why a mirror that became too large waits for `syncer accept`."""
    waits = before is not None and before.size is not None and not before.accepted
    since = before.since if before is not None and waits else now
    return Held(str(exc), since, size=exc.size)
