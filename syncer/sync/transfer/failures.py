"""What went wrong in one run's transfer, and which of it the caller is told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from syncer.errors import IntegrityError, Interrupted, SyncerError
from syncer.sync.transfer.deposit import StoreFault

if TYPE_CHECKING:
    from syncer.model.names import RepoName

log = logging.getLogger(__name__)

#: Objects that upstream fails to deliver before the run is cut short.
MOST = 5
#: So many oids are named in a message.
_NAMED = 3


class Failures:
    """The errors of one run.

    The store's ends the run, since every object would meet it; wrong bytes and
    failures of upstream concern one object, until they are many.
    """

    def __init__(self, name: RepoName) -> None:
        self._name = name
        self._fatal: BaseException | None = None
        self._poisoned: list[str] = []
        self._upstream: list[SyncerError] = []

    def note(self, error: BaseException) -> bool:
        """Note an error; return whether the run is to be cut short."""
        if isinstance(error, SyncerError) and not isinstance(error, Interrupted):
            self._upstream.append(error)
            return len(self._upstream) >= MOST
        fault = error.error if isinstance(error, StoreFault) else error
        self._fatal = self._fatal or fault
        return True

    def poison(self, oid: str, error: IntegrityError) -> None:
        """Note an object that upstream sends wrong bytes for."""
        self._poisoned.append(oid)
        log.warning(
            "upstream sends wrong bytes for an LFS object",
            extra={"repo": str(self._name), "oid": oid, "error": str(error)},
        )

    def raise_worst(self) -> None:
        """Raise what the caller has to know first, if anything went wrong."""
        if self._fatal is not None:
            raise self._fatal
        if self._poisoned:
            raise self._integrity_error()
        if self._upstream:
            raise self._upstream[0]

    def _integrity_error(self) -> IntegrityError:
        named = ", ".join(self._poisoned[:_NAMED])
        more = len(self._poisoned) - _NAMED
        rest = f" and {more} more" if more > 0 else ""
        msg = (
            f"{self._name} sends wrong bytes for LFS objects, twice each: "
            f"{named}{rest}; nothing of them was stored"
        )
        hint = f"ask who runs {self._name.host}; what is published stays as it is"
        return IntegrityError(msg, hint=hint)
