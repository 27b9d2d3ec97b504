"""Assets and attestations that are lost or wrong, fetched again from upstream.

Their digests are known, so these very bytes are what counts as right: another file
that upstream has in their place by now is none, and a run publishes that.  Nothing
has to be published here, since the index heals what needs a blob that is right again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import Interrupted, SyncerError
from syncer.model.releases import asset_pointer
from syncer.sync.attestations import store
from syncer.sync.releases import bring_assets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from syncer.model.mirrors import RepoState
    from syncer.model.releases import Asset, AssetRecord, ReleaseRecord
    from syncer.ports import ProgressSink
    from syncer.sync.transfer import TransferResult
    from syncer.sync.world import World

log = logging.getLogger(__name__)


class _Offered(NamedTuple):
    """An asset that upstream shows, below the digest that its bytes have here."""

    tag: str
    asset: Asset


class Mender:
    """Fetches again what one mirror's assets lack, under its lease."""

    def __init__(
        self, world: World, state: RepoState, progress: ProgressSink | None = None
    ) -> None:
        self._world = world
        self._state = state
        self._progress = progress

    def mend(self, damaged: frozenset[str]) -> None:
        """Replace damaged blobs of assets, as far as upstream has the same bytes.

        What it does not give stays as it is, and is logged with upstream's words.

        Raises:
            Interrupted: the stop event was set; what was brought is recorded.
            SyncerError: of the store or the catalog.
        """
        world, name = self._world, self._state.name
        if not damaged or not world.api.serves(name.host):
            return
        records = world.releases.releases(self._state.id)
        offered = _offered(records, damaged)
        if offered:
            self._bring(offered)
        if world.api.is_authorised(name.host):
            for digest, each in _attested(records, damaged):
                self._attest(digest, each)

    def _bring(self, offered: Sequence[_Offered]) -> None:
        """Transfer assets; the engine replaces what the index says is damaged."""
        world, state = self._world, self._state
        labels = {
            asset_pointer(asset).oid: f"{tag}/{asset.name}" for tag, asset in offered
        }
        try:
            result = bring_assets(world, state, offered, self._progress)
        finally:
            world.index.release(state.id)
        for oid, why in _reasons(result).items():
            self._tell(labels[oid], why)

    def _attest(self, digest: str, each: AssetRecord) -> None:
        """Ask once more what upstream attests of an asset's bytes."""
        world, state = self._world, self._state
        what = f"the attestation of {each.asset.name}"
        try:
            document = world.api.attestations(state.source, each.blob or "")
        except Interrupted:
            raise
        except SyncerError as exc:
            self._tell(what, str(exc))
            return
        if document is None or sha256(document).hexdigest() != digest:
            self._tell(what, "upstream does not attest the same any more")
            return
        store(world, state, digest, document, replace_=True)

    def _tell(self, what: str, why: str) -> None:
        extra = {"repo": str(self._state.name), "asset": what, "error": why}
        log.warning("upstream did not give it again", extra=extra)


def _offered(
    records: Sequence[ReleaseRecord], damaged: frozenset[str]
) -> list[_Offered]:
    """Return an asset for each damaged blob, of those that upstream shows."""
    found: dict[str, _Offered] = {}
    for record in records:
        for each in record.assets:
            if each.gone is None and each.blob in damaged:
                # Also where upstream publishes no digest: it is pinned to these bytes.
                asset = replace(each.asset, digest=each.blob)
                found.setdefault(str(each.blob), _Offered(record.release.tag, asset))
    return list(found.values())


def _attested(
    records: Sequence[ReleaseRecord], damaged: frozenset[str]
) -> Iterator[tuple[str, AssetRecord]]:
    """Yield an asset for each damaged attestation: several may have the same."""
    found = {
        each.attestation: each
        for record in records
        for each in record.assets
        if each.blob is not None
    }
    for digest, each in found.items():
        if digest is not None and digest in damaged:
            yield digest, each


def _reasons(result: TransferResult) -> dict[str, str]:
    """Return why assets did not come, by the digest."""
    refused = {each.pointer.oid: each.reason or "" for each in result.missing}
    return refused | {oid: str(error) for oid, error in result.failed.items()}
