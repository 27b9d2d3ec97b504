"""The blob store and its index as a transfer sees them: their errors are marked.

Upstream raises the same classes.  What is raised here ends a whole run, what
upstream raises concerns one object.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from syncer.errors import IntegrityError, Interrupted, SyncerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_W = TypeVar("_W")


class StoreFault(Exception):
    """The store or the index raised `error`; never leaves the transfer."""

    def __init__(self, error: SyncerError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def of_store() -> Iterator[None]:
    """Mark what the store, or the index of what it has, raises.

    Wrong bytes are not its fault, nor is a stop.
    """
    try:
        yield
    except (IntegrityError, Interrupted):
        raise
    except SyncerError as exc:
        raise StoreFault(exc) from exc


@contextmanager
def opened(context: AbstractContextManager[_W]) -> Iterator[_W]:
    """Enter a context of the store's; its own errors are marked, no others."""
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
