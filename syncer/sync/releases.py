"""A run's releases: listed, compared, their assets brought, their names published.

    due? ──pages, each conditional──> as we know them ──> noted with the probe
                                └──> differs ──> plan ──> assets into the blob store
                                                               │
       names, by the transaction that ends the run <── present or missing, with a reason

What goes wrong here leaves what is published as it was, and keeps no ref waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from syncer.model.mirrors import Held
from syncer.model.releases import ReleaseChanges, ReleaseTally, asset_pointer
from syncer.sync.arrivals import (
    brought,
    held_blobs,
    missing,
    settled,
    told,
    without,
)
from syncer.sync.attestations import Attestations
from syncer.sync.guard import is_accepted, is_mass
from syncer.sync.release_plan import ReleasePlan, plan, vanished
from syncer.sync.transfer import AssetBook, TransferJob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from syncer.model.mirrors import RepoState
    from syncer.model.origin import Event
    from syncer.model.releases import Asset, Listing, ReleaseRecord
    from syncer.model.selection import ReleaseSelection
    from syncer.ports import ProgressSink
    from syncer.sync.arrivals import Brought
    from syncer.sync.sizes import Quota
    from syncer.sync.transfer import TransferResult
    from syncer.sync.world import World

#: A look this little before its time is no look too early.
_SLACK = 0.9


class Look(NamedTuple):
    """What a listing showed: something else than we know, or not, as of when.

    Neither, where that is written down already.
    """

    listing: Listing | None = None
    listed: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """What a run did for releases, and what is to be published of it."""

    changes: ReleaseChanges | None = None
    events: tuple[Event, ...] = ()
    tally: ReleaseTally = field(default_factory=ReleaseTally)
    notes: tuple[str, ...] = ()
    held: Held | None = None


def is_due(
    state: RepoState, selection: ReleaseSelection, every: timedelta, now: datetime
) -> bool:
    """Return whether a mirror's releases are to be looked at with this visit."""
    known = state.releases
    if known.not_before is not None and now < known.not_before:
        return False
    retry = known.counts.retry_at
    if known.checked is None or known.asked != selection.key:
        return True
    return now - known.checked >= every * _SLACK or (retry is not None and retry <= now)


def are_whole(state: RepoState, selection: ReleaseSelection) -> bool:
    """Return whether every asset that is wanted of a mirror is here."""
    counts = state.releases.counts
    return not selection.wanted or counts.present == counts.total


def bring_assets(
    world: World,
    state: RepoState,
    wanted: Sequence[tuple[str, Asset]],
    progress: ProgressSink | None,
) -> TransferResult:
    """Transfer assets of a mirror, each wanted with its tag; upstream's faults stay.

    Its claims stay, too: they are given back when what was brought is recorded.
    Raises as `Transfers.run`.
    """
    facts = world.releases.origin(state.id).facts
    drafts = world.selection(state.name).releases.drafts
    public = facts is not None and not facts.private and not drafts
    pointers = {asset_pointer(asset): (tag, asset) for tag, asset in wanted}
    labels = {p.oid: f"{tag}/{a.name}" for p, (tag, a) in pointers.items()}
    unnamed = {p.oid for p, (_, asset) in pointers.items() if asset.digest is None}
    job = TransferJob(
        state.id,
        state.source,
        world.api.assets(state.source, wanted, public=public),
        list(pointers),
        AssetBook(labels),
        unnamed=frozenset(unnamed),
        lenient=True,
    )
    return world.transfers.run(job, progress)


