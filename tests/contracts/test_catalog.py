"""The catalog's contract, in memory and on both engines."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from syncer.catalog import database
from syncer.catalog.sql import SqlCatalog
from tests.contracts.catalog import CatalogContract
from tests.fakes_catalog import FakeCatalog
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.ports import Catalog


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated file that tests copy."""
    file = tmp_path_factory.mktemp("migrated") / "catalog.db"
    database.upgrade(f"sqlite:///{file}")
    return file


class TestFakeCatalog(CatalogContract):
    """The catalog that other tests work with."""

    @pytest.fixture
    def catalog(self) -> Catalog:
        """Return a catalog in memory."""
        return FakeCatalog()


class TestSqliteCatalog(CatalogContract):
    """The embedded catalog, on the migrated tables."""

    @pytest.fixture
    def catalog(self, migrated: Path, tmp_path: Path) -> Iterator[Catalog]:
        """Yield a catalog in a file of its own."""
        shutil.copy(migrated, tmp_path)
        engine = database.connect(f"sqlite:///{tmp_path / migrated.name}")
        catalog = SqlCatalog(engine)
        yield catalog
        catalog.close()


@pytest.mark.postgres
class TestPostgresCatalog(CatalogContract):
    """The catalog of several machines, on the migrated tables."""

    @pytest.fixture
    def catalog(self, request: pytest.FixtureRequest) -> Iterator[Catalog]:
        """Yield a catalog in a database of its own."""
        with postgres.shared(request.config).migrated() as url:
            catalog = SqlCatalog(database.connect(url))
            yield catalog
            catalog.close()
