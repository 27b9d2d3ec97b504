"""The contract of what operators are told, in memory and on both engines."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete

from syncer.catalog import database, pruning, spans
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.operations import SqlOperations
from syncer.catalog.sql import SqlCatalog
from syncer.catalog.tables import metadata
from tests.contracts.catalog import GIT, QWEN, T0
from tests.contracts.operations import OperationsContract, Service
from tests.fakes_catalog import FakeCatalog
from tests.fakes_index import FakeBlobIndex
from tests.fakes_operations import FakeOperations
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated file that tests copy."""
    file = tmp_path_factory.mktemp("migrated") / "catalog.db"
    database.upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="module")
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the address of a database on Postgres that all tests use in turn.

    To make one takes 30 times as long as to empty it.
    """
    with postgres.shared(request.config).migrated() as address:
        yield address


def _with_mirrors(service: Service) -> Service:
    service.catalog.reconcile([(GIT, "normal"), (QWEN, "normal")], T0)
    return service


def _in_database(url: str) -> Service:
    engine = database.connect(url)
    parts = SqlOperations(engine), SqlCatalog(engine), SqlBlobIndex(engine)
    return _with_mirrors(Service(*parts))


class TestFakeOperations(OperationsContract):
    """What other tests work with."""

    @pytest.fixture
    def service(self) -> Service:
        """Return all of it in memory."""
        catalog = FakeCatalog()
        parts = FakeOperations(catalog), catalog, FakeBlobIndex(catalog)
        return _with_mirrors(Service(*parts))


class TestSqliteOperations(OperationsContract):
    """The embedded catalog, on the migrated tables; two rows fill a page or batch."""

    @pytest.fixture
    def service(
        self, migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Service]:
        """Yield a catalog in a file of its own."""
        monkeypatch.setattr(pruning, "BATCH", 2)
        monkeypatch.setattr(spans, "PAGE", 2)
        shutil.copy(migrated, tmp_path)
        service = _in_database(f"sqlite:///{tmp_path / migrated.name}")
        yield service
        service.catalog.close()


@pytest.mark.postgres
class TestPostgresOperations(OperationsContract):
    """The catalog of several machines, on the migrated tables."""

    @pytest.fixture
    def service(self, url: str) -> Iterator[Service]:
        """Yield a catalog without rows."""
        engine = database.connect(url)
        with engine.begin() as conn:
            for table in reversed(metadata.sorted_tables):
                conn.execute(delete(table))
        engine.dispose()
        service = _in_database(url)
        yield service
        service.catalog.close()
