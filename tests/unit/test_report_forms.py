"""A report from what is on record, in each of its forms."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from syncer.cli.lag_forms import written
from syncer.cli.report_document import text_of
from syncer.cli.report_text import screen
from syncer.model.incidents import Incident, Kind
from syncer.model.lfs import LfsTally
from syncer.model.names import RepoName
from syncer.model.runs import AuditEvent, LagSample, Outcome, SyncRun, Trigger
from syncer.model.storage import StorageSample, Usage
from syncer.reports import charts, sections
from syncer.reports.gathering import Gathering
from syncer.reports.markdown import cell, markdown
from syncer.reports.page import page
from syncer.reports.period import Scope
from syncer.reports.reading import read
from syncer.reports.reasons import reason
from syncer.reports.sections import Quoted, percent
from syncer.reports.sheet import sheet
from syncer.reports.spans import Span
from syncer.reports.summary import report
from syncer.schedule.lag import freshness
from tests.contracts.catalog import published
from tests.fakes_catalog import FakeCatalog
from tests.fakes_operations import FakeOperations

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.model.mirrors import RepoState
    from syncer.reports.period import Report
    from syncer.schedule.lag import Freshness

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WEEK = Span(NOW - 7 * DAY, NOW)
WIDGET = RepoName("github.com", "acme", "widget")
GADGET = RepoName("github.com", "acme", "gadget")
GIB = 1 << 30
HOSTILE = "<script>alert(1)</script> | `x` \x1b[31m\n@all ]]> &amp;"


class Tier:
    """A tier, as lag sees one."""

    target = 15 * MINUTE


def fresh(state: RepoState, last: datetime = NOW - MINUTE) -> Freshness:
    """Return how fresh a mirror is that was last equal at a moment."""
    return freshness(replace(state, last_success=last), Tier(), NOW)


def run(name: RepoName, mirror_id: int, ended: datetime, **facts: object) -> SyncRun:
    """Return a run that changed something, unless told otherwise."""
    began = ended - MINUTE
    known = SyncRun(
        1, mirror_id, name, Trigger.SCHEDULE, began, outcome=Outcome.CHANGED
    )
    return replace(known, ended=ended, **facts)  # type: ignore[arg-type]  # each its own


@pytest.fixture(scope="module")
def known() -> FakeCatalog:
    """Provide two mirrors of two tiers, a month old."""
    catalog = FakeCatalog()
    catalog.reconcile([(WIDGET, "core"), (GADGET, "normal")], NOW - 30 * DAY)
    return catalog


@pytest.fixture(scope="module")
def told(known: FakeCatalog) -> Report:
    """Provide a week in which a little of everything happened."""
    gadget, widget = known.states()
    gathered = Gathering([fresh(gadget), fresh(widget)], Scope(WEEK, NOW))
    lfs = LfsTally(received=3 * GIB)
    forced = {"rewound": 2, "moved": 1}
    failed = {"outcome": Outcome.FAILED, "error": f"{HOSTILE} at acme/widget"}
    gathered.runs(
        [
            run(WIDGET, widget.id, NOW - 2 * DAY, received=GIB, lfs=lfs, counts=forced),
            run(WIDGET, widget.id, NOW - DAY, **failed),
            run(GADGET, gadget.id, NOW - DAY, received=5),
            run(RepoName("github.com", "gone", "x"), 99, NOW - DAY, received=7),
        ]
    )
    gathered.lag(
        LagSample(widget.id, WIDGET, "refs", NOW - DAY, NOW - DAY + n * MINUTE)
        for n in range(1, 21)
    )
    gathered.incidents(
        [
            Incident(Kind.INTEGRITY, "acme/widget", NOW - DAY, HOSTILE, widget.id, NOW),
            Incident(Kind.DISK, "mirror-1", NOW - 9 * DAY, "40 GiB free"),
            Incident(Kind.LATE, "acme/gadget", NOW - 3 * HOUR, "late", gadget.id),
        ]
    )
    gathered.events(
        [AuditEvent(NOW - DAY, "upstream", "licence", "acme/widget", alarming=True)]
    )
    samples = [
        StorageSample(
            NOW - n * DAY, "mirror-1", (100 + 10 * n) * GIB, 1000 * GIB, Usage(git=-n)
        )
        for n in range(10, -1, -1)
    ]
    stored = Usage(git=4 * GIB, lfs=3 * GIB, assets=GIB, blobs=3 * GIB)
    return report(gathered, samples, stored, 0.05)


def test_numbers_are_those_of_what_happened(told: Report) -> None:
    """Percentiles are of changes, runs of all mirrors count, breaches are clipped."""
    widget = next(each for each in told.mirrors if each.name == WIDGET)
    delays = widget.delays
    assert (delays.count, delays.in_time) == (20, 15)
    assert (delays.p50, delays.p95, delays.p99) == (
        10 * MINUTE,
        19 * MINUTE,
        20 * MINUTE,
    )
    assert widget.record.missed == 5 * MINUTE
    assert (widget.runs.rewound, widget.runs.force_pushes) == (2, 1)
    assert (widget.integrity, widget.failures) == (1, 1)
    assert (told.runs.count, told.failures) == (4, 1)
    assert told.runs.received.git == GIB + 12
    assert [(each.owner, each.count) for each in told.drawn] == [
        ("github.com/acme", 3 * GIB)
    ]
    gadget = next(each for each in told.mirrors if each.name == GADGET)
    assert gadget.record.missed == 3 * HOUR
    assert told.mirrors[0] == gadget, "the worst comes first"
    assert [each.kind for each in told.trouble] == [
        Kind.DISK,
        Kind.LATE,
        Kind.INTEGRITY,
        Kind.LATE,
    ]
    assert told.trouble[0].lasted == 7 * DAY


def test_a_disk_is_foreseen(told: Report) -> None:
    """Ten GiB a day leave five days until the floor of fifty."""
    (disk,) = told.disks
    assert disk.floor == 50 * GIB
    assert disk.full == 5 * DAY
    assert sections.full(disk) == "in 5d00h"
    assert sections.full(replace(disk, full=None)) == "not in sight"
    assert sections.full(replace(disk, full=None, growth=None)) == "not known yet"
    assert sections.full(replace(disk, full=timedelta())) == "now"
    assert told.growth is not None
    assert told.growth.git == 6, "from the first sample of the week to its last"


def test_one_tier_is_told_of_alone(known: FakeCatalog) -> None:
    """What is of other tiers counts nowhere; disks are everybody's."""
    gadget, widget = known.states()
    gathered = Gathering([fresh(widget)], Scope(WEEK, NOW, "core"))
    gathered.runs([run(GADGET, gadget.id, NOW - DAY, received=5)])
    gathered.lag([LagSample(gadget.id, GADGET, "refs", NOW - DAY, NOW)])
    gathered.incidents(
        [
            Incident(Kind.HELD, "acme/gadget", NOW - DAY, "", gadget.id),
            Incident(Kind.DISK, "mirror-1", NOW - DAY, ""),
        ]
    )
    gathered.events([AuditEvent(NOW, "upstream", "x", "acme/gadget", alarming=True)])
    found = report(gathered, [], Usage(), 0.05)
    assert found.runs.count == 0
    assert [each.tier for each in found.tiers] == ["core"]
    assert [each.kind for each in found.trouble] == [Kind.DISK]
    assert found.alarms == {}


