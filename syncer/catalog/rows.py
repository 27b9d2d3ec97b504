"""Rows become model values here, and model values become rows."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from syncer.catalog.release_json import (
    changes_values,
    event_values,
    read_changes,
    read_event,
)
from syncer.catalog.tables import intent, mirror, run
from syncer.model.content import ChangeKind, RefChange
from syncer.model.lfs import LfsCounts, LfsTally
from syncer.model.mirrors import Activity, Held, PushRate, RepoState
from syncer.model.names import RepoName
from syncer.model.origin import Standing
from syncer.model.releases import ReleaseCounts, ReleaseState, ReleaseTally
from syncer.model.runs import Intent, Outcome, Stage, SyncRun, Trigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping

_ACTIVITIES = {word.value: word for word in Activity}
_OUTCOMES: dict[str | None, Outcome | None] = {
    None: None,
    **{word.value: word for word in Outcome},
}
_NEVER_PUSHED = PushRate()
_STANDINGS = {word.value: word for word in Standing}
_NO_LFS = LfsCounts()
_NO_ASSETS = ReleaseCounts()
_NO_RELEASES = ReleaseState()

_m = mirror.c
#: The columns that `read_state` unpacks, in its order.
STATE = select(
    *(_m.id, _m.host, _m.owner, _m.name, _m.path, _m.tier, _m.activity),
    *(_m.fingerprint, _m.asked, _m.stamp, _m.head, _m.ref_count, _m.generation),
    *(_m.outcome, _m.error, _m.failures),
    *(_m.last_attempt, _m.last_success, _m.behind_since, _m.last_change),
    *(_m.not_before, _m.rate_hour, _m.rate_day, _m.rate_fortnight, _m.rate_at),
    *(_m.held, _m.packs, _m.maintained, _m.added, _m.size),
    *(_m.lfs_scanned, _m.lfs_present, _m.lfs_missing, _m.lfs_damaged, _m.lfs_size),
    *(_m.lfs_retry_at, _m.upstream, _m.node_id, _m.standing),
    *(_m.releases_checked, _m.releases_behind, _m.releases_asked),
    *(_m.releases_failures, _m.releases_error, _m.releases_not_before),
    *(_m.release_count, _m.assets_present, _m.assets_missing, _m.assets_damaged),
    *(_m.assets_size, _m.assets_retry_at, _m.home),
)

#: The columns that `read_run` unpacks, in its order.
RUN = select(
    *(_m.host, _m.owner, _m.name, run.c.id, run.c.mirror_id, run.c.trigger),
    *(run.c.started, run.c.stage, run.c.outcome, run.c.ended, run.c.error),
    *(run.c.hint, run.c.exit_code, run.c.retry_after, run.c.counts, run.c.objects),
    *(run.c.received, run.c.generation, run.c.notes, run.c.lfs),
    *(run.c.releases, run.c.machine),
).join_from(run, mirror)


@lru_cache(maxsize=1 << 16)
def named(host: str, owner: str, name: str) -> RepoName:
    """Return the same name each time: it is compared and folded at every tick."""
    return RepoName(host, owner, name)


@lru_cache(maxsize=1 << 16)
def _spelled(text: str) -> RepoName:
    """Return the name that the column `upstream` holds: HOST/OWNER/NAME."""
    host, _, path = text.partition("/")
    owner, _, name = path.rpartition("/")
    return RepoName(host, owner, name)


def read_state(row: Sequence[Any]) -> RepoState:
    """Return the state in one row of `STATE`.

    Called for every mirror at every tick, so by position and without checks.
    """
    # fmt: off
    (
        id_, host, owner, name, path, tier, activity, fingerprint, asked, stamp, head,
        ref_count, generation, outcome, error, failures, attempt, success, behind,
        change, not_before, hour, day, fortnight, rate_at, held, packs, maintained,
        added, size, scanned, present, missing, damaged, bytes_, retry_at,
        upstream, node_id, standing, listed, late, wish, missed, fault, patience,
        releases, here, lacking, lost, weight, owed, home,
    ) = row
    return RepoState(
        id_, named(host, owner, name), path, tier, _ACTIVITIES[activity],
        fingerprint, asked, stamp, head, ref_count, generation, _OUTCOMES[outcome],
        error, failures, attempt, success, behind, change, not_before,
        PushRate(hour, day, fortnight, rate_at) if rate_at else _NEVER_PUSHED,
        held and read_held(held), packs, maintained, added, size, scanned,
        LfsCounts(present, missing, damaged, bytes_, retry_at)
        if present or missing or damaged else _NO_LFS,
        upstream and _spelled(upstream), node_id, _STANDINGS[standing],
        ReleaseState(
            listed, late, wish, missed, fault, patience,
            ReleaseCounts(here, lacking, lost, weight, owed, releases)
            if releases or here or lacking or lost else _NO_ASSETS,
        )
        if listed or late or fault is not None or releases or here or lacking or lost
        else _NO_RELEASES,
        home,
    )
    # fmt: on


def release_state_values(state: ReleaseState) -> dict[str, Any]:
    """Return the columns of a mirror that a publication of releases may change."""
    return {
        "releases_checked": state.checked,
        "releases_behind": state.behind_since,
        "releases_asked": state.asked,
        "releases_failures": state.failures,
        "releases_error": state.error,
        "releases_not_before": state.not_before,
    }


def state_values(state: RepoState) -> dict[str, Any]:
    """Return the columns that the end of a run may change."""
    return {
        "fingerprint": state.fingerprint,
        "asked": state.asked,
        "stamp": state.stamp,
        "head": state.head,
        "ref_count": state.ref_count,
        "generation": state.generation,
        "outcome": state.outcome,
        "error": state.error,
        "failures": state.failures,
        "last_attempt": state.last_attempt,
        "last_success": state.last_success,
        "behind_since": state.behind_since,
        "last_change": state.last_change,
        "not_before": state.not_before,
        "rate_hour": state.rate.hour,
        "rate_day": state.rate.day,
        "rate_fortnight": state.rate.fortnight,
        "rate_at": state.rate.at,
        "held": held_values(state.held),
        "packs": state.packs,
        "size": state.size,
    }


def read_held(value: dict[str, Any]) -> Held:
    """Return the hold that JSON describes."""
    return Held(
        value["reason"],
        datetime.fromisoformat(value["since"]),
        deletions=tuple(value["deletions"]),
        oid=value["oid"],
        accepted=value["accepted"],
        missing=tuple(value.get("missing", ())),
        identity=value.get("identity"),
        size=value.get("size"),
    )


def held_values(held: Held | None) -> dict[str, Any] | None:
    """Return a hold as JSON describes it."""
    return None if held is None else asdict(held) | {"since": held.since.isoformat()}


def read_run(row: Sequence[Any]) -> SyncRun:
    """Return the run in one row of `RUN`; its findings are the mirror's."""
    host, owner, name, id_, mirror_id, trigger, started, stage, *rest = row
    outcome, ended, error, hint, exit_code, retry_after, counts, *rest = rest
    objects, received, generation, notes, lfs, releases, machine = rest
    return SyncRun(
        id=id_,
        mirror_id=mirror_id,
        name=named(host, owner, name),
        trigger=Trigger(trigger),
        started=started,
        stage=Stage(stage),
        outcome=_OUTCOMES[outcome],
        ended=ended,
        error=error,
        hint=hint,
        exit_code=exit_code,
        retry_after=retry_after,
        counts=counts,
        objects=objects,
        received=received,
        generation=generation,
        notes=tuple(notes),
        lfs=LfsTally(**lfs) if lfs else LfsTally(),
        releases=ReleaseTally(**releases) if releases else ReleaseTally(),
        machine=machine,
    )


