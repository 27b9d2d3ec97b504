"""What the catalog does when its database does not: real faults, both engines."""

from __future__ import annotations

import inspect
import shutil
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import psycopg
import pytest
from sqlalchemy import event as listening
from sqlalchemy import exc

from syncer.catalog import database, history
from syncer.catalog.sql import SqlCatalog
from syncer.catalog.translation import translate
from syncer.errors import (
    CatalogBusy,
    IntegrityError,
    NoSpace,
    NotInitialised,
    PermanentError,
    SchemaOutdated,
    SyncerError,
)
from syncer.model.mirrors import RepoState
from syncer.model.names import RepoName
from syncer.model.runs import Outcome, ProbeResult
from tests.contracts.catalog import (
    FINDINGS,
    GIT,
    MINUTE,
    RECEIPT,
    T0,
    added,
    ended,
    event,
    intent_of,
    opened,
)
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated file that tests copy."""
    file = tmp_path_factory.mktemp("migrated") / "catalog.db"
    database.upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def file(migrated: Path, tmp_path: Path) -> Path:
    """Return a migrated SQLite file."""
    copied = tmp_path / "catalog.db"
    shutil.copy(migrated, copied)
    return copied


@pytest.fixture
def sqlite(file: Path) -> Iterator[SqlCatalog]:
    """Yield a catalog in a SQLite file."""
    with _opened(f"sqlite:///{file}") as catalog:
        yield catalog


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the address of a migrated Postgres database."""
    with postgres.shared(request.config).migrated() as url:
        yield url


