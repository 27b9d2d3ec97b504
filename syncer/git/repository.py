"""One mirror's repository under its lease: fetch, promote, recover, maintain.

Refs are published by writing one new `packed-refs` and renaming it.  Nothing
else moves a ref, so readers see all of a generation or none of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from syncer.durable import (
    make_directories,
    move_all,
    sync_directory,
    sync_filesystem,
    translated,
)
from syncer.errors import SyncerError
from syncer.git import lfs_config, packed_refs, recovery
from syncer.git.fetching import Fetcher, write_skip_list
from syncer.git.history import History
from syncer.git.layout import Layout, pack_files, packs
from syncer.git.maintenance import Maintenance
from syncer.git.pointers import PointerScan
from syncer.model.content import ChangeKind, RefSnapshot, expired_keeps
from syncer.model.runs import Receipt, Recovery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from syncer.git.command import GitCommand
    from syncer.git.lease import Lease
    from syncer.git.remote import Remote
    from syncer.model.content import RefChange
    from syncer.model.lfs import LfsPointer
    from syncer.model.names import RepoName
    from syncer.model.runs import Incoming, Intent, Progress
    from syncer.ports import PackSource


@dataclass(frozen=True)
class Limits:
    """How long git may take, and how long replaced packs stay."""

    deadline: timedelta
    grace: timedelta


class Repository:
    """A bare repository that this process alone may change."""

    def __init__(
        self,
        layout: Layout,
        git: GitCommand,
        lease: Lease,
        remote: Callable[[RepoName], Remote],
        limits: Limits,
    ) -> None:
        self._layout = layout
        self._git = git
        self._lease = lease
        self._remote = remote
        self._limits = limits

    def published(self) -> RefSnapshot:
        """Return the refs consumers see, keep-refs included; empty when new."""
        return packed_refs.read(self._layout.repository)

    def recover(self, intent: Intent | None) -> Recovery:
        """End what a crash cut in two, and sweep its leftovers."""
        with translated("recovery"):
            swept = recovery.sweep(self._layout)
            if not self._layout.repository.exists():
                return Recovery(None, tuple(swept))
            if recovery.pack_loose_refs(self._layout, self._git, self._lease):
                swept.append("loose refs")
            finished = self._complete(intent) if intent is not None else None
            if swept or finished is not None:
                sync_filesystem(self._layout.repository)
            return Recovery(finished, tuple(swept))

    def _complete(self, intent: Intent) -> Receipt | None:
        repository = self._layout.repository
        now = packed_refs.fingerprint(repository)
        if now not in {intent.beside, intent.new}:
            return None
        if intent.head is not None and packed_refs.read_head(repository) != intent.head:
            packed_refs.write_head(repository, intent.head)
        if now != intent.new:
            gone = {c.ref for c in intent.changes if c.kind is ChangeKind.DELETED}
            refs = packed_refs.read(repository).refs
            left = {name: ref for name, ref in refs.items() if name not in gone}
            packed_refs.publish(repository, RefSnapshot(left).packed)
        recovery.remove_incoming(self._layout)
        return self._barrier()

    def fetch(  # noqa: PLR0913 - as the port
        self,
        name: RepoName,
        target: RefSnapshot,
        *,
        scope: Sequence[str],
        accepted: Iterable[str] = (),
        progress: Callable[[Progress], None] | None = None,
        source: PackSource | None = None,
        room: int | None = None,
    ) -> Incoming:
        """Bring every object that `target` needs into the quarantine."""
        deadline = self._limits.deadline
        fetcher = Fetcher(
            self._git, self._layout, self._lease, deadline, progress, room
        )
        try:
            with translated("the fetch"):
                write_skip_list(self._layout, accepted)
                if self._layout.repository.exists():
                    remote = partial(self._remote, name)
                    return fetcher.by_id(remote, self.published(), target, source)
                return fetcher.clone(self._remote(name), target, scope)
        except SyncerError:
            recovery.drop_unchecked(self._layout)
            raise

    def classify(
        self, incoming: Incoming, changes: Iterable[RefChange]
    ) -> list[RefChange]:
        """Tell REWOUND from MOVED, with the history at hand."""
        return self._history(incoming).classify(changes)

    def peel(self, incoming: Incoming, changes: Iterable[RefChange]) -> RefSnapshot:
        """Return what arrived with the changed refs' peeled ids as the objects say."""
        return self._history(incoming).peel(incoming.target, changes)

    def _history(self, incoming: Incoming) -> History:
        return History(self._git, *self._place(incoming), self._lease)

    def pointers(self, incoming: Incoming, *, everything: bool) -> list[LfsPointer]:
        """Return the LFS pointers of what arrived, each once, in order."""
        scan = self._scan(incoming)
        with translated("the search for LFS pointers"):
            if everything or incoming.first:
                return scan.everything()
            return scan.packed(packs(self._layout.quarantine))

    def reachable(self, incoming: Incoming, oids: Iterable[str]) -> frozenset[str]:
        """Return which LFS objects the new upstream refs need, out of `oids`."""
        tips = (ref.oid for ref in incoming.target.upstream.values())
        with translated("the search for LFS pointers"):
            found = self._scan(incoming).reached(tips)
        return frozenset(oids) & {pointer.oid for pointer in found}

    def _scan(self, incoming: Incoming) -> PointerScan:
        place = self._place(incoming)
        return PointerScan(self._git, *place, self._lease, self._limits.deadline)

    def lfs_url(self, incoming: Incoming) -> str | None:
        """Return what `lfs.url` is in the `.lfsconfig` of the new HEAD, if set."""
        head = incoming.target.refs.get(incoming.target.head or "")
        if head is None:
            return None
        return lfs_config.url(self._git, *self._place(incoming), self._lease, head.oid)

    def _place(self, incoming: Incoming) -> tuple[Path, dict[str, str]]:
        """Return where all objects can be seen, and what git must know for it."""
        if incoming.first:
            return self._layout.first, {}
        return self._layout.repository, self._layout.environment()

    def promote(
        self,
        incoming: Incoming,
        *,
        beside: RefSnapshot | None,
        target: RefSnapshot,
    ) -> Receipt:
        """Publish `target` by one rename, durably."""
        with translated("the promotion"):
            if incoming.first:
                return self._promote_first(target)
            self._migrate()
            repository = self._layout.repository
            if beside is not None:
                packed_refs.publish(repository, beside.packed)
            if beside is not None and target.head is not None:
                packed_refs.write_head(repository, target.head)
            packed_refs.publish(repository, target.packed)
            if target.head not in {None, packed_refs.read_head(repository)}:
                packed_refs.write_head(repository, str(target.head))
            barrier = self._barrier()
            recovery.remove_incoming(self._layout)
            return barrier

    def _promote_first(self, target: RefSnapshot) -> Receipt:
        first, repository = self._layout.first, self._layout.repository
        packed_refs.publish(first, target.packed)
        if target.head is not None:
            packed_refs.write_head(first, target.head)
        sync_filesystem(first)
        first.rename(repository)
        sync_directory(repository.parent)
        recovery.remove_incoming(self._layout)
        return self._barrier()

    def _migrate(self) -> None:
        """Move the quarantine's packs into the store, each index last."""
        target = self._layout.objects / "pack"
        make_directories(target)
        new = packs(self._layout.quarantine)
        move_all(
            (file, target / file.name) for pack in new for file in pack_files(pack)
        )

    def _barrier(self) -> Receipt:
        """Vouch for what was published; each step before has synced its own."""
        repository = self._layout.repository
        return Receipt(
            stamp=packed_refs.stamp(repository) or "",
            fingerprint=packed_refs.fingerprint(repository),
            size=self.size(),
        )

    def check_objects(self) -> None:
        """Do nothing if every object is there that a ref needs, keep-refs' included."""
        history = History(self._git, self._layout.repository, {}, self._lease)
        history.check_whole(self._limits.deadline)

    def size(self) -> int:
        """Return the bytes of the repository's packs."""
        return sum(p.stat().st_size for p in packs(self._layout.objects))

    def needs_maintenance(self, *, idle: bool = False) -> bool:
        """Return whether packs have piled up, or (when idle) none is indexed."""
        return self._maintenance().is_due(idle=idle)

    def maintain(self, *, now: datetime) -> None:
        """Roll packs together and index them; readers notice nothing."""
        with translated("maintenance"):
            self._maintenance().run(now)

    def drop_expired(
        self, now: datetime, retention: timedelta, *, dry_run: bool
    ) -> list[str]:
        """Remove keep-refs past `retention` and packs past their grace period."""
        published = self.published()
        oldest = (now - retention).date().isoformat()
        keeps = expired_keeps(published.kept, oldest)
        maintenance = self._maintenance()
        gone = maintenance.expired(now)
        if not dry_run:
            with translated("gc"):
                if keeps:
                    refs = {n: r for n, r in published.refs.items() if n not in keeps}
                    packed_refs.publish(
                        self._layout.repository, RefSnapshot(refs).packed
                    )
                maintenance.remove(gone)
        return [*keeps, *(pack.name for pack in gone)]

    def _maintenance(self) -> Maintenance:
        return Maintenance(self._git, self._layout, self._lease, self._limits.grace)
