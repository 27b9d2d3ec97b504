"""The release index in the catalog's database: one public call, one transaction.

The statements about releases are in `releases` and `listings`, those about who
repositories are in `origins`, `aliases` and `owners`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.catalog import aliases, assets, listings, origins, owners, pins, releases
from syncer.catalog.transactions import Transactional

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from syncer.model.names import RepoName
    from syncer.model.origin import Discovery, Event, Hint, Origin
    from syncer.model.releases import AssetRecord, Page, Pin, ReleaseRecord
    from syncer.model.runs import AuditEvent


class SqlReleaseIndex(Transactional):
    """`ports.ReleaseIndex` on SQLite or Postgres; usable from many threads.

    Shares the engine with `SqlCatalog`, which closes it.
    """

    def pages(self, mirror_id: int) -> list[Page]:
        """Return the pages of the listing that what is published covers, in order."""
        with self._reading() as conn:
            return listings.pages(conn, mirror_id)

    def releases(self, mirror_id: int) -> list[ReleaseRecord]:
        """Return every release with all its assets, newest first."""
        with self._reading() as conn:
            return releases.records(conn, mirror_id)

    def due(self, mirror_id: int, now: datetime) -> list[tuple[int, AssetRecord]]:
        """Return (release id, asset) to ask upstream for again, longest due first."""
        with self._reading() as conn:
            return releases.due(conn, mirror_id, now)

    def listed(
        self, mirror_id: int, pages: Sequence[Page], at: datetime, asked: str
    ) -> None:
        """Record that a listing that began at `at` shows what is published."""
        with self._writing() as conn:
            listings.listed(conn, mirror_id, pages, at, asked)

    def observe(self, mirror_id: int, at: datetime) -> None:
        """Record that a change was seen: the lag clock starts unless it runs."""
        with self._writing() as conn:
            listings.observe(conn, mirror_id, at)

    def failed(
        self,
        mirror_id: int,
        error: str,
        *,
        not_before: datetime | None,
        counts: bool = True,
    ) -> None:
        """Record that releases could not be listed or published."""
        with self._writing() as conn:
            listings.failed(conn, mirror_id, error, not_before, counts=counts)

    def expire(
        self, mirror_id: int, before: datetime, now: datetime, *, dry_run: bool = False
    ) -> list[tuple[str, AssetRecord]]:
        """Give up the bytes of assets that left before an instant."""
        with self._reading() if dry_run else self._deciding() as conn:
            pinned = frozenset(pin.tag for pin in pins.of(conn, mirror_id))
            old = assets.outdated(conn, mirror_id, before, pinned)
            if not dry_run:
                assets.expire(conn, mirror_id, old, now)
            return [(each.tag, each.record) for each in old]

    def origin(self, mirror_id: int) -> Origin:
        """Return what is known of a mirror's repository; `UNKNOWN` if nothing."""
        with self._reading() as conn:
            return origins.known(conn, mirror_id)

    def describe(
        self, mirror_id: int, origin: Origin, events: Iterable[Event], now: datetime
    ) -> None:
        """Store what is known now, with events for the audit trail."""
        with self._writing() as conn:
            origins.describe(conn, mirror_id, origin, events, now)

    def aliases(self, mirror_id: int) -> list[str]:
        """Return the identities a mirror had before, or has upstream, sorted."""
        with self._reading() as conn:
            return aliases.of(conn, mirror_id)

    def find_aliases(self, names: Iterable[RepoName]) -> dict[str, RepoName]:
        """Return the configured names of the mirrors that once had, or have, names."""
        with self._reading() as conn:
            return aliases.configured(conn, names)

    def pin(self, mirror_id: int, pin: Pin, event: AuditEvent) -> None:
        """Exempt a tag from retention; a pinned one stays as it is."""
        with self._writing() as conn:
            pins.add(conn, mirror_id, pin, event)

    def unpin(self, mirror_id: int, tag: str, event: AuditEvent) -> bool:
        """Take a pin back; False if there was none."""
        with self._writing() as conn:
            return pins.remove(conn, mirror_id, tag, event)

    def pins(self, mirror_id: int) -> list[Pin]:
        """Return the pinned tags, sorted."""
        with self._reading() as conn:
            return pins.of(conn, mirror_id)

    def visibility(self) -> dict[int, bool]:
        """Return whether the repositories that upstream described are private."""
        with self._reading() as conn:
            return origins.visibility(conn)

    def hints(self) -> dict[int, Hint]:
        """Return what the last sweep showed of each mirror."""
        with self._reading() as conn:
            return origins.hints(conn)

    def store_hints(self, hints: Iterable[tuple[int, Hint]]) -> None:
        """Keep what a sweep showed; no mirror is purged meanwhile."""
        hints = list(hints)
        with self._deciding() as conn:
            origins.store_hints(conn, hints)

    def discoveries(self) -> list[Discovery]:
        """Return the repositories that owners were found to have, by name."""
        with self._reading() as conn:
            return owners.discoveries(conn)

    def discovered(
        self,
        owner: str,
        found: Sequence[Discovery],
        events: Iterable[Event],
        now: datetime,
    ) -> None:
        """Store what an owner has; what was found earlier stays known."""
        with self._deciding() as conn:
            owners.discovered(conn, owner, found, events, now)

    def forget_owner(self, owner: str) -> None:
        """Forget the discoveries of an owner that is no longer configured."""
        with self._writing() as conn:
            owners.forget(conn, owner)
