"""The blob store's contract on S3: three servers, and one of them by TLS."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from botocore.loaders import JSONFileLoader

from tests.contracts.blob_receive import BlobReceiveContract
from tests.contracts.blob_store import BlobStoreContract
from tests.fakes_s3 import PART, RESUMABLE, S3Rig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.ports import BlobStore
    from tests.servers.s3 import S3Server


@pytest.fixture(scope="module", autouse=True)
def _models_are_read_once() -> Iterator[None]:
    """Share what boto3 reads of S3's shape: each store would take 100 ms for it."""
    load = cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: load(path))
        yield


class _S3StoreContract(BlobStoreContract):
    """What the servers have in common; they are small on purpose, and so parts are."""

    large = RESUMABLE + 1
    lasting = PART + (1 << 20)
    part = PART
    rig: S3Rig

    def on(self, server: S3Server) -> Iterator[BlobStore]:
        """Yield a store in a bucket of its own."""
        self.rig = S3Rig(server)
        yield self.rig.open()
        self.rig.close()

    def plant(self, store: BlobStore, key: str, body: bytes) -> None:
        """Put an object into the bucket."""
        assert store is not None
        self.rig.plant(key, body)

    def second(self, store: BlobStore) -> BlobStore:
        """Return another store on the same bucket."""
        assert store is not None
        return self.rig.open()


class TestMinio(_S3StoreContract, BlobReceiveContract):
    """What most people run."""

    @pytest.fixture
    def store(self, minio: S3Server) -> Iterator[BlobStore]:
        """Open a store on MinIO."""
        yield from self.on(minio)


class TestMinioTls(_S3StoreContract):
    """The same by TLS, with an authority of its own."""

    @pytest.fixture
    def store(self, tls_minio: S3Server) -> Iterator[BlobStore]:
        """Open a store on MinIO by TLS."""
        yield from self.on(tls_minio)


class TestVersitygw(_S3StoreContract, BlobReceiveContract):
    """Another implementation, with other error codes."""

    @pytest.fixture
    def store(self, versitygw: S3Server) -> Iterator[BlobStore]:
        """Open a store on versitygw."""
        yield from self.on(versitygw)


class TestRclone(_S3StoreContract, BlobReceiveContract):
    """A server that takes wrong bytes: what is right here is our doing."""

    @pytest.fixture
    def store(self, rclone_s3: S3Server) -> Iterator[BlobStore]:
        """Open a store on what rclone serves."""
        yield from self.on(rclone_s3)
