"""What went wrong in one run's transfer, and which of it the caller is told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from syncer.errors import IntegrityError, Interrupted, RateLimited, SyncerError
from syncer.sync.transfer.deposit import StoreFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.sync.transfer.job import TransferJob

log = logging.getLogger(__name__)

#: Objects that upstream fails to deliver before the run is cut short; of a lenient
#: job, in a row.
MOST = 5
#: So many oids are named in a message.
_NAMED = 3


class Failures:
    """The errors of one run.

    The store's ends the run, since every object would meet it; wrong bytes and
    failures of upstream concern one object, until they are many.
    """

    def __init__(self, job: TransferJob) -> None:
        self._job = job
        self._fatal: BaseException | None = None
        self._poisoned: list[str] = []
        self._upstream: list[SyncerError] = []
        #: Why the rest of a lenient job was not begun.
        self._cause: SyncerError | None = None
        #: What a lenient job leaves behind, by oid.
        self.left: dict[str, SyncerError] = {}

    def note(self, error: BaseException) -> bool:
        """Note an error; return whether the run is to be cut short."""
        if isinstance(error, SyncerError) and not isinstance(error, Interrupted):
            self._upstream.append(error)
            is_last = len(self._upstream) >= MOST
            if self._job.lenient and (is_last or isinstance(error, RateLimited)):
                self._cause = self._cause or error
                return True
            return is_last
        fault = error.error if isinstance(error, StoreFault) else error
        self._fatal = self._fatal or fault
        return True

    def note_all(self, error: BaseException) -> bool:
        """Note an error that keeps more than one object from being begun."""
        if isinstance(error, SyncerError):
            self._cause = self._cause or error
        return self.note(error)

    def answered(self) -> None:
        """Note that upstream is there: it gave an object, or said what it has not."""
        if self._job.lenient:
            self._upstream.clear()

    def leave(self, oid: str, error: BaseException) -> None:
        """Note which object an error, which is noted already, was about."""
        if not self._job.lenient or isinstance(error, Interrupted):
            return
        if isinstance(error, SyncerError):
            self.left[oid] = error

    def poison(self, oid: str, error: IntegrityError) -> None:
        """Note an object that upstream sends wrong bytes for."""
        self._poisoned.append(oid)
        self.leave(oid, error)
        log.warning(
            "upstream sends wrong bytes for %s",
            self._job.book.one(oid),
            extra={"repo": str(self._job.name), "oid": oid, "error": str(error)},
        )

    def leave_rest(self, oids: Iterable[str]) -> frozenset[str]:
        """Note what was not begun, for the reason that kept it from that."""
        cause = self._cause
        if cause is None:
            return frozenset()
        rest = frozenset(oids) - self.left.keys()
        self.left.update(dict.fromkeys(rest, cause))
        return rest

    def raise_worst(self) -> None:
        """Raise what the caller has to know first, if anything went wrong."""
        if self._fatal is not None:
            raise self._fatal
        if self._job.lenient:
            return
        if self._poisoned:
            raise self._integrity_error()
        if self._upstream:
            raise self._upstream[0]

    def _integrity_error(self) -> IntegrityError:
        book, host = self._job.book, self._job.name.host
        named = ", ".join(book.label(oid) for oid in self._poisoned[:_NAMED])
        more = len(self._poisoned) - _NAMED
        rest = f" and {more} more" if more > 0 else ""
        msg = (
            f"{self._job.name} sends wrong bytes for {book.noun}s, twice each: "
            f"{named}{rest}; nothing of them was stored"
        )
        hint = f"ask who runs {host}; what is published stays as it is"
        return IntegrityError(msg, hint=hint)
