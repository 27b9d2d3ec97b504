"""What upstream attests of its immutable releases, kept beside their assets.

A release attestation is a Sigstore bundle that says which digests a release has
(docs.github.com/en/rest/repos/attestations).  It is a document of its own, so it lies
in the blob store like everything else, below its own digest.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from syncer.errors import Interrupted, SyncerError
from syncer.model.blobs import StoredBlob
from syncer.model.releases import AssetState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.model.mirrors import RepoState
    from syncer.model.releases import AssetRecord, ReleaseRecord
    from syncer.sync.world import World

log = logging.getLogger(__name__)


class Attestations:
    """Adds to a run's records what upstream attests of their assets."""

    def __init__(self, world: World, state: RepoState) -> None:
        self._world = world
        self._state = state

    def add(self, records: Mapping[int, ReleaseRecord]) -> dict[int, ReleaseRecord]:
        """Return the records with the attestations that upstream offers.

        That upstream cannot be asked keeps no release back: it is logged, and asked
        again when the release changes.
        """
        found = dict(records)
        if not self._world.api.is_authorised(self._state.name.host):
            # Each costs a request, and 60 an hour are for the listings.
            return found
        try:
            for id_, record in records.items():
                if record.release.immutable and record.gone is None:
                    found[id_] = self._attested(record)
        except Interrupted:
            raise
        except SyncerError as exc:
            extra = {"repo": str(self._state.name), "error": str(exc)}
            log.warning("attestations were not kept", extra=extra)
        return found

    def _attested(self, record: ReleaseRecord) -> ReleaseRecord:
        assets = tuple(
            self._kept(each) if _lacks(each) else each for each in record.assets
        )
        return replace(record, assets=assets)

    def _kept(self, each: AssetRecord) -> AssetRecord:
        """Store what upstream attests of one asset, durably, and name it."""
        world, blob = self._world, each.blob or ""
        document = world.api.attestations(self._state.source, blob)
        if document is None:
            return each
        digest = sha256(document).hexdigest()
        if world.index.claim(self._state.id, [digest], world.clock.now()):
            return each  # it is being removed at this moment
        store(world, self._state, digest, document)
        return replace(each, attestation=digest)


def store(
    world: World,
    state: RepoState,
    digest: str,
    document: bytes,
    *,
    replace_: bool = False,
) -> None:
    """Have a document in the blob store, durably, and on record.

    With `replace_`, what is stored below its digest is overwritten.
    """
    size = len(document)
    with world.blobs.write(digest, size, replace=replace_) as writer:
        if writer.offset < size:
            writer.write(document[writer.offset :])
        blob = writer.commit()
    now = world.clock.now()
    world.index.stored([StoredBlob(blob, now, now, str(state.source))])


def _lacks(each: AssetRecord) -> bool:
    """Return whether an asset that is here has no attestation yet."""
    present = each.state is AssetState.PRESENT and each.gone is None
    return present and each.attestation is None
