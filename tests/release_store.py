"""A mirror of a GitHub on loopback: real pipeline, API client, catalog and store.

Only the process is the test's own; waits between attempts are short.
"""

from __future__ import annotations

import os
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

import pytest

from syncer import bootstrap
from syncer.catalog import database
from syncer.catalog.release_index import SqlReleaseIndex
from syncer.catalog.sql import SqlCatalog
from syncer.config import load
from syncer.model.blobs import blob_key
from syncer.model.names import RepoName
from syncer.model.releases import AssetState
from syncer.model.runs import Trigger
from tests.servers.github_releases import digest_of
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.bootstrap import App
    from syncer.config import Config
    from syncer.model.releases import AssetRecord, ReleaseRecord
    from syncer.model.runs import SyncRun
    from tests.servers.github import GitHubServer

WIDGET = "acme/widget"
NAME = RepoName.parse(WIDGET)
SECRET = "ghp_s3cret_of_releases"  # noqa: S105 - no token of anybody
_LONGEST = 0.02


class Hurry(threading.Event):
    """A stop event on which nobody waits for long."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait a moment at most."""
        return super().wait(_LONGEST if timeout is None else min(timeout, _LONGEST))


class Ahead:
    """The machine's clock, and how far a test is ahead of it."""

    def __init__(self) -> None:
        self.by = timedelta()

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self.by

    def monotonic(self) -> float:
        """Return seconds."""
        return monotonic() + self.by.total_seconds()


class Kept(NamedTuple):
    """What is there: files by path and size, refs, and rows of the catalog."""

    blobs: dict[str, int]
    refs: dict[str, str]
    #: (release, whether it is gone)
    releases: dict[int, bool]
    #: (asset, blob) of whatever has bytes here.
    assets: frozenset[tuple[int, str]]


def configuration(server: GitHubServer, *names: str, settings: str = "") -> str:
    """Return a `repos.toml` whose github.com is a server on loopback."""
    listed = "".join(f'[[repo]]\nname = "{name}"\n{settings}\n' for name in names)
    return (
        f'[syncer]\nmin_free = 0\n[host."github.com"]\ngit = "{server.url}"\n'
        f'api = "{server.api}"\ndownloads = ["{server.assets_host}"]\n'
        f"private = true\n{listed}"
    )


class ReleaseStore:
    """One store below `place`, which mirrors `acme/widget`.

    `clock` is the store's, and best the server's too.
    """

    def __init__(
        self, place: Path, server: GitHubServer, clock: Ahead, settings: str = ""
    ) -> None:
        self.place, self.server, self.clock = place, server, clock
        self.upstream = server.repository(WIDGET)
        self.git = server.git.repository(self.upstream)
        self.git.commit("main", {"README": "first\n"})
        server.token(SECRET)
        self._file = place / "repos.toml"
        self.configure(settings)
        database.upgrade(self._config().catalog_url)

    def configure(self, settings: str = "") -> None:
        """Write the configuration; `settings` belong to the repository."""
        text = configuration(self.server, WIDGET, settings=settings)
        self._file.write_text(text)

    def _config(self) -> Config:
        config = load(self._file, {"SYNCER_GITHUB_TOKEN": SECRET})
        config.data.mkdir(exist_ok=True)
        return config

    @contextmanager
    def process(self) -> Iterator[App]:
        """Begin a process that knows what the catalog knows, and no more."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(bootstrap, "SystemClock", lambda: self.clock)
            app = bootstrap.build(self._config(), stop=Hurry())
        try:
            app.reconcile()
            yield app
        finally:
            app.close()

    def sync(self) -> SyncRun:
        """Sync once, as the command does; what is visible afterwards is right."""
        with self.process() as app:
            state = app.catalog.state(NAME)
            visit = app.pipeline.probe(state, Trigger.COMMAND)
            run = app.pipeline.sync(visit, Trigger.COMMAND)
        self.check()
        return run

    @property
    def data(self) -> Path:
        """Where everything is."""
        return self._config().data

    def blobs(self) -> dict[str, bytes]:
        """Return every visible blob, by its key."""
        place = self.data / "blobs"
        return {
            path.relative_to(place).as_posix(): path.read_bytes()
            for path in place.rglob("*")
            if path.is_file()
        }

    def records(self) -> list[ReleaseRecord]:
        """Return what the catalog knows of the releases."""
        engine = database.connect(self._config().catalog_url)
        with closing(SqlCatalog(engine)) as catalog:
            return [
                record
                for state in catalog.states()
                for record in SqlReleaseIndex(engine).releases(state.id)
            ]

    def asset(self, name: str) -> AssetRecord:
        """Return the one asset of this name that is no tombstone."""
        found = [
            each
            for record in self.records()
            for each in record.assets
            if each.asset.name == name and each.gone is None
        ]
        assert len(found) == 1, found
        return found[0]

    def kept(self) -> Kept:
        """Return what is there."""
        records = self.records()
        mirror = self.data / "git" / NAME.path
        return Kept(
            {key: len(body) for key, body in self.blobs().items()},
            Repository(mirror).refs() if mirror.exists() else {},
            {r.release.id: r.gone is not None for r in records},
            frozenset(
                (each.asset.id, each.blob)
                for record in records
                for each in record.assets
                if each.blob is not None
            ),
        )

    def check(self) -> None:
        """Check that all that is said to be here is here, and all here is right."""
        there = self.blobs()
        for key, body in there.items():
            assert key == blob_key(digest_of(body))
        for record in self.records():
            for each in record.assets:
                if each.state is AssetState.PRESENT:
                    assert blob_key(str(each.blob)) in there

    def agrees(self) -> bool:
        """Return whether every release and asset of upstream's is here."""
        records = {r.release.id: r for r in self.records() if r.gone is None}
        shown = {r.id: r for r in self.upstream.listed()}
        if records.keys() != shown.keys():
            return False
        return all(
            {(a.asset.id, a.blob) for a in records[id_].assets if a.gone is None}
            == {(a.id, digest_of(a.content)) for a in release.assets}
            for id_, release in shown.items()
        )

    def asked(self, host: str) -> list[str]:
        """Return what one of the hosts was asked, without what is constant."""
        return [seen.path for seen in self.server.requests if seen.host == host]

    def ranges(self) -> list[str]:
        """Return the ranges that storage was asked for, "" for all, in order."""
        return [
            seen.headers.get("range", "")
            for seen in self.server.requests
            if seen.host == "assets"
        ]


def random_bytes(size: int) -> bytes:
    """Return bytes that no other file has."""
    return os.urandom(size)
