"""What the daemon looks after by itself, when, and what it survives."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from syncer.bootstrap import App, build
from syncer.care import FIRST_SWEEP, HOUSEKEEPING, SWEEP, Care
from syncer.errors import CatalogBusy, Interrupted, Unavailable
from syncer.model.blobs import Blob, StoredBlob, blob_key
from syncer.model.care import Swept
from syncer.model.runs import AuditEvent
from syncer.model.storage import StorageSample, Usage
from syncer.sync.sweep import BlobSweeper
from tests.fakes_blobs import digest_for
from tests.unit.test_bootstrap import TWO, configured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from syncer.model.mirrors import RepoState

BODY = b"needed by nobody"
MINUTE = timedelta(minutes=1)


class Hours:
    """The daemon's monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Yield a program with two mirrors; what nothing needs waits for no grace."""
    text = f'[syncer]\ngrace = "0s"\nstale = "0s"\n{TWO}'
    with closing(build(configured(tmp_path, text))) as made:
        made.reconcile()
        yield made


@pytest.fixture
def clock() -> Hours:
    """Return the time."""
    return Hours()


@pytest.fixture
def care(clock: Hours) -> Care:
    """Return what has just begun."""
    return Care(clock)


def published(app: App) -> list[RepoState]:
    """Return the mirrors, as if each had been published."""
    return [replace(state, generation=1) for state in app.catalog.states()]


def did(care: Care, app: App, *, idle: bool = False) -> list[str]:
    """Return what one tick began: a mirror's name, or `blobs`; wait for its end."""
    seen: list[str] = []

    def visit(_app: App, state: RepoState) -> None:
        assert care.in_hand == {state.id}
        seen.append(state.name.name)

    def sweep(_sweeper: BlobSweeper) -> Swept:
        assert care.in_hand == set()
        seen.append("blobs")
        return Swept()

    with (
        patch("syncer.care.care_for", visit),
        patch.object(BlobSweeper, "sweep", sweep),
    ):
        care.begin(app, published(app), idle=idle)
        care.join()
    assert care.in_hand == set()
    return seen


def test_the_blobs_are_swept_once_a_day(care: Care, app: App, clock: Hours) -> None:
    """The first time an hour after the start, also while mirrors are at work."""
    assert did(care, app) == []
    clock.seconds += FIRST_SWEEP - 1
    assert did(care, app) == []
    clock.seconds += 1
    assert did(care, app) == ["blobs"]
    clock.seconds += SWEEP - 1
    assert did(care, app) == []
    clock.seconds += 1
    assert did(care, app) == ["blobs"]


def test_mirrors_have_their_turn_while_nothing_is_due(
    care: Care, app: App, clock: Hours
) -> None:
    """One at a time, each at most once in ten minutes."""
    assert did(care, app, idle=False) == []
    first, second = did(care, app, idle=True), did(care, app, idle=True)
    assert sorted(first + second) == ["one", "two"]
    assert did(care, app, idle=True) == []
    clock.seconds += HOUSEKEEPING
    assert did(care, app, idle=True) == first


def test_a_mirror_that_was_never_published_needs_no_care(care: Care, app: App) -> None:
    """There is nothing to put in order."""
    care.begin(app, app.catalog.states(), idle=True)
    assert care.thread is None


def test_one_thing_is_done_at_a_time(care: Care, app: App, clock: Hours) -> None:
    """A sweep that takes long is not begun twice, and no mirror beside it."""
    clock.seconds += FIRST_SWEEP
    going, begun = threading.Event(), []

    def sweep(_sweeper: BlobSweeper) -> Swept:
        begun.append("blobs")
        going.wait(10)
        return Swept()

    with patch.object(BlobSweeper, "sweep", sweep):
        for _ in range(3):
            care.begin(app, published(app), idle=True)
            clock.seconds += SWEEP
        going.set()
        care.join()
    assert begun == ["blobs"]


@pytest.mark.parametrize("error", [Unavailable("the store is down"), Interrupted("x")])
def test_a_sweep_that_fails_is_tried_again_in_an_hour(
    care: Care,
    app: App,
    clock: Hours,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    """It is told, unless somebody asked for the end; nothing else suffers."""
    clock.seconds += FIRST_SWEEP
    with patch.object(BlobSweeper, "sweep", side_effect=error):
        care.begin(app, [], idle=False)
        care.join()
    assert ("sweeping the blobs failed" in caplog.text) == isinstance(
        error, Unavailable
    )
    assert did(care, app, idle=True) != ["blobs"]
    clock.seconds += FIRST_SWEEP
    assert did(care, app) == ["blobs"]


def test_old_records_are_dropped_with_a_sweep(
    care: Care, app: App, clock: Hours, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the age that the configuration says, each kind by its own."""
    caplog.set_level("INFO")
    now, kept = app.clock.now(), app.config.syncer
    for age in (kept.audit + MINUTE, kept.audit - MINUTE):
        app.catalog.audit(AuditEvent(now - age, "tester", "pause", "a/one"))
    for age in (kept.history + MINUTE, kept.history - MINUTE):
        sample = StorageSample(now - age, "north", 1, 2, Usage())
        app.operations.sampled(sample)

    clock.seconds += FIRST_SWEEP
    care.begin(app, [], idle=False)
    care.join()

    assert len(app.operations.storage(now - 2 * kept.history)) == 1
    assert len(app.catalog.audit_events(9)) == 1
    (told,) = [r for r in caplog.records if r.message == "old records dropped"]
    assert vars(told)["audit_event"] == vars(told)["storage_sample"] == 1


def test_what_cannot_be_dropped_keeps_nothing_back(
    care: Care, app: App, clock: Hours, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, and the blobs are swept all the same."""
    clock.seconds += FIRST_SWEEP
    error = CatalogBusy("the catalog did not take a statement in time")
    with patch.object(app.operations, "prune", side_effect=error):
        assert did(care, app) == ["blobs"]
    assert "dropping old records failed" in caplog.text


def nobodys_blob(app: App, data: Path) -> Callable[[], bool]:
    """Store a blob that no mirror needs; return what tells whether it is there."""
    path = data / "blobs" / blob_key(digest_for(BODY))
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    now = app.clock.now()
    app.world.index.stored([StoredBlob(Blob(digest_for(BODY), len(BODY)), now, now)])
    return path.exists


def test_a_sweep_of_the_daemon_is_that_of_the_command(
    care: Care, app: App, clock: Hours, caplog: pytest.LogCaptureFixture
) -> None:
    """What nothing needs goes; what the catalog never heard of stays."""
    caplog.set_level("INFO")
    is_there = nobodys_blob(app, app.config.data)
    foreign = app.config.data / "blobs" / blob_key("f" * 64)
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"another program's")
    care.begin(app, [], idle=True)
    care.join()
    assert is_there()
    clock.seconds += FIRST_SWEEP

    care.begin(app, [], idle=True)
    care.join()

    assert not is_there()
    assert foreign.exists()
    assert "blobs swept" in caplog.text


def test_a_stop_ends_a_sweep(care: Care, app: App, clock: Hours) -> None:
    """The daemon's end does not wait for a hundred thousand removals."""
    is_there = nobodys_blob(app, app.config.data)
    clock.seconds += FIRST_SWEEP
    app.stop.set()
    care.begin(app, [], idle=True)
    care.join()
    assert is_there()