def test_a_report_is_read_from_the_catalog() -> None:
    """Runs, changes, pauses and incidents are asked for, a day at a time."""
    catalog = FakeCatalog()
    catalog.reconcile([(WIDGET, "core")], NOW - 30 * DAY)
    (widget,) = catalog.states()
    for days in (9, 6, 3):
        published(catalog, widget, NOW - days * DAY)
    paused = AuditEvent(NOW - 5 * DAY, "root", "pause", "acme/widget")
    catalog.set_paused(WIDGET, paused, paused=True)
    resumed = AuditEvent(NOW - 4 * DAY, "root", "resume", "acme/widget")
    catalog.set_paused(WIDGET, resumed, paused=False)
    operations = FakeOperations(catalog)
    operations.begin(
        [
            Incident(
                Kind.LATE, "acme/widget", NOW - 6 * DAY, "", widget.id, NOW - 3 * DAY
            )
        ]
    )
    found = read(operations, [fresh(widget)], Scope(WEEK, NOW, "core"), min_free=0.05)
    assert found.runs.count == 2
    (mirror,) = found.mirrors
    assert mirror.delays.p50 == 2 * MINUTE
    assert (mirror.record.counted, mirror.record.missed) == (6 * DAY, 2 * DAY)


FORMS: list[Callable[[Report], str]] = [screen, markdown, page, sheet, text_of]


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_catalog_has_a_report(form: Callable[[Report], str]) -> None:
    """Nothing configured, or nothing mirrored yet, is no error in any form."""
    nothing = report(Gathering([], Scope(WEEK, NOW)), [], Usage(), 0.05)
    assert form(nothing)
    catalog = FakeCatalog()
    catalog.reconcile([(WIDGET, "core")], NOW - MINUTE)
    new = fresh(catalog.states()[0])
    one = StorageSample(NOW, "a", 1, 2, Usage())
    instant = Span(NOW - timedelta(seconds=1), NOW)
    text = form(report(Gathering([new], Scope(instant, NOW)), [one], Usage(), 0.05))
    assert "widget" in text or "core" in text


@pytest.mark.parametrize("form", FORMS)
def test_upstream_text_does_nothing(
    form: Callable[[Report], str], told: Report
) -> None:
    """No form lets a terminal, a page or a table be steered."""
    text = form(told)
    assert "\x1b" not in text
    if form in {markdown, page}:
        assert "<script" not in text.replace("`<script", "")
    if form is page:
        assert "&lt;script&gt;" in text


