"""What a killed process leaves behind, and how it is swept.

Only under the mirror's lease: nobody else writes then, so every lock file and
every temporary file is a dead process's.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from syncer.durable import sync_directory
from syncer.git.command import Call
from syncer.git.layout import Layout, pack_files, packs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.git.command import GitCommand, Holder

#: Relative to the repository; git never removes these, however old.
_LOCKS = (
    "config.lock",
    "HEAD.lock",
    "packed-refs.lock",
    "packed-refs.new",
    "shallow.lock",
    "gc.pid",
    "gc.pid.lock",
    "FETCH_HEAD.lock",
    "syncer-superseded.json.lock",
    "objects/maintenance.lock",
    "objects/info/alternates.lock",
    "objects/info/commit-graph.lock",
    "objects/info/commit-graphs/commit-graph-chain.lock",
    "objects/pack/multi-pack-index.lock",
)
_PATTERNS = (
    "objects/pack/tmp_*",
    "objects/pack/.tmp-*",
    "objects/pack/*.keep",
    "objects/??/tmp_obj_*",
    "objects/info/commit-graphs/tmp_graph_*",
    "objects/info/tmp_*",
    "objects/tmp_objdir-*",
)


def leftovers(layout: Layout) -> Iterator[Path]:
    """Yield what dead processes left in the published repository."""
    repository = layout.repository
    for name in _LOCKS:
        path = repository / name
        if path.exists():
            yield path
    for pattern in _PATTERNS:
        yield from sorted(repository.glob(pattern))
    yield from sorted(repository.glob("refs/**/*.lock"))
    # A power cut empties what a foreign git has just written; we publish no file.
    yield from sorted(
        path
        for path in repository.glob("refs/**/*")
        if path.is_file() and path.stat().st_size == 0 and path.suffix != ".lock"
    )
    yield from _half_packs(layout)


def _half_packs(layout: Layout) -> Iterator[Path]:
    """Yield the files of packs without an index: moved or removed by half.

    Nothing published needs them: an index comes last and goes first.
    """
    directory = layout.objects / "pack"
    whole = {pack.stem for pack in packs(layout.objects)}
    for file in sorted(directory.glob("pack-*")):
        if file.stem not in whole and file.suffix in {
            ".pack",
            ".rev",
            ".idx",
            ".bitmap",
            ".mtimes",
        }:
            yield file


def sweep(layout: Layout) -> list[str]:
    """Remove leftovers; a checked quarantine stays, an unchecked one goes."""
    swept = []
    for path in leftovers(layout):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        swept.append(path.name)
    if layout.incoming.exists() and not _reusable(layout):
        shutil.rmtree(layout.incoming, ignore_errors=True)
        swept.append(layout.incoming.name)
    return swept


def _reusable(layout: Layout) -> bool:
    """Return whether what arrived was checked and no file of it is lost."""
    if not layout.checked.exists():
        return False
    directory = layout.quarantine / "pack"
    if not layout.repository.exists():
        directory = layout.first / "objects/pack"
        if any(leftovers(Layout(layout.first))):
            return False  # its publication had begun
    indexes = {path.stem for path in directory.glob("*.idx")}
    return bool(indexes) and indexes == {p.stem for p in directory.glob("*.pack")}


def pack_loose_refs(layout: Layout, git: GitCommand, holder: Holder) -> bool:
    """Put refs that somebody wrote as files into `packed-refs`; True if any.

    A loose ref would shadow what the next publication says of it.
    """
    loose = (p for p in (layout.repository / "refs").rglob("*") if p.is_file())
    if next(loose, None) is None:
        return False
    git.run(
        Call(
            ["pack-refs", "--all", "--prune"],
            repository=layout.repository,
            holder=holder,
        )
    )
    return True


def drop_unchecked(layout: Layout) -> None:
    """Remove what a failed fetch left: it may have filled the disk.

    A checked quarantine stays, for the next run to use.
    """
    if _reusable(layout):
        for file in (layout.quarantine / "pack").glob("tmp_*"):
            file.unlink(missing_ok=True)
    else:
        remove_incoming(layout)


def remove_incoming(layout: Layout) -> None:
    """Remove the quarantine, with its mark first: half of it is never used."""
    layout.checked.unlink(missing_ok=True)
    shutil.rmtree(layout.incoming, ignore_errors=True)


def remove_packs(gone: list[Path]) -> None:
    """Remove packs, each index first, so that a half pack is never looked into."""
    for pack in gone:
        for file in reversed(list(pack_files(pack))):
            file.unlink(missing_ok=True)
    if gone:
        sync_directory(gone[0].parent)
