"""What a listing changes of what is known, and which assets are to be brought (pure).

What upstream shows no longer, or shows with other bytes, keeps the bytes we have: a
tombstone says since when, and retention gives them up much later.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from syncer.model.origin import Event
from syncer.model.releases import (
    AssetRecord,
    AssetState,
    Departure,
    Proof,
    ReleaseRecord,
)
from syncer.model.selection import chosen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from syncer.model.releases import Asset, Release
    from syncer.model.selection import ReleaseSelection


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What is to become of a mirror's releases.

    `records` are those that differ from what is stored or have an asset to bring, by
    upstream id; `wanted` are these assets, each with its release's id.
    """

    records: Mapping[int, ReleaseRecord] = field(default_factory=dict)
    wanted: tuple[tuple[int, Asset], ...] = ()
    events: tuple[Event, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.records or self.wanted)


def vanished(
    stored: Iterable[ReleaseRecord], shown: frozenset[int]
) -> list[ReleaseRecord]:
    """Return the releases that a listing does not show any more."""
    return [
        each for each in stored if each.gone is None and each.release.id not in shown
    ]


def plan(
    stored: Sequence[ReleaseRecord],
    shown: Sequence[Release],
    gone: frozenset[int],
    selection: ReleaseSelection,
    now: datetime,
) -> ReleasePlan:
    """Return what follows from releases that were read anew.

    `shown` are those of pages that changed; `gone` the ids of those that upstream
    denied one by one.
    """
    before = {each.release.id: each for each in stored}
    fresh = {each.id: each for each in shown}
    current = [each.release for each in stored if each.gone is None]
    alive = [r for r in current if r.id not in gone and r.id not in fresh]
    selected = chosen([*fresh.values(), *alive], selection)
    drafted = _Draft(selection, now)
    for id_ in dict.fromkeys([*fresh, *before]):
        drafted.release(before.get(id_), fresh.get(id_), id_ in gone, id_ in selected)
    return drafted.plan(before)


