"""What a run makes of two snapshots: of what is published and what upstream shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.model.content import RefSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.model.content import Ref, RefChange


def oids(snapshot: RefSnapshot) -> dict[str, str]:
    """Return what each of upstream's refs points to."""
    return {name: ref.oid for name, ref in snapshot.upstream.items()}


def unheard(
    published: RefSnapshot, peeled: RefSnapshot, changes: Iterable[RefChange]
) -> dict[str, Ref]:
    """Return the new refs; what stayed peels to what we found ourselves, then.

    Upstream's word for it would be passed on to consumers unchecked.
    """
    changed = {change.ref for change in changes}
    return {
        name: ref if name in changed else published.refs[name]
        for name, ref in peeled.refs.items()
    }


def beside(published: RefSnapshot, target: RefSnapshot) -> RefSnapshot | None:
    """Return what to publish first when HEAD's branch goes away: both names.

    HEAD is a file of its own; with both branches there, it resolves at every
    moment of the change.
    """
    head = published.head
    if head is None or head not in published.refs or head in target.refs:
        return None
    refs = {**target.refs, head: published.refs[head]}
    return RefSnapshot(refs, published.head)


def guess_head(published: RefSnapshot, target: RefSnapshot) -> str | None:
    """Stand in for a server that does not say which branch HEAD names."""
    if published.head in target.refs:
        return published.head
    usual = ("refs/heads/main", "refs/heads/master")
    return next((name for name in usual if name in target.refs), None)
