"""The contract of identities and pins, in memory and on both engines."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete

from syncer.catalog import database
from syncer.catalog.release_index import SqlReleaseIndex
from syncer.catalog.sql import SqlCatalog
from syncer.catalog.tables import metadata
from tests.contracts.catalog import GIT, QWEN
from tests.contracts.origins import Known, OriginIndexContract
from tests.fakes_catalog import FakeCatalog
from tests.fakes_releases import FakeReleaseIndex
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


def _in_database(url: str) -> Known:
    engine = database.connect(url)
    known = Known(SqlCatalog(engine), SqlReleaseIndex(engine))
    known.want(GIT, QWEN)
    return known


class TestFakeOrigins(OriginIndexContract):
    """The index that other tests work with."""

    @pytest.fixture
    def known(self) -> Known:
        """Return an index in memory."""
        catalog = FakeCatalog()
        known = Known(catalog, FakeReleaseIndex(catalog))
        known.want(GIT, QWEN)
        return known


class TestSqliteOrigins(OriginIndexContract):
    """The embedded index, on the migrated tables."""

    @pytest.fixture
    def known(self, migrated: Path, tmp_path: Path) -> Iterator[Known]:
        """Yield an index in a file of its own."""
        shutil.copy(migrated, tmp_path)
        known = _in_database(f"sqlite:///{tmp_path / migrated.name}")
        yield known
        known.catalog.close()


@pytest.mark.postgres
class TestPostgresOrigins(OriginIndexContract):
    """The index of several machines, on the migrated tables."""

    @pytest.fixture
    def known(self, url: str) -> Iterator[Known]:
        """Yield an index in a database without rows."""
        engine = database.connect(url)
        with engine.begin() as conn:
            for table in reversed(metadata.sorted_tables):
                conn.execute(delete(table))
        engine.dispose()
        known = _in_database(url)
        yield known
        known.catalog.close()
