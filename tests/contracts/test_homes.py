"""The contract of homes, in memory and on both engines."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from syncer.catalog import database
from syncer.catalog.sql import SqlCatalog
from tests.contracts.homes import HomeContract
from tests.fakes_catalog import FakeCatalog
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contracts.homes import On


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated file that tests copy."""
    file = tmp_path_factory.mktemp("migrated") / "catalog.db"
    database.upgrade(f"sqlite:///{file}")
    return file


def _machines(url: str, stack: ExitStack) -> On:
    engine = database.connect(url)
    stack.callback(engine.dispose)
    return lambda machine: SqlCatalog(engine, machine)


class TestFakeCatalog(HomeContract):
    """The catalog that other tests work with."""

    @pytest.fixture
    def on(self) -> On:
        """Return a catalog in memory, by machine."""
        shared = FakeCatalog()
        return lambda machine: shared if machine is None else shared.on(machine)


class TestSqliteCatalog(HomeContract):
    """The embedded catalog: the same rules, though one machine alone uses it."""

    @pytest.fixture
    def on(self, migrated: Path, tmp_path: Path) -> Iterator[On]:
        """Yield a catalog in a file of its own, by machine."""
        shutil.copy(migrated, tmp_path)
        with ExitStack() as stack:
            yield _machines(f"sqlite:///{tmp_path / migrated.name}", stack)


@pytest.mark.postgres
class TestPostgresCatalog(HomeContract):
    """The catalog of several machines."""

    @pytest.fixture
    def on(self, request: pytest.FixtureRequest) -> Iterator[On]:
        """Yield a catalog in a database of its own, by machine."""
        with (
            postgres.shared(request.config).migrated() as url,
            ExitStack() as stack,
        ):
            yield _machines(url, stack)
