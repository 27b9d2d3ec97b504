"""What needs a person, in words: `status` and the like end with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.cli.remedy import remedy
from syncer.cli.render import counted, printable, styled
from syncer.model.incidents import Kind
from syncer.model.runs import Word
from syncer.units import duration, span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from syncer.model.incidents import Incident
    from syncer.model.mirrors import RepoState
    from syncer.schedule.lag import Freshness

_MOST = 12  # mirrors on one screen
#: What concerns no mirror, and so shows in none of their words.
_OF_ALL = {Kind.DISK: "syncer doctor", Kind.SCHEDULER: "systemctl status syncer"}


def lines(
    attention: Sequence[Freshness], incidents: Sequence[Incident], now: datetime
) -> list[str]:
    """Return what needs a person, the worst first, each with what to type."""
    others = [each for each in incidents if each.kind in _OF_ALL]
    if not (attention or others):
        return []
    found = ["", "  NEEDS ATTENTION"]
    for each in others:
        since = f"for {duration(each.lasted(now))}"
        found.append(f"  {styled('FAIL')}    {printable(each.detail)} ({since})")
        found.append(f"          {_OF_ALL[each.kind]}")
    for fresh in attention[:_MOST]:
        pad = " " * (8 - len(fresh.word))
        found.append(f"  {styled(fresh.word)}{pad}{fresh.state.name}: {trouble(fresh)}")
        found.append(f"          {remedy(fresh)}")
    left = len(attention) - _MOST
    if left > 0:
        found.append(f"          and {left:,} more: syncer list")
    return found


def trouble(fresh: Freshness) -> str:
    """Return why a mirror needs a person."""
    state = fresh.state
    if fresh.word is Word.HELD and state.held is not None:
        return printable(state.held.reason)
    if fresh.word is Word.PARTIAL and _lacking(state):
        return _lacking(state)
    if fresh.word is Word.PARTIAL and state.releases.error:
        return f"releases could not be listed: {printable(state.releases.error)}"
    if fresh.word in {Word.FAIL, Word.GONE, Word.PARTIAL} and state.error:
        return printable(state.error)
    if fresh.word is Word.NEW:
        return f"not mirrored yet, {duration(fresh.lag)} after it was added"
    what = slowest([fresh])
    return f"{duration(fresh.lag)} behind{what}, target {span(fresh.target)}"


def _lacking(state: RepoState) -> str:
    """Return which components are not all here."""
    parts = (("lfs", state.lfs), ("assets", state.releases.counts))
    lacking = [(what, each) for what, each in parts if each.present < each.total]
    return "; ".join(f"{what} {counted(each)}" for what, each in lacking)


def slowest(those: list[Freshness]) -> str:
    """Return ` (releases)` if it is not the refs that are the furthest behind."""
    worst = max(those, key=lambda fresh: fresh.lag)
    name = max(worst.components, key=lambda each: each.lag).name
    return "" if name == worst.components[0].name else f" ({name})"
