"""Where the parts of one mirror lie, and what its repository's config says.

    OWNER/NAME.git            the repository that consumers read
    OWNER/NAME.git.lock       its lease
    OWNER/NAME.git.incoming/  the quarantine; a first mirror's whole repository

An owner never ends in one of these, so that none can be mistaken for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.durable import replace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: For whoever serves the directory as it is: git over NFS, http-backend, Gitea.
CONFIG = b"""\
# Written by syncer, which reads nothing from here: it is for those who serve it.
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
[transfer]
\thideRefs = refs/syncer/
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
[http]
\treceivepack = false
[gc]
\tauto = 0
\tpruneExpire = never
[maintenance]
\tauto = false
"""


@dataclass(frozen=True)
class Layout:
    """The paths of one mirror."""

    repository: Path

    @property
    def lock(self) -> Path:
        """The file whose `flock` is the lease."""
        return self.repository.with_name(f"{self.repository.name}.lock")

    @property
    def incoming(self) -> Path:
        """What has arrived and is not published."""
        return self.repository.with_name(f"{self.repository.name}.incoming")

    @property
    def quarantine(self) -> Path:
        """The object directory that a fetch writes into."""
        return self.incoming / "objects"

    @property
    def first(self) -> Path:
        """The repository of a first mirror before it is published."""
        return self.incoming / "first.git"

    @property
    def checked(self) -> Path:
        """Present when everything in the quarantine is complete and was checked."""
        return self.incoming / "checked"

    @property
    def skip_list(self) -> Path:
        """The object ids whose findings a person accepted, for `fsck.skipList`."""
        return self.incoming / "accepted"

    @property
    def objects(self) -> Path:
        """The published object directory."""
        return self.repository / "objects"

    def environment(self) -> dict[str, str]:
        """Let git see the quarantine, and the published objects behind it."""
        if not self.quarantine.is_dir():
            return {}
        return {
            "GIT_OBJECT_DIRECTORY": str(self.quarantine),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(self.objects),
        }

    @property
    def superseded(self) -> Path:
        """Which packs were rolled into others, and when."""
        return self.repository / "syncer-superseded.json"


def _quoted(path: Path) -> str:
    """Write a path into a list that git splits at colons (git(1), environment)."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def packs(objects: Path) -> list[Path]:
    """Return the packs of an object directory that have an index."""
    return sorted(
        pack
        for pack in (objects / "pack").glob("pack-*.pack")
        if pack.with_suffix(".idx").exists()
    )


def pack_files(pack: Path) -> Iterator[Path]:
    """Yield a pack's files in the order in which they may appear: index last."""
    for suffix in (".pack", ".rev", ".bitmap", ".mtimes", ".promisor", ".idx"):
        file = pack.with_suffix(suffix)
        if file.exists():
            yield file


def object_count(pack: Path) -> int:
    """Return how many objects a pack holds, from its header (gitformat-pack)."""
    with pack.open("rb") as file:
        return int.from_bytes(file.read(12)[8:12], "big")


def write_config(repository: Path) -> None:
    """Write the repository's configuration, ours and nothing else."""
    replace(repository / "config", CONFIG, lock=repository / "config.lock")
