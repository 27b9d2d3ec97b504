"""Statements about listings: their pages, and what the schedule knows of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import case, delete, insert, literal, select, update

from syncer.catalog.release_tables import listing_page
from syncer.catalog.rows import release_state_values
from syncer.catalog.tables import mirror
from syncer.model.releases import Page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Update

    from syncer.model.releases import ReleaseState

_p, _m = listing_page.c, mirror.c


def pages(conn: Connection, mirror_id: int) -> list[Page]:
    """Return the pages of the listing that what is published covers, in order."""
    stored = select(_p.url, _p.etag, _p.ids, _p.next, _p.read)
    ordered = stored.where(_p.mirror_id == mirror_id).order_by(_p.position)
    return [
        Page(url, etag, tuple(ids), next_, read)
        for url, etag, ids, next_, read in conn.execute(ordered)
    ]


def replace_pages(conn: Connection, mirror_id: int, new: Sequence[Page]) -> None:
    """Store the pages that a listing now consists of, instead of what is stored."""
    if pages(conn, mirror_id) == list(new):
        return
    conn.execute(delete(listing_page).where(_p.mirror_id == mirror_id))
    rows = [
        {**asdict(page), "mirror_id": mirror_id, "position": position}
        for position, page in enumerate(new)
    ]
    if rows:
        conn.execute(insert(listing_page), rows)


def store(conn: Connection, mirror_id: int, after: ReleaseState) -> None:
    """Write what a publication makes of it; the counts have been kept before."""
    conn.execute(_of(mirror_id).values(release_state_values(after)))


def listed(
    conn: Connection, mirror_id: int, new: Sequence[Page], at: datetime, asked: str
) -> None:
    """Record that a listing that began at `at` shows what is published."""
    replace_pages(conn, mirror_id, new)
    checked, behind = _m.releases_checked, _m.releases_behind
    conn.execute(
        _of(mirror_id).values(
            releases_checked=case(
                (checked > at, checked), else_=literal(at, checked.type)
            ),
            releases_behind=case((behind > at, behind), else_=None),
            releases_asked=asked,
            releases_failures=0,
            releases_error=None,
            releases_not_before=None,
        )
    )


def observe(conn: Connection, mirror_id: int, at: datetime) -> None:
    """Start the lag clock unless it runs."""
    stopped = _of(mirror_id).where(_m.releases_behind.is_(None))
    conn.execute(stopped.values(releases_behind=at))


def failed(
    conn: Connection,
    mirror_id: int,
    error: str,
    not_before: datetime | None,
    *,
    counts: bool,
) -> None:
    """Record why releases could not be listed or published."""
    more = _m.releases_failures + 1 if counts else _m.releases_failures
    conn.execute(
        _of(mirror_id).values(
            releases_error=error,
            releases_not_before=not_before,
            releases_failures=more,
        )
    )


def _of(mirror_id: int) -> Update:
    return update(mirror).where(_m.id == mirror_id)
