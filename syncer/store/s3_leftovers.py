"""What dead writers left in a bucket, and its removal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.model.blobs import Leftover, digest_of, is_digest

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.store.s3_bucket import Bucket
    from syncer.store.s3_client import Begun


def leftovers(bucket: Bucket) -> list[Leftover]:
    """Return the unfinished writes, one for each key.

    Not every server lists uploads by a prefix: those of noted keys are asked
    for one by one.
    """
    address = bucket.address
    found: dict[str, tuple[int, datetime]] = {}
    begun = {each.upload: each for each in bucket.multipart.uploads(address.prefix)}
    for noted in bucket.uploads.uploads():
        if noted.key.startswith(address.prefix):
            found[noted.key] = (0, noted.started)
            if not any(each.key == noted.key for each in begun.values()):
                listed = bucket.multipart.uploads(noted.key)
                begun |= {each.upload: each for each in listed}
    for each in begun.values():
        _merge(found, each.key, *_progress(bucket, each))
    for entry in bucket.objects.listed(address.staging_key("")):
        _merge(found, entry.key, entry.size, entry.since)
    return [
        Leftover(key, digest, *found[key])
        for key in sorted(found)
        if (digest := digest_at(bucket, key)) is not None
    ]


def discard(bucket: Bucket, key: str) -> None:
    """Remove what is unfinished of a key; a blob below its own name stays."""
    if digest_at(bucket, key) is None:
        return
    bucket.forget(key)
    if bucket.address.digest_staged(key) is not None:
        bucket.objects.delete(key)


def digest_at(bucket: Bucket, key: str) -> str | None:
    """Return which blob a key is or becomes, None for a foreign key."""
    staged = bucket.address.digest_staged(key)
    if staged is not None:
        return staged if is_digest(staged) else None
    prefix = bucket.address.prefix
    return digest_of(key.removeprefix(prefix)) if key.startswith(prefix) else None


def _progress(bucket: Bucket, begun: Begun) -> tuple[int, datetime | None]:
    """Return the bytes of an upload, and when it was last added to."""
    parts = bucket.multipart.parts(begun)
    times = [part.since for part in parts if part.since is not None]
    return sum(part.size for part in parts), max(times, default=begun.since)


def _merge(
    found: dict[str, tuple[int, datetime]], key: str, size: int, since: datetime | None
) -> None:
    """Add to what is known of a key: all its bytes, and the latest time."""
    known, seen = found.get(key, (0, since))
    times = [each for each in (seen, since) if each is not None]
    if times:
        found[key] = (known + size, max(times))