class _Draft:
    """A plan while it is made."""

    def __init__(self, selection: ReleaseSelection, now: datetime) -> None:
        self._selection = selection
        self._now = now
        self._records: dict[int, ReleaseRecord] = {}
        self._wanted: list[tuple[int, Asset]] = []
        self._events: list[Event] = []

    def plan(self, before: Mapping[int, ReleaseRecord]) -> ReleasePlan:
        # What is wanted once more looks as it did until the transfer ends.
        owed = {id_ for id_, _ in self._wanted}
        changed = {
            id_: record
            for id_, record in self._records.items()
            if id_ not in before
            or id_ in owed
            or _ordered(record) != _ordered(before[id_])
        }
        return ReleasePlan(changed, tuple(self._wanted), tuple(self._events))

    def release(
        self,
        old: ReleaseRecord | None,
        fresh: Release | None,
        gone: bool,  # noqa: FBT001 - what is known of one release
        selected: bool,  # noqa: FBT001 - as above
    ) -> None:
        """Settle one release: from the listing, from what is stored, or both."""
        if gone and old is not None:
            self._records[old.release.id] = self._departed(old)
        elif fresh is not None:
            self._records[fresh.id] = self._shown(old, fresh, selected=selected)
        elif old is not None and old.gone is None:
            self._records[old.release.id] = self._stayed(old, selected=selected)

    def _departed(self, old: ReleaseRecord) -> ReleaseRecord:
        release = old.release
        self._tell("release-deleted", release, "", alarming=release.immutable)
        assets = tuple(
            each if each.gone else self._tombstone(each, Departure.DELETED)
            for each in old.assets
        )
        return replace(old, gone=self._now, assets=assets)

    def _stayed(self, old: ReleaseRecord, *, selected: bool) -> ReleaseRecord:
        """Settle a release whose page is as it was."""
        assets = [
            each
            if each.gone
            else self._asset(each, each.asset, old.release, selected=selected)
            for each in old.assets
        ]
        return replace(old, selected=selected, assets=tuple(assets))

    def _shown(
        self, old: ReleaseRecord | None, fresh: Release, *, selected: bool
    ) -> ReleaseRecord:
        """Settle a release that was read anew."""
        if old is not None and old.release.immutable:
            self._check_promise(old, fresh)
        elif old is not None and old.release.tag != fresh.tag:
            said = f"its tag was {old.release.tag}"
            self._tell("release-retagged", fresh, said, alarming=True)
        known = [] if old is None else list(old.assets)
        names = {asset.name for asset in fresh.assets}
        assets = []
        for asset in fresh.assets:
            before = _same(known, asset)
            if before is not None:
                known.remove(before)
            assets.append(self._asset(before, asset, fresh, selected=selected))
        for each in known:
            if each.gone is None:
                self._tell_lost(each, fresh, replaced=each.asset.name in names)
        lost = [
            self._tombstone(each, _departure(each, names))
            if each.gone is None
            else each
            for each in known
            if each.blob is not None or each.state is AssetState.EXPIRED
        ]
        bare = replace(fresh, assets=())
        return ReleaseRecord(bare, (*lost, *assets), gone=None, selected=selected)

    def _check_promise(self, old: ReleaseRecord, fresh: Release) -> None:
        """Raise an alarm when an immutable release changed what it promised."""
        if fresh.tag != old.release.tag:
            said = f"its tag was {old.release.tag}"
            self._tell("immutable-release-changed", fresh, said, alarming=True)
        if not fresh.immutable:
            said = "it is immutable no more"
            self._tell("immutable-release-changed", fresh, said, alarming=True)

    def _tell_lost(
        self, each: AssetRecord, release: Release, *, replaced: bool
    ) -> None:
        """Raise an event for an asset that its release shows no longer."""
        if release.immutable:
            said = f"{each.asset.name} is not what it was; the old bytes are kept"
            self._tell("immutable-release-changed", release, said, alarming=True)
        elif each.blob is not None:
            action = "asset-replaced" if replaced else "asset-deleted"
            said = f"{each.asset.name}: the old bytes are kept"
            self._tell(action, release, said, alarming=replaced)

    def _tombstone(self, each: AssetRecord, departure: Departure) -> AssetRecord:
        absent = each.state in {AssetState.MISSING, AssetState.UNWANTED}
        state = AssetState.UNWANTED if absent and each.blob is None else each.state
        return replace(
            each,
            state=state,
            gone=self._now,
            departure=departure,
            retry_at=None,
        )

    def _asset(
        self,
        before: AssetRecord | None,
        asset: Asset,
        release: Release,
        *,
        selected: bool,
    ) -> AssetRecord:
        """Settle an asset that upstream shows, and want it where it is not here."""
        if before is None:
            record = AssetRecord(asset, AssetState.UNWANTED, since=self._now)
        else:
            record = replace(before, asset=asset, gone=None, departure=None)
        if not (selected and self._selection.takes(asset)):
            return self._unwanted(record)
        if record.state is AssetState.PRESENT:
            return _better_proven(record)
        if record.state is AssetState.UNWANTED and record.blob is not None:
            return _better_proven(self._turned(record, AssetState.PRESENT))
        waits = record.retry_at is not None and record.retry_at > self._now
        if not waits:
            self._wanted.append((release.id, expected(record)))
        if record.state in {AssetState.UNWANTED, AssetState.EXPIRED}:
            # Until it is here; what comes of it is known when the transfer ends.
            return replace(self._turned(record, AssetState.MISSING), retry_at=self._now)
        return record

    def _unwanted(self, record: AssetRecord) -> AssetRecord:
        """Return an asset that the selection leaves out: its bytes stay, if right."""
        if record.state is AssetState.DAMAGED:
            record = replace(record, blob=None, proof=None, attestation=None)
        if record.state is AssetState.EXPIRED:
            return record
        return self._turned(record, AssetState.UNWANTED)

    def _turned(self, record: AssetRecord, state: AssetState) -> AssetRecord:
        if record.state is state:
            return record
        return replace(
            record, state=state, since=self._now, reason=None, retry_at=None, tries=0
        )

    def _tell(
        self, action: str, release: Release, said: str, *, alarming: bool
    ) -> None:
        detail = f"{release.tag} {said}".strip()
        self._events.append(Event(action, detail, alarming=alarming))


def expected(record: AssetRecord) -> Asset:
    """Return an asset with the digest that its bytes are held to.

    What was pinned and is lost is not pinned anew: it was these bytes.
    """
    if record.asset.digest is None and record.state is AssetState.DAMAGED:
        return replace(record.asset, digest=record.blob)
    return record.asset


def _same(known: Sequence[AssetRecord], asset: Asset) -> AssetRecord | None:
    """Return the record of a file that upstream shows, or shows again."""
    return next(
        (
            each
            for each in sorted(known, key=lambda each: each.gone is not None)
            if each.asset.id == asset.id and not _differs(each, asset)
        ),
        None,
    )


def _departure(each: AssetRecord, names: AbstractSet[str]) -> Departure:
    replaced = each.asset.name in names
    return Departure.REPLACED if replaced else Departure.DELETED


def _ordered(record: ReleaseRecord) -> ReleaseRecord:
    """Return a record that two of the same content have in common."""
    assets = sorted(record.assets, key=lambda each: (each.asset.id, str(each.gone)))
    return replace(record, assets=tuple(assets))


def _differs(before: AssetRecord, asset: Asset) -> bool:
    """Return whether the same id stands for other bytes than those we hold.

    A digest that upstream publishes later is held against what was pinned.
    """
    if before.asset.size != asset.size:
        return before.asset.uploaded
    if asset.digest is None:
        return False
    known = before.asset.digest or before.blob
    return known is not None and known != asset.digest


def _better_proven(record: AssetRecord) -> AssetRecord:
    """Return a pinned asset as verified once upstream publishes its digest."""
    if record.asset.digest is not None and record.blob == record.asset.digest:
        return replace(record, proof=Proof.VERIFIED)
    return record
