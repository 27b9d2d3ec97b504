"""What a transfer's objects are called, and where their endings are written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from syncer.sync.transfer.endings import Ending


class Book(Protocol):
    """The register of one job's objects.  Its words are asked for in any thread."""

    #: What one of them is called.
    noun: ClassVar[str]
    #: Whether the caller is told what arrived, since no row here says so.
    hands_back: ClassVar[bool]

    def label(self, oid: str) -> str:
        """Return what stands for an object in a list of them."""

    def short(self, oid: str) -> str:
        """Return what stands for an object where room is scarce."""

    def one(self, oid: str) -> str:
        """Return what an object is called in a sentence."""

    def enter(self, endings: Sequence[Ending], now: datetime) -> None:
        """Write down how objects ended; the blobs of those present are recorded."""


@dataclass(frozen=True, slots=True)
class AssetBook:
    """The assets of releases; the caller has rows for them, and publishes those.

    `labels` says what each oid stands for, like `v1.0/model.bin`.
    """

    noun: ClassVar[str] = "asset"
    hands_back: ClassVar[bool] = True

    labels: Mapping[str, str]

    def label(self, oid: str) -> str:
        """Return the tag and name of an asset."""
        return self.labels.get(oid, oid)

    def short(self, oid: str) -> str:
        """Return the tag and name of an asset."""
        return self.label(oid)

    def one(self, oid: str) -> str:
        """Return what an asset is called in a sentence."""
        return f"the asset {self.label(oid)}"

    def enter(self, endings: Sequence[Ending], now: datetime) -> None:
        """Write nothing: names become visible when the run publishes them."""
