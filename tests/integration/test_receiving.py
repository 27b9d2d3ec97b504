"""Packs on the probe's connection: what goes wrong there, and what takes over."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from syncer.errors import CatalogBusy
from syncer.model.runs import Outcome
from tests.sandbox import Sandbox
from tests.servers.http_faults import Fault, garbage, html_page, status

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.git_http import GitServer

FETCH = "command=fetch"
FAULTS = {
    "truncated": Fault(truncate=5_000),
    "reset": Fault(reset=5_000),
    "corrupt": Fault(flip=8_000),
    "503": status(503),
    "429": status(429, retry_after="2"),
    "404": status(404),
    "redirect": Fault(status=301, headers={"Location": "http://127.0.0.1:9/x.git"}),
    "page": html_page(),
    "garbage": garbage(),
}


@pytest.fixture
def box(git_server: GitServer, tmp_path: Path) -> Sandbox:
    """Return a mirror that has been synced, and an upstream that moved on."""
    made = Sandbox(git_server, tmp_path / "git", wired=True)
    made.upstream.commit()
    assert made.sync().outcome is Outcome.CHANGED
    made.upstream.commit("main", {"large": os.urandom(50_000)})
    git_server.forget()
    return made


def test_one_request_brings_the_pack(box: Sandbox) -> None:
    """Nothing is asked but the pack itself, and git starts no transport."""
    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()
    assert [request.method for request in box.server.requests] == ["POST"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_changes_nothing_and_the_next_run_succeeds(
    box: Sandbox, name: str
) -> None:
    """Whatever the server does to the pack, refs stay and nothing is left behind."""
    before = box.published()
    box.server.fault(FETCH, FAULTS[name])
    run = box.sync()

    assert run.outcome is Outcome.FAILED, run
    assert "unchanged" in str(run.error) or "kept as it is" in str(run.error)
    assert box.published() == before
    assert box.remains() == []
    box.server.heal()
    box.clock.advance(timedelta(minutes=2))  # past any wish to be left alone
    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()


@pytest.mark.parametrize("name", ["page", "garbage"])
def test_git_takes_over_when_the_answer_is_not_a_pack(box: Sandbox, name: str) -> None:
    """A server that does not understand us may understand git."""
    box.server.fault(FETCH, FAULTS[name], times=1)

    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()


def test_a_stop_ends_a_pack_that_never_comes(box: Sandbox) -> None:
    """Within two seconds, although the server says nothing at all."""
    box.server.fault(FETCH, Fault(hang=3_000))
    timer = threading.Timer(0.5, box.stop.set)
    timer.start()
    began = time.monotonic()
    run = box.sync()

    assert run.outcome is Outcome.FAILED
    assert run.exit_code == 130
    assert time.monotonic() - began < 10
    assert box.state.failures == 0


def test_a_checked_quarantine_is_not_fetched_again(box: Sandbox) -> None:
    """What arrived before the catalog failed is used by the next run."""
    with patch.object(box.catalog, "intend", side_effect=CatalogBusy("full")):
        assert box.sync().outcome is Outcome.FAILED
    box.server.forget()

    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()
    assert box.server.requests == []
