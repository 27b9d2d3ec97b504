"""The git store's contract, in memory and with real git over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.git.bare import BareStore
from syncer.git.command import GitCommand
from syncer.git.remote import Remote
from syncer.git.repository import Limits
from tests.contracts.git_store import NAME, GitStoreContract
from tests.fakes_git import FakeGitStore, FakeUpstream
from tests.sandbox import snapshot
from tests.servers.bulk import known_bad
from tests.servers.http_faults import status
from tests.servers.pointers import pointer_file

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.model.content import RefSnapshot
    from syncer.model.lfs import LfsPointer
    from syncer.ports import GitStore
    from tests.contracts.git_store import Upstream
    from tests.servers.git_http import GitServer

GRACE = timedelta(hours=1)


class TestFakeGitStore(GitStoreContract):
    """The store that other tests work with."""

    @pytest.fixture
    def upstream(self) -> Upstream:
        """Return an upstream in memory."""
        made = FakeUpstream()
        made.commit()
        return made

    @pytest.fixture
    def store(self, upstream: FakeUpstream) -> GitStore:
        """Return a store in memory."""
        return FakeGitStore({NAME.identity: upstream}, GRACE)


class RealUpstream:
    """A repository on a server of the test's, with the contract's verbs."""

    def __init__(self, server: GitServer) -> None:
        self._server = server
        self._repository = server.repository("acme/widget")
        self._reachable = True

    def commit(self, branch: str = "main") -> str:
        """Commit to a branch and return the id."""
        return self._repository.commit(branch)

    def force(self, branch: str = "main") -> str:
        """Replace the last commit of a branch."""
        return self._repository.force(branch)

    def branch(self, name: str) -> str:
        """Make a branch where HEAD is."""
        return self._repository.branch(name)

    def tag(self, name: str) -> str:
        """Make or move an annotated tag to where HEAD is."""
        return self._repository.tag(name)

    def delete(self, ref: str) -> None:
        """Delete a ref by its full name."""
        self._repository.delete(ref)

    def rename_head(self, old: str, new: str) -> None:
        """Rename the default branch."""
        self._repository.rename_head(old, new)

    def track(self, *pointers: LfsPointer, branch: str = "main") -> str:
        """Commit LFS pointers to a branch; they take the place of earlier ones."""
        files = {f"large/{n}": pointer_file(each) for n, each in enumerate(pointers)}
        return self._repository.commit(branch, files)

    def configure(self, lfs_url: str, branch: str = "main") -> str:
        """Commit a `.lfsconfig` to a branch."""
        text = f"[lfs]\n\turl = {lfs_url}\n"
        return self._repository.commit(branch, {".lfsconfig": text})

    def poison(self) -> str:
        """Put a tree with a `.git` in it on `main`; return the tree's id."""
        known_bad(self._repository.path, "hasDotgit")
        return self._repository.oid("main^{tree}")

    def blemish(self) -> str:
        """Put a commit with an odd time zone on `main`; return its id."""
        known_bad(self._repository.path, "badTimezone")
        return self._repository.oid("main")

    def snapshot(self) -> RefSnapshot:
        """Return what a probe of all refs reads."""
        return snapshot(self._repository.path)

    @property
    def reachable(self) -> bool:
        """Whether the server answers."""
        return self._reachable

    @reachable.setter
    def reachable(self, value: bool) -> None:
        self._reachable = value
        self._server.heal()
        if not value:
            self._server.fault("", status(503))


class TestBareStore(GitStoreContract):
    """The store of the program: bare repositories and the git program."""

    @pytest.fixture
    def upstream(self, git_server: GitServer) -> Upstream:
        """Return a repository on the server."""
        made = RealUpstream(git_server)
        made.commit()
        return made

    @pytest.fixture
    def store(self, git_server: GitServer, tmp_path: Path) -> GitStore:
        """Return a store in a directory."""
        return BareStore(
            tmp_path / "git",
            GitCommand(),
            lambda name: Remote(git_server.address(f"{name.owner}/{name.name}")),
            Limits(deadline=timedelta(minutes=1), grace=GRACE),
        )
