"""How each asset of a transfer ended, and what is recorded of it (pure)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.errors import RateLimited
from syncer.model.blobs import Blob
from syncer.model.releases import AssetState, Proof, asset_pointer
from syncer.sync.release_plan import expected
from syncer.sync.transfer.patience import ask_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from syncer.errors import SyncerError
    from syncer.model.releases import AssetRecord, ReleaseRecord
    from syncer.sync.transfer import TransferResult

#: So many assets are named in a message; `syncer show` has them all.
_NAMED = 3
_FIRST_RETRY = timedelta(minutes=2)
_DOUBLINGS = 5  # to about an hour, where a refusal begins


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of one asset: its blob, or why there is none.

    `error` is what another attempt may not meet; without one upstream refused it.
    """

    blob: Blob | None = None
    reason: str | None = None
    error: SyncerError | None = None
    over_quota: bool = False
    #: It was never asked for, since others failed before it.
    untried: bool = False


def brought(result: TransferResult, clean: Callable[[str], str]) -> dict[str, Brought]:
    """Return what became of each wanted asset, by its pointer's oid.

    `clean` takes secrets out of what upstream says.
    """
    found = {oid: Brought(blob) for oid, blob in result.arrived.items()}
    for each in result.missing:
        oid = each.pointer.oid
        reason = None if each.reason is None else clean(each.reason)
        found[oid] = Brought(reason=reason, over_quota=oid in result.over_quota)
    for oid, error in result.failed.items():
        untried = oid in result.untried
        found[oid] = Brought(reason=clean(str(error)), error=error, untried=untried)
    return found


def settled(
    records: Mapping[int, ReleaseRecord],
    found: Mapping[str, Brought],
    now: datetime,
) -> dict[int, ReleaseRecord]:
    """Return the records with what the transfer made of their assets."""
    return {
        id_: replace(
            record, assets=tuple(_settled(each, found, now) for each in record.assets)
        )
        for id_, record in records.items()
    }


def _settled(
    record: AssetRecord, found: Mapping[str, Brought], now: datetime
) -> AssetRecord:
    waiting = {AssetState.MISSING, AssetState.DAMAGED}
    if record.gone is not None or record.state not in waiting:
        return record
    wanted = expected(record)
    pointer = asset_pointer(wanted)
    ending = found.get(pointer.oid)
    if ending is None:
        return record
    if ending.blob is None:
        return _lacking(record, ending, now)
    verified = record.asset.digest is not None
    if wanted.digest is not None and ending.blob != Blob(*pointer):
        # What came is another asset's, whose name upstream has given this one.
        wrong = Brought(reason="its digest is that of other bytes")
        return _lacking(record, wrong, now)
    return replace(
        record,
        state=AssetState.PRESENT,
        blob=ending.blob.digest,
        proof=Proof.VERIFIED if verified else Proof.PINNED,
        reason=None,
        since=now,
        retry_at=None,
        tries=0,
    )


def _lacking(record: AssetRecord, ending: Brought, now: datetime) -> AssetRecord:
    tries = record.tries if ending.untried else record.tries + 1
    since = record.since if record.tries else now
    return replace(
        record,
        reason=ending.reason,
        since=since,
        retry_at=_again(record, ending, tries, now),
        tries=tries,
    )


def _again(record: AssetRecord, ending: Brought, tries: int, now: datetime) -> datetime:
    """Return when upstream is asked for an asset again.

    Soon after a fault that passes, as late as for LFS objects after a refusal.
    """
    error = ending.error
    if error is None:
        oid = asset_pointer(record.asset).oid
        return ask_again(oid, tries, now, over_quota=ending.over_quota)
    wait: timedelta = _FIRST_RETRY * 2 ** min(max(tries - 1, 0), _DOUBLINGS)
    if isinstance(error, RateLimited) and error.retry_after is not None:
        wait = max(wait, error.retry_after)
    return now + wait


def held_blobs(records: Iterable[ReleaseRecord]) -> frozenset[str]:
    """Return the blobs of the assets that are here."""
    return frozenset(
        each.blob
        for record in records
        for each in record.assets
        if each.state is AssetState.PRESENT and each.blob is not None
    )


def without(
    record: ReleaseRecord, bad: AbstractSet[str], now: datetime
) -> ReleaseRecord:
    """Return a record whose assets are damaged where their blobs are."""
    return replace(
        record,
        assets=tuple(
            replace(
                each,
                state=AssetState.DAMAGED,
                reason="its bytes are lost or wrong",
                since=now,
                retry_at=None if each.gone else now,
            )
            if each.state is AssetState.PRESENT and each.blob in bad
            else each
            for each in record.assets
        ),
    )


def missing(records: Iterable[ReleaseRecord]) -> list[tuple[str, AssetRecord]]:
    """Return what is wanted and not here, with the tags of the releases."""
    return [
        (record.release.tag, each)
        for record in records
        for each in record.assets
        if each.gone is None and each.state in {AssetState.MISSING, AssetState.DAMAGED}
    ]


def told(lacking: Sequence[tuple[str, AssetRecord]]) -> tuple[str, ...]:
    """Return a note that names the assets that did not come."""
    if not lacking:
        return ()
    named = [f"{tag}/{each.asset.name} ({each.reason})" for tag, each in lacking]
    more = len(named) - _NAMED
    rest = f" and {more} more" if more > 0 else ""
    return (f"assets missing: {', '.join(named[:_NAMED])}{rest}",)
