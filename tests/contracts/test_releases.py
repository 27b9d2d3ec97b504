"""The contract of releases and assets, in memory and on both engines."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete

from syncer.catalog import database
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.release_index import SqlReleaseIndex
from syncer.catalog.sql import SqlCatalog
from syncer.catalog.tables import metadata
from tests.contracts.catalog import GIT, QWEN, T0
from tests.contracts.releases import ReleaseIndexContract, Shelves
from tests.fakes_catalog import FakeCatalog
from tests.fakes_index import FakeBlobIndex
from tests.fakes_releases import FakeReleaseIndex
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated file that tests copy."""
    file = tmp_path_factory.mktemp("migrated") / "catalog.db"
    database.upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="module")
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the address of a database on Postgres that all tests use in turn."""
    with postgres.shared(request.config).migrated() as address:
        yield address


def _with_mirrors(shelves: Shelves) -> Shelves:
    shelves.catalog.reconcile([(GIT, "normal"), (QWEN, "normal")], T0)
    return shelves


def _in_database(engine: Engine) -> Shelves:
    shelves = Shelves(SqlCatalog(engine), SqlBlobIndex(engine), SqlReleaseIndex(engine))
    return _with_mirrors(shelves)


class TestFakeReleaseIndex(ReleaseIndexContract):
    """The index that other tests work with."""

    @pytest.fixture
    def shelves(self) -> Shelves:
        """Return an index in memory."""
        catalog = FakeCatalog()
        index = FakeReleaseIndex(catalog)
        return _with_mirrors(Shelves(catalog, FakeBlobIndex(catalog), index))


class TestSqliteReleaseIndex(ReleaseIndexContract):
    """The embedded index, on the migrated tables."""

    @pytest.fixture
    def shelves(self, migrated: Path, tmp_path: Path) -> Iterator[Shelves]:
        """Yield an index in a file of its own."""
        shutil.copy(migrated, tmp_path)
        shelves = _in_database(
            database.connect(f"sqlite:///{tmp_path / migrated.name}")
        )
        yield shelves
        shelves.catalog.close()


@pytest.mark.postgres
class TestPostgresReleaseIndex(ReleaseIndexContract):
    """The index of several machines, on the migrated tables."""

    @pytest.fixture
    def shelves(self, url: str) -> Iterator[Shelves]:
        """Yield an index in a database that is empty again."""
        engine = database.connect(url)
        yield _in_database(engine)
        with engine.begin() as conn:
            for table in reversed(metadata.sorted_tables):
                conn.execute(delete(table))
        engine.dispose()
