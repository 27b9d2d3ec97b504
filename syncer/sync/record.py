"""What is said of a run: its counts, its notes, and the end of one that died."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from syncer.model.content import ChangeKind
from syncer.model.names import shown
from syncer.model.origin import Event
from syncer.model.runs import Outcome, Stage, SyncRun
from syncer.sync.arrivals import missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from syncer.model.content import RefChange, RefSnapshot
    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName
    from syncer.model.runs import Intent
    from syncer.ports import BareRepository
    from syncer.sync.world import World

log = logging.getLogger(__name__)

_DIED = "the process died; the refs stayed as before"


def settle(
    world: World, repository: BareRepository, state: RepoState, intent: Intent | None
) -> bool:
    """Finish or forget what a dead run left; True if the catalog changed."""
    recovery = repository.recover(intent)
    if recovery.swept:
        log.info(
            "leftovers of a dead run removed",
            extra={"repo": str(state.name), "swept": list(recovery.swept)},
        )
    now = world.clock.now()
    if intent is not None and recovery.finished is not None:
        whole = _is_whole(world, state, intent)
        run = SyncRun(
            intent.run_id,
            state.id,
            state.name,
            world.catalog.run_trigger(intent.run_id),
            intent.probed,
            stage=Stage.RECORD,
            outcome=Outcome.CHANGED if whole else Outcome.PARTIAL,
            ended=now,
            counts=counts(intent.changes),
            notes=("the process died after the refs moved; finished afterwards",),
        )
        world.catalog.finish(intent, recovery.finished, run)
        tell(state.name, intent.events)
    elif intent is not None:
        world.catalog.forget(intent, now, _DIED)
    # Whatever is open now is dead: the lease is ours.
    dead = world.catalog.abandon_runs(state.id, now, _DIED)
    return intent is not None or dead > 0


def _is_whole(world: World, state: RepoState, intent: Intent) -> bool:
    """Return whether nothing is missing of what an intent publishes."""
    lfs = world.index.counts(state.id)
    known = {each.release.id: each for each in world.releases.releases(state.id)}
    if intent.releases is not None:
        known |= {each.release.id: each for each in intent.releases.records}
    wanted = world.selection(state.name).releases.wanted
    return lfs.present == lfs.total and not (wanted and missing(known.values()))


def tell(name: RepoName, events: Iterable[Event]) -> None:
    """Log what upstream did, beside the audit trail that has it too."""
    for event in events:
        level = logging.WARNING if event.alarming else logging.INFO
        log.log(level, "%s: %s", event.action, event.detail, extra={"repo": str(name)})


def counts(changes: Iterable[RefChange]) -> dict[str, int]:
    """Return how many refs changed, by kind."""
    return dict(Counter(change.kind.value for change in changes))


def rewritten(changes: Iterable[RefChange], head: str | None) -> tuple[Event, ...]:
    """Return what the audit trail is told of history that upstream rewrote.

    One event for the branches and one for the tags of a run.  A default branch that
    is rewound, and a tag that names something else, are alarms: consumers build from
    them.  Other branches are rebased every day.
    """
    those = list(changes)
    branches = [c for c in those if c.kind is ChangeKind.REWOUND]
    branches.sort(key=lambda change: change.ref != head)  # the default one first
    tags = [
        c
        for c in those
        if c.kind is ChangeKind.MOVED and c.ref.startswith("refs/tags/")
    ]
    found = []
    if branches:
        alarming = branches[0].ref == head
        found.append(Event("force-push", _moves(branches), alarming=alarming))
    if tags:
        found.append(Event("tag-moved", _moves(tags), alarming=True))
    return tuple(found)


def _moves(changes: Sequence[RefChange]) -> str:
    """Return what became of refs, the first few by name."""
    said = [f"{shown(c.ref)} {str(c.old)[:7]}..{str(c.new)[:7]}" for c in changes[:3]]
    more = [f"and {len(changes) - 3} more"] if len(changes) > 3 else []  # noqa: PLR2004 - as above
    return f"{', '.join([*said, *more])}; the old tips are kept"


def notes(
    changes: list[RefChange], published: RefSnapshot, target: RefSnapshot
) -> tuple[str, ...]:
    """Return what a person should know of a run that went well."""
    said = [
        f"{c.ref} was force-pushed ({str(c.old)[:7]}..{str(c.new)[:7]}), old tip kept"
        for c in changes
        if c.kind is ChangeKind.REWOUND
    ]
    said += [
        f"{c.ref} now names another object, the old one is kept"
        for c in changes
        if c.kind is ChangeKind.MOVED and c.ref.startswith("refs/tags/")
    ]
    if published.refs and target.head != published.head:
        said.append(f"HEAD moved from {published.head} to {target.head}")
    return tuple(said)
