"""What lists of mirrors show of each: how it is, and when it is looked at next.

`tunasync.json` and `mirrorz.json` have few words; what ours mean there:

    OK LATE                 success: the last look ended well; its time says when
    PARTIAL HELD FAIL       failed: what is shown is whole, but not all that there is
    PAUSED                  paused
    GONE                    there is nothing upstream any more; ours is kept
    NEW                     not mirrored yet

A mirror that a run is moving objects for is syncing, whatever its word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.schedule.due import decide

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName
    from syncer.model.runs import Word
    from syncer.web.view import View

_UNITS = ("", "K", "M", "G", "T", "P")
_STEP = 1024


@dataclass(frozen=True, slots=True)
class Shown:
    """One mirror in a list."""

    state: RepoState
    word: Word
    syncing: bool
    #: When it is looked at next; None: time alone never makes it due.
    next: datetime | None

    @property
    def upstream(self) -> str:
        """The address of its repository upstream, as people know it."""
        name = self.state.source
        return f"https://{name.host}/{name.owner}/{name.name}"


def shown(view: View, now: datetime) -> list[Shown]:
    """Return every mirror that readers may know of, by name."""
    found = view.public(view.fresh(now))
    states = [each.state for each in found]
    hosts = {state.name.host for state in states}
    budgets = {host: view.config.target_host(host).probes for host in hosts}
    moving = {state.id for state in view.catalog.unfinished()}
    decisions = decide(states, view.config.tier, budgets, now)
    return [
        Shown(each.state, each.word, each.state.id in moving, decision.at)
        for each, decision in zip(found, decisions, strict=True)
    ]


def page(name: RepoName) -> str:
    """Return where a mirror is found below the address of the HTTP face."""
    return f"/{name.host}/{name.owner}/{name.name}"


def size(count: int) -> str:
    """Return bytes as rsync and tunasync write them: `57.7G`, `512`."""
    value, unit = float(count), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value /= _STEP
        unit += 1
    if not unit:
        return str(count)
    return f"{value:.1f}{_UNITS[unit]}"