def test_the_page_needs_nothing_else(told: Report) -> None:
    """No script, nothing loaded; each chart has a title and says what it shows."""
    text = page(told)
    for foreign in ("<script", "<link", "<img", "src=", "@import", "url("):
        assert foreign not in text
    for chart in text.split("<svg")[1:]:
        tree = ET.fromstring("<svg" + chart.partition("</svg>")[0] + "</svg>")  # noqa: S314 - our own
        assert tree.get("role") == "img"
        names = [each.tag.rpartition("}")[2] for each in tree]
        assert names[:2] == ["title", "desc"]
        ids = {each.get("id") for each in tree.iter() if each.get("id")}
        assert set((tree.get("aria-labelledby") or "").split()) == ids
    assert text.count("<svg") == len(told.tiers) + 1 + len(told.disks)


def test_every_point_lies_on_the_paper(told: Report) -> None:
    """Whatever the values, nothing is drawn beside the chart."""
    for chart in charts.of(told):
        tree = ET.fromstring(chart.done())  # noqa: S314 - our own
        for line in tree.iter("{http://www.w3.org/2000/svg}polyline"):
            pairs = [point.split(",") for point in line.attrib["points"].split()]
            assert all(0 <= float(x) <= 480 and 0 <= float(y) <= 250 for x, y in pairs)
        for box in tree.iter("{http://www.w3.org/2000/svg}rect"):
            assert float(box.attrib["height"]) >= 0
            assert 0 <= float(box.attrib["y"]) <= 250


def test_markdown_tables_keep_their_columns(told: Report) -> None:
    """A pipe in a cell is no column."""
    rows = [line for line in markdown(told).splitlines() if line.startswith("|")]
    widths = {line.replace("\\|", "").count("|") - 1 for line in rows}
    tables = sections.body(told, 9, 9)
    assert widths == {len(table.headers) for table in tables}
    assert cell("a_b*c|d") == "a\\_b\\*c\\|d"
    assert cell(Quoted("`a|b` @c")) == "`'a\\|b' @c`"
    assert cell(Quoted("")) == ""


def test_a_sheet_has_every_mirror(told: Report) -> None:
    """Rows end as RFC 4180 wants; numbers are numbers, what is not known is empty."""
    text = sheet(told)
    assert text.count("\r\n") == text.count("\n") == 3
    rows = {row["repository"]: row for row in csv.DictReader(StringIO(text))}
    assert rows["acme/widget"]["p95_seconds"] == "1140.0"
    assert rows["acme/gadget"]["p95_seconds"] == ""
    assert rows["acme/widget"]["received_lfs_bytes"] == str(3 * GIB)


def test_the_document_has_seconds_and_bytes(told: Report) -> None:
    """JSON has everything, in units that its keys name."""
    document = json.loads(text_of(told))
    assert document["schema"] == "syncer.report/v1"
    assert document["disks"][0]["full_seconds"] == 5 * 86_400
    assert document["stored_bytes"]["shared"] == GIB
    assert document["tiers"][0]["lag"]["p95_seconds"] == 1140
    assert len(document["mirrors"]) == 2


def test_one_screen_is_enough(told: Report) -> None:
    """A terminal gets the tiers, what went wrong, bytes and disks, and no more."""
    lines = screen(told).splitlines()
    assert len(lines) < 50
    assert max(map(len, lines)) <= 110
    assert "in 5d00h" in screen(told)


def test_like_reasons_are_one() -> None:
    """Names, ids, addresses and counts of one run do not tell reasons apart."""
    said = "upstream answers 503 at https://github.com/acme/widget.git; it is unchanged"
    other = said.replace("widget", "gadget")
    assert reason(said, WIDGET) == reason(other, GADGET)
    assert reason("acme/widget did not answer for 3 objects", WIDGET) == reason(
        "acme/gadget did not answer for 41 objects", GADGET
    )
    assert "503" in reason(said, WIDGET)
    assert reason(None, WIDGET) == "no reason was recorded"
    assert len(reason("x " * 500, WIDGET)) <= 120


def test_only_all_is_a_hundred_percent() -> None:
    """Five nines are not rounded up to a target that was not met."""
    assert percent(0.99999) == "99.99 %"
    assert percent(1.0) == "100 %"
    assert percent(None) == "-"


def test_lag_has_the_names_of_metrics(known: FakeCatalog) -> None:
    """The textfile collector gets what /metrics has; CSV and Markdown a row each."""
    found = [fresh(state) for state in known.states()]
    prom = written(found, "prom")
    assert 'syncer_repo_lag_seconds{repo="acme/widget",tier="core"} 60.0\n' in prom
    assert prom.endswith("\n")
    rows = list(csv.DictReader(StringIO(written(found, "csv"))))
    assert [row["lag_seconds"] for row in rows] == ["60.0", "60.0"]
    assert len(written(found, "md").splitlines()) == 4
