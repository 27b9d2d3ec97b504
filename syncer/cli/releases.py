"""What is told of releases and their assets."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.cli.render import ago, printable, table
from syncer.errors import PermanentError
from syncer.model.releases import AssetState, Proof
from syncer.units import duration, plural, size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from syncer.cli.records import Records
    from syncer.model.mirrors import RepoState
    from syncer.model.releases import AssetRecord, ReleaseRecord

#: Releases that are shown unless all are asked for.
NEWEST = 10
_DIGEST = 12
_WANTED = {AssetState.PRESENT, AssetState.MISSING, AssetState.DAMAGED}


def facts(
    records: Records, state: RepoState, found: Sequence[ReleaseRecord]
) -> list[tuple[str, str]]:
    """Return the lines about a mirror's releases; none if its host has no API."""
    repo = records.config.find(state.name)
    if repo is not None and not repo.has_releases:
        return [("releases", 'not mirrored: releases = "off"')]
    listed = state.releases.checked is not None or bool(found)
    served = records.config.has_api(state.name.host)
    if not listed and not served:
        return []
    told = [words_of(found) if listed else "not listed yet"]
    if listed:
        told[0] += f"; checked {ago(state.releases.checked, records.now)}"
    if state.releases.behind_since is not None:
        waiting = duration(records.now - state.releases.behind_since)
        told.append(f"behind {waiting}: a change is not published yet")
    if state.releases.error is not None:
        told.append(f"could not be listed: {printable(state.releases.error)}")
    told += _retry(state.releases.counts.retry_at, records.now)
    return [("" if index else "releases", text) for index, text in enumerate(told)]


def words_of(found: Iterable[ReleaseRecord]) -> str:
    """Return `3 (7/8 assets: 5 verified, 2 pinned on first sight, 1 missing), 9 GiB`.

    Only what upstream shows and the selection takes is counted.
    """
    shown = [each for each in found if each.gone is None and each.selected]
    assets = [asset for each in shown for asset in wanted(each)]
    here = [each for each in assets if each.state is AssetState.PRESENT]
    counts = [
        (sum(each.proof is Proof.VERIFIED for each in here), "verified"),
        (sum(each.proof is Proof.PINNED for each in here), "pinned on first sight"),
        (sum(each.state is AssetState.MISSING for each in assets), "missing"),
        (sum(each.state is AssetState.DAMAGED for each in assets), "damaged"),
    ]
    if not assets:
        return f"{len(shown):,}, no assets"
    parts = ", ".join(f"{count:,} {word}" for count, word in counts if count)
    amount = size(sum(each.asset.size for each in here))
    return f"{len(shown):,} ({len(here):,}/{len(assets):,} assets: {parts}), {amount}"


def wanted(record: ReleaseRecord) -> list[AssetRecord]:
    """Return the assets of a release that belong here, present or not."""
    return [a for a in record.assets if a.gone is None and a.state in _WANTED]


def release_table(found: Sequence[ReleaseRecord], pins: Collection[str]) -> list[str]:
    """Return releases as lines, the newest first."""
    rows = []
    for record in found:
        those = wanted(record)
        here = [each for each in those if each.state is AssetState.PRESENT]
        when = record.release.published or record.release.created
        rows.append(
            (
                record.release.tag,
                "-" if when is None else f"{when:%Y-%m-%d}",
                f"{len(here):,}/{len(those):,}" if those else "-",
                size(sum(each.asset.size for each in here)) if here else "-",
                ", ".join(flags(record, pins)),
            )
        )
    headers = ("TAG", "PUBLISHED", "ASSETS", "SIZE", "FLAGS")
    return table(headers, rows, right=("ASSETS", "SIZE"))


def flags(record: ReleaseRecord, pins: Collection[str]) -> list[str]:
    """Return what is special about a release, one word each."""
    found = [
        (record.release.prerelease, "pre"),
        (record.release.draft, "draft"),
        (record.release.immutable, "immutable"),
        (record.release.tag in pins, "pinned"),
        (record.gone is not None, "gone"),
        (not record.selected, "unselected"),
    ]
    return [word for is_so, word in found if is_so]


def of_tag(found: Sequence[ReleaseRecord], tag: str) -> list[ReleaseRecord]:
    """Return the releases of one tag: usually one, or none.

    Raises:
        PermanentError: none has it.
    """
    those = [each for each in found if each.release.tag == tag]
    if not those:
        msg = f"no release of the tag {printable(tag)} is known"
        raise PermanentError(msg, hint="`syncer show NAME --all` lists all of them")
    return those


def asset_table(record: ReleaseRecord, now: datetime) -> list[str]:
    """Return every asset of a release as lines, those that left included."""
    rows = [
        (
            each.asset.name,
            size(each.asset.size),
            state_of(each),
            (each.blob or each.asset.digest or "-")[:_DIGEST],
            note_of(each, now),
        )
        for each in record.assets
    ]
    if not rows:
        return [f"{printable(record.release.tag)} has no assets"]
    headers = ("ASSET", "SIZE", "STATE", "SHA256", "NOTE")
    return table(headers, rows, right=("SIZE",))


def state_of(record: AssetRecord) -> str:
    """Return how an asset stands here, in one word.

    What upstream shows no longer is "deleted" or "replaced", unless its bytes are
    gone here too.
    """
    if record.state is AssetState.EXPIRED:
        return record.state.value
    if record.departure is not None:
        return record.departure.value
    if record.state is AssetState.PRESENT and record.proof is not None:
        return record.proof.value
    return record.state.value


def note_of(record: AssetRecord, now: datetime) -> str:
    """Return what else there is to know of an asset."""
    parts = []
    if record.reason is not None:
        parts.append(record.reason)
    if record.tries:
        parts.append(f"asked {plural(record.tries, 'time')}")
    parts += _retry(record.retry_at, now)
    if record.gone is not None:
        kept = ", bytes kept" if record.state is AssetState.PRESENT else ""
        parts.append(f"left {ago(record.gone, now)}{kept}")
    if record.attestation is not None:
        parts.append("attested")
    if not record.asset.uploaded:
        parts.append("its upload has not ended")
    return "; ".join(parts)


def _retry(at: datetime | None, now: datetime) -> list[str]:
    """Return when upstream is asked again for what is not here."""
    if at is None:
        return []
    if at <= now + timedelta(seconds=1):
        return ["asked for again by the next run"]
    return [f"asked for again in {duration(at - now)}"]
