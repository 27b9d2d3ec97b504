"""The blob store as a transfer sees it: its errors are told from upstream's.

Both sides raise the same classes.  What the store raises ends a whole run, what
upstream raises concerns one object.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from syncer.errors import IntegrityError, Interrupted, SyncerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.model.lfs import LfsPointer
    from syncer.ports import BlobStore, BlobWriter


class StoreFault(Exception):
    """The store raised `error`; never leaves the transfer."""

    def __init__(self, error: SyncerError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def of_store() -> Iterator[None]:
    """Mark what the store raises.

    Wrong bytes are not its fault, nor is a stop.
    """
    try:
        yield
    except (IntegrityError, Interrupted):
        raise
    except SyncerError as exc:
        raise StoreFault(exc) from exc


@contextmanager
def opened(
    blobs: BlobStore, pointer: LfsPointer, *, replace: bool
) -> Iterator[BlobWriter]:
    """Open a writer, as `BlobStore.write` does; its own errors are marked."""
    context = blobs.write(pointer.oid, pointer.size, replace=replace)
    with of_store():
        writer = context.__enter__()
    try:
        yield writer
    except BaseException as exc:
        with of_store():
            context.__exit__(type(exc), exc, exc.__traceback__)
        raise
    with of_store():
        context.__exit__(None, None, None)
