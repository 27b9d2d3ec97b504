"""The transfer engine: LFS objects and assets from upstream into the blob store.

job, books  what a run asks for, what that is called, and how it is written down
engine      what all runs share
passage     one run: decides and writes down; the threads of `lanes` do the rest
courier     one object's way, continued where it broke off
"""

from __future__ import annotations

from syncer.sync.transfer.books import AssetBook, Book
from syncer.sync.transfer.engine import TransferLimits, Transfers
from syncer.sync.transfer.job import TransferJob, TransferResult
from syncer.sync.transfer.lfs import LfsBook, LfsOrigin

__all__ = [
    "AssetBook",
    "Book",
    "LfsBook",
    "LfsOrigin",
    "TransferJob",
    "TransferLimits",
    "TransferResult",
    "Transfers",
]
