"""The bare repositories below `DATA/git`: leases, stamps and free space."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.durable import check_space, translated
from syncer.git import packed_refs
from syncer.git.layout import Layout
from syncer.git.lease import Patience, hold
from syncer.git.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from syncer.git.command import GitCommand
    from syncer.git.remote import Remote
    from syncer.git.repository import Limits
    from syncer.model.names import RepoName


class BareStore:
    """Every mirror's repository below one root."""

    def __init__(
        self,
        root: Path,
        git: GitCommand,
        remote: Callable[[RepoName], Remote],
        limits: Limits,
        *,
        min_free: float = 0.0,
    ) -> None:
        self._root = root
        self._prefix = f"{root}/"
        self._git = git
        self._remote = remote
        self._limits = limits
        self._min_free = min_free

    def path(self, path: str) -> Path:
        """Return the directory of a mirror's repository."""
        return self._root / path

    def stamp(self, path: str) -> str | None:
        """Return the identity of the published `packed-refs`, None if there is none."""
        return packed_refs.stamp(self._prefix + path)

    def show_refs(self, path: str) -> bytes:
        """Return what `git show-ref` prints for whoever clones it, without a lease."""
        with translated("the reading of refs"):
            return packed_refs.shown(packed_refs.read_bytes(self.path(path)))

    def is_copy(self, path: str, stamp: str) -> bool:
        """Return whether what is published is a copy, with its time, of a stamp's."""
        return packed_refs.is_copy(self.stamp(path), stamp)

    @contextmanager
    def lease(
        self, path: str, *, wait: timedelta | None = None
    ) -> Iterator[Repository]:
        """Hold the mirror exclusively, over processes."""
        layout = Layout(self.path(path))
        patience = Patience(wait or timedelta(), stop=self._git.stop)
        with (
            translated("the lease"),
            hold(layout.lock, path.removesuffix(".git"), patience) as held,
        ):
            yield Repository(layout, self._git, held, self._remote, self._limits)

    def check_space(self) -> None:
        """Raise `NoSpace` when the store is below its floor of free space."""
        check_space(self._root, self._min_free)

    def discard(self, path: str) -> None:
        """Remove a mirror's repository for good."""
        layout = Layout(self.path(path))
        with self.lease(path), translated("the removal"):
            for directory in (layout.repository, layout.incoming):
                if directory.exists():
                    shutil.rmtree(directory)
            # Whoever waits for it notices, and takes the lease of a new file.
            layout.lock.unlink(missing_ok=True)
