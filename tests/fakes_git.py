"""Repositories in memory: an upstream, and a git store that mirrors it.

Objects are ids and what they refer to; there is no content.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha1
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING

from syncer.errors import (
    Dangerous,
    IntegrityError,
    Locked,
    NoSpace,
    TooLarge,
    Unavailable,
)
from syncer.model.content import ChangeKind, Finding, Ref, RefSnapshot, expired_keeps
from syncer.model.runs import Incoming, Progress, Receipt, Recovery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from syncer.model.content import RefChange
    from syncer.model.lfs import LfsPointer
    from syncer.model.names import RepoName
    from syncer.model.runs import Intent
    from syncer.ports import PackSource, ProgressSink

MANY_PACKS = 25
_numbers = count(1)


def lives(step: str) -> None:
    """Let a promotion take its next step."""


@dataclass(frozen=True)
class Thing:
    """A commit, or an annotated tag of one; `check` is what fsck says of it."""

    kind: str
    behind: tuple[str, ...] = ()
    check: str | None = None
    dangerous: bool = False
    #: The LFS pointers that came with it.
    pointers: tuple[LfsPointer, ...] = ()
    #: What its `.lfsconfig` says; None: what the commit before it says.
    lfs_url: str | None = None


class FakeUpstream:
    """A repository and what its people do to it."""

    def __init__(self) -> None:
        self.things: dict[str, Thing] = {}
        self.refs: dict[str, str] = {}
        self.head = "refs/heads/main"
        self.reachable = True

    def add(self, thing: Thing) -> str:
        """Make an object, and return its id."""
        oid = sha1(f"{next(_numbers)} {thing}".encode()).hexdigest()  # noqa: S324 - git's
        self.things[oid] = thing
        return oid

    def commit(self, branch: str = "main") -> str:
        """Commit to a branch, on its tip, and return the id."""
        return self._commit(branch, self.refs.get(f"refs/heads/{branch}"))

    def track(self, *pointers: LfsPointer, branch: str = "main") -> str:
        """Commit LFS pointers to a branch, and return the id."""
        return self._commit(branch, self.refs.get(f"refs/heads/{branch}"), pointers)

    def configure(self, lfs_url: str, branch: str = "main") -> str:
        """Commit a `.lfsconfig` to a branch, and return the id."""
        tip = self.refs.get(f"refs/heads/{branch}")
        return self._commit(branch, tip, lfs_url=lfs_url)

    def _commit(
        self,
        branch: str,
        parent: str | None,
        pointers: tuple[LfsPointer, ...] = (),
        lfs_url: str | None = None,
    ) -> str:
        behind = () if parent is None else (parent,)
        thing = Thing("commit", behind, pointers=pointers, lfs_url=lfs_url)
        oid = self.add(thing)
        self.refs[f"refs/heads/{branch}"] = oid
        return oid

    def force(self, branch: str = "main") -> str:
        """Replace the last commit of a branch by another."""
        behind = self.things[self.refs[f"refs/heads/{branch}"]].behind
        return self._commit(branch, behind[0] if behind else None)

    def branch(self, name: str) -> str:
        """Make a branch where HEAD is."""
        self.refs[f"refs/heads/{name}"] = self.refs[self.head]
        return self.refs[self.head]

    def tag(self, name: str) -> str:
        """Make or move an annotated tag to where HEAD is."""
        oid = self.add(Thing("tag", (self.refs[self.head],)))
        self.refs[f"refs/tags/{name}"] = oid
        return oid

    def delete(self, ref: str) -> None:
        """Delete a ref by its full name."""
        del self.refs[ref]

    def rename_head(self, old: str, new: str) -> None:
        """Rename the default branch."""
        self.refs[f"refs/heads/{new}"] = self.refs.pop(f"refs/heads/{old}")
        self.head = f"refs/heads/{new}"

    def poison(self) -> str:
        """Put a commit on `main` whose content fsck refuses; return the bad id."""
        bad = self.add(Thing("tree", (), "hasDotgit", dangerous=True))
        tip = self.refs["refs/heads/main"]
        self.refs["refs/heads/main"] = self.add(Thing("commit", (tip, bad)))
        return bad

    def blemish(self) -> str:
        """Put a commit on `main` that fsck only warns of; return its id."""
        tip = self.refs["refs/heads/main"]
        oid = self.add(Thing("commit", (tip,), "badTimezone"))
        self.refs["refs/heads/main"] = oid
        return oid

    def snapshot(self) -> RefSnapshot:
        """Return what a probe of all refs reads."""
        refs = {name: Ref(oid, self._peeled(oid)) for name, oid in self.refs.items()}
        return RefSnapshot(refs, self.head)

    def _peeled(self, oid: str) -> str | None:
        thing = self.things[oid]
        return thing.behind[0] if thing.kind == "tag" else None

    def closure(self, tips: Iterable[str]) -> dict[str, Thing]:
        """Return the objects that `tips` reach."""
        return closure(self.things, tips)


def closure(things: Mapping[str, Thing], tips: Iterable[str]) -> dict[str, Thing]:
    """Return those of `things` that `tips` reach."""
    found: dict[str, Thing] = {}
    waiting = list(tips)
    while waiting:
        oid = waiting.pop()
        if oid not in found:
            found[oid] = things[oid]
            waiting += found[oid].behind
    return found


@dataclass
class _Kept:
    """One mirror's repository, and what stands beside it."""

    refs: RefSnapshot | None = None  # None: there is no repository
    things: dict[str, Thing] = field(default_factory=dict)
    quarantine: dict[str, Thing] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    stamp: int = 0
    packs: int = 0
    indexed: bool = False
    #: When the packs that were rolled together were replaced.
    replaced: list[datetime] = field(default_factory=list)

    def publish(self, refs: RefSnapshot) -> None:
        """Move all refs at once; HEAD is a file of its own."""
        head = None if self.refs is None else self.refs.head
        self.refs = RefSnapshot(dict(refs.refs), head)
        self.stamp = next(_numbers)

    def point(self, head: str | None) -> None:
        """Make HEAD name a branch."""
        if self.refs is not None and head is not None:
            self.refs = RefSnapshot(self.refs.refs, head)