@pytest.fixture(params=["sqlite", _POSTGRES])
def url(request: pytest.FixtureRequest) -> str:
    """Return the address of a migrated database."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('file')}"
    found: str = request.getfixturevalue("database_url")
    return found


@pytest.fixture
def catalog(url: str) -> Iterator[SqlCatalog]:
    """Yield a catalog on either engine."""
    with _opened(url) as catalog:
        yield catalog


@contextmanager
def _opened(url: str) -> Iterator[SqlCatalog]:
    catalog = SqlCatalog(database.connect(url))
    try:
        yield catalog
    finally:
        catalog.close()


def _example(kind: type[exc.SQLAlchemyError]) -> exc.SQLAlchemyError:
    """Return an exception of this class, whatever it is made of."""
    cause = ValueError("first line\nsecret")
    if issubclass(kind, exc.DBAPIError):
        return kind("SELECT secret", {}, cause)
    if issubclass(kind, exc.StatementError):
        return kind("first line", "SELECT secret", {}, cause)
    problem = kind.__new__(kind)
    Exception.__init__(problem, *cause.args)
    return problem


def _statements(catalog: SqlCatalog) -> list[str]:
    """Return a list that every statement from now on is added to."""
    seen: list[str] = []

    def note(*args: Any) -> None:  # noqa: ANN401 - the event's signature
        seen.append(args[2].split()[0])

    engine = catalog._writer  # noqa: SLF001 - nobody else needs the engine
    listening.listen(engine, "before_cursor_execute", note)
    return seen


class TestTransactions:
    """One call is one transaction, and costs no more than it has to."""

    def test_a_finish_that_fails_in_its_middle_leaves_nothing(
        self, catalog: SqlCatalog
    ) -> None:
        """The intent is still open, so recovery finishes it later."""
        state = added(catalog)
        run = opened(catalog, state)
        intent = intent_of(run)
        catalog.intend(intent)
        before = catalog.state(GIT)
        run = replace(ended(run, Outcome.CHANGED), findings=FINDINGS)
        with (
            mock.patch.object(history, "add_findings", side_effect=MemoryError),
            pytest.raises(MemoryError),
        ):
            catalog.finish(intent, RECEIPT, run)

        assert catalog.intent(state.id) == intent
        assert catalog.state(GIT) == before
        assert catalog.ref_changes(GIT, 9) == []
        assert catalog.lag_samples(T0) == []

    def test_a_flush_is_one_statement(self, catalog: SqlCatalog) -> None:
        """However many mirrors it is about; another counts them."""
        names = [RepoName.parse(f"a/{number}") for number in range(500)]
        catalog.reconcile([(name, "normal") for name in names], T0)
        results = [ProbeResult(state.id, T0) for state in catalog.states()]
        seen = _statements(catalog)
        catalog.flush_probes(results)

        assert [word for word in seen if word != "BEGIN"] == ["UPDATE", "INSERT"]
        assert {state.last_success for state in catalog.states()} == {T0}

    def test_reading_the_same_configuration_writes_nothing(
        self, catalog: SqlCatalog
    ) -> None:
        """And takes no lock, so that a busy daemon does not delay a command."""
        added(catalog)
        seen = _statements(catalog)
        catalog.reconcile([(GIT, "normal")], T0)

        assert [word for word in seen if word != "BEGIN"] == ["SELECT"]

    def test_two_processes_may_add_the_same_mirror(self, url: str) -> None:
        """One of them does, and neither fails."""
        names = [(RepoName.parse(f"a/{number}"), "normal") for number in range(50)]
        catalogs = [SqlCatalog(database.connect(url)) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda each: each.reconcile(names, T0), catalogs))

        assert len(catalogs[0].states()) == 50
        for each in catalogs:
            each.close()

    def test_many_threads_share_a_catalog(self, catalog: SqlCatalog) -> None:
        """Writers wait for their turn, and none is lost."""
        state = added(catalog)

        def work(number: int) -> None:
            run = opened(catalog, state, T0 + number * MINUTE)
            catalog.close_run(ended(run, Outcome.FAILED))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(40)))
        assert catalog.state(GIT).failures == 40
        assert len(catalog.runs(GIT, 99)) == 40

    def test_a_broken_promise_is_refused(self, catalog: SqlCatalog) -> None:
        """Constraints hold where our own checks were forgotten."""
        state = added(catalog)
        run = opened(catalog, state)
        with pytest.raises(PermanentError):
            catalog.intend(replace(intent_of(run), new="too short"))
        with pytest.raises(PermanentError):
            opened(catalog, RepoState(99, GIT, "nowhere", "normal"))

        assert catalog.intent(state.id) is None
        assert len(catalog.runs(GIT, 9)) == 1

    def test_an_instant_without_a_zone_is_refused(self, catalog: SqlCatalog) -> None:
        """It could mean any of 24 hours."""
        with pytest.raises(PermanentError, match="without a zone"):
            catalog.audit(event("init", T0.replace(tzinfo=None)))


class TestTranslation:
    """No exception of the database crosses the catalog's edge."""

    @pytest.mark.parametrize(
        "kind",
        [
            each
            for _, each in inspect.getmembers(exc, inspect.isclass)
            if issubclass(each, exc.SQLAlchemyError)
        ],
    )
    def test_every_exception_of_sqlalchemy_has_one_of_ours(
        self, kind: type[exc.SQLAlchemyError]
    ) -> None:
        """With a sentence, and without the statement or its values."""
        ours = translate(_example(kind))
        assert isinstance(ours, CatalogBusy | PermanentError)
        assert "secret" not in str(ours)

    @pytest.mark.parametrize(
        ("state", "kind"),
        [
            ("08006", CatalogBusy),
            ("25006", CatalogBusy),
            ("40001", CatalogBusy),
            ("40P01", CatalogBusy),
            ("53100", NoSpace),
            ("53300", CatalogBusy),
            ("55P03", CatalogBusy),
            ("57P01", CatalogBusy),
            ("42P01", NotInitialised),
            ("42703", SchemaOutdated),
            ("XX001", IntegrityError),
            ("22003", PermanentError),
            ("23505", PermanentError),
        ],
    )
    def test_postgres_codes_are_understood(
        self, state: str, kind: type[SyncerError]
    ) -> None:
        """What may pass is transient, what would come again is not."""
        cause = psycopg.errors.lookup(state)("words")
        assert type(translate(exc.DBAPIError("s", {}, cause))) is kind

    def test_a_locked_file_is_busy_for_writers_only(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever reads is not kept waiting."""
        monkeypatch.setattr(database, "_BUSY_TIMEOUT", 0)
        with (
            _opened(f"sqlite:///{file}") as catalog,
            closing(sqlite3.connect(file, isolation_level=None)) as other,
        ):
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(CatalogBusy, match="locked"):
                catalog.audit(event("init"))
            assert catalog.audit_events(9) == []
            other.execute("ROLLBACK")
            catalog.audit(event("init"))

    def test_a_full_disk_is_no_space(self, sqlite: SqlCatalog) -> None:
        """The failed write is gone whole, what was there is still readable."""

        def shrink(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's
            connection.execute("PRAGMA max_page_count = 1")  # as few as there are

        sqlite.audit(event("init"))
        sqlite.close()
        listening.listen(sqlite._writer, "connect", shrink)  # noqa: SLF001 - a fault
        names = [RepoName.parse(f"a/{number}") for number in range(999)]
        with pytest.raises(NoSpace):
            sqlite.reconcile([(name, "normal") for name in names], T0)

        assert sqlite.states() == []
        assert sqlite.audit_events(9) == [event("init")]

    def test_a_damaged_file_is_an_integrity_error(
        self, file: Path, sqlite: SqlCatalog
    ) -> None:
        """And not a reason to start from nothing."""
        file.write_bytes(b"\xff" * file.stat().st_size)

        with pytest.raises(IntegrityError) as caught:
            sqlite.states()
        assert "backup" in str(caught.value.hint)

    def test_a_file_that_cannot_be_opened_is_an_error(self, tmp_path: Path) -> None:
        """A directory in its place, for example."""
        with (
            _opened(f"sqlite:///{tmp_path}") as catalog,
            pytest.raises(PermanentError, match="unable to open"),
        ):
            catalog.states()

    def test_missing_tables_are_named_as_such(self, tmp_path: Path) -> None:
        """The hint is the command that makes them."""
        with (
            _opened(f"sqlite:///{tmp_path}/new.db") as catalog,
            pytest.raises(NotInitialised) as caught,
        ):
            catalog.states()
        assert "syncer db upgrade" in str(caught.value.hint)

    def test_missing_columns_are_named_as_such(self, sqlite: SqlCatalog) -> None:
        """An older catalog than the program's needs the same command."""
        with sqlite._writer.begin() as conn:  # noqa: SLF001 - a fault
            conn.exec_driver_sql("ALTER TABLE mirror DROP COLUMN maintained")

        with pytest.raises(SchemaOutdated):
            sqlite.states()


@pytest.mark.postgres
class TestPostgres:
    """A server that restarts, hangs, refuses or is not there."""

    @pytest.fixture
    def catalog(self, database_url: str) -> Iterator[SqlCatalog]:
        """Yield a catalog in a database of its own."""
        with _opened(database_url) as catalog:
            yield catalog

    def test_no_server_is_busy(self) -> None:
        """It may be starting."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"postgresql://u@127.0.0.1:{unused.getsockname()[1]}/syncer"
            with _opened(url) as catalog, pytest.raises(CatalogBusy):
                catalog.states()

    def test_no_database_is_permanent(self, request: pytest.FixtureRequest) -> None:
        """Waiting would not create it."""
        server = postgres.shared(request.config)
        with (
            _opened(server.url("no_such_database")) as catalog,
            pytest.raises(PermanentError, match="does not exist"),
        ):
            catalog.states()

    def test_a_closed_connection_is_opened_again(
        self, database_url: str, catalog: SqlCatalog
    ) -> None:
        """A server that restarted costs no failed run."""
        catalog.audit(event("init"))
        with psycopg.connect(database_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )

        assert catalog.audit_events(9) == [event("init")]

    def test_a_locked_table_is_busy(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A statement waits for a while, not for ever."""
        monkeypatch.setattr(database, "_BUSY_TIMEOUT", 1)
        with (
            _opened(database_url) as catalog,
            psycopg.connect(database_url) as other,
        ):
            other.execute("LOCK TABLE audit_event")
            with pytest.raises(CatalogBusy, match="lock timeout"):
                catalog.audit(event("init"))

    def test_a_replica_is_busy(self, database_url: str, catalog: SqlCatalog) -> None:
        """It takes writes again as soon as it is promoted."""
        with psycopg.connect(database_url, autocommit=True) as admin:
            name = database_url.rpartition("/")[2]
            setting = f"ALTER DATABASE {name} SET default_transaction_read_only = on"
            admin.execute(setting.encode())

        with pytest.raises(CatalogBusy, match="read-only"):
            catalog.audit(event("init"))
        assert catalog.audit_events(9) == []
