"""What is mirrored: refs, and how one state of them differs from another."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import InvalidName
from syncer.model.names import check_ref, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEEP = "refs/syncer/keep/"
DEFAULT_SCOPE = ("refs/heads/", "refs/tags/", "refs/notes/")
# Ours, and refs that make git show other objects than those that were asked for.
_RESERVED = ("refs/syncer/", "refs/replace/")


def check_scope(scope: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ref prefixes to mirror if every one of them can be.

    Raises:
        ValueError: with a sentence that says which prefix is wrong.
    """
    if not scope:
        msg = 'name at least one prefix, like "refs/heads/"'
        raise ValueError(msg)
    for index, prefix in enumerate(scope):
        _check_prefix(prefix)
        for other in scope[:index]:
            if prefix.startswith(other) or other.startswith(prefix):
                msg = f"{shown(other)} and {shown(prefix)} cover the same refs"
                raise ValueError(msg)
    return scope


def _check_prefix(prefix: str) -> None:
    if not prefix.endswith("/"):
        msg = f'{shown(prefix)} is not a prefix of refs: write "refs/heads/"'
        raise ValueError(msg)
    try:
        check_ref(f"{prefix}x")
    except InvalidName:
        msg = f'{shown(prefix)} is not a prefix of refs: write "refs/heads/"'
        raise ValueError(msg) from None
    if prefix.startswith(_RESERVED):
        msg = f"{shown(prefix)} is never mirrored"
        raise ValueError(msg)


class Ref(NamedTuple):
    """Where a ref points: an object id, and what an annotated tag peels to."""

    oid: str
    peeled: str | None = None


@dataclass(frozen=True)
class RefSnapshot:
    """All refs of one repository at one moment, and the branch HEAD names."""

    refs: Mapping[str, Ref] = field(default_factory=dict)
    head: str | None = None

    @cached_property
    def packed(self) -> bytes:
        """The refs as git's `packed-refs` file holds them.

        Sorted by the bytes of the name and fully peeled, as `git pack-refs`
        writes them (refs/packed-backend.c in git).
        """
        lines = ["# pack-refs with: peeled fully-peeled sorted \n"]
        names = sorted(self.refs)
        if not all(map(str.isascii, names)):
            names.sort(key=lambda name: name.encode("utf-8", "surrogateescape"))
        for name in names:
            oid, peeled = self.refs[name]
            lines.append(f"{oid} {name}\n^{peeled}\n" if peeled else f"{oid} {name}\n")
        return "".join(lines).encode("utf-8", "surrogateescape")

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of `packed`: one string that tells two states apart."""
        return sha256(self.packed).hexdigest()

    @cached_property
    def upstream(self) -> Mapping[str, Ref]:
        """The refs that came from upstream, without those we keep."""
        return MappingProxyType(
            {n: r for n, r in self.refs.items() if not n.startswith("refs/syncer/")}
        )

    @cached_property
    def kept(self) -> Mapping[str, Ref]:
        """The refs below `refs/syncer/`: old tips, never advertised."""
        return MappingProxyType(
            {n: r for n, r in self.refs.items() if n.startswith("refs/syncer/")}
        )


class ChangeKind(StrEnum):
    """How a ref changed."""

    CREATED = "created"
    MOVED = "moved"
    REWOUND = "rewound"  # the old tip is not an ancestor of the new one
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class RefChange:
    """One ref that differs between two snapshots."""

    ref: str
    old: str | None
    new: str | None
    kind: ChangeKind


def diff(old: Mapping[str, Ref], new: Mapping[str, Ref]) -> list[RefChange]:
    """Return what turns `old` into `new`, sorted by name.

    A ref whose object id changed is MOVED; whether it was rewound needs the
    history, which only the repository knows.
    """
    changes = [
        RefChange(name, was.oid, None, ChangeKind.DELETED)
        for name, was in old.items()
        if name not in new
    ]
    for name, is_ in new.items():
        was_ = old.get(name)
        if was_ is None:
            changes.append(RefChange(name, None, is_.oid, ChangeKind.CREATED))
        elif was_.oid != is_.oid:
            changes.append(RefChange(name, was_.oid, is_.oid, ChangeKind.MOVED))
    return sorted(changes, key=lambda change: change.ref)


def keep_ref(date: str, oid: str) -> str:
    """Return the name an old tip is kept under; by id, so that none collide."""
    return f"{KEEP}{date}/{oid}"


def keep_lost(
    kept: Mapping[str, Ref], changes: Iterable[RefChange], date: str
) -> dict[str, Ref]:
    """Return the keep-refs to publish: those there are, and every lost tip.

    Replaced and deleted tags are kept under `tags` instead of a date, since
    they are kept for ever.
    """
    refs = dict(kept)
    for change in changes:
        if change.old is None or change.kind is ChangeKind.CREATED:
            continue
        tag = change.ref.startswith("refs/tags/")
        if tag or change.kind in {ChangeKind.REWOUND, ChangeKind.DELETED}:
            refs[keep_ref("tags" if tag else date, change.old)] = Ref(change.old)
    return refs


def expired_keeps(kept: Iterable[str], oldest: str) -> list[str]:
    """Return the keep-refs dated before `oldest` (ISO date); tags never expire."""
    return [
        name
        for name in kept
        if (date := name.removeprefix(KEEP).partition("/")[0]) != "tags"
        and date < oldest
    ]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing fsck reports of one object: `check` is git's message id."""

    oid: str
    check: str
    text: str
