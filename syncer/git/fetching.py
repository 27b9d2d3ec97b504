"""Bringing objects into the quarantine: a clone at first, by id later.

A first mirror is cloned, since `git clone` alone spares the second walk over
all objects that `git fetch` makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from shutil import rmtree
from typing import TYPE_CHECKING

from syncer.durable import make_directories, replace
from syncer.errors import GitFailed, TooLarge
from syncer.git import packed_refs
from syncer.git.command import Call
from syncer.git.layout import object_count, packs, write_config
from syncer.git.policy import findings
from syncer.git.progress import parse
from syncer.git.receiving import Receiver
from syncer.git.remote import FIRST_WORD
from syncer.model.content import RefSnapshot
from syncer.model.runs import Incoming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta
    from pathlib import Path

    from syncer.git.command import GitCommand, Holder
    from syncer.git.layout import Layout
    from syncer.git.remote import Remote
    from syncer.model.content import Finding
    from syncer.model.runs import Progress
    from syncer.ports import PackSource

#: With more refs than this, only some are offered as haves.
MAX_TIPS = 256
#: Files that git may write in any case: its configuration, its lists.
_LEAST_FILE = 1 << 20


@dataclass(frozen=True)
class Fetcher:
    """Fetches for one mirror under its lease."""

    git: GitCommand
    layout: Layout
    holder: Holder
    deadline: timedelta
    progress: Callable[[Progress], None] | None = None
    #: Bytes that a pack may have; None: no limit.
    room: int | None = None

    def clone(
        self, remote: Remote, target: RefSnapshot, scope: Sequence[str]
    ) -> Incoming:
        """Bring a whole repository into a place of its own.

        What an earlier run cloned and could not publish (its LFS objects were
        not to be had) is used as it is while upstream shows the same refs.
        """
        first = self.layout.first
        if self.layout.checked.exists() and first.is_dir():
            kept = _cloned(first, target, scope, ())
            if kept.exact:
                return self._fitting(kept)
        self.layout.checked.unlink(missing_ok=True)
        rmtree(first, ignore_errors=True)
        make_directories(self.layout.incoming)
        # A clone brings all heads and tags; naming one twice is an error.
        extra = [p for p in scope if not p.startswith(("refs/heads/", "refs/tags/"))]
        specs = [
            part for p in extra for part in ("-c", f"remote.origin.fetch=+{p}*:{p}*")
        ]
        stderr = self._run(
            [
                "clone",
                "--bare",
                "--progress",
                "--no-local",
                "--template=",
                *specs,
                "--end-of-options",
                remote.url,
                str(first),
            ],
            remote,
            repository=None,
        )
        write_config(first)
        (first / "description").unlink(missing_ok=True)
        cloned = _cloned(first, target, scope, findings(stderr))
        self._mark_checked()
        return self._fitting(cloned)

    def by_id(
        self,
        remote: Callable[[], Remote],
        published: RefSnapshot,
        target: RefSnapshot,
        source: PackSource | None = None,
    ) -> Incoming:
        """Bring what `target` has and `published` has not.

        On the probe's connection where the host can, else by `git fetch`, which
        is slower and knows every server.
        """
        have = {ref.oid for ref in published.refs.values()}
        want = sorted({ref.oid for ref in target.refs.values()} - have)
        if not want:
            return Incoming(target, exact=True)
        make_directories(self.layout.quarantine / "pack")
        tips = _tips(published, target)
        stderr = None
        if source is not None:
            stderr = Receiver(
                self.git,
                self.layout,
                self.holder,
                self.deadline,
                self._hear,
                self._largest,
            ).receive(source, want, tips)
        if stderr is None:
            few = tips if len(published.refs) > MAX_TIPS else []
            stderr = self._fetch(remote(), want, few)
        self._mark_checked()
        arrived = _arrived(packs(self.layout.quarantine), target, findings(stderr))
        return self._fitting(arrived)

    @property
    def _largest(self) -> int | None:
        """The bytes that a file may have while it arrives."""
        return None if self.room is None else max(self.room, _LEAST_FILE)

    def _fitting(self, incoming: Incoming) -> Incoming:
        """Return what arrived; it is kept in any case, since room may be given."""
        if self.room is not None and incoming.received > self.room:
            msg = "what arrived is larger than the room left; nothing was published"
            raise TooLarge(msg, size=incoming.received)
        return incoming

    def _fetch(self, remote: Remote, want: Sequence[str], tips: Sequence[str]) -> str:
        return self._run(
            [
                "fetch",
                "--stdin",
                "--refmap=",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--progress",
                *[f"--negotiation-tip={oid}" for oid in tips],
                "--end-of-options",
                remote.url,
            ],
            remote,
            repository=self.layout.repository,
            stdin="".join(f"{oid}\n" for oid in want).encode(),
        )

    def _run(
        self,
        args: Sequence[str],
        remote: Remote,
        *,
        repository: Path | None,
        stdin: bytes = b"",
    ) -> str:
        skip = self.layout.skip_list
        config = list(remote.config)
        if skip.exists():
            keys = ("fetch.fsck.skipList", "receive.fsck.skipList", "fsck.skipList")
            config += [(key, str(skip)) for key in keys]
        quarantine = self.layout.environment() if repository is not None else {}
        return self.git.run(
            Call(
                args,
                repository=repository,
                stdin=stdin,
                env={**remote.allowed, **quarantine},
                config=config,
                holder=self.holder,
                timeout=self.deadline,
                first_word=FIRST_WORD,
                on_stderr=self._hear,
                room=self._largest,
            )
        ).stderr

    def _hear(self, line: str) -> None:
        if self.progress is None:
            return
        progress = parse(line)
        if progress is not None:
            self.progress(progress)

    def _mark_checked(self) -> None:
        """Say that a later run may use the quarantine as it is."""
        mark = self.layout.checked
        replace(mark, b"", lock=mark.with_name("checked.lock"))


def write_skip_list(layout: Layout, accepted: Iterable[str]) -> None:
    """Tell git which objects' findings a person accepted."""
    oids = sorted(set(accepted))
    if not oids:
        return
    make_directories(layout.incoming)
    content = "".join(f"{oid}\n" for oid in oids).encode()
    layout.skip_list.write_bytes(content)


