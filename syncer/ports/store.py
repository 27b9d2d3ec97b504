"""Where repositories lie, and what failure leaves behind of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta

    from syncer.model.content import RefChange, RefSnapshot
    from syncer.model.lfs import LfsPointer
    from syncer.model.names import RepoName
    from syncer.model.runs import Incoming, Intent, Receipt, Recovery
    from syncer.ports.sinks import ProgressSink
    from syncer.ports.upstream import PackSource


class BareRepository(Protocol):
    """One mirror's repository, held by an exclusive lease."""

    def published(self) -> RefSnapshot:
        """Return the refs consumers see, keep-refs included; empty when new."""

    def recover(self, intent: Intent | None) -> Recovery:
        """End what a crash cut in two, and sweep its leftovers.

        Refs are exactly old or new afterwards, and HEAD resolves.
        """

    def fetch(  # noqa: PLR0913 - all that decides what arrives, by name
        self,
        name: RepoName,
        target: RefSnapshot,
        *,
        scope: Sequence[str],
        accepted: Iterable[str] = (),
        progress: ProgressSink | None = None,
        source: PackSource | None = None,
        room: int | None = None,
    ) -> Incoming:
        """Bring every object that `target` needs into the quarantine.

        No ref moves and nothing becomes servable.  A checked quarantine
        survives and is used again by the next call.  A first mirror brings
        all that `scope` covers, which may be newer than `target`.  Later
        ones take the pack from `source` where that can be had, else by git.

        What arrives has at most `room` bytes.

        Raises:
            Dangerous: fsck refuses an object that is not in `accepted`.
            TooLarge: it has more; `size` is how many, or more than there is room.
        """

    def classify(
        self, incoming: Incoming, changes: Iterable[RefChange]
    ) -> list[RefChange]:
        """Tell REWOUND from MOVED, with the history at hand."""

    def peel(self, incoming: Incoming, changes: Iterable[RefChange]) -> RefSnapshot:
        """Return what arrived, its changed refs peeled as the objects say.

        Raises:
            IntegrityError: a tip is absent, or a branch is not a commit.
        """

    def pointers(self, incoming: Incoming, *, everything: bool) -> list[LfsPointer]:
        """Return the LFS pointers of what arrived, each once, in order.

        With `everything`, those of all objects, published ones included: also
        of objects that no ref reaches any more.  Work and memory grow with what
        is searched, not with the length of the history.
        """

    def reachable(self, incoming: Incoming, oids: Iterable[str]) -> frozenset[str]:
        """Return which LFS objects the new upstream refs need, out of `oids`.

        Those that a pointer names in anything that the refs of `target` reach,
        without those that we keep.  Walks all of their history.
        """

    def lfs_url(self, incoming: Incoming) -> str | None:
        """Return what `lfs.url` is in the `.lfsconfig` of the new HEAD, if set.

        Upstream's words: any text without control characters.
        """

    def promote(
        self,
        incoming: Incoming,
        *,
        beside: RefSnapshot | None,
        target: RefSnapshot,
    ) -> Receipt:
        """Publish `target` by one rename, durably.

        With `beside`, publish that first, move HEAD, then publish `target`.
        Cut anywhere, the refs are exactly old, beside or new.
        """

    def needs_maintenance(self, *, idle: bool = False) -> bool:
        """Return whether packs have piled up, or (when idle) none is indexed."""

    def maintain(self, *, now: datetime) -> None:
        """Roll packs together and index them; readers notice nothing."""

    def check_objects(self) -> None:
        """Do nothing if every object is there that a ref needs, keep-refs' included.

        Raises:
            IntegrityError: one is missing; nothing was changed.
        """

    def size(self) -> int:
        """Return the bytes of the repository's packs."""

    def drop_expired(
        self, now: datetime, retention: timedelta, *, dry_run: bool
    ) -> list[str]:
        """Remove keep-refs past `retention` and packs past their grace period."""


class GitStore(Protocol):
    """The bare repositories below `DATA/git`."""

    def stamp(self, path: str) -> str | None:
        """Return the identity of the published `packed-refs`, None if there is none."""

    def show_refs(self, path: str) -> bytes:
        """Return what `git show-ref` prints for whoever clones it, without a lease.

        A line for each ref, by name; empty when there is none, or no repository.
        Refs that we keep for ourselves are not among them.
        """

    def lease(
        self, path: str, *, wait: timedelta | None = None
    ) -> AbstractContextManager[BareRepository]:
        """Hold the mirror exclusively, over processes.

        Raises:
            Locked: another process holds it still after `wait` (default: at once).
        """

    def is_copy(self, path: str, stamp: str) -> bool:
        """Return whether what is published is a copy, with its time, of a stamp's."""

    def check_space(self) -> None:
        """Raise `NoSpace` when the store is below its floor of free space."""

    def discard(self, path: str) -> None:
        """Remove a mirror's repository for good."""
