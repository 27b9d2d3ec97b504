"""Statements about runs: opened, about to publish, and ended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from syncer.catalog import (
    blobs,
    counters,
    counting,
    history,
    listings,
    mirrors,
    origins,
    releases,
    transitions,
)
from syncer.catalog.blob_tables import claim
from syncer.catalog.rows import (
    STATE,
    intent_values,
    read_intent,
    read_state,
    run_values,
)
from syncer.catalog.tables import intent as intents
from syncer.catalog.tables import mirror
from syncer.catalog.tables import run as runs
from syncer.errors import PermanentError
from syncer.model.runs import Outcome, Stage, SyncRun, Trigger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Update

    from syncer.model.mirrors import Held, RepoState
    from syncer.model.origin import Event
    from syncer.model.releases import ReleaseChanges
    from syncer.model.runs import Intent, LagSample, Receipt


def start(  # noqa: PLR0913, PLR0917 - all that is known of a run when it begins
    conn: Connection,
    state: RepoState,
    trigger: Trigger,
    started: datetime,
    observed: datetime | None,
    machine: str | None,
) -> int:
    """Insert a run and return its id; with `observed`, start the lag clock."""
    run = SyncRun(
        *(0, state.id, state.name, trigger, started, Stage.FETCH), machine=machine
    )
    if observed is not None:
        since = mirror.c.behind_since
        conn.execute(
            update(mirror)
            .where(mirror.c.id == state.id, since.is_(None))
            .values(behind_since=observed)
        )
    return _insert(conn, run)


def close(conn: Connection, run: SyncRun, held: Held | None) -> None:
    """Record the end of a run that published nothing.

    One that was never opened did not have the lease: what is claimed for the
    mirror then is another run's.
    """
    before = mirrors.owned_state(conn, run.mirror_id)
    mirrors.store(conn, transitions.closed(before, run, held))
    history.add_findings(conn, run)
    ended = replace(run, ended=transitions.ended(run))
    if run.id:
        blobs.release(conn, run.mirror_id)
        _end(conn, ended)
    else:
        _insert(conn, ended)
    counters.add(conn, counting.ended(ended))


def intend(conn: Connection, planned: Intent) -> None:
    """Record what is about to be published, instead of an older plan.

    Raises:
        PermanentError: its releases could not be; nothing was recorded.
    """
    if planned.releases is not None:
        releases.check(conn, planned.mirror_id, planned.releases)
    conn.execute(delete(intents).where(intents.c.mirror_id == planned.mirror_id))
    conn.execute(insert(intents).values(intent_values(planned)))
    conn.execute(_of(planned.run_id).values(stage=Stage.PROMOTE))


def intent(conn: Connection, mirror_id: int) -> Intent | None:
    """Return the intent that no finish has closed, if any."""
    open_ = select(intents).where(intents.c.mirror_id == mirror_id)
    row = conn.execute(open_).mappings().one_or_none()
    return None if row is None else read_intent(row)


def finish(
    conn: Connection, planned: Intent, receipt: Receipt, run: SyncRun
) -> SyncRun:
    """Record that an intent is published, once, however often it is asked to.

    A caller who lost the connection while this committed may ask again.

    Raises:
        PermanentError: neither the intent nor its end is recorded.
    """
    before = mirrors.owned_state(conn, planned.mirror_id)
    if not _close_intent(conn, planned):
        return replace(run, stage=Stage.RECORD, generation=_generation(conn, planned))
    after = transitions.finished(before, planned, receipt, run)
    done = replace(
        run,
        stage=Stage.RECORD,
        generation=after.generation,
        ended=transitions.ended(run),
    )
    if not planned.first:
        history.add_changes(conn, planned, done)
    samples = [transitions.lag_sample(before, "refs", planned, done)]
    history.add_findings(conn, done)
    mirrors.store(conn, after)
    if planned.releases is not None:
        sound = releases.sound(conn, planned.releases, transitions.ended(run))
        changes = replace(planned.releases, records=sound)
        samples += _release(conn, before, changes, done)
    _leave(conn, done, planned.events, samples)
    return done


def publish_releases(
    conn: Connection, run: SyncRun, changes: ReleaseChanges, events: Sequence[Event]
) -> SyncRun:
    """Record release changes that no ref change goes with, once, as `finish` does.

    Raises:
        PermanentError: they cannot be published, or the run is not open.
    """
    before = mirrors.owned_state(conn, run.mirror_id)
    stored = select(runs.c.outcome, runs.c.generation).where(runs.c.id == run.id)
    outcome, generation = conn.execute(stored).one_or_none() or (Outcome.FAILED, 0)
    if generation:
        return replace(run, stage=Stage.RECORD, generation=generation)
    if outcome is not None:
        msg = f"run {run.id} is not open; nothing was published"
        raise PermanentError(msg)
    releases.check(conn, before.id, changes)
    after = transitions.released(before, run)
    done = replace(
        run,
        stage=Stage.RECORD,
        generation=after.generation,
        ended=transitions.ended(run),
    )
    history.add_findings(conn, done)
    mirrors.store(conn, after)
    _leave(conn, done, events, _release(conn, before, changes, done))
    return done


def _release(
    conn: Connection, before: RepoState, changes: ReleaseChanges, done: SyncRun
) -> list[LagSample]:
    """Make changes of releases visible, with what they say of the listing.

    Return how long they were in the making.
    """
    releases.write(conn, before.id, changes.records)
    sample = transitions.release_sample(before, changes, done)
    if sample is None:
        return []
    listings.replace_pages(conn, before.id, changes.pages)
    listings.store(conn, before.id, transitions.listed(before.releases, changes))
    return [sample]


def _leave(
    conn: Connection,
    done: SyncRun,
    events: Sequence[Event],
    samples: Sequence[LagSample],
) -> None:
    """End a run that published something: told of, measured, and counted at last."""
    for sample in samples:
        history.add_lag(conn, sample)
    origins.tell(conn, done.name.short, events, transitions.ended(done))
    blobs.release(conn, done.mirror_id)
    _end(conn, done)
    counters.add(conn, counting.ended(done, samples))


def _generation(conn: Connection, planned: Intent) -> int:
    """Return the generation that a finish recorded before."""
    recorded = select(runs.c.generation).where(runs.c.id == planned.run_id)
    generation = conn.scalar(recorded)
    if not generation:
        msg = f"run {planned.run_id} has no open intent; nothing was recorded"
        raise PermanentError(msg)
    return int(generation)


def forget(conn: Connection, planned: Intent, ended: datetime, reason: str) -> None:
    """Remove an intent whose rename never happened; its run failed."""
    _close_intent(conn, planned)
    _fail(conn, _of(planned.run_id), ended, reason)


def abandon(conn: Connection, mirror_id: int, ended: datetime, reason: str) -> int:
    """Mark the open runs of a mirror as failed; they rely on no blob any more."""
    blobs.release(conn, mirror_id)
    dead = update(runs).where(runs.c.mirror_id == mirror_id)
    return _fail(conn, dead, ended, reason)


def trigger(conn: Connection, run_id: int) -> Trigger:
    """Return why a run was started.

    Raises:
        PermanentError: there is no such run.
    """
    found = conn.scalar(select(runs.c.trigger).where(runs.c.id == run_id))
    if found is None:
        msg = f"run {run_id} is not in the catalog"
        raise PermanentError(msg)
    return Trigger(found)


def unfinished(conn: Connection, machine: str | None) -> list[RepoState]:
    """Return a machine's mirrors with an open run, an intent or a claim, by name.

    What is open of another machine's may well be at work there.
    """
    open_runs = select(runs.c.mirror_id).where(runs.c.outcome.is_(None))
    wanted = open_runs.union(select(intents.c.mirror_id), select(claim.c.mirror_id))
    here = mirror.c.home.is_not_distinct_from(machine)
    ordered = STATE.where(mirror.c.id.in_(wanted), here).order_by(mirror.c.identity)
    return [read_state(row) for row in conn.execute(ordered)]


def _close_intent(conn: Connection, planned: Intent) -> bool:
    """Delete an intent's row; return whether it was there."""
    return bool(
        conn.execute(
            delete(intents).where(
                intents.c.mirror_id == planned.mirror_id,
                intents.c.run_id == planned.run_id,
            )
        ).rowcount
    )


def _insert(conn: Connection, run: SyncRun) -> int:
    """Insert a run and return its id."""
    opened = run_values(run) | {
        "mirror_id": run.mirror_id,
        "trigger": run.trigger,
        "started": run.started,
    }
    inserted = conn.scalars(insert(runs).values(opened).returning(runs.c.id))
    return int(inserted.one())


def _end(conn: Connection, run: SyncRun) -> None:
    conn.execute(_of(run.id).values(run_values(run)))


def _fail(conn: Connection, which: Update, ended: datetime, reason: str) -> int:
    """End those runs that are still open; return how many."""
    values: dict[str, Any] = {
        "outcome": Outcome.FAILED,
        "ended": ended,
        "error": reason,
        "exit_code": PermanentError.exit_code,
    }
    died = conn.execute(which.where(runs.c.outcome.is_(None)).values(values)).rowcount
    if died:
        counters.add(conn, counting.abandoned(died))
    return died


def _of(run_id: int) -> Update:
    return update(runs).where(runs.c.id == run_id)
