"""Releases and their assets: what upstream shows, what we hold of it.

Upstream's words are `Release` and `Asset`; the fields are those of GitHub's
REST API (docs.github.com/en/rest/releases).  What we know of them beside that is
in `ReleaseRecord` and `AssetRecord`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from syncer.model.counts import Counts, Tally
from syncer.model.lfs import LfsPointer

if TYPE_CHECKING:
    from datetime import datetime

#: Releases in one page of the listing; the most that GitHub gives.
PAGE = 100


class Author(NamedTuple):
    """Who published a release, or uploaded an asset."""

    id: int
    login: str


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of a release, as upstream shows it.

    `id` is another one once the file is replaced.  `digest` is a sha256 that
    upstream published (since June 2025), None for older files.
    """

    id: int
    node_id: str
    name: str
    size: int
    digest: str | None = None
    #: Whether its upload has ended: GitHub's state "uploaded", not "open".
    uploaded: bool = True
    label: str | None = None
    content_type: str = "application/octet-stream"
    created: datetime | None = None
    updated: datetime | None = None
    uploader: Author | None = None


def asset_pointer(asset: Asset) -> LfsPointer:
    """Return how a transfer names an asset, and its length.

    By its digest where upstream published one, else by a ticket: the name of this
    file of this length, whatever its bytes turn out to be.
    """
    if asset.digest is not None:
        return LfsPointer(asset.digest, asset.size)
    updated = "" if asset.updated is None else asset.updated.isoformat()
    named = f"asset {asset.node_id} {asset.id} {asset.size} {updated}"
    return LfsPointer(sha256(named.encode()).hexdigest(), asset.size)


@dataclass(frozen=True, slots=True)
class Release:
    """One release, as upstream shows it; its assets in upstream's order."""

    id: int
    node_id: str
    tag: str
    #: The branch or commit that its tag was made from.
    target: str = ""
    title: str | None = None
    #: The release notes, Markdown.
    body: str | None = None
    author: Author | None = None
    draft: bool = False
    prerelease: bool = False
    #: Upstream promises that its tag and assets never change.
    immutable: bool = False
    created: datetime | None = None
    published: datetime | None = None
    updated: datetime | None = None
    assets: tuple[Asset, ...] = ()


class AssetState(StrEnum):
    """What we hold of an asset."""

    PRESENT = "present"
    MISSING = "missing"  # wanted, and upstream did not give it yet
    DAMAGED = "damaged"  # it was here, and is lost or wrong now
    UNWANTED = "unwanted"  # the selection leaves it out, or its upload has not ended
    EXPIRED = "expired"  # it was here; retention gave its bytes up


class Proof(StrEnum):
    """How we know that the bytes of an asset are right."""

    VERIFIED = "verified"  # against the digest that upstream published
    PINNED = "pinned"  # received once, and held to that digest since


class Departure(StrEnum):
    """Why an asset is no longer among upstream's."""

    DELETED = "deleted"
    REPLACED = "replaced"  # another file has its name


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """What is known of one asset.

    `blob` is the sha256 of its bytes where they are, or were, here; it stays when
    upstream deletes or replaces the asset, until retention gives it up.
    """

    asset: Asset
    state: AssetState
    blob: str | None = None
    proof: Proof | None = None
    #: Why it is not present, in upstream's words.
    reason: str | None = None
    #: Since when it is in this state.
    since: datetime | None = None
    #: When upstream is asked for it again; only for what is missing or damaged.
    retry_at: datetime | None = None
    #: How often upstream was asked for it in vain.
    tries: int = 0
    #: A tombstone: upstream showed it no longer, since when and why.
    gone: datetime | None = None
    departure: Departure | None = None
    #: The sha256 of the attestations that upstream offered for it (Sigstore bundles).
    attestation: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """What is known of one release; `release.assets` is empty, see `assets`.

    `gone` is a tombstone: since when upstream shows it no longer.
    """

    release: Release
    assets: tuple[AssetRecord, ...] = ()
    gone: datetime | None = None
    #: Whether the selection takes it; its metadata is kept either way.
    selected: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, as it was last read.

    An answer 304 to its `etag` proves that this page, and no other, is what it was.
    """

    url: str
    etag: str | None
    #: Ids of its releases, in order.
    ids: tuple[int, ...]
    #: Address of the page after it, from its `Link` header (RFC 8288).
    next: str | None = None
    #: When it was last read as a whole (200).
    read: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReleaseChanges:
    """What one transaction makes of a mirror's releases and assets.

    `records` replace what is stored below their ids, each with all of its assets;
    what they do not name stays as it is.
    """

    records: tuple[ReleaseRecord, ...] = ()
    #: What the listing now consists of, instead of what is stored.
    pages: tuple[Page, ...] = ()
    #: The selection that this was made for: `ReleaseSelection.key`.
    asked: str = ""
    #: The start of the listing that this is made from.
    listed: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.records)


@dataclass(frozen=True, slots=True)
class Listing:
    """All pages of a repository's releases, as upstream shows them at one visit.

    `releases` are those of pages that were read anew; releases of the other pages
    are as they were.
    """

    pages: tuple[Page, ...]
    releases: tuple[Release, ...]
    started: datetime
    #: Requests that were made.
    requests: int = 0

    @property
    def ids(self) -> frozenset[int]:
        """Every release that upstream shows."""
        return frozenset(id_ for page in self.pages for id_ in page.ids)


@dataclass(frozen=True, slots=True)
class ReleaseCounts(Counts):
    """How much of a mirror's releases is here: of their assets, and how many.

    What is unwanted, expired, deleted or replaced is none of it.
    """

    releases: int = 0


@dataclass(frozen=True, slots=True)
class ReleaseTally(Tally):
    """What one run did for releases: assets, and bytes that were downloaded."""

    #: Releases and assets that are new, changed or gone.
    changed: int = 0


@dataclass(frozen=True, slots=True)
class ReleaseState:
    """What the schedule knows of a mirror's releases; instants are UTC."""

    #: Start of the last listing after which we knew to show what upstream does.
    checked: datetime | None = None
    #: When the oldest change that is not yet published was first seen.
    behind_since: datetime | None = None
    #: The selection that `checked` is for.
    asked: str | None = None
    #: Listings that failed in a row, and the last one's words.
    failures: int = 0
    error: str | None = None
    #: Not to be asked for before this.
    not_before: datetime | None = None
    counts: ReleaseCounts = field(default_factory=ReleaseCounts)


@dataclass(frozen=True, slots=True)
class Pin:
    """A tag that no retention rule touches."""

    tag: str
    at: datetime
    actor: str
