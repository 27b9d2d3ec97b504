"""Addresses, schema checks and migrations, on real SQLite and real Postgres."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, make_url, text
from sqlalchemy.exc import IntegrityError

from syncer.catalog import database, migrate
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.release_index import SqlReleaseIndex
from syncer.catalog.sql import SqlCatalog
from syncer.catalog.tables import complete
from syncer.errors import CatalogBusy, ConfigError, NotInitialised, SchemaOutdated
from syncer.model.blobs import Blob, StoredBlob
from syncer.model.lfs import LfsCounts, LfsObject, LfsPointer, LfsState, LfsTally
from syncer.model.origin import Event
from syncer.model.releases import (
    Asset,
    AssetRecord,
    AssetState,
    Page,
    Proof,
    Release,
    ReleaseChanges,
    ReleaseRecord,
    ReleaseState,
    ReleaseTally,
)
from syncer.model.runs import Outcome, Stage, Trigger
from tests.contracts.catalog import (
    GIT,
    OID,
    T0,
    added,
    ended,
    event,
    intent_of,
    opened,
    published,
)
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection, Engine

_POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
BLOB = Blob("ab" * 32, 12)
RELEASES = ReleaseChanges(
    (
        ReleaseRecord(
            Release(1, "RE_1", "v1"),
            (
                AssetRecord(
                    Asset(2, "RA_2", "a.whl", BLOB.size),
                    AssetState.PRESENT,
                    BLOB.digest,
                    Proof.PINNED,
                ),
            ),
        ),
    ),
    (Page("https://api.test/1", None, (1,)),),
    "all",
    T0,
)
_NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade():
    op.create_table("half", sa.Column("id", sa.Integer))
    {rest}
"""
#: What a catalog of the first release holds: a run that is open, and its intent.
_FIRST_ROWS = (
    """INSERT INTO mirror VALUES (7, 'github.com/git/git', 'github.com', 'git', 'git',
    'github.com/git/git.git', 'normal', 'active', NULL, NULL, NULL, NULL, 3, 1,
    'held', NULL, 0, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, NULL,
    '{"reason":"gone","since":"2026-03-01T12:30:15+00:00","deletions":["refs/x"],
    "oid":null,"accepted":false}', 1, NULL, '2026-03-01T12:30:15.123456+00:00', 9)""",
    """INSERT INTO run VALUES (41, 7, 'schedule', '2026-03-01T12:30:15.123456+00:00',
    'fetching', NULL, NULL, NULL, NULL, 0, NULL, '{}', 5, 6, 0, '["a note"]')""",
    """INSERT INTO ref_change VALUES (1, 7, 41, 1, '2026-03-01T12:30:15.123456+00:00',
    CAST('refs/x' AS {bytes}), NULL, '{oid}', 'created')""",
    """INSERT INTO intent VALUES (7, 41, '{digest}', NULL, '{digest}', NULL, '[]',
    NULL, NULL, '2026-03-01T12:30:15.123456+00:00',
    '2026-03-01T12:30:15.123456+00:00', 3, {true})""",
)
_POSTGRES_WORDS = {"{true}": "true", "{bytes}": "bytea"}


@pytest.fixture(params=["sqlite", _POSTGRES])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the address of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/catalog.db"
        return
    with postgres.shared(request.config).empty() as address:
        yield address


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """Yield an engine for a database without tables."""
    engine = database.connect(url)
    yield engine
    engine.dispose()


