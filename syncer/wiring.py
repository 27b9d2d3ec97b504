"""Parts of the composition: what the configuration makes of stores and limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from syncer.limits import Pace, Room, give_memory_back
from syncer.store.directory import DirectoryStore
from syncer.store.s3 import S3Store
from syncer.store.s3_address import S3Address
from syncer.sync.transfer import TransferLimits

if TYPE_CHECKING:
    import threading

    from syncer.config import Config
    from syncer.model.mirrors import Selection
    from syncer.ports import Clock, UploadLog


def selected(config: Config) -> dict[str, Selection]:
    """Return what to mirror of each repository, by identity."""
    return {repo.name.identity: repo.selection for repo in config.repo}


def transfer_limits(
    config: Config, clock: Clock, stop: threading.Event
) -> TransferLimits:
    """Return what transfers of all runs together are bounded by."""
    syncer = config.syncer
    give_memory_back()
    return TransferLimits(
        workers=syncer.transfers,
        room=Room(syncer.in_flight, stop),
        pace=Pace(syncer.bandwidth, clock.monotonic, stop.wait),
        lanes=lambda host: config.target_host(host).transfers,
    )


def blob_store(
    config: Config,
    uploads: UploadLog,
    clock: Clock,
    room: Room,
    stop: threading.Event,
) -> DirectoryStore | S3Store:
    """Return the store that `[syncer] blobs` names; S3 is not contacted yet."""
    place = config.blobs_place
    if isinstance(place, Path):
        # Parts become blobs by a rename, so both are on one file system.
        embedded = place.is_relative_to(config.data)
        incoming = config.data / "incoming" if embedded else place / ".incoming"
        floor = config.syncer.min_free
        return DirectoryStore(place, incoming, min_free=floor, stop=stop)
    s3 = config.syncer.s3
    address = S3Address(
        place.bucket,
        place.prefix,
        endpoint=s3.endpoint,
        region=s3.region,
        ca=s3.ca,
        keys=s3.keys,
        public_endpoint=s3.public_endpoint,
    )
    return S3Store(address, uploads=uploads, clock=clock, room=room, stop=stop)