def _tips(published: RefSnapshot, target: RefSnapshot) -> list[str]:
    """Return the haves that a server can use: few, the best first.

    They are the old values of what moved, and the branches; with very many refs,
    a list of every one would only cost round trips.
    """
    old = published.upstream
    moved = [
        ref.oid
        for name, ref in old.items()
        if name in target.refs and target.refs[name].oid != ref.oid
    ]
    heads = [ref.oid for name, ref in old.items() if name.startswith("refs/heads/")]
    head = old.get(published.head or "")
    first = [] if head is None else [head.oid]
    return list(dict.fromkeys([*first, *moved, *heads]))[:MAX_TIPS]


def _arrived(
    new: list[Path], target: RefSnapshot, found: tuple[Finding, ...]
) -> Incoming:
    return Incoming(
        target,
        exact=True,
        findings=found,
        objects=sum(map(object_count, new)),
        received=sum(pack.stat().st_size for pack in new),
    )


def _cloned(
    first: Path, target: RefSnapshot, scope: Sequence[str], found: tuple[Finding, ...]
) -> Incoming:
    seen = packed_refs.read(first)
    loose = [path for path in (first / "refs").rglob("*") if path.is_file()]
    if loose:
        msg = "the clone left loose refs; nothing was published"
        raise GitFailed(msg, status=0)
    wanted = {n: r for n, r in seen.refs.items() if n.startswith(tuple(scope))}
    head = seen.head if seen.head in wanted or target.head is None else target.head
    got = RefSnapshot(wanted, head)
    new = packs(first / "objects")
    return Incoming(
        got,
        exact=got.refs == target.refs and got.head == target.head,
        findings=found,
        objects=sum(map(object_count, new)),
        received=sum(pack.stat().st_size for pack in new),
        first=True,
    )
