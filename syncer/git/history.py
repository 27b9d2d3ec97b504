"""Questions that only the objects can answer: ancestry, and what tags peel to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from syncer.errors import IntegrityError
from syncer.git.command import Call
from syncer.model.content import ChangeKind, Ref, RefChange, RefSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from syncer.git.command import GitCommand, Holder

#: With more moved refs than this, one walk decides about all of them.
MAX_SINGLE = 32
_UNTOUCHED = "published refs are unchanged"


@dataclass(frozen=True)
class History:
    """A repository's objects, published and quarantined alike."""

    git: GitCommand
    repository: Path
    environment: Mapping[str, str]
    holder: Holder

    def classify(self, changes: Iterable[RefChange]) -> list[RefChange]:
        """Tell REWOUND from MOVED.

        A moved tag is never a fast-forward in anybody's eyes, so it is not
        asked about.  With very many moved refs, one that is rewound but whose
        old tip another ref still reaches counts as moved: nothing is lost.
        """
        listed = list(changes)
        moved = [c for c in listed if self._is_branch_move(c)]
        if len(moved) > MAX_SINGLE:
            lost = self._unreachable(moved, [c.new for c in listed if c.new])
            rewound = {c.ref for c in moved if c.old in lost}
        else:
            rewound = {c.ref for c in moved if not self._is_ancestor(c.old, c.new)}
        return [
            replace(c, kind=ChangeKind.REWOUND) if c.ref in rewound else c
            for c in listed
        ]

    def peel(self, target: RefSnapshot, names: Sequence[str]) -> RefSnapshot:
        """Return `target` with what `names` peel to read from the objects.

        Upstream's word for it would be passed on to consumers unchecked.

        Raises:
            IntegrityError: a tip is absent, or a branch is not a commit.
        """
        oids = list(dict.fromkeys(target.refs[name].oid for name in names))
        if not oids:
            return target
        kinds = self._kinds(oids)
        tags = [oid for oid in oids if kinds.get(oid) == "tag"]
        peeled = self._peeled(tags)
        refs = dict(target.refs)
        for name in names:
            oid = refs[name].oid
            kind = kinds.get(oid)
            if kind is None:
                msg = f"{name} names {oid}, which did not arrive; {_UNTOUCHED}"
                raise IntegrityError(msg)
            if name.startswith("refs/heads/") and kind != "commit":
                msg = f"{name} names a {kind}, not a commit; {_UNTOUCHED}"
                raise IntegrityError(msg)
            refs[name] = Ref(oid, peeled.get(oid))
        return RefSnapshot(refs, target.head)

    @staticmethod
    def unproven(changes: Iterable[RefChange]) -> list[str]:
        """Return the refs whose new tip `classify` has not looked at."""
        new = [change for change in changes if change.new is not None]
        moved = [c.ref for c in new if c.old and not c.ref.startswith("refs/tags/")]
        proven = set(moved) if len(moved) <= MAX_SINGLE else set()
        return [change.ref for change in new if change.ref not in proven]

    @staticmethod
    def _is_branch_move(change: RefChange) -> bool:
        tag = change.ref.startswith("refs/tags/")
        return change.kind is ChangeKind.MOVED and not tag

    def _is_ancestor(self, old: str | None, new: str | None) -> bool:
        args = ["merge-base", "--is-ancestor", str(old), str(new)]
        status = self._run(args, check=False)[0]
        if status not in {0, 1}:
            msg = f"{new} is not a commit, or did not arrive; {_UNTOUCHED}"
            raise IntegrityError(msg)
        return status == 0

    def _unreachable(self, moved: Iterable[RefChange], new: Iterable[str]) -> set[str]:
        lines = [*(str(c.old) for c in moved), *(f"^{oid}" for oid in new)]
        stdin = "".join(f"{line}\n" for line in lines).encode()
        return set(self._run(["rev-list", "--stdin"], stdin)[1].split())

    def _kinds(self, oids: Iterable[str]) -> dict[str, str]:
        lines = self._check(oids, "%(objectname) %(objecttype)")
        found = (line.split(" ") for line in lines)
        return {f[0]: f[1] for f in found if f[1] != "missing"}

    def _peeled(self, tags: Sequence[str]) -> dict[str, str]:
        if not tags:
            return {}
        lines = self._check((f"{oid}^{{}}" for oid in tags), "%(objectname)")
        return {
            oid: line
            for oid, line in zip(tags, lines, strict=True)
            if not line.endswith(" missing")
        }

    def _check(self, questions: Iterable[str], answer: str) -> list[str]:
        stdin = "".join(f"{question}\n" for question in questions).encode()
        return self._run(["cat-file", f"--batch-check={answer}"], stdin)[1].splitlines()

    def _run(
        self, args: Sequence[str], stdin: bytes = b"", *, check: bool = True
    ) -> tuple[int, str]:
        done = self.git.run(
            Call(
                args,
                repository=self.repository,
                stdin=stdin,
                env=self.environment,
                holder=self.holder,
                check=check,
            )
        )
        return done.status, done.stdout.decode()