@pytest.fixture
def next_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of one more migration, which is not written yet."""
    copied = tmp_path / "100% migrations"
    shutil.copytree(database.migrations(), copied)
    monkeypatch.setattr(database, "migrations", lambda: copied)
    monkeypatch.setattr(migrate, "migrations", lambda: copied)
    return copied / "versions" / "0005_next.py"


@pytest.fixture
def first_release(
    url: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Engine:
    """Return the engine of a catalog that the first release made and used."""
    copied = tmp_path / "first"
    shutil.copytree(database.migrations(), copied)
    for later in (copied / "versions").glob("000[2-9]_*.py"):
        later.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(database, "migrations", lambda: copied)
        patch.setattr(migrate, "migrations", lambda: copied)
        assert database.upgrade(url) == "the catalog went from nothing to 0001"
    is_sqlite = engine.dialect.name == "sqlite"
    words = {"{true}": "1", "{bytes}": "BLOB"} if is_sqlite else _POSTGRES_WORDS
    with engine.begin() as conn:
        for statement in _FIRST_ROWS:
            filled = statement.replace("{oid}", OID).replace("{digest}", "0" * 64)
            for word, spelled in words.items():
                filled = filled.replace(word, spelled)
            conn.exec_driver_sql(filled)
        _use_numbers(conn)
    return engine


def _publish_release(catalog: SqlCatalog) -> None:
    """Publish a release whose asset is here, by a run that tells of it."""
    run = ended(opened(catalog, catalog.state(GIT)), Outcome.CHANGED)
    told = replace(run, releases=ReleaseTally(fetched=1, received=BLOB.size))
    catalog.publish_releases(told, RELEASES, [])


def _use_numbers(conn: Connection) -> None:
    """Let the numbers of runs up to 90 have been used, and their rows purged."""
    if conn.dialect.name == "sqlite":
        conn.execute(text("UPDATE sqlite_sequence SET seq = 90 WHERE name = 'run'"))
    else:
        conn.execute(text("SELECT setval('run_id_seq', 90)"))


class TestAddresses:
    """`connect`, which contacts nobody."""

    @pytest.mark.parametrize(
        "url",
        [
            *("mysql://db/syncer", "postgres://db/syncer", "no address", ""),
            *("sqlite://", "sqlite:///:memory:", "postgresql+asyncpg://localhost/s"),
        ],
    )
    def test_other_databases_are_refused(self, url: str) -> None:
        """An address we cannot keep a catalog at is an error with an example."""
        with pytest.raises(ConfigError) as caught:
            database.connect(url)
        assert "sqlite:////" in str(caught.value.hint)

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://u:secret@db.corp/syncer",
            "postgresql://u:secret@db.corp/syncer?sslmode=prefer",
            "postgresql://u:secret@/syncer?host=db.corp",
            "postgresql://u:secret@/syncer?host=127.0.0.1,db.corp",
            "postgresql://u:secret@/syncer?host=127.0.0.1&host=db.corp",
            "postgresql://u:secret@localhost/syncer?hostaddr=192.0.2.1",
            "postgresql://u:secret@/syncer?service=far",
        ],
    )
    def test_postgres_elsewhere_needs_encryption(self, url: str) -> None:
        """The password and the rows would be readable on the way."""
        with pytest.raises(ConfigError) as caught:
            database.connect(url)
        assert "sslmode=verify-full" in str(caught.value.hint)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql:///syncer",
            "postgresql://localhost/syncer",
            "postgresql://127.0.0.2:5433/syncer",
            "postgresql+psycopg://[::1]/syncer",
            "postgresql:///syncer?host=/run/postgresql",
            "postgresql://db.corp/syncer?sslmode=require",
            "postgresql://db.corp/syncer?sslmode=verify-full",
        ],
    )
    def test_postgres_here_or_encrypted_is_taken(self, url: str) -> None:
        """No server needs to be there yet."""
        database.connect(url).dispose()

    def test_a_missing_driver_is_named(self) -> None:
        """It is an optional extra; the hint is the command that brings it."""
        with (
            mock.patch.dict(sys.modules, {"psycopg": None}),
            pytest.raises(ConfigError) as caught,
        ):
            database.connect("postgresql://localhost/syncer")
        assert "syncer[postgres]" in str(caught.value.hint)

    def test_sqlite_on_nfs_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """WAL needs shared memory, which no two machines have."""
        monkeypatch.setattr(database, "file_system", lambda _: 0x6969)

        with pytest.raises(ConfigError, match="NFS"):
            database.connect(f"sqlite:///{tmp_path}/catalog.db")

    @pytest.mark.parametrize("path", ["/proc/self/status", "/proc/no/such/file"])
    def test_the_file_system_of_a_path_is_known(self, path: str) -> None:
        """Also of a file that does not exist yet, by its nearest directory."""
        assert database.file_system(Path(path)) == 0x9FA0  # PROC_SUPER_MAGIC

    def test_sqlite_is_durable_and_strict(self, tmp_path: Path) -> None:
        """A commit survives a power cut, and no row points to nothing."""
        engine = database.connect(f"sqlite:///{tmp_path}/catalog.db")
        with engine.begin() as conn:
            pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            found = [conn.exec_driver_sql(f"PRAGMA {p}").scalar() for p in pragmas]
        engine.dispose()

        assert found == ["wal", 2, 1, 10_000]

    def test_importing_the_catalog_is_quick(self) -> None:
        """Every command pays for it; neither Alembic nor the ORM is part of it."""
        source = (
            "import sys, syncer.catalog.sql;"
            "print([m for m in sys.modules"
            " if m.startswith(('alembic', 'sqlalchemy.orm', 'tomlkit'))])"
        )
        command = [sys.executable, "-c", source]
        root = Path(database.__file__).parents[2]
        shown = subprocess.check_output(command, text=True, cwd=root)

        assert shown == "[]\n"


class TestSchema:
    """Whether the tables fit the program."""

    def test_no_catalog_is_not_a_catalog(self, engine: Engine) -> None:
        """The error says what to run, and looking creates no file."""
        with pytest.raises(NotInitialised) as caught:
            database.check_schema(engine)

        assert "syncer init" in str(caught.value.hint)
        file = database.sqlite_file(engine.url)
        assert file is None or not file.exists()

    def test_an_empty_database_is_not_a_catalog(self, engine: Engine) -> None:
        """Neither is one that holds other things."""
        with engine.begin() as conn:
            conn.execute(text("CREATE TABLE theirs (id INTEGER)"))

        with pytest.raises(NotInitialised):
            database.check_schema(engine)

    def test_an_upgraded_catalog_fits(self, url: str, engine: Engine) -> None:
        """What autogenerate would change is nothing."""
        assert database.upgrade(url) == "the catalog went from nothing to 0005"
        database.check_schema(engine)

        assert database.current(engine) == database.head() == "0005"
        assert database.check_models(url) == []
        assert database.upgrade(url) == "the catalog is up to date (0005)"

    def test_a_difference_is_found(self, url: str, engine: Engine) -> None:
        """The check that finds nothing would have found something."""
        database.upgrade(url)
        with engine.begin() as conn:
            conn.execute(text("ALTER TABLE mirror ADD COLUMN stray INTEGER"))
            conn.execute(text("DROP INDEX ix_lag_sample_published"))

        assert len(database.check_models(url)) == 2

    def test_migrations_make_what_the_program_declares(
        self, request: pytest.FixtureRequest, url: str, engine: Engine, tmp_path: Path
    ) -> None:
        """Constraints too, which autogenerate does not compare."""
        database.upgrade(url)
        if engine.dialect.name == "sqlite":
            assert _shape(engine) == _declared(f"sqlite:///{tmp_path}/other.db")
        else:
            with postgres.shared(request.config).empty() as other:
                assert _shape(engine) == _declared(other)

    def test_an_older_catalog_needs_an_upgrade(
        self, url: str, engine: Engine, next_migration: Path
    ) -> None:
        """The error names the command, and the command mends it."""
        database.upgrade(url)
        next_migration.write_text(_NEXT.format(rest=""))

        with pytest.raises(SchemaOutdated) as caught:
            database.check_schema(engine)
        assert caught.value.hint == "run `syncer db upgrade`"
        assert database.upgrade(url) == "the catalog went from 0005 to 0006"
        database.check_schema(engine)

    def test_a_newer_catalog_is_left_alone(self, url: str, engine: Engine) -> None:
        """An old program must not write into tables it does not know."""
        database.upgrade(url)
        with engine.begin() as conn:
            conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))

        with pytest.raises(SchemaOutdated) as caught:
            database.check_schema(engine)
        assert "newer" in str(caught.value.hint)

    def test_the_newest_migration_is_the_one_alembic_knows(self) -> None:
        """We read it from the files, since importing Alembic takes a while."""
        config = Config()
        config.set_main_option("script_location", str(database.migrations()))

        assert ScriptDirectory.from_config(config).get_heads() == [database.head()]


class TestMigrations:
    """`upgrade` and `downgrade`."""

    def test_down_and_up_again(self, url: str, engine: Engine) -> None:
        """With rows in every kind of table; nothing of ours remains in between."""
        database.upgrade(url)
        catalog = SqlCatalog(engine)
        state = added(catalog)
        published(catalog, state)
        catalog.accept(GIT, event("accept"), oid=OID)
        engine.dispose()
        database.downgrade(url)

        assert inspect(engine).get_table_names() == ["alembic_version"]
        assert database.current(engine) is None
        database.upgrade(url)
        assert catalog.states() == []

    def test_a_catalog_of_the_first_release_keeps_its_rows(
        self, url: str, first_release: Engine
    ) -> None:
        """Its runs, their intents and what is held are read as they were."""
        assert database.upgrade(url) == "the catalog went from 0001 to 0005"

        catalog = SqlCatalog(first_release)
        (state,) = catalog.states()
        assert (state.id, state.size, state.lfs) == (7, 9, LfsCounts())
        assert state.lfs_scanned is None
        assert state.held is not None
        assert (state.held.deletions, state.held.missing) == (("refs/x",), ())
        (run,) = catalog.runs(GIT, 9)
        assert (run.id, run.stage, run.notes) == (41, Stage.FETCH, ("a note",))
        assert run.lfs == LfsTally()
        assert [change[2].ref for change in catalog.ref_changes(GIT, 9)] == ["refs/x"]
        intent = catalog.intent(7)
        assert intent is not None
        assert intent.run_id == 41
        assert database.check_models(url) == []
        later = catalog.open_run(state, Trigger.COMMAND, T0, observed=None)
        assert later > 90  # a number that a purged mirror's run had does not return

    def test_going_back_loses_only_what_is_new(
        self, url: str, first_release: Engine
    ) -> None:
        """A run that was transferring is one that was fetching to the old program."""
        shape = _shape(first_release)
        database.upgrade(url)
        with first_release.begin() as conn:
            conn.execute(text("UPDATE run SET stage = 'transferring'"))
        catalog, index = SqlCatalog(first_release), SqlBlobIndex(first_release)
        index.stored([StoredBlob(BLOB, T0, T0)])
        index.claim(7, [BLOB.digest], T0)
        index.link(7, [LfsObject(LfsPointer(*BLOB), LfsState.PRESENT)])
        first_release.dispose()
        database.downgrade(url, "0001")

        assert _shape(first_release) == shape
        with first_release.connect() as conn:
            assert conn.scalar(text("SELECT stage FROM run")) == "fetching"
            assert conn.scalar(text("SELECT count(*) FROM intent")) == 1
        first_release.dispose()
        database.upgrade(url)
        assert catalog.state(GIT).lfs == LfsCounts()
        assert database.check_models(url) == []

    def test_going_back_forgets_releases_alone(self, url: str, engine: Engine) -> None:
        """LFS objects, runs and an intent are as they were, there and back again."""
        database.upgrade(url)
        catalog, index = SqlCatalog(engine), SqlBlobIndex(engine)
        releases, mirror_id = SqlReleaseIndex(engine), added(catalog).id
        index.stored([StoredBlob(BLOB, T0, T0)])
        index.link(mirror_id, [LfsObject(LfsPointer(*BLOB), LfsState.PRESENT)])
        _publish_release(catalog)
        bare = intent_of(opened(catalog, catalog.state(GIT)))
        catalog.intend(replace(bare, releases=RELEASES, events=(Event("a", "b"),)))
        known, runs = catalog.state(GIT), catalog.runs(GIT, 9)
        assert len(releases.releases(mirror_id)) == known.releases.counts.releases == 1
        engine.dispose()
        database.downgrade(url, "0002")
        database.upgrade(url)

        assert catalog.state(GIT) == replace(known, releases=ReleaseState())
        assert catalog.runs(GIT, 9) == [
            replace(run, releases=ReleaseTally()) for run in runs
        ]
        assert catalog.intent(mirror_id) == bare
        assert releases.releases(mirror_id) == []
        assert index.objects(mirror_id)[0].state is LfsState.PRESENT
        assert database.check_models(url) == []

    def test_no_row_points_to_nothing_after_an_upgrade(
        self, url: str, first_release: Engine
    ) -> None:
        """SQLite replaced a table that others refer to, and did not look."""
        database.upgrade(url)

        with first_release.begin() as conn:
            if first_release.dialect.name == "sqlite":
                found = conn.exec_driver_sql("PRAGMA foreign_key_check").all()
                assert found == []
            with pytest.raises(IntegrityError):
                conn.execute(text("DELETE FROM run"))

    def test_the_script_makes_the_same_catalog(self, url: str, engine: Engine) -> None:
        """An administrator can run the statements instead."""
        script = database.upgrade(url, sql=True)
        assert database.current(engine) is None
        _run_script(url, script)

        database.check_schema(engine)
        assert database.check_models(url) == []

    def test_a_migration_is_whole_or_not_at_all(
        self, url: str, engine: Engine, next_migration: Path
    ) -> None:
        """One that dies in its middle leaves the tables as they were."""
        next_migration.write_text(_NEXT.format(rest="raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            database.upgrade(url)

        assert database.current(engine) == "0005"
        assert not inspect(engine).has_table("half")
        next_migration.write_text(_NEXT.format(rest=""))
        database.upgrade(url)
        assert inspect(engine).has_table("half")

    def test_one_process_migrates_and_the_others_wait(self, url: str) -> None:
        """All of them find the tables ready."""
        with ThreadPoolExecutor(4) as pool:
            told = sorted(pool.map(database.upgrade, [url] * 4))

        assert told == [
            *["the catalog is up to date (0005)"] * 3,
            "the catalog went from nothing to 0005",
        ]

    def test_waiting_for_a_migration_ends(
        self, url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process that hangs in one does not hang the others."""
        monkeypatch.setattr(migrate, "_PATIENCE", 1.0)
        file = database.sqlite_file(engine.url)
        if file is not None:
            with file.with_name("catalog.db.lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with pytest.raises(CatalogBusy):
                    database.upgrade(url)
        else:
            held = text("SELECT pg_advisory_lock(:key)")
            with engine.connect() as conn:
                conn.execute(held, {"key": migrate._LOCK_KEY})  # noqa: SLF001 - no caller needs it
                with pytest.raises(CatalogBusy):
                    database.upgrade(url)
        assert database.current(engine) is None

    def test_a_missing_directory_is_not_made(self, tmp_path: Path) -> None:
        """A typing error in the configuration must not start a second catalog."""
        with pytest.raises(NotInitialised, match="does not exist"):
            database.upgrade(f"sqlite:///{tmp_path}/typo/catalog.db")
        assert not (tmp_path / "typo").exists()


def _declared(url: str) -> dict[str, Any]:
    """Return the shape of the tables that the program declares."""
    engine = database.connect(url)
    with engine.begin() as conn:
        complete().create_all(conn)
    shape = _shape(engine)
    engine.dispose()
    return shape


def _shape(engine: Engine) -> dict[str, Any]:
    """Return all that the database knows of our tables, ready to be compared."""
    with engine.connect() as conn:
        inspector = inspect(conn)
        names = [n for n in inspector.get_table_names() if n != "alembic_version"]
        return {
            name: {
                "columns": [str(c) for c in inspector.get_columns(name)],
                "checks": _sorted(inspector.get_check_constraints(name)),
                "unique": _sorted(inspector.get_unique_constraints(name)),
                "indexes": _sorted(map(_plain, inspector.get_indexes(name))),
                "foreign": _sorted(inspector.get_foreign_keys(name)),
                "primary": inspector.get_pk_constraint(name),
            }
            for name in names
        }


def _plain(index: Any) -> dict[str, Any]:  # noqa: ANN401 - a typed dictionary, private to SQLAlchemy
    """Return an index with its options, such as WHERE, as text."""
    options = {k: str(v) for k, v in index.get("dialect_options", {}).items()}
    return {**index, "dialect_options": options}


def _sorted(entries: Iterable[Any]) -> list[str]:
    return sorted(map(str, entries))


def _run_script(url: str, script: str) -> None:
    """Run a script as `sqlite3` and `psql` would, without SQLAlchemy."""
    file = database.sqlite_file(make_url(url))
    if file is not None:
        with closing(sqlite3.connect(file)) as sqlite:
            sqlite.executescript(script)
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(script.encode())
