"""Bringing objects into the quarantine: a clone at first, by id later.

A first mirror is cloned, since `git clone` alone spares the second walk over
all objects that `git fetch` makes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.errors import GitFailed
from syncer.git import packed_refs
from syncer.git.command import Call
from syncer.git.durable import make_directories, replace
from syncer.git.layout import object_count, packs, write_config
from syncer.git.policy import findings
from syncer.git.progress import parse
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

#: With more refs than this, only some are offered as haves.
MAX_TIPS = 256


@dataclass(frozen=True)
class Fetcher:
    """Fetches for one mirror under its lease."""

    git: GitCommand
    layout: Layout
    holder: Holder
    deadline: timedelta
    progress: Callable[[Progress], None] | None = None

    def clone(
        self, remote: Remote, target: RefSnapshot, scope: Sequence[str]
    ) -> Incoming:
        """Bring a whole repository into a place of its own."""
        make_directories(self.layout.incoming)
        extra = [p for p in scope if p not in {"refs/heads/", "refs/tags/"}]
        specs = [
            part for p in extra for part in ("-c", f"remote.origin.fetch=+{p}*:{p}*")
        ]
        first = self.layout.first
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
        return _cloned(first, target, scope, findings(stderr))

    def by_id(
        self, remote: Remote, published: RefSnapshot, target: RefSnapshot
    ) -> Incoming:
        """Bring what `target` has and `published` has not."""
        have = {ref.oid for ref in published.refs.values()}
        want = sorted({ref.oid for ref in target.refs.values()} - have)
        if not want:
            return Incoming(target, exact=True)
        make_directories(self.layout.quarantine / "pack")
        tips = _tips(published, target)
        stderr = self._run(
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
        self._mark_checked(want)
        return _arrived(packs(self.layout.quarantine), target, findings(stderr))

    def environment(self) -> dict[str, str]:
        """Let git see the quarantine, and the published objects behind it."""
        if not self.layout.quarantine.is_dir():
            return {}
        return {
            "GIT_OBJECT_DIRECTORY": str(self.layout.quarantine),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.layout.objects),
        }

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
        quarantine = self.environment() if repository is not None else {}
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
            )
        ).stderr

    def _hear(self, line: str) -> None:
        if self.progress is None:
            return
        progress = parse(line)
        if progress is not None:
            self.progress(progress)

    def _mark_checked(self, want: Sequence[str]) -> None:
        """Say that a later run may use the quarantine as it is."""
        digest = hashlib.sha256("\n".join(want).encode()).hexdigest()
        mark = self.layout.checked
        replace(mark, digest.encode(), lock=mark.with_name("checked.lock"))


def write_skip_list(layout: Layout, accepted: Iterable[str]) -> None:
    """Tell git which objects' findings a person accepted."""
    oids = sorted(set(accepted))
    if not oids:
        return
    make_directories(layout.incoming)
    content = "".join(f"{oid}\n" for oid in oids).encode()
    layout.skip_list.write_bytes(content)


def _tips(published: RefSnapshot, target: RefSnapshot) -> list[str]:
    """Bound the haves of a repository with very many refs.

    The old values of what moved, and the branches, are what a server can use;
    a list of every tag only costs round trips.
    """
    old = published.upstream
    if len(published.refs) <= MAX_TIPS:
        return []
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
