"""What becomes of a mirror's state, and of its objects: pure functions.

They know no SQL; the catalog reads a state under its lock, asks here, and
writes the answer.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.errors import Interrupted, Locked, TransientError
from syncer.model.lfs import LfsState
from syncer.model.mirrors import Held
from syncer.model.releases import AssetState
from syncer.model.runs import LagSample, Outcome, Stage

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from syncer.model.content import RefSnapshot
    from syncer.model.lfs import LfsObject
    from syncer.model.mirrors import RepoState
    from syncer.model.releases import AssetRecord, ReleaseChanges, ReleaseState
    from syncer.model.runs import AuditEvent, Intent, Probe, Receipt, SyncRun

#: How long to leave a mirror to whoever holds it.
NEIGHBOUR = timedelta(seconds=15)
#: Failures in a row that a transfer which met a passing fault counts for at most.
SOON = 3
#: Outcomes after which upstream must be looked at again, whatever it answers.
INCOMPLETE = frozenset({Outcome.PARTIAL, Outcome.HELD})


def ended(run: SyncRun) -> datetime:
    """Return when a run ended; one that does not say ended as it started."""
    return run.ended or run.started


def finished(
    state: RepoState, intent: Intent, receipt: Receipt, run: SyncRun
) -> RepoState:
    """Return the state after an intent was published.

    A first mirror is no change upstream made, so it does not count as a push,
    and its one pack needs no maintenance yet.
    """
    counts = run.outcome not in INCOMPLETE
    return replace(
        state,
        fingerprint=intent.fingerprint if counts else None,
        asked=intent.asked,
        stamp=receipt.stamp,
        head=intent.head,
        ref_count=intent.ref_count,
        generation=state.generation + 1,
        outcome=run.outcome,
        error=None,
        failures=0,
        last_attempt=_later(state.last_attempt, run.started),
        last_success=_later(state.last_success, intent.probed),
        behind_since=None,
        last_change=_later(state.last_change, intent.observed),
        not_before=None,
        rate=state.rate if intent.first else state.rate.bumped(intent.observed),
        held=None,
        packs=0 if intent.first else state.packs + 1,
        size=receipt.size,
    )


def closed(state: RepoState, run: SyncRun, held: Held | None) -> RepoState:
    """Return the state after a run that published nothing.

    A run that was interrupted, or that met another at work, says nothing of
    upstream: the mirror is as due as it was.
    """
    if run.exit_code == Interrupted.exit_code:
        return state
    if run.exit_code == Locked.exit_code:
        # Somebody else is at it, which is no failure; look again a little later.
        return replace(state, not_before=ended(run) + NEIGHBOUR)
    state = replace(
        state,
        outcome=run.outcome,
        last_attempt=_later(state.last_attempt, run.started),
        not_before=None if run.retry_after is None else ended(run) + run.retry_after,
    )
    if run.outcome in {Outcome.UNCHANGED, Outcome.CHANGED}:
        # Upstream is what consumers see, so nothing waits for a person either;
        # CHANGED are LFS objects alone, of refs that were published before.
        return replace(
            state,
            error=None,
            failures=0,
            last_success=_later(state.last_success, run.started),
            behind_since=None,
            held=None,
        )
    if run.outcome in INCOMPLETE:
        return replace(
            state,
            fingerprint=None,
            error=run.error,
            failures=0,
            held=held or state.held,
        )
    failures = state.failures + 1
    if run.stage is Stage.TRANSFER and run.exit_code == TransientError.exit_code:
        # The object store or the LFS server is down for many mirrors at once, and
        # what was brought is kept: they are all back soon after it is.
        failures = min(failures, SOON)
    return replace(state, error=run.error, failures=failures)


def confirmed(
    state: RepoState, probe: Probe, stamp: str, refs: RefSnapshot
) -> RepoState:
    """Return the state after the published refs were found equal to upstream's.

    Nothing is published, yet the digest counts from here on, as after a finish.
    """
    return replace(
        state,
        fingerprint=probe.digest,
        asked=probe.asked,
        stamp=stamp,
        head=refs.head,
        ref_count=len(refs.upstream),
        outcome=Outcome.UNCHANGED,
        error=None,
        failures=0,
        last_attempt=_later(state.last_attempt, probe.started),
        last_success=_later(state.last_success, probe.started),
        behind_since=None,
        not_before=None,
        held=None,
    )


def lag_sample(
    state: RepoState, component: str, intent: Intent, run: SyncRun
) -> LagSample:
    """Return how long the change that `run` published was in the making.

    `state` is the one before it: an earlier run may have seen the change and
    failed.
    """
    return LagSample(
        mirror_id=state.id,
        name=state.name,
        component=component,
        observed=state.behind_since or intent.observed,
        published=ended(run),
        not_before=state.last_success,
    )


def released(state: RepoState, run: SyncRun) -> RepoState:
    """Return the state after a run that published releases, and moved no ref.

    The generation counts what consumers see; what is known of the refs stays, also
    where assets are missing: these are asked for at their own times.
    """
    return replace(
        closed(state, run, None),
        fingerprint=state.fingerprint,
        generation=state.generation + 1,
    )


def listed(state: ReleaseState, changes: ReleaseChanges) -> ReleaseState:
    """Return what the schedule knows of releases after changes were published.

    Changes that no listing showed say nothing of what upstream shows.
    """
    if changes.listed is None:
        return state
    return replace(
        state,
        checked=_later(state.checked, changes.listed),
        behind_since=None,
        asked=changes.asked,
        failures=0,
        error=None,
        not_before=None,
    )


def release_sample(
    state: RepoState, changes: ReleaseChanges, run: SyncRun
) -> LagSample | None:
    """Return how long the change of releases that `run` published was in the making.

    `state` is the one before it.  What no listing showed was seen by none.
    """
    if changes.listed is None:
        return None
    return LagSample(
        mirror_id=state.id,
        name=state.name,
        component="releases",
        observed=state.releases.behind_since or changes.listed,
        published=ended(run),
        not_before=state.releases.checked,
    )


def recorded(each: AssetRecord) -> AssetRecord:
    """Return an asset as it is stored: what is here, or gone, is owed by nobody."""
    if each.state is AssetState.PRESENT:
        return replace(each, reason=None, retry_at=None, tries=0)
    return each if each.gone is None else replace(each, retry_at=None)


def borne_out(
    each: AssetRecord, lost: Collection[str], known: Collection[str], at: datetime
) -> AssetRecord:
    """Return an asset as it is with the blobs that are lost, or not known at all."""
    if each.attestation in lost and each.attestation not in known:
        each = replace(each, attestation=None)
    if each.state is not AssetState.PRESENT or each.blob not in lost:
        return each
    owed = replace(each, reason="its bytes were lost", since=at, retry_at=at)
    if each.blob in known:
        return replace(owed, state=AssetState.DAMAGED)
    return replace(owed, state=AssetState.MISSING, blob=None, proof=None)


def accepted(held: Held | None, event: AuditEvent, oid: str | None) -> Held | None:
    """Return the hold as the person who accepts leaves it; None if there is none.

    An object can be accepted before it holds anything.
    """
    if held is not None and oid in {None, held.oid}:
        return replace(held, accepted=True)
    if oid is not None:
        return Held("accepted before it was met", event.at, oid=oid, accepted=True)
    return None


def linked(old: LfsObject | None, new: LfsObject) -> LfsObject:
    """Return what is known of an object after `new` was told of it.

    What is here stays here when upstream does not give it any more.  What was
    here and is lost or wrong stays damaged then: upstream gave it once, so a
    copy that somebody kept may take its place.  A digest has one length: a
    pointer with another one, which is not to be had, says nothing of the object.
    What upstream does not give is unreached while no ref of its needs it; all
    that is known of it stays.
    """
    is_owed = new.reason is not None or new.retry_at is not None or new.tries
    if new.state is LfsState.PRESENT and is_owed:
        new = replace(new, reason=None, retry_at=None, tries=0)
    if new.state is LfsState.UNREACHED:
        return _given_up(old or new)
    if old is None:
        return new
    refused = new.state is LfsState.MISSING
    if refused and (old.state is LfsState.PRESENT or old.pointer != new.pointer):
        return old
    if refused and old.state is LfsState.DAMAGED:
        return replace(old, retry_at=new.retry_at, tries=new.tries)
    if old.state is new.state and old.since is not None:
        return replace(new, since=old.since)
    return new


def _given_up(known: LfsObject) -> LfsObject:
    """Return what is known of an object that no ref needs; what is here stays."""
    if not known.state.is_absent:
        return known
    return replace(known, state=LfsState.UNREACHED, retry_at=None)


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None or one < other else one
