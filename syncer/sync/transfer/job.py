"""What a run asks of the transfer engine, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from syncer.errors import SyncerError
    from syncer.model.blobs import Blob
    from syncer.model.lfs import Delivered, LfsPointer, LfsTally
    from syncer.model.names import RepoName
    from syncer.ports import Source
    from syncer.sync.transfer.books import Book


@dataclass(frozen=True, slots=True)
class TransferJob:
    """What one mirror's run wants, and where to ask for it.

    `unnamed` are the oids in `wanted` that are tickets: nobody knows the digest
    before the last byte is here.  A ticket is never looked up, or claimed, as a
    digest; what arrives is claimed and recorded as what it is.

    With `lenient`, what upstream does wrong with one object leaves that object
    behind, in `TransferResult.failed`, and nothing else.
    """

    mirror_id: int
    name: RepoName
    source: Source
    wanted: Sequence[LfsPointer]
    book: Book
    unnamed: frozenset[str] = frozenset()
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class TransferResult:
    """What became of it; each wanted oid is in one of three.

    It is present, or in `missing` with upstream's reason, or (of a lenient job
    only) in `failed` with what went wrong.
    """

    tally: LfsTally
    missing: tuple[Delivered, ...]
    #: What is in the store now, by wanted oid; a book of LFS objects has it instead.
    arrived: Mapping[str, Blob] = field(default_factory=dict)
    failed: Mapping[str, SyncerError] = field(default_factory=dict)
    #: Those of `failed` that were not begun, since others failed before them.
    untried: frozenset[str] = frozenset()
    #: Those of `missing` for which the owner's allowance is spent.
    over_quota: frozenset[str] = frozenset()
