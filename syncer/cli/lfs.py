"""What is told of LFS objects: counts, and by name what is not here."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.cli.render import counted, printable
from syncer.units import duration, plural, size

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.cli.records import Records
    from syncer.model.lfs import LfsCounts, LfsObject
    from syncer.model.mirrors import RepoState

_SHOWN = 5
_OID = 12
_EVER = timedelta(days=3650)


def absent(records: Records, state: RepoState) -> list[LfsObject]:
    """Return the LFS objects of a mirror that are not here, by oid."""
    if state.lfs.present == state.lfs.total:
        return []
    found = records.index().due(state.id, records.now + _EVER)
    return sorted(found, key=lambda each: each.pointer.oid)


def facts(
    records: Records, state: RepoState, found: list[LfsObject]
) -> list[tuple[str, str]]:
    """Return the lines about LFS objects; `found` are those that are not here."""
    repo = records.config.find(state.name)
    if repo is not None and not repo.lfs:
        return [("lfs", "not mirrored: lfs = false")]
    told = []
    if state.lfs.total:
        told.append(f"{counted(state.lfs)}, {size(state.lfs.size)}")
    elif state.lfs_scanned is not None:
        told.append("no objects")
    if state.lfs_scanned is None:
        told.append("not searched yet: the next run looks at the whole history")
    retry = _retry(state.lfs, records.now)
    told += [retry] if retry else []
    told += [_named(each) for each in found[:_SHOWN]]
    left = len(found) - _SHOWN
    told += [f"and {left:,} more: --json has all"] if left > 0 else []
    return [("" if index else "lfs", text) for index, text in enumerate(told)]


def _retry(counts: LfsCounts, now: datetime) -> str | None:
    """Return when upstream is asked again for what is not here."""
    if counts.retry_at is None:
        return None
    if counts.retry_at <= now:
        return "asked for again by the next run"
    return f"asked for again in {duration(counts.retry_at - now)}"


def _named(each: LfsObject) -> str:
    tries = f", asked {plural(each.tries, 'time')}" if each.tries else ""
    about = f"{each.state.value}: {each.pointer.oid[:_OID]} ({size(each.pointer.size)}"
    return f"{about}{tries}): {printable(each.reason or 'no reason is known')}"
