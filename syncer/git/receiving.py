"""A pack from somebody else's connection into the quarantine, checked.

What `git fetch` does after the pack has begun: `index-pack` with fsck, then a
walk that proves that everything the new tips need is there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.errors import GitFailed, ProtocolError
from syncer.git.command import Call
from syncer.git.layout import packs
from syncer.git.policy import KNOWN_BAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import timedelta

    from syncer.git.command import GitCommand, Holder
    from syncer.git.layout import Layout
    from syncer.ports import PackSource

log = logging.getLogger(__name__)

#: What separates the parts of `--strict=`; a path with one cannot be named there.
_SEPARATORS = frozenset(" ,|")


@dataclass(frozen=True)
class Receiver:
    """Receives packs for one mirror under its lease."""

    git: GitCommand
    layout: Layout
    holder: Holder
    deadline: timedelta
    hear: Callable[[str], None]
    #: Bytes that a pack may have; None: no limit.
    room: int | None = None

    def receive(
        self, source: PackSource, want: Sequence[str], have: Sequence[str]
    ) -> str | None:
        """Fill the quarantine; return what git said, None if `git fetch` must.

        Raises:
            Dangerous: fsck refuses an object.
            TransientError: the connection failed; the quarantine is unchecked.
        """
        strict = self._strict()
        if strict is None:
            return None
        if self.layout.checked.exists() and self._is_connected(want):
            return ""
        try:
            with source(want, have) as blocks:
                stderr = self._run(
                    ["index-pack", "--stdin", "--fix-thin", "-v", strict], blocks
                )
        except ProtocolError as exc:
            log.debug("fetching by git instead", extra={"reason": str(exc)})
            return None
        except GitFailed as exc:
            if "Unhandled message id" not in exc.stderr:
                raise
            return None
        return stderr if self._is_connected(want) else None

    def _run(self, args: Sequence[str], blocks: Iterator[bytes]) -> str:
        return self.git.run(
            Call(
                args,
                repository=self.layout.repository,
                source=blocks,
                env=self.layout.environment(),
                holder=self.holder,
                timeout=self.deadline,
                on_stderr=self.hear,
                room=self.room,
            )
        ).stderr

    def _is_connected(self, want: Sequence[str]) -> bool:
        """Return whether all that `want` reaches is here or published."""
        if not packs(self.layout.quarantine):
            return False
        done = self.git.run(
            Call(
                ["rev-list", "--objects", "--quiet", "--stdin", "--not", "--all"],
                repository=self.layout.repository,
                stdin="".join(f"{oid}\n" for oid in want).encode(),
                env=self.layout.environment(),
                holder=self.holder,
                timeout=self.deadline,
                check=False,
            )
        )
        return done.status == 0

    def _strict(self) -> str | None:
        """Return the option that carries the fsck policy, as `git fetch` gives it."""
        parts = [f"{check.lower()}=warn" for check in KNOWN_BAD]
        skip = self.layout.skip_list
        if skip.exists():
            if _SEPARATORS & set(str(skip)):
                return None
            parts.append(f"skiplist={skip}")
        return f"--strict={','.join(parts)}"
