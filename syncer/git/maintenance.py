"""Keeping a store of many small packs cheap to serve, unnoticed by its readers.

The packs that a geometric roll-up replaces stay where they are for a grace
period: a clone in progress has them open, a reader over NFS has their names
cached.  `git repack -d` would remove them at once, and marking them `.keep`
would make the next roll-up leave their objects out, so the roll-up is made
with `pack-objects --stdin-packs` and our own list of what it replaced.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.durable import replace, sync_directory, sync_filesystem
from syncer.git.command import Call
from syncer.git.layout import object_count, packs
from syncer.git.recovery import remove_packs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from syncer.git.command import GitCommand, Holder
    from syncer.git.layout import Layout

#: So many packs outside the index are worth a roll-up.
MANY_PACKS = 25
_FACTOR = 2


def to_roll(sizes: Sequence[tuple[str, int]], factor: int = _FACTOR) -> list[str]:
    """Return the packs to roll into one, so that the rest grow geometrically.

    The rule of `git repack --geometric`: order by objects; from the largest
    down, each must hold `factor` times its smaller neighbour; what breaks the
    progression is rolled up, with all that its sum then outgrows.
    """
    ordered = sorted(sizes, key=lambda item: (item[1], item[0]))
    split = 0
    for index in range(len(ordered) - 1, 0, -1):
        if ordered[index][1] < factor * ordered[index - 1][1]:
            split = index + 1
            break
    total = sum(size for _, size in ordered[:split])
    while split < len(ordered) and ordered[split][1] < factor * total:
        total += ordered[split][1]
        split += 1
    return [name for name, _ in ordered[:split]]


@dataclass(frozen=True)
class Maintenance:
    """Maintenance of one repository under its lease."""

    git: GitCommand
    layout: Layout
    holder: Holder
    grace: timedelta

    def live(self) -> list[Path]:
        """Return the packs that no roll-up has replaced."""
        replaced = self._superseded()
        return [p for p in packs(self.layout.objects) if p.stem not in replaced]

    def is_due(self, *, idle: bool) -> bool:
        """Return whether enough packs have piled up, or (when idle) none is indexed."""
        live = self.live()
        if len(live) >= MANY_PACKS:
            return True
        indexed = (self.layout.objects / "pack" / "multi-pack-index").exists()
        return idle and bool(live) and not indexed

    def run(self, now: datetime) -> None:
        """Roll up, index, draw the commit graph; each step leaves a whole store."""
        self.remove(self.expired(now))
        live = self.live()
        if not live:
            return
        sizes = [(pack.stem, object_count(pack)) for pack in live]
        rolled = to_roll(sizes)
        made = self._roll(rolled) if len(rolled) > 1 else None
        gone = {name for name in rolled if made is not None and name != made}
        left = [p for p in packs(self.layout.objects) if p.stem not in gone]
        replaced = self._superseded()
        self._index([p for p in left if p.stem not in replaced])
        # Only after the index names the new pack may the old ones be forgotten.
        if gone:
            at = now.timestamp()
            self._write_superseded({**replaced, **dict.fromkeys(gone, at)})
        self._git("commit-graph", "write", "--reachable", "--split", "--no-progress")
        sync_filesystem(self.layout.repository)

    def expired(self, now: datetime) -> list[Path]:
        """Return the replaced packs that no reader can still have open."""
        limit = (now - self.grace).timestamp()
        replaced = self._superseded()
        return [
            pack
            for pack in packs(self.layout.objects)
            if replaced.get(pack.stem, limit + 1) <= limit
        ]

    def remove(self, gone: list[Path]) -> None:
        """Remove replaced packs and forget them."""
        if not gone:
            return
        remove_packs(gone)
        names = {pack.stem for pack in gone}
        left = {n: at for n, at in self._superseded().items() if n not in names}
        self._write_superseded(left)

    def _roll(self, names: Sequence[str]) -> str:
        """Write one pack with all objects of `names`; return its stem."""
        directory = self.layout.objects / "pack"
        stdin = "".join(f"{name}.pack\n" for name in names).encode()
        done = self.git.run(
            Call(
                [
                    "pack-objects",
                    "--stdin-packs",
                    "--delta-base-offset",
                    "--non-empty",
                    "-q",
                    str(directory / "pack"),
                ],
                repository=self.layout.repository,
                stdin=stdin,
                holder=self.holder,
            )
        )
        sync_directory(directory)
        return f"pack-{done.stdout.decode().split()[-1]}"

    def _index(self, live: Sequence[Path]) -> None:
        largest = max(live, key=object_count)
        stdin = "".join(f"{pack.stem}.idx\n" for pack in live).encode()
        self._git(
            "multi-pack-index",
            "write",
            "--stdin-packs",
            "--bitmap",
            f"--preferred-pack={largest.name}",
            "--no-progress",
            stdin=stdin,
        )

    def _git(self, *args: str, stdin: bytes = b"") -> None:
        self.git.run(
            Call(
                args,
                repository=self.layout.repository,
                stdin=stdin,
                holder=self.holder,
            )
        )

    def _superseded(self) -> dict[str, float]:
        """Return the replaced packs and when each was, as seconds of the epoch."""
        try:
            listed = json.loads(self.layout.superseded.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return {str(name): float(at) for name, at in listed.items()}

    def _write_superseded(self, listed: dict[str, float]) -> None:
        path = self.layout.superseded
        lock = path.with_name(f"{path.name}.lock")
        replace(path, json.dumps(listed, sort_keys=True).encode(), lock=lock)