def run_values(run_: SyncRun) -> dict[str, Any]:
    """Return the columns of a run that its end may change."""
    return {
        "machine": run_.machine,
        "stage": run_.stage,
        "outcome": run_.outcome,
        "ended": run_.ended,
        "error": run_.error,
        "hint": run_.hint,
        "exit_code": run_.exit_code,
        "retry_after": run_.retry_after,
        "counts": dict(run_.counts),
        "objects": run_.objects,
        "received": run_.received,
        "generation": run_.generation,
        "notes": list(run_.notes),
        "lfs": None if run_.lfs == LfsTally() else asdict(run_.lfs),
        "releases": None if run_.releases == ReleaseTally() else asdict(run_.releases),
    }


def read_intent(row: RowMapping) -> Intent:
    """Return the intent in one row of its table."""
    changes = tuple(
        RefChange(ref, old, new, ChangeKind(kind))
        for ref, old, new, kind in row["changes"]
    )
    releases, events = row["releases"], row["events"]
    published = {
        "changes": changes,
        "releases": None if releases is None else read_changes(releases),
        "events": tuple(map(read_event, events or ())),
    }
    return Intent(**{**row, **published})


def intent_values(planned: Intent) -> dict[str, Any]:
    """Return the row of an intent."""
    values = {column.name: getattr(planned, column.name) for column in intent.c}
    values["changes"] = [(c.ref, c.old, c.new, c.kind) for c in planned.changes]
    if planned.releases is not None:
        values["releases"] = changes_values(planned.releases)
    values["events"] = [event_values(each) for each in planned.events] or None
    return values
