"""What we know of upstream's releases, of who a repository is, and of pins.

One call is one transaction.  What becomes visible is written by
`Catalog.publish_releases` and `Catalog.finish` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from syncer.model.names import RepoName
    from syncer.model.origin import Discovery, Event, Hint, Origin
    from syncer.model.releases import AssetRecord, Page, Pin, ReleaseRecord
    from syncer.model.runs import AuditEvent


class ReleaseIndex(Protocol):
    """What we know of releases, assets, identities, pins and discoveries."""

    def origin(self, mirror_id: int) -> Origin:
        """Return what is known of a mirror's repository; `UNKNOWN` if nothing."""

    def describe(
        self, mirror_id: int, origin: Origin, events: Iterable[Event], now: datetime
    ) -> None:
        """Store what is known now, with events for the audit trail.

        The mirror's row has its `upstream` name (None while it is the configured
        one), `node_id` and `standing` from here; former names become aliases.
        """

    def aliases(self, mirror_id: int) -> list[str]:
        """Return the identities a mirror had before, or has upstream, sorted."""

    def pages(self, mirror_id: int) -> list[Page]:
        """Return the pages of the listing that what is published covers, in order."""

    def releases(self, mirror_id: int) -> list[ReleaseRecord]:
        """Return every release with all its assets, tombstones included.

        Newest first, as `published` (else `created`) and then id say; assets in
        the order of their ids.
        """

    def due(self, mirror_id: int, now: datetime) -> list[tuple[int, AssetRecord]]:
        """Return (release id, asset) to ask upstream for again: not here, and due."""

    def listed(
        self, mirror_id: int, pages: Sequence[Page], at: datetime, asked: str
    ) -> None:
        """Record that a listing that began at `at` shows what is published.

        Stores the pages, `checked`, what was `asked` (`ReleaseSelection.key`), and
        that nothing fails or is behind.
        """

    def observe(self, mirror_id: int, at: datetime) -> None:
        """Record that a change was seen: the lag clock starts unless it runs."""

    def failed(
        self,
        mirror_id: int,
        error: str,
        *,
        not_before: datetime | None,
        counts: bool = True,
    ) -> None:
        """Record that releases could not be listed or published.

        Without `counts` it is no failure in a row (a limit was hit).
        """

    def pin(self, mirror_id: int, pin: Pin, event: AuditEvent) -> None:
        """Exempt a tag from retention; a pinned one stays as it is."""

    def unpin(self, mirror_id: int, tag: str, event: AuditEvent) -> bool:
        """Take a pin back; False if there was none."""

    def pins(self, mirror_id: int) -> list[Pin]:
        """Return the pinned tags, sorted."""

    def expire(
        self, mirror_id: int, before: datetime, now: datetime, *, dry_run: bool = False
    ) -> list[tuple[str, AssetRecord]]:
        """Give up the bytes of assets that left before an instant.

        Those that upstream deleted or replaced, or that the selection left out,
        before then, unless their tag is pinned.  They become EXPIRED and need no
        blob any more.  Returns (tag, asset as it was).
        """

    def visibility(self) -> dict[int, bool]:
        """Return whether the repositories that upstream described are private.

        By mirror; one that nobody has asked about is not among them.
        """

    def hints(self) -> dict[int, Hint]:
        """Return what the last sweep showed of each mirror."""

    def store_hints(self, hints: Iterable[tuple[int, Hint]]) -> None:
        """Keep what a sweep showed, by mirror."""

    def discoveries(self) -> list[Discovery]:
        """Return the repositories that owners were found to have, by name."""

    def discovered(
        self,
        owner: str,
        found: Sequence[Discovery],
        events: Iterable[Event],
        now: datetime,
    ) -> None:
        """Store what an owner has; what was found earlier stays known.

        A repository that is found again under another name is renamed, by id.
        """

    def forget_owner(self, owner: str) -> None:
        """Forget the discoveries of an owner that is no longer configured."""

    def find_aliases(self, names: Iterable[RepoName]) -> dict[str, RepoName]:
        """Return the configured names of the mirrors that once had, or have, names.

        By identity; the name of a mirror is nobody's alias.
        """
