"""A release index in memory that passes the contract of the real one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from syncer.model.releases import AssetState
from tests.fakes_origins import FakeOrigins

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from syncer.model.releases import (
        AssetRecord,
        Page,
        ReleaseRecord,
        ReleaseState,
    )
    from tests.fakes_catalog import FakeCatalog


class FakeReleaseIndex(FakeOrigins):
    """`ports.ReleaseIndex` without a database; what it knows is the catalog's."""

    def __init__(self, catalog: FakeCatalog) -> None:
        self._catalog = catalog
        self._lock = catalog.lock
        self._shelf = catalog.shelf

    def pages(self, mirror_id: int) -> list[Page]:
        return list(self._shelf.pages.get(mirror_id, ()))

    def releases(self, mirror_id: int) -> list[ReleaseRecord]:
        with self._lock:
            return self._shelf.of(mirror_id)

    def due(self, mirror_id: int, now: datetime) -> list[tuple[int, AssetRecord]]:
        with self._lock:
            owed = [
                (each.retry_at, each.asset.id, record.release.id, each)
                for record, each in self._shelf.assets(mirror_id)
                if record.gone is None
                and each.retry_at is not None
                and each.retry_at <= now
            ]
        return [(owner, each) for _, _, owner, each in sorted(owed, key=_longest)]

    def listed(
        self, mirror_id: int, pages: Sequence[Page], at: datetime, asked: str
    ) -> None:
        with self._lock:
            self._shelf.pages[mirror_id] = tuple(pages)
            state = self._state(mirror_id).releases
            behind = state.behind_since
            self._put(
                mirror_id,
                replace(
                    state,
                    checked=at if state.checked is None else max(state.checked, at),
                    behind_since=behind if behind is not None and behind > at else None,
                    asked=asked,
                    failures=0,
                    error=None,
                    not_before=None,
                ),
            )

    def _put(self, mirror_id: int, after: ReleaseState) -> None:
        state = self._state(mirror_id)
        self._catalog.put(replace(state, releases=after))

    def observe(self, mirror_id: int, at: datetime) -> None:
        with self._lock:
            state = self._state(mirror_id).releases
            self._put(mirror_id, replace(state, behind_since=state.behind_since or at))

    def failed(
        self,
        mirror_id: int,
        error: str,
        *,
        not_before: datetime | None,
        counts: bool = True,
    ) -> None:
        with self._lock:
            state = self._state(mirror_id).releases
            failures = state.failures + counts
            after = replace(
                state, failures=failures, error=error, not_before=not_before
            )
            self._put(mirror_id, after)

    def expire(
        self, mirror_id: int, before: datetime, now: datetime, *, dry_run: bool = False
    ) -> list[tuple[str, AssetRecord]]:
        with self._lock:
            pinned = {pin.tag for pin in self.pins(mirror_id)}
            found = [
                (record, each)
                for record, each in self._shelf.assets(mirror_id)
                if _is_outdated(record, each, before)
                and record.release.tag not in pinned
            ]
            found.sort(key=lambda pair: (pair[0].release.id, pair[1].asset.id))
            if not dry_run:
                old = [id(each) for _, each in found]
                self._shelf.turn(
                    mirror_id,
                    lambda _, each: _expired(each, now) if id(each) in old else each,
                )
                self._catalog.recount(mirror_id)
            return [(record.release.tag, each) for record, each in found]


def _longest(
    item: tuple[datetime | None, int, int, AssetRecord],
) -> tuple[datetime | None, int]:
    return item[:2]


def _is_outdated(record: ReleaseRecord, each: AssetRecord, before: datetime) -> bool:
    if each.blob is None and each.attestation is None:
        return False
    left = each.gone or record.gone
    if each.state is AssetState.UNWANTED and each.since is not None:
        left = min(left or each.since, each.since)
    return left is not None and left < before


def _expired(each: AssetRecord, now: datetime) -> AssetRecord:
    return replace(
        each,
        state=AssetState.EXPIRED,
        blob=None,
        proof=None,
        reason=None,
        since=now,
        retry_at=None,
        tries=0,
        attestation=None,
    )
