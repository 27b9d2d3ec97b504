"""The blob index's contract, in memory and on both engines."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from syncer.catalog import database
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.sql import SqlCatalog
from tests.contracts.blob_index import BlobIndexContract, Facts
from tests.contracts.catalog import GIT, QWEN, T0
from tests.fakes_catalog import FakeCatalog
from tests.fakes_index import FakeBlobIndex
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.ports import BlobIndex, Catalog


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated file that tests copy."""
    file = tmp_path_factory.mktemp("migrated") / "catalog.db"
    database.upgrade(f"sqlite:///{file}")
    return file


def _with_mirrors(catalog: Catalog, index: BlobIndex) -> Facts:
    catalog.reconcile([(GIT, "normal"), (QWEN, "normal")], T0)
    return Facts(catalog, index)


def _in_database(url: str) -> Facts:
    engine = database.connect(url)
    return _with_mirrors(SqlCatalog(engine), SqlBlobIndex(engine))


class TestFakeBlobIndex(BlobIndexContract):
    """The index that other tests work with."""

    @pytest.fixture
    def facts(self) -> Facts:
        """Return an index in memory."""
        catalog = FakeCatalog()
        return _with_mirrors(catalog, FakeBlobIndex(catalog))


class TestSqliteBlobIndex(BlobIndexContract):
    """The embedded index, on the migrated tables."""

    @pytest.fixture
    def facts(self, migrated: Path, tmp_path: Path) -> Iterator[Facts]:
        """Yield an index in a file of its own."""
        shutil.copy(migrated, tmp_path)
        facts = _in_database(f"sqlite:///{tmp_path / migrated.name}")
        yield facts
        facts.catalog.close()


@pytest.mark.postgres
class TestPostgresBlobIndex(BlobIndexContract):
    """The index of several machines, on the migrated tables."""

    @pytest.fixture
    def facts(self, request: pytest.FixtureRequest) -> Iterator[Facts]:
        """Yield an index in a database of its own."""
        with postgres.shared(request.config).migrated() as url:
            facts = _in_database(url)
            yield facts
            facts.catalog.close()
