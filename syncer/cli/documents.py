"""Values become the JSON that `--json` prints; keys name their units.

A name that is not UTF-8 is shown with replacement characters and has its
bytes beside it, in base64, under the same key with `_b64`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncer.cli.render import printable, raw, received, stamp, word_of

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.content import Finding, RefChange
    from syncer.model.counts import Counts
    from syncer.model.lfs import LfsCounts, LfsObject
    from syncer.model.mirrors import Held
    from syncer.model.origin import Facts, Origin
    from syncer.model.releases import (
        AssetRecord,
        Author,
        Pin,
        ReleaseCounts,
        ReleaseRecord,
        ReleaseState,
    )
    from syncer.model.runs import SyncRun
    from syncer.schedule.lag import Freshness

Document = dict[str, Any]


def name_of(key: str, text: str | None) -> Document:
    """Return a name that may not be UTF-8 under `key`, its bytes if need be."""
    if text is None:
        return {key: None}
    encoded = raw(text)
    return {key: printable(text)} | ({} if encoded is None else {f"{key}_b64": encoded})


def mirror(fresh: Freshness) -> Document:
    """Return a mirror's state."""
    state = fresh.state
    return {
        "repository": state.name.short,
        "host": state.name.host,
        "owner": state.name.owner,
        "name": state.name.name,
        "path": state.path,
        "tier": state.tier,
        "state": fresh.word.value,
        "activity": state.activity.value,
        "lag_seconds": fresh.lag.total_seconds(),
        "behind_seconds": fresh.behind.total_seconds(),
        "staleness_seconds": fresh.staleness.total_seconds(),
        "target_seconds": fresh.target.total_seconds(),
        "components": {
            each.name: {
                "lag_seconds": each.lag.total_seconds(),
                "behind_seconds": each.behind.total_seconds(),
                "staleness_seconds": each.staleness.total_seconds(),
            }
            for each in fresh.components
        },
        "generation": state.generation,
        "refs": state.ref_count,
        **name_of("head", state.head),
        "size_bytes": state.size,
        "lfs": {"scanned": stamp(state.lfs_scanned), **counts(state.lfs)},
        "releases": release_state(state.releases),
        "upstream": state.source.short,
        "home": state.home,
        "standing": state.standing.value,
        "last_attempt": stamp(state.last_attempt),
        "last_success": stamp(state.last_success),
        "last_change": stamp(state.last_change),
        "failures": state.failures,
        "error": None if state.error is None else printable(state.error),
        "held": None if state.held is None else held(state.held),
    }


def counts(lfs: LfsCounts) -> Document:
    """Return how many LFS objects are here."""
    return {"total": lfs.total, **_here(lfs)}


def _here(found: Counts) -> Document:
    return {
        "present": found.present,
        "missing": found.missing,
        "damaged": found.damaged,
        "present_bytes": found.size,
        "retry_at": stamp(found.retry_at),
    }


def absent(found: LfsObject) -> Document:
    """Return an LFS object that is not here."""
    return {
        "oid": found.pointer.oid,
        "size_bytes": found.pointer.size,
        "state": found.state.value,
        "reason": None if found.reason is None else printable(found.reason),
        "since": stamp(found.since),
        "retry_at": stamp(found.retry_at),
        "tries": found.tries,
    }


def held(reason: Held) -> Document:
    """Return why a mirror waits."""
    return {
        "reason": printable(reason.reason),
        "since": stamp(reason.since),
        "accepted": reason.accepted,
        "object": reason.oid,
        "deletions": [name_of("ref", ref) for ref in reason.deletions],
        "missing": list(reason.missing),
        "identity": reason.identity,
    }


def run(ended: SyncRun) -> Document:
    """Return a run."""
    word = word_of(ended)
    took = ended.took
    return {
        "repository": ended.name.short,
        "trigger": ended.trigger.value,
        "outcome": None if ended.outcome is None else ended.outcome.value,
        "state": None if word is None else word.value,
        "stage": ended.stage.value,
        "started": stamp(ended.started),
        "ended": stamp(ended.ended),
        "took_seconds": None if took is None else took.total_seconds(),
        "generation": ended.generation,
        "refs": dict(ended.counts),
        "objects": ended.objects,
        "received_bytes": received(ended),
        "lfs": {
            "fetched": ended.lfs.fetched,
            "linked": ended.lfs.linked,
            "missing": ended.lfs.missing,
            "received_bytes": ended.lfs.received,
        },
        "releases": {
            "changed": ended.releases.changed,
            "fetched": ended.releases.fetched,
            "linked": ended.releases.linked,
            "missing": ended.releases.missing,
            "received_bytes": ended.releases.received,
        },
        "error": None if ended.error is None else printable(ended.error),
        "hint": ended.hint,
        "exit_code": ended.exit_code,
        "machine": ended.machine,
        "notes": [printable(note) for note in ended.notes],
    }


