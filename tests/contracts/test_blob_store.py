"""The blob store's contract, in memory and in a directory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from syncer.store.directory import DirectoryStore
from tests.contracts.blob_receive import BlobReceiveContract
from tests.fakes import FakeClock
from tests.fakes_blobs import FakeBlobStore

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.ports import BlobStore


class TestFakeBlobStore(BlobReceiveContract):
    """The store that other tests work with."""

    @pytest.fixture
    def store(self) -> BlobStore:
        """Return a store in memory, at the time of the test."""
        return FakeBlobStore(clock=FakeClock(datetime.now(UTC)))

    def plant(self, store: BlobStore, key: str, body: bytes) -> None:
        """Put bytes into its memory."""
        assert isinstance(store, FakeBlobStore)
        store.disk.bodies[key] = body

    def second(self, store: BlobStore) -> BlobStore:
        """Return another store on the same memory."""
        assert isinstance(store, FakeBlobStore)
        return FakeBlobStore(store.disk, FakeClock(datetime.now(UTC)))


class TestDirectoryStore(BlobReceiveContract):
    """The embedded store."""

    root: Path

    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        """Return a store in a directory that is not there yet."""
        self.root = tmp_path / "store"
        return self._open()

    def _open(self) -> DirectoryStore:
        return DirectoryStore(self.root / "blobs", self.root / "incoming")

    def plant(self, store: BlobStore, key: str, body: bytes) -> None:
        """Write a file below its root."""
        store.check()
        path = self.root / "blobs" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def second(self, store: BlobStore) -> BlobStore:
        """Return another store on the same directories."""
        assert store is not None
        return self._open()