class ReleaseLook:
    """Lists releases, and tells whether they are as we know them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def wants(self, state: RepoState) -> bool:
        """Return whether releases are mirrored of a mirror at all."""
        selection = self._world.selection(state.name).releases
        return selection.wanted and self._world.api.serves(state.name.host)

    def look(self, state: RepoState) -> Look:
        """List the releases; raises as `ForgeApi.releases` does."""
        world = self._world
        facts = world.releases.origin(state.id).facts
        if facts is None:
            # Who it is could not be found out a moment ago; it is asked why.
            facts = world.api.named(state.source)
        selection = world.selection(state.name).releases
        known = world.releases.pages(state.id)
        listing = world.api.releases(state.source, facts.id, known)
        now, asked = world.clock.now(), state.releases.asked == selection.key
        retry = state.releases.counts.retry_at
        owed = not asked or (retry is not None and retry <= now)
        if not owed and list(listing.pages) == known and not listing.releases:
            return Look(listed=listing.started)
        stored = world.releases.releases(state.id)
        gone = vanished(stored, listing.ids)
        if gone or plan(stored, listing.releases, frozenset(), selection, now):
            world.releases.observe(state.id, listing.started)
            return Look(listing)
        # Counts of downloads and the like: nothing that we show.
        world.releases.listed(state.id, listing.pages, listing.started, selection.key)
        return Look()


class ReleaseStage:
    """Brings the assets that a listing shows, and drafts what is published."""

    def __init__(self, world: World, progress: ProgressSink | None) -> None:
        self._world = world
        self._progress = progress

    def run(self, state: RepoState, listing: Listing, quota: Quota) -> ReleaseResult:
        """Account for every release and asset that upstream shows.

        Claims what is brought until the run ends.  Raises as `Transfers.run` and
        `ForgeApi` do, and `TooLarge`; nothing is published then.
        """
        world, now = self._world, self._world.clock.now()
        selection = world.selection(state.name).releases
        stored = world.releases.releases(state.id)
        lost = vanished(stored, listing.ids)
        shown_before = sum(each.gone is None for each in stored)
        held = _mass(lost, shown_before, state.held, now)
        if held is not None:
            return ReleaseResult(held=held)
        gone = self._confirmed(state, lost, accepted=is_mass(len(lost), shown_before))
        drafted = plan(stored, listing.releases, gone, selection, now)
        quota.with_more(sum(asset.size for _, asset in drafted.wanted))
        found, result = self._bring(state, drafted, stored)
        ended = self._sound(settled(drafted.records, found, now), now)
        records = Attestations(world, state).add(ended)
        changes = ReleaseChanges(
            tuple(records.values()), listing.pages, selection.key, listing.started
        )
        known = {each.release.id: each for each in stored}
        lacking = missing({**known, **records}.values())
        tally = replace(result, missing=len(lacking), changed=len(records))
        return ReleaseResult(changes, drafted.events, tally, told(lacking))

    def _sound(
        self, records: Mapping[int, ReleaseRecord], now: datetime
    ) -> dict[int, ReleaseRecord]:
        """Return the records; what is wanted again is not here if its blob is bad."""
        claimed = held_blobs(records.values())
        known = self._world.index.find(claimed)
        bad = {d for d in claimed if d not in known or known[d].damaged is not None}
        return {id_: without(record, bad, now) for id_, record in records.items()}

    def _confirmed(
        self, state: RepoState, lost: Sequence[ReleaseRecord], *, accepted: bool
    ) -> frozenset[int]:
        """Return which releases upstream denies when it is asked for each.

        A listing that shifts while it is read shows some of them not at all.  What a
        person accepted is not asked for one by one.
        """
        ids = [each.release.id for each in lost]
        if accepted or not ids:
            return frozenset(ids)
        facts = self._world.releases.origin(state.id).facts
        repo_id = 0 if facts is None else facts.id
        ask = self._world.api.release
        return frozenset(id_ for id_ in ids if not ask(state.source, repo_id, id_))

    def _bring(
        self, state: RepoState, drafted: ReleasePlan, stored: Sequence[ReleaseRecord]
    ) -> tuple[Mapping[str, Brought], ReleaseTally]:
        """Transfer the wanted assets; return what became of each, by pointer."""
        wanted = _tagged(drafted, stored)
        if not wanted:
            return {}, ReleaseTally()
        result = bring_assets(self._world, state, wanted, self._progress)
        done = result.tally
        tally = ReleaseTally(done.fetched, done.linked, received=done.received)
        return brought(result, self._world.clean), tally


def _tagged(
    drafted: ReleasePlan, stored: Sequence[ReleaseRecord]
) -> list[tuple[str, Asset]]:
    """Return the wanted assets with the tags of their releases."""
    tags = {each.release.id: each.release.tag for each in stored}
    tags |= {id_: each.release.tag for id_, each in drafted.records.items()}
    return [(tags[id_], asset) for id_, asset in drafted.wanted]


def _mass(
    lost: Sequence[ReleaseRecord], total: int, before: Held | None, now: datetime
) -> Held | None:
    """Return why a disappearance of releases waits for `syncer accept`."""
    if not is_mass(len(lost), total):
        return None
    names = tuple(f"release {each.release.tag}" for each in lost)
    if is_accepted(before, names):
        return None
    known = before is not None and set(names) <= set(before.deletions)
    since = before.since if before is not None and known else now
    reason = f"{len(lost)} of {total} releases are gone upstream at once"
    return Held(reason, since, deletions=names)
