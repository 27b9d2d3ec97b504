"""`report` and `lag` as a person, a timer or another program asks for them."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.catalog.database import connect
from syncer.catalog.operations import SqlOperations
from syncer.catalog.sql import SqlCatalog
from syncer.model.incidents import Incident, Kind
from syncer.model.names import RepoName
from tests.acceptance.command import Command, Inside
from tests.contracts.catalog import published

if TYPE_CHECKING:
    from pathlib import Path

WIDGET = RepoName("github.com", "acme", "widget")
GADGET = RepoName("github.com", "acme", "gadget")
HOUR = timedelta(hours=1)


@pytest.fixture
def inside(tmp_path: Path) -> Command:
    """Provide a store of two mirrors; one was late for an hour today."""
    command = Inside(tmp_path)
    repos = (("acme/widget", "core"), ("acme/gadget", "normal"))
    entry = '[[repo]]\nname = "{}"\ntier = "{}"\nreleases = "off"\n'
    command.file.write_text("".join(entry.format(*repo) for repo in repos))
    assert command("init").status == 0
    now = datetime.now(UTC)
    engine = connect(f"sqlite:///{tmp_path}/mirror/catalog.db")
    catalog = SqlCatalog(engine)
    catalog.reconcile([(WIDGET, "core"), (GADGET, "normal")], now - 50 * HOUR)
    for state in catalog.states():
        published(catalog, state, now - HOUR / 12)
    _, widget = catalog.states()
    late = Incident(Kind.LATE, "acme/widget", now - 5 * HOUR, "", widget.id)
    (begun,) = SqlOperations(engine).begin([late])
    SqlOperations(engine).end([begun.id], now - 4 * HOUR)
    catalog.close()
    return command


def test_a_report_fits_a_screen(inside: Command) -> None:
    """Text goes to stdout with what to type next beside it."""
    done = inside("report")
    assert done.status == 0, done.err
    assert "acme/widget" in done.out
    assert "1h00m" in done.out
    assert "97.99 %" in done.out or "98.00 %" in done.out
    assert "Next:" in done.err


def test_a_report_has_five_forms(inside: Command) -> None:
    """A file's name tells the form; a pipe gets nothing but the report."""
    for suffix, start in (
        ("html", "<!DOCTYPE html>"),
        ("md", "# syncer report"),
        ("json", "{"),
        ("csv", "repository,"),
        ("txt", "syncer report"),
    ):
        file = inside.place / f"report.{suffix}"
        file.write_text("what was there before")
        done = inside("report", "--since", "1d", "-o", str(file))
        assert done.status == 0, done.err
        assert done.out == ""
        assert file.read_text().startswith(start)
    assert {each.name for each in inside.place.glob(".report*")} == set()
    document = inside("report", "--json").document()
    assert document["schema"] == "syncer.report/v1"
    assert document["mirrors"][0]["time"]["missed_seconds"] == 3600


def test_a_period_is_chosen(inside: Command) -> None:
    """So long ago, or a date; a tier alone; nonsense is refused by its name."""
    early = inside("report", "--since", "2d", "--until", "6h", "--json").document()
    assert early["mirrors"][0]["time"]["missed_seconds"] == 0
    dated = inside("report", "--since", "2020-01-01T00:00+02:00", "--json")
    assert dated.document()["since"] == "2019-12-31T22:00:00.000Z"
    tier = inside("report", "--tier", "core", "--json").document()
    assert [each["repository"] for each in tier["mirrors"]] == ["acme/widget"]
    for words in (
        ["--since", "soon"],
        ["--since", "1h", "--until", "2h"],
        ["--since", "2999-01-01"],
        ["--since", "99999999d"],
        ["--tier", "gold"],
        ["--json", "--format", "csv"],
    ):
        refused = inside("report", *words)
        assert refused.status == 2, words
        assert "Traceback" not in refused.err


def test_a_report_that_cannot_be_written_changes_nothing(inside: Command) -> None:
    """The error names the file; what was there stays."""
    done = inside("report", "-o", "nowhere/report.html")
    assert done.status == 1
    assert "nothing was changed" in done.err
    assert not (inside.place / "nowhere").exists()


def test_nothing_configured_is_no_failure(tmp_path: Path) -> None:
    """A new store says what to type first."""
    command = Inside(tmp_path)
    assert command("init").status == 0
    done = command("report")
    assert done.status == 0
    assert "syncer add" in done.err


def test_lag_comes_in_forms(inside: Command) -> None:
    """A table for a person, the rest for programs; a missed target is always 6."""
    rows = list(csv.DictReader(inside("lag", "--format", "csv").out.splitlines()))
    assert {row["repository"] for row in rows} == {"acme/widget", "acme/gadget"}
    assert "| acme/widget |" in inside("lag", "--format", "md").out
    done = inside("lag", "--format", "prom", "--tier", "core", "--max", "1ms")
    assert done.status == 6
    assert done.out.startswith("# HELP syncer_repo_lag_seconds")
    assert "gadget" not in done.out
    names = [
        line.split()[0]
        for line in inside("lag", "--sort", "name").out.splitlines()
        if line.startswith("acme/")
    ]
    assert names == ["acme/gadget", "acme/widget"]
    for sort in ("lag", "behind", "checked", "state", "tier"):
        assert inside("lag", "--sort", sort).status == 0
    assert inside("lag", "--json", "--format", "md").status == 2
