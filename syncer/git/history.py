"""Questions that only the objects can answer: ancestry, and what tags peel to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from syncer.errors import IntegrityError
from syncer.git.command import Call
from syncer.model.content import ChangeKind, Ref, RefChange, RefSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta
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

    def check_whole(self, deadline: timedelta) -> None:
        """Do nothing if all that the refs reach is there (git-fsck(1)).

        Raises:
            IntegrityError: an object is missing.
        """
        words = ["fsck", "--connectivity-only", "--no-dangling", "--no-progress"]
        call = Call(
            words,
            repository=self.repository,
            env=self.environment,
            holder=self.holder,
            timeout=deadline,
            check=False,
        )
        done = self.git.run(call)
        if done.status:
            lines = (done.stderr or done.stdout.decode(errors="replace")).splitlines()
            why = lines[0] if lines else f"git fsck ended with {done.status}"
            msg = f"the repository is not whole: {why}; nothing was changed"
            raise IntegrityError(msg, hint="copy it once more")

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
            rewound = {c.ref for c in moved if not self._is_forward(c)}
        return [
            replace(c, kind=ChangeKind.REWOUND) if c.ref in rewound else c
            for c in listed
        ]

    def peel(self, target: RefSnapshot, changes: Iterable[RefChange]) -> RefSnapshot:
        """Return `target` with what its changed refs peel to read from the objects.

        Upstream's word for it would be passed on to consumers unchecked.

        Raises:
            IntegrityError: a tip is absent, or a branch is not a commit.
        """
        changes = list(changes)
        proven = self.proven(changes)
        names = [c.ref for c in changes if c.new and c.ref not in proven]
        oids = list(dict.fromkeys(target.refs[name].oid for name in names))
        kinds = self._kinds(oids) if oids else {}
        tags = [oid for oid in oids if kinds.get(oid) == "tag"]
        peeled = self._peeled(tags)
        refs = {**target.refs, **{n: Ref(target.refs[n].oid) for n in proven}}
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
    def proven(changes: Iterable[RefChange]) -> set[str]:
        """Return the branches whose new tips `classify` has found to be commits."""
        moved = [
            c.ref
            for c in changes
            if c.old and c.new and not c.ref.startswith("refs/tags/")
        ]
        if len(moved) > MAX_SINGLE:
            return set()
        return {ref for ref in moved if ref.startswith("refs/heads/")}

    @staticmethod
    def _is_branch_move(change: RefChange) -> bool:
        tag = change.ref.startswith("refs/tags/")
        return change.kind is ChangeKind.MOVED and not tag

    def _is_forward(self, change: RefChange) -> bool:
        """Return whether the new tip comes after the old one.

        `--independent` leaves out what another tip reaches, and prints what a
        tag peels to instead of it: a new tip that is printed is a commit.
        """
        old, new = str(change.old), str(change.new)
        args = ["merge-base", "--independent", old, new]
        status, said = self._run(args, check=False)
        if status == 0 and said.split() == [new]:
            return True
        branch = change.ref.startswith("refs/heads/")
        if branch and new not in said.split() and self._kinds([new]) != {new: "commit"}:
            msg = f"{change.ref} names {new}, which is no commit; {_UNTOUCHED}"
            raise IntegrityError(msg)
        return False

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
