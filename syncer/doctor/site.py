"""The installation that is examined: its configuration, catalog and machine."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from syncer import freshness
from syncer.bootstrap import SystemClock
from syncer.catalog.database import check_schema, connect
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.operations import SqlOperations
from syncer.catalog.release_index import SqlReleaseIndex
from syncer.catalog.sql import SqlCatalog
from syncer.catalog.vitals import Vitals
from syncer.credentials import Redactor
from syncer.endpoints import named
from syncer.errors import ConfigError, SyncerError
from syncer.git.lease import born
from syncer.upstream.egress import Egress
from syncer.upstream.session import Session

if TYPE_CHECKING:
    from syncer.config import Config
    from syncer.endpoints import Host
    from syncer.model.mirrors import RepoState


@dataclass(frozen=True, slots=True)
class Ledger:
    """The catalog, opened to be read."""

    config: Config  # with what its owners are known to have
    catalog: SqlCatalog
    operations: SqlOperations
    index: SqlBlobIndex
    vitals: Vitals

    def states(self) -> list[RepoState]:
        """Return every configured mirror, by name."""
        return freshness.configured(self.config, self.catalog.states())


@dataclass
class Site:
    """What checks look at; usable from many threads.

    `system` is where the machine's own files are: `/`, but for tests.
    """

    #: None where the configuration cannot be read: `problem` says why.
    settings: Config | None
    problem: SyncerError | None = None
    system: Path = Path("/")
    #: Ask no host but the catalog's.
    offline: bool = False
    clock: SystemClock = field(default_factory=SystemClock)
    stop: threading.Event = field(default_factory=threading.Event)
    #: Takes out of what is shown what must not be.
    redactor: Redactor = field(default_factory=lambda: Redactor(()))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ledger: Ledger | None = None

    @property
    def config(self) -> Config:
        """The configuration.

        Raises:
            SyncerError: it cannot be read.
        """
        if self.settings is None:
            raise self.problem or ConfigError("there is no configuration")
        return self.settings

    def ledger(self) -> Ledger:
        """Return the catalog, opened once.

        Raises:
            SyncerError: it does not answer, or its schema is another one.
        """
        with self._lock:
            if self._ledger is None:
                self._ledger = self._opened()
            return self._ledger

    def file(self, path: str) -> Path:
        """Return where a file of the machine is, `/etc/exports` for one."""
        return self.system / path.lstrip("/")

    def text(self, path: str) -> str:
        """Return what such a file says; nothing when it cannot be read."""
        try:
            return self.file(path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def session(self) -> Session:
        """Return a client of upstream's; close it."""
        proxy = self.config.syncer.proxy
        learn = self.redactor.learn_brief
        return Session(
            self.egress(), clock=self.clock, stop=self.stop, proxy=proxy, learn=learn
        )

    def egress(self) -> Egress:
        """Return the policy for outbound hosts."""
        proxied = self.config.syncer.proxy is not None
        return Egress(self.clock, proxied=proxied)

    def daemon(self) -> int | None:
        """Return the process of the daemon that works on the store, if it is here."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads((self.config.data / "daemon.lock").read_bytes())
            process = int(note["pid"])
            if note["host"] == socket.gethostname() and note["born"] == born(process):
                return process
        return None

    def close(self) -> None:
        """Close the catalog."""
        self.stop.set()
        with self._lock:
            if self._ledger is not None:
                self._ledger.catalog.close()
                self._ledger = None

    def _opened(self) -> Ledger:
        engine = connect(self.config.catalog_url)
        try:
            check_schema(engine)
            config = self.config.with_owned(SqlReleaseIndex(engine))
        except BaseException:
            engine.dispose()
            raise
        return Ledger(
            config,
            SqlCatalog(engine),
            SqlOperations(engine),
            SqlBlobIndex(engine),
            Vitals(engine),
        )


def nobody(host: Host) -> Host:
    """Return a host's entry without anything that tells who we are."""
    secrets = ("token_file", "app_id", "app_installation", "app_key_file")
    return named(host.model_copy(update=dict.fromkeys(secrets)), host.name, {})