def release_state(state: ReleaseState) -> Document:
    """Return how much of a mirror's releases is here, and since when."""
    return {
        **release_counts(state.counts),
        "checked": stamp(state.checked),
        "behind_since": stamp(state.behind_since),
        "failures": state.failures,
        "error": None if state.error is None else printable(state.error),
        "not_before": stamp(state.not_before),
    }


def release_counts(found: ReleaseCounts) -> Document:
    """Return how many releases there are, and how many of their assets are here."""
    return {"releases": found.releases, "assets": found.total, **_here(found)}


def facts(found: Facts) -> Document:
    """Return what upstream says of a repository."""
    return {
        "repository": found.name.short,
        "id": found.id,
        "node_id": printable(found.node_id),
        "default_branch": _text(found.default_branch),
        "private": found.private,
        "archived": found.archived,
        "disabled": found.disabled,
        "fork": found.fork,
        "licence": _text(found.licence),
        "topics": [printable(topic) for topic in found.topics],
        "language": _text(found.language),
        "size_bytes": found.size,
        "pushed": stamp(found.pushed),
    }


def origin(known: Origin, aliases: list[str]) -> Document:
    """Return who a mirror's repository is upstream."""
    return {
        "standing": known.standing.value,
        "since": stamp(known.since),
        "notice": _text(known.notice),
        "sightings": known.sightings,
        "described": stamp(known.described),
        "facts": None if known.facts is None else facts(known.facts),
        "aliases": aliases,
    }


def release(record: ReleaseRecord) -> Document:
    """Return a release with all of its assets."""
    shown = record.release
    return {
        "id": shown.id,
        **name_of("tag", shown.tag),
        "target": printable(shown.target),
        "title": _text(shown.title),
        "author": _author(shown.author),
        "draft": shown.draft,
        "prerelease": shown.prerelease,
        "immutable": shown.immutable,
        "selected": record.selected,
        "created": stamp(shown.created),
        "published": stamp(shown.published),
        "updated": stamp(shown.updated),
        "gone": stamp(record.gone),
        "assets": [asset(each) for each in record.assets],
    }


def asset(record: AssetRecord) -> Document:
    """Return an asset: what upstream shows, and what is here of it."""
    shown = record.asset
    return {
        "id": shown.id,
        "name": printable(shown.name),
        "label": _text(shown.label),
        "content_type": printable(shown.content_type),
        "size_bytes": shown.size,
        "digest": shown.digest,
        "uploaded": shown.uploaded,
        "created": stamp(shown.created),
        "updated": stamp(shown.updated),
        "uploader": _author(shown.uploader),
        "state": record.state.value,
        "sha256": record.blob,
        "proof": None if record.proof is None else record.proof.value,
        "attestation": record.attestation,
        "reason": _text(record.reason),
        "since": stamp(record.since),
        "retry_at": stamp(record.retry_at),
        "tries": record.tries,
        "gone": stamp(record.gone),
        "departure": None if record.departure is None else record.departure.value,
    }


def pin(pinned: Pin) -> Document:
    """Return a tag that no retention rule touches."""
    at = stamp(pinned.at)
    return {**name_of("tag", pinned.tag), "at": at, "actor": printable(pinned.actor)}


def _author(who: Author | None) -> Document | None:
    return None if who is None else {"id": who.id, "login": printable(who.login)}


def _text(text: str | None) -> str | None:
    return None if text is None else printable(text)


def change(when: datetime, generation: int, changed: RefChange) -> Document:
    """Return how one ref changed."""
    return {
        "at": stamp(when),
        "generation": generation,
        **name_of("ref", changed.ref),
        "kind": changed.kind.value,
        "old": changed.old,
        "new": changed.new,
    }


def finding(found: Finding) -> Document:
    """Return what fsck reports of an object."""
    return {"object": found.oid, "check": found.check, "text": printable(found.text)}
