"""D08: whether the blob store takes and gives blobs; D09: what died there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.doctor.clock import judged, offset
from syncer.doctor.findings import doubtful, fine, some, unseen, wrong
from syncer.limits import Room
from syncer.store.s3 import S3Store
from syncer.units import size, span
from syncer.upstream.failures import dated
from syncer.wiring import blob_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site
    from syncer.model.blobs import Upload
    from syncer.store.directory import DirectoryStore
    from syncer.store.s3_trial import Scratch


class NoUploads:
    """An `UploadLog` for who begins nothing that lasts."""

    def begin_upload(self, upload: Upload) -> None:
        """Forget it."""

    def end_upload(self, key: str) -> None:
        """Forget it."""

    def uploads(self) -> list[Upload]:
        """Return nothing."""
        return []


def opened(site: Site) -> DirectoryStore | S3Store:
    """Return the blob store, without the catalog's notes of uploads; close it."""
    room = Room(site.config.syncer.in_flight, site.stop)
    return blob_store(site.config, NoUploads(), site.clock, room, site.stop)


def reach(site: Site) -> list[Finding]:
    """Look whether blobs can be stored and read."""
    place = site.config.blobs_place
    if isinstance(place, Path):
        return list(_directory(place))
    if site.offline:
        return [unseen("the object store was not asked: --offline")]
    store = opened(site)
    assert isinstance(store, S3Store)  # noqa: S101 - for mypy: the place says which
    try:
        return list(_bucket(site, store.scratch(), place.bucket))
    finally:
        store.close()


def _directory(place: Path) -> Iterator[Finding]:
    there = next(path for path in (place, *place.parents) if path.exists())
    if not there.is_dir():
        yield wrong(f"{there} is no directory", "move it away, or change `blobs`")
    elif not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        text = f"{there} is not ours to read and write"
        yield wrong(text, "chown it to the store's owner")
    elif there == place:
        yield fine(f"blobs lie in {place}")
    else:
        yield fine(f"{place} comes with the first blob")


def _bucket(site: Site, scratch: Scratch, bucket: str) -> Iterator[Finding]:
    """Look what an object store does of what we ask of one."""
    before = site.clock.now()
    date, after = dated(scratch.headers()), site.clock.now()
    if date is not None:
        told = judged([(scratch.origin, offset(date, before, after))])
        if told.fix is not None:
            yield told
    found = list(scratch.abilities())
    for each in found:
        if each.needed and not each.is_there:
            text = f"object store: {each.what} does not work: {each.reason}"
            yield wrong(text, "see what the keys allow, and the server's version")
    able = ", ".join(each.what for each in found if each.is_there)
    unable = ", ".join(each.what for each in found if not each.is_there)
    text = f"object store: bucket {bucket} at {scratch.origin}: {able}"
    yield fine(f"{text}; not: {unable}" if unable else text)


def leftovers(site: Site) -> list[Finding]:
    """Look for unfinished writes that nobody continued."""
    stale = site.config.syncer.stale
    place = site.config.blobs_place
    if isinstance(place, Path) and not place.exists():
        return [unseen("there is no blob yet")]
    if site.offline and not isinstance(place, Path):
        return [unseen("the object store was not asked: --offline")]
    room = Room(site.config.syncer.in_flight, site.stop)
    ledger = site.ledger()
    store = blob_store(site.config, ledger.index, site.clock, room, site.stop)
    try:
        found = store.leftovers()
    finally:
        if isinstance(store, S3Store):
            store.close()
    before = site.clock.now() - stale
    old = [each for each in found if each.since < before]
    if not old:
        text = (
            f"{some(len(found), 'unfinished transfer')}, none older than {span(stale)}"
        )
        return [fine(text)]
    amount = size(sum(each.size for each in old))
    many = some(len(old), "unfinished transfer")
    return [doubtful(f"{many} older than {span(stale)}, {amount}", "syncer gc")]
