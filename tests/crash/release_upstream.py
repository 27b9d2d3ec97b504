"""A GitHub whose one repository is as it was before a run, or as it is after.

A world is prepared from what was there before, once for each place it is made for;
the points of a sweep meet what is there after.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from syncer.model.releases import AssetState, Departure
from tests.crash import releases
from tests.servers.github_releases import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from syncer.model.releases import ReleaseRecord
    from tests.servers.github import GitHubServer
    from tests.servers.github_releases import GitHubAsset, GitHubRelease

#: Tag, asset, sha256, state, and why it has left.
Name = tuple[str, str, str | None, AssetState, Departure | None]
Refs = dict[str, str]


class Shown(NamedTuple):
    """What readers see: refs, None without a mirror, and names with their bytes."""

    refs: Refs | None
    names: frozenset[Name]


def names(records: Iterable[ReleaseRecord]) -> frozenset[Name]:
    """Return the names that records stand for, those of tombstones too."""
    return frozenset(
        (each.release.tag, a.asset.name, a.blob, a.state, a.departure)
        for each in records
        for a in each.assets
    )


@dataclass
class _Then:
    """What is there at one moment; assets never change but by being replaced."""

    tip: str
    releases: dict[GitHubRelease, list[GitHubAsset]]
    assets: dict[int, GitHubAsset]


class Upstream:
    """`o/r` with two releases and four assets; the half of them without a digest."""

    def __init__(self, server: GitHubServer) -> None:
        self._server = server
        server.token(releases.TOKEN, limits={"core": 1_000_000})
        self._github = server.repository("o/r")
        self._git = server.git.repository(self._github)
        self._git.commit("main", {"file": "one\n"})
        self._git.tag("v1")
        self._git.tag("v2")
        first, second = (self._github.release(tag) for tag in ("v1", "v2"))
        second.immutable = True
        for number, release in enumerate((first, second)):
            for digest in (True, False):
                body = b"%d %d\n" % (number, digest) * 5000
                release.asset(f"{'new' if digest else 'old'}.whl", body, digest=digest)
        self._before = self._keep()

    @property
    def refs(self) -> Refs:
        """The refs that are there now."""
        return self._git.refs()

    @property
    def shown(self) -> Shown:
        """What readers of a mirror see that has all of it."""
        return Shown(
            self.refs,
            frozenset(
                (release.tag, a.name, _digest(a), AssetState.PRESENT, None)
                for release in self._github.releases
                for a in release.assets
            ),
        )

    def commit(self) -> None:
        """Move a ref."""
        self._git.commit("main", {"file": "two\n"})
        self._github.push()

    def change(self) -> frozenset[Name]:
        """Change what can change of an old release; return the tombstones of it."""
        release = self._github.releases[0]
        replaced, deleted = release.assets
        left = ((replaced, Departure.REPLACED), (deleted, Departure.DELETED))
        replaced.replace(b"replaced\n" * 5000)
        deleted.delete()
        release.asset("late.whl", b"late\n" * 5000, digest=False)
        return frozenset(
            (release.tag, each.name, _digest(each), AssetState.PRESENT, why)
            for each, why in left
        )

    def prepare(self, world: Path) -> None:
        """Make a world that has never run."""
        releases.prepare(world, self._server.url, self._server.assets_host)

    def prepare_old(self, world: Path) -> None:
        """Make a world that has mirrored what was there at first."""
        self.prepare(world)
        with self._as_before():
            releases.sync(world)

    def downloads(self) -> list[str]:
        """Return what was downloaded since the last time this was asked."""
        seen = [each.path for each in self._server.requests if each.host == "assets"]
        self._server.forget()
        return seen

    @contextmanager
    def _as_before(self) -> Iterator[None]:
        now = self._keep()
        self._put(self._before)
        try:
            yield
        finally:
            self._put(now)

    def _keep(self) -> _Then:
        kept = {each: list(each.assets) for each in self._github.releases}
        assets = dict(self._github.state.assets)
        return _Then(self._git.oid("refs/heads/main"), kept, assets)

    def _put(self, then: _Then) -> None:
        self._git.branch("main", then.tip)
        self._github.releases[:] = then.releases
        for release, assets in then.releases.items():
            release.assets[:] = assets
        self._github.state.assets = then.assets


def _digest(asset: GitHubAsset) -> str:
    return digest_of(asset.content)
