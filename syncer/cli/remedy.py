"""What to type about a mirror that needs a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.model.runs import Word

if TYPE_CHECKING:
    from syncer.model.mirrors import Held, RepoState
    from syncer.schedule.lag import Freshness


def needs_attention(fresh: Freshness) -> bool:
    """Return whether a person should look at a mirror."""
    if fresh.word is Word.NEW:
        return fresh.lag > fresh.target
    return fresh.word not in {Word.OK, Word.PAUSED}


def remedy(fresh: Freshness) -> str:
    """Return what to type about a mirror that needs attention."""
    name, held = fresh.state.name, fresh.state.held
    if fresh.word is Word.HELD and held is not None:
        return f"syncer accept {name}{accepting(held)}"
    if fresh.word is Word.PARTIAL and is_damaged(fresh.state):
        return f"syncer verify {name} --repair"
    if fresh.word in {Word.GONE, Word.PARTIAL} or not fresh.state.standing.is_reachable:
        return f"syncer show {name}"
    return f"syncer sync {name}"


def accepting(held: Held) -> str:
    """Return the options of `accept` that fit what a mirror is held for."""
    if held.identity is not None:
        return " --identity"
    return f" --object {held.oid}" if held.oid else ""


def is_damaged(state: RepoState) -> bool:
    """Return whether bytes that were here are lost or wrong."""
    return bool(state.lfs.damaged or state.releases.counts.damaged)
