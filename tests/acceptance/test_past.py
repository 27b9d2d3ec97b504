"""`history` and `audit`: what happened, as it is shown and exported."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.catalog import database
from syncer.catalog.sql import SqlCatalog
from syncer.model.names import RepoName
from syncer.model.runs import AuditEvent, Outcome, SyncRun, Trigger
from tests.acceptance.command import Command, Inside

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
ONE, TWO = RepoName.parse("acme/one"), RepoName.parse("acme/two")


@pytest.fixture(scope="module")
def syncer(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Provide the command, in this process, where two repositories are mirrored."""
    command = Inside(tmp_path_factory.mktemp("place"))
    repos = (f'[[repo]]\nname = "{name.short}"\n' for name in (ONE, TWO))
    command.file.write_text("".join(repos))
    assert command("init").status == 0
    return command


@pytest.fixture(scope="module")
def catalog(syncer: Command) -> Iterator[SqlCatalog]:
    """Yield its catalog, with runs and events of ten days."""
    engine = database.connect(f"sqlite:///{syncer.place}/mirror/catalog.db")
    catalog = SqlCatalog(engine)
    catalog.reconcile([(ONE, "normal"), (TWO, "normal")], NOW - 10 * DAY)
    for age in range(10, 0, -1):
        at = NOW - age * DAY
        name = TWO if age % 2 else ONE
        run = SyncRun(0, catalog.state(name).id, name, Trigger.SCHEDULE, at)
        outcome = Outcome.FAILED if age > 7 else Outcome.UNCHANGED
        run = replace(run, ended=at, outcome=outcome, error="no route\x1b[31m")
        if age == 1:
            catalog.place({run.mirror_id: "north"})
        writer = SqlCatalog(engine, "north") if age == 1 else catalog
        writer.close_run(run)
        action = "rename" if age % 3 else "licence"
        told = f"day {age}\x1b[31m\nof ten"
        event = AuditEvent(at, "upstream", action, name.short, told, alarming=age == 6)
        catalog.audit(event)
    yield catalog
    catalog.close()


@pytest.mark.usefixtures("catalog")
def test_runs_are_found_by_age_and_outcome(syncer: Command) -> None:
    """What is asked for is shown, the newest first; where it took place, too."""
    failed = syncer("history", "--failed", "--json").document()["runs"]
    assert [run["outcome"] for run in failed] == ["failed"] * 3
    assert failed[0]["started"] > failed[2]["started"]
    lately = syncer("history", "acme/two", "--since", "4d", "--json").document()["runs"]
    assert [run["machine"] for run in lately] == ["north", None]

    done = syncer("history", "--outcome", "failed", "--since", "7d")
    assert (done.status, done.out) == (0, "")
    assert "no such run is on record" in done.err
    shown = syncer("history", "--since", f"{NOW - 2.5 * DAY:%Y-%m-%dT%H:%M:%S}")
    headers, first, second = shown.out.splitlines()
    assert "MACHINE" in headers
    assert "north" in first
    assert "acme/one" in second


@pytest.mark.parametrize(
    "words",
    [
        ["history", "--failed", "--outcome", "held"],
        ["history", "acme/one", "--refs", "--failed"],
        ["history", "--since", "yesterday"],
        ["audit", "--format", "jsonl", "-n", "3"],
    ],
)
def test_what_contradicts_itself_is_refused(syncer: Command, words: list[str]) -> None:
    """Nothing is guessed."""
    done = syncer(*words)
    assert (done.status, done.out) == (2, "")


@pytest.mark.usefixtures("catalog")
def test_events_are_picked(syncer: Command) -> None:
    """By age, kind, repository, and whether they ask for a person."""
    span = ("--since", "9.5d", "--until", "1.5d")
    done = syncer("audit", "acme/one", "--action", "rename", *span, "--json")
    told = [each["detail"][:5] for each in done.document()["events"]]
    assert told == ["day 2", "day 4", "day 8"]

    alarms = syncer("audit", "--alarms", "--since", "99999999d").out.splitlines()[1:]
    assert len(alarms) == 1
    assert "day 6" in alarms[0]
    assert "\x1b[31m" not in alarms[0]


@pytest.mark.usefixtures("catalog")
def test_events_are_exported_as_lines(syncer: Command) -> None:
    """All of them, the oldest first, each a document that names its schema."""
    done = syncer("audit", "--format", "jsonl", "--since", "9.5d")

    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [each["detail"].split()[1][:1] for each in lines] == list("987654321")
    assert {each["schema"] for each in lines} == {"syncer.audit-event/v1"}
    assert "Next:" in done.err
    assert "\x1b" not in done.out
