"""The transfer engine: LFS objects from upstream into the blob store.

engine    what a run asks for, and what all runs share
passage   one run: decides and writes down; the threads of `lanes` do the rest
courier   one object's way, continued where it broke off
"""

from __future__ import annotations

from syncer.sync.transfer.engine import (
    TransferJob,
    TransferLimits,
    TransferResult,
    Transfers,
)

__all__ = ["TransferJob", "TransferLimits", "TransferResult", "Transfers"]
