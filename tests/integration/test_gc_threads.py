"""Runs, purges and sweeps at the same time, on a real database and directory."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.catalog import database
from syncer.errors import Locked
from syncer.model.blobs import REMOVAL
from syncer.model.care import Depth
from syncer.model.runs import Outcome
from syncer.store.directory import DirectoryStore
from tests.fleet import GRACE, ONE, STALE, TWO, Fleet, on_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syncer.model.names import RepoName

_LONG = 2.5  # seconds
_BODIES = [b"body %03d" % number for number in range(3)]
#: Why a run may fail: it is told to come back.
_EXCUSES = ("being removed by `gc`", "is in use")


@dataclass
class Crowd:
    """Threads that work on one fleet, each as a process would."""

    fleet: Fleet
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._until = time.monotonic() + _LONG
        self._purging = threading.Lock()

    def runs(self, name: RepoName) -> None:
        """Push, mirror and purge, again and again."""
        number = 0
        while time.monotonic() < self._until:
            number += 1
            new = b"%d of %s" % (number, name.name.encode())
            self.fleet.push(name, *_BODIES[number % 3 :], new)
            error = self.fleet.sync(name).error or ""
            assert any(excuse in error for excuse in _EXCUSES) or not error
            self.counts["mirrored"] += not error
            with self._purging, suppress(Locked):  # a sweep may settle it just now
                self.fleet.purge(name)

    def sweeps(self) -> None:
        """Sweep, while time flies."""
        while time.monotonic() < self._until:
            self.fleet.clock.advance(timedelta(minutes=1))
            self.counts["removed"] += len(self.fleet.sweep().removed)

    def work(self) -> None:
        """Do all of it at once."""
        works = [lambda: self.runs(ONE), lambda: self.runs(TWO)]
        works += [self.sweeps, self.sweeps]
        threads = [threading.Thread(target=self._guarded, args=(w,)) for w in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as exc:  # noqa: BLE001 - the test looks at it
            self.failures.append(exc)


def test_runs_and_sweeps_at_the_same_time(tmp_path: Path) -> None:
    """No run fails but by waiting; what is needed is there, nothing else at the end."""
    migrated = tmp_path / "catalog.db"
    database.upgrade(f"sqlite:///{migrated}")
    blobs = DirectoryStore(tmp_path / "blobs", tmp_path / "incoming")
    with on_sqlite(migrated) as make:
        fleet = Fleet(make, real=blobs)
        crowd = Crowd(fleet)
        crowd.work()
        assert crowd.failures == []
        assert crowd.counts["mirrored"] > 3
        assert crowd.counts["removed"] > 3
        fleet.clock.advance(2 * REMOVAL)
        for name in (ONE, TWO):
            assert fleet.sync(name).outcome in {Outcome.CHANGED, Outcome.UNCHANGED}
            report = fleet.verify(name, Depth(read=True))
            assert (report.damaged, report.unlinked) == ((), 0)
            assert report.present == report.pointers == report.read > 0
        for _ in range(2):
            fleet.sweep(orphans=True)
            fleet.clock.advance(max(GRACE, STALE))
        assert {blob.digest for blob in blobs.blobs()} == fleet.needed()
        assert blobs.leftovers() == []
