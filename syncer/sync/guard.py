"""Whether what upstream answers may be published without a human (pure).

An upstream that suddenly has nothing is more often broken than empty; the
mirror that believed it would destroy the last copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.model.mirrors import Held

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from syncer.model.content import RefSnapshot

#: A disappearance of more than this share, and of at least so many, is a mass.
SHARE = 0.05
LEAST = 10


def check(
    published: RefSnapshot,
    target: RefSnapshot,
    scope: Sequence[str],
    held: Held | None,
    now: datetime,
) -> Held | None:
    """Return why a publication must wait for `syncer accept`, None if it need not.

    Refs outside `scope` are gone because the configuration says so, not
    upstream.  What a person accepted passes as long as nothing more is lost.
    """
    old = [name for name in published.upstream if name.startswith(tuple(scope))]
    gone = tuple(name for name in old if name not in target.refs)
    reason = _reason(published, target, len(old), gone)
    if reason is None or is_accepted(held, gone):
        return None
    since = held.since if held is not None and not held.accepted else now
    return Held(reason, since, deletions=gone)


def _reason(
    published: RefSnapshot, target: RefSnapshot, total: int, gone: Sequence[str]
) -> str | None:
    if not gone:
        return None
    if not target.refs:
        return f"upstream shows no refs at all; we publish {total}"
    if is_mass(len(gone), total):
        return f"{len(gone)} of {total} refs are gone upstream at once"
    if published.head in gone and not _names_another(published, target):
        return f"the default branch {published.head} is gone upstream"
    return None


def _names_another(published: RefSnapshot, target: RefSnapshot) -> bool:
    return target.head != published.head and target.head in target.refs


def is_mass(gone: int, total: int) -> bool:
    """Return whether so many do not disappear at once by intention."""
    return gone >= LEAST and gone > SHARE * total


def is_accepted(held: Held | None, gone: Sequence[str]) -> bool:
    """Return whether a person accepted that all of these are gone."""
    return held is not None and held.accepted and set(gone) <= set(held.deletions)