class FakeGitStore:
    """A `GitStore` without files; its upstreams are values too.

    `died` is called before every step of a promotion: raise there, and the
    rest of the steps are left undone, as when the process dies.
    """

    def __init__(self, upstreams: Mapping[str, FakeUpstream], grace: timedelta) -> None:
        self._upstreams = upstreams
        self.grace = grace
        self._kept: dict[str, _Kept] = {}
        self._leased: set[str] = set()
        self._lock = Lock()
        self.full = False
        self.died: Callable[[str], None] = lives

    def stamp(self, path: str) -> str | None:
        """Return a number that each publication changes, None before the first."""
        kept = self._kept.get(path)
        return None if kept is None or kept.refs is None else str(kept.stamp)

    def is_copy(self, path: str, stamp: str) -> bool:
        """Return whether it is that very publication: a copy keeps its number."""
        return self.stamp(path) == stamp

    def show_refs(self, path: str) -> bytes:
        """Return the published refs as lines, without those that we keep."""
        kept = self._kept.get(path)
        refs = {} if kept is None or kept.refs is None else kept.refs.upstream
        return "".join(f"{refs[name].oid} {name}\n" for name in sorted(refs)).encode()

    @contextmanager
    def lease(
        self,
        path: str,
        *,
        wait: timedelta | None = None,  # noqa: ARG002 - nobody lets go while we wait
    ) -> Iterator[FakeRepository]:
        """Hold the mirror exclusively."""
        with self._lock:
            if path in self._leased:
                msg = f"{path} is in use by this process; nothing was changed"
                raise Locked(msg)
            self._leased.add(path)
            kept = self._kept.setdefault(path, _Kept())
        try:
            yield FakeRepository(self, kept)
        finally:
            with self._lock:
                self._leased.discard(path)

    def check_space(self) -> None:
        """Raise `NoSpace` when `full` was set."""
        if self.full:
            msg = "there is no room; nothing new is started"
            raise NoSpace(msg)

    def discard(self, path: str) -> None:
        """Forget a mirror's repository."""
        with self.lease(path), self._lock:
            del self._kept[path]

    def upstream(self, name: RepoName) -> FakeUpstream:
        """Return the upstream of a name, if it answers."""
        found = self._upstreams[name.identity]
        if not found.reachable:
            msg = f"{name} does not answer; published refs are unchanged"
            raise Unavailable(msg)
        return found


