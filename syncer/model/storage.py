"""How much is stored, and how much more fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of what is mirrored, by kind.

    `lfs` and `assets` are what mirrors need, so that a blob which two of them need
    counts twice; `blobs` is what lies in the store, each once.
    """

    git: int = 0
    lfs: int = 0
    assets: int = 0
    blobs: int = 0

    @property
    def shared(self) -> int:
        """Bytes that lie in the store once and are needed more often."""
        return max(0, self.lfs + self.assets - self.blobs)

    @property
    def total(self) -> int:
        """Bytes that lie in the stores."""
        return self.git + self.blobs


@dataclass(frozen=True, slots=True)
class StorageSample:
    """How full a machine's store was at one moment; bytes.

    `usage` is that of all machines together.  `capacity` and `free` are of the file
    system that has the bare repositories.
    """

    at: datetime
    machine: str
    free: int
    capacity: int
    usage: Usage