class FakeRepository:
    """A `BareRepository` in memory."""

    def __init__(self, store: FakeGitStore, kept: _Kept) -> None:
        self._store = store
        self._kept = kept

    def published(self) -> RefSnapshot:
        """Return the refs consumers see."""
        return self._kept.refs or RefSnapshot()

    def recover(self, intent: Intent | None) -> Recovery:
        """Complete a promotion that died, or say that it never began."""
        refs = self._kept.refs
        if intent is None or refs is None:
            return Recovery(None)
        if refs.fingerprint not in {intent.beside, intent.new}:
            return Recovery(None)
        self._kept.point(intent.head)
        if refs.fingerprint != intent.new:
            gone = {c.ref for c in intent.changes if c.kind is ChangeKind.DELETED}
            left = {name: ref for name, ref in refs.refs.items() if name not in gone}
            self._kept.publish(RefSnapshot(left))
        self._kept.quarantine = {}
        return Recovery(self._receipt())

    def fetch(  # noqa: PLR0913 - the port's
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
        """Bring what `target` needs and is not here."""
        del source  # What it would open has no meaning here.
        kept = self._kept
        first = kept.refs is None
        if not first and self._has(target):
            return Incoming(target, exact=True, findings=kept.findings)
        upstream = self._store.upstream(name)
        if first:
            shown = upstream.snapshot()
            wanted = {n: r for n, r in shown.refs.items() if n.startswith(tuple(scope))}
            got = RefSnapshot(wanted, shown.head)
        else:
            got = target
        arrived = upstream.closure(ref.oid for ref in got.refs.values())
        new = {oid: thing for oid, thing in arrived.items() if oid not in kept.things}
        kept.findings = _checked(new, set(accepted))
        kept.quarantine = new
        if progress is not None:
            progress(Progress("receiving objects", len(new), len(new)))
        if room is not None and 100 * len(new) > room:
            msg = "what arrived is larger than the room left"
            raise TooLarge(msg, size=100 * len(new))
        return Incoming(
            got,
            exact=dict(got.refs) == dict(target.refs) and got.head == target.head,
            findings=kept.findings,
            objects=len(new),
            received=100 * len(new),
            first=first,
        )

    def _has(self, target: RefSnapshot) -> bool:
        here = {**self._kept.things, **self._kept.quarantine}
        return all(ref.oid in here for ref in target.refs.values())

    def classify(
        self, incoming: Incoming, changes: Iterable[RefChange]
    ) -> list[RefChange]:
        """Tell REWOUND from MOVED, by the commits' parents."""
        del incoming  # All objects are in one place.
        return [
            replace(c, kind=ChangeKind.REWOUND) if self._is_rewound(c) else c
            for c in changes
        ]

    def _is_rewound(self, change: RefChange) -> bool:
        if change.kind is not ChangeKind.MOVED or change.ref.startswith("refs/tags/"):
            return False
        here = {**self._kept.things, **self._kept.quarantine}
        seen: set[str] = set()
        waiting = [str(change.new)]
        while waiting:
            oid = waiting.pop()
            if oid not in seen:
                seen.add(oid)
                waiting += here[oid].behind
        return change.old not in seen

    def peel(self, incoming: Incoming, changes: Iterable[RefChange]) -> RefSnapshot:
        """Return what arrived, peeled as the objects say."""
        here = {**self._kept.things, **self._kept.quarantine}
        refs = dict(incoming.target.refs)
        for change in changes:
            if change.new is None:
                continue
            thing = here.get(change.new)
            branch = change.ref.startswith("refs/heads/")
            if thing is None or (branch and thing.kind != "commit"):
                msg = f"{change.ref} names no commit; published refs are unchanged"
                raise IntegrityError(msg)
            peeled = thing.behind[0] if thing.kind == "tag" else None
            refs[change.ref] = Ref(change.new, peeled)
        return RefSnapshot(refs, incoming.target.head)

    def pointers(self, incoming: Incoming, *, everything: bool) -> list[LfsPointer]:
        """Return the LFS pointers of what arrived, or of all things."""
        del incoming  # What arrived is in one place.
        kept = self._kept
        searched = {**kept.things, **kept.quarantine} if everything else kept.quarantine
        return sorted({p for thing in searched.values() for p in thing.pointers})

    def reachable(self, incoming: Incoming, oids: Iterable[str]) -> frozenset[str]:
        """Return which LFS objects the new upstream refs need, out of `oids`."""
        here = {**self._kept.things, **self._kept.quarantine}
        tips = (ref.oid for ref in incoming.target.upstream.values())
        reached = closure(here, tips).values()
        return frozenset(oids) & {p.oid for thing in reached for p in thing.pointers}

    def lfs_url(self, incoming: Incoming) -> str | None:
        """Return what the `.lfsconfig` of the new HEAD says."""
        here = {**self._kept.things, **self._kept.quarantine}
        head = incoming.target.refs.get(incoming.target.head or "")
        thing = None if head is None else here[head.oid]
        while thing is not None and thing.lfs_url is None:
            thing = here[thing.behind[0]] if thing.behind else None
        return None if thing is None else thing.lfs_url

    def promote(
        self,
        incoming: Incoming,
        *,
        beside: RefSnapshot | None,
        target: RefSnapshot,
    ) -> Receipt:
        """Publish `target`, in the steps of the real store."""
        kept, died = self._kept, self._store.died
        died("migrate")
        kept.things |= kept.quarantine
        kept.packs += bool(kept.quarantine)
        if incoming.first:
            died("publish")
            kept.publish(target)
            kept.point(target.head)
        else:
            if beside is not None:
                died("publish beside")
                kept.publish(beside)
                died("point HEAD")
                kept.point(target.head)
            died("publish")
            kept.publish(target)
            died("finish")
            kept.point(target.head)
        kept.quarantine, kept.findings = {}, ()
        died("return")
        return self._receipt()

    def _receipt(self) -> Receipt:
        stamp = str(self._kept.stamp)
        return Receipt(stamp, self.published().fingerprint, self.size())

    def needs_maintenance(self, *, idle: bool = False) -> bool:
        """Return whether packs have piled up, or (when idle) none is indexed."""
        kept = self._kept
        piled = kept.packs >= MANY_PACKS
        return piled or (idle and kept.packs > 0 and not kept.indexed)

    def maintain(self, *, now: datetime) -> None:
        """Roll all packs into one."""
        kept = self._kept
        if kept.packs > 1:
            kept.replaced += [now] * kept.packs
            kept.packs = 1
        kept.indexed = kept.packs > 0

    def check_objects(self) -> None:
        """Do nothing if all is there that the refs reach."""
        tips = {ref.oid for ref in self.published().refs.values()}
        try:
            closure(self._kept.things, tips)
        except KeyError:
            msg = "the repository is not whole; nothing was changed"
            raise IntegrityError(msg) from None

    def size(self) -> int:
        """Return the bytes of the packs."""
        return 100 * len(self._kept.things)

    def drop_expired(
        self, now: datetime, retention: timedelta, *, dry_run: bool
    ) -> list[str]:
        """Remove keep-refs past `retention` and packs past their grace period."""
        published = self.published()
        keeps = expired_keeps(published.kept, (now - retention).date().isoformat())
        gone = [at for at in self._kept.replaced if at <= now - self._store.grace]
        if not dry_run:
            if keeps:
                refs = {n: r for n, r in published.refs.items() if n not in keeps}
                self._kept.publish(RefSnapshot(refs))
            self._kept.replaced = [at for at in self._kept.replaced if at not in gone]
        return [*keeps, *(f"pack of {at}" for at in gone)]


def _checked(new: Mapping[str, Thing], accepted: set[str]) -> tuple[Finding, ...]:
    """Return what fsck warns of.

    Raises:
        Dangerous: it refuses an object that nobody accepted.
    """
    found = []
    for oid, thing in sorted(new.items()):
        if thing.check is None or oid in accepted:
            continue
        if thing.dangerous:
            msg = f"object {oid} is dangerous; published refs are unchanged"
            raise Dangerous(msg, oid=oid, check=thing.check)
        found.append(Finding(oid, thing.check, "is not as it should be"))
    return tuple(found)
