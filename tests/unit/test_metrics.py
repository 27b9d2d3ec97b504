"""Metrics are what the catalog knows; rules, dashboard and pages name no others."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from itertools import combinations
from typing import TYPE_CHECKING
from unittest import mock

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from syncer.errors import Unavailable
from syncer.model.machines import Machine, Role
from syncer.model.origin import Allowance
from syncer.model.storage import StorageSample, Usage
from syncer.web import exposition
from syncer.web.exposition import labels, wide
from tests.exposed import (
    DASHBOARD,
    MINUTE,
    ROOT,
    RULE_TESTS,
    Exposed,
    busy,
    exposed,
    expressions,
    named,
    rules,
)
from tests.fakes import NOW
from tests.views import configured, stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.views import Stage

_HISTOGRAM = ("_bucket", "_sum", "_count")


@pytest.fixture
def those(tmp_path: Path) -> Stage:
    """Return what shows every metric."""
    return busy(tmp_path)


@pytest.fixture
def seen(those: Stage) -> Exposed:
    """Return what a scrape of it shows."""
    return exposed(those)


def _documented() -> dict[str, tuple[str, frozenset[str]]]:
    """Return the type and labels of each metric in the page."""
    found = {}
    page = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| (`.+`) \| (\w+) \| .* \|$", page, re.MULTILINE)
    for first, kind in rows:
        for name, of in re.findall(r"`([a-z_]+)(?:\{([a-z,]+)\})?`", first):
            found[name] = (kind, frozenset(of.split(",") if of else ()))
    return found


def test_every_metric_is_described_as_it_is(seen: Exposed) -> None:
    """The page has every metric with its type and its labels, and no other."""
    documented = _documented()
    assert {name: kind for name, (kind, _) in documented.items()} == seen.types
    for each in seen.samples:
        name = next(
            (n for n in map(each.name.removesuffix, _HISTOGRAM) if n in seen.types), ""
        )
        name = each.name if each.name in seen.types else name
        _, of = documented[name]
        assert each.labels.keys() - {"le"} == of, each.name


def test_every_metric_has_a_sample(seen: Exposed) -> None:
    """The world that the other tests look at leaves no family empty."""
    shown = {each.name for each in seen.samples}
    histograms = {
        f"{n}_count": n for n, kind in seen.types.items() if kind == "histogram"
    }
    assert {histograms.get(name, name) for name in shown} >= seen.types.keys()


def test_mirrors_are_as_fresh_as_people_are_told(seen: Exposed) -> None:
    """Lag, behind, target and state are those of every other face."""
    assert seen.get("syncer_repo_lag_seconds", repo="a/late") == 3 * 3600
    assert seen.get("syncer_repo_behind_seconds", repo="a/late") == 3 * 3600
    assert seen.get("syncer_repo_behind_seconds", repo="a/fresh") == 0
    assert seen.get("syncer_repo_lag_seconds", repo="a/fresh") == 60
    assert seen.get("syncer_repo_target_seconds", repo="a/late") == 7200
    assert seen.get("syncer_repo_target_seconds", repo="a/gone") == 2 * 86_400
    last = seen.get("syncer_repo_last_success_timestamp_seconds", repo="a/fresh")
    assert last == (NOW - MINUTE).timestamp()
    assert seen.all("syncer_repo_state", tier="normal") == {
        "a/fresh,OK": 1,
        "a/late,LATE": 1,
        "a/partial,PARTIAL": 1,
        "a/paused,PAUSED": 1,
        "a/gone,GONE": 1,
        "a/moved,OK": 1,
    }
    assert seen.get("syncer_repos", state="OK", tier="normal") == 2
    assert seen.get("syncer_repos", state="HELD", tier="core") == 0


def test_what_is_missing_or_not_as_usual_is_told(seen: Exposed) -> None:
    """Only mirrors that have objects have missing ones; only odd standings show."""
    assert seen.all("syncer_repo_missing_objects") == {
        "lfs,a/partial": 2,
        "assets,a/partial": 1,
    }
    assert seen.get("syncer_repo_size_bytes", repo="a/partial") == 1080
    assert seen.all("syncer_repo_upstream_state") == {
        "a/gone,gone": 1,
        "a/moved,renamed": 1,
    }


def test_counters_are_the_catalogs(seen: Exposed) -> None:
    """What was counted is shown, and a kind that never was is 0 from the beginning."""
    assert seen.get("syncer_syncs_total", outcome="changed") == 7
    assert seen.get("syncer_syncs_total", outcome="interrupted") == 1
    assert seen.get("syncer_syncs_total", outcome="failed") == 0
    assert seen.get("syncer_hash_mismatch_total", kind="blob") == 1
    assert seen.get("syncer_hash_mismatch_total", kind="run") == 0
    assert seen.get("syncer_force_pushes_total") == 3
    assert seen.get("syncer_probes_total", result="unchanged") == 90
    assert seen.get("syncer_bytes_fetched_total", kind="git") == 5000


def test_buckets_are_in_order_and_end_with_all(seen: Exposed) -> None:
    """Histograms have their bounds as Prometheus writes them, sums and counts."""
    buckets = seen.all("syncer_sync_seconds_bucket")
    assert list(buckets.items()) == [("1.0", 0), ("300.0", 6), ("+Inf", 7)]
    assert seen.get("syncer_sync_seconds_sum") == 321.5
    assert seen.get("syncer_sync_seconds_count") == 7
    assert seen.all("syncer_publish_lag_seconds_bucket", component="refs") == {
        "60.0": 2,
        "+Inf": 4,
    }
    assert seen.get("syncer_publish_lag_seconds_count", component="releases") == 0


def test_a_new_catalog_has_metrics(tmp_path: Path) -> None:
    """Nothing has happened: counters are 0, and what nobody knows is absent."""
    shown = exposed(stage(configured(tmp_path)))
    assert shown.get("syncer_catalog_up") == 1
    assert shown.get("syncer_sync_seconds_count") == 0
    assert shown.get("syncer_repos", state="NEW", tier="core") == 0
    assert shown.all("syncer_leader") == {}
    assert shown.all("syncer_store_full_seconds") == {}


@pytest.mark.parametrize("call", ["machines", "counters", "usage", "open_incidents"])
def test_a_catalog_that_is_down_is_a_metric(those: Stage, call: str) -> None:
    """What is known without the catalog is shown, and that it cannot be read."""
    failure = mock.patch.object(those.operations, call, side_effect=Unavailable("down"))
    with failure:
        shown = exposed(those)
    assert shown.get("syncer_catalog_up") == 0
    assert len(shown.all("syncer_store_free_bytes")) == 1
    assert shown.get("process_resident_memory_bytes") > 1 << 20
    assert shown.all("syncer_repo_state") == {}


def test_a_machine_that_died_leads_no_more(those: Stage) -> None:
    """A minute after its last word it is down, and what it had in hand is unknown."""
    those.clock.advance(MINUTE)
    assert exposed(those).get("syncer_leader", machine="here") == 1
    those.clock.advance(timedelta(seconds=1))
    shown = exposed(those)
    assert shown.get("syncer_machine_up", machine="here") == 0
    assert shown.get("syncer_leader", machine="here") == 0
    assert shown.get("syncer_machine_seen_timestamp_seconds") == NOW.timestamp()
    assert shown.all("syncer_queue_depth") == {}
    assert shown.all("syncer_tick_seconds") == {}


def test_a_worker_neither_leads_nor_ticks(those: Stage) -> None:
    """Of a machine that decides nothing there is no leader's metric."""
    those.operations.seen(Machine("w", "1", (Role.WORKER,), NOW, NOW, capacity=8))
    shown = exposed(those)
    assert shown.get("syncer_workers", machine="w") == 8
    assert shown.get("syncer_job_oldest_seconds", machine="w") == 0
    assert shown.all("syncer_leader").keys() == {"here"}
    assert shown.all("syncer_tick_seconds") == {"here": 0.125}


def test_an_allowance_ends_with_its_window(those: Stage) -> None:
    """What an API granted in a window that is over says nothing of today's."""
    assert exposed(those).get("syncer_ratelimit_remaining", resource="core") == 4000
    those.clock.advance(20 * MINUTE)
    assert exposed(those).all("syncer_ratelimit_remaining") == {}


def test_an_allowance_with_a_token_counts(those: Stage) -> None:
    """One series for each host and resource: not that of an address."""
    for machine, limit, authorised in (("x", 60, False), ("y", 5000, True)):
        granted = Allowance("core", limit, limit, NOW + MINUTE, authorised)
        told = Machine(
            machine, "1", (Role.WORKER,), NOW, NOW, allowances=(("ghe.corp", granted),)
        )
        those.operations.seen(told)
    assert exposed(those).all("syncer_ratelimit_limit", host="ghe.corp") == {
        "core": 5000
    }


def test_disks_are_this_machines_now_and_others_as_told(those: Stage) -> None:
    """A disk that nobody has told of for hours is not shown, nor its forecast."""
    here = those.view.config.machine
    shown = exposed(those)
    assert shown.get("syncer_store_free_bytes", machine="other") == 450
    assert shown.get("syncer_store_floor_bytes", machine="other") == 50
    assert shown.get("syncer_store_full_seconds", machine="other") == 8 * 86_400
    assert shown.get("syncer_store_free_bytes", machine=here) > 0
    those.clock.advance(120 * MINUTE)
    left = exposed(those).get("syncer_store_full_seconds", machine="other")
    assert left == 8 * 86_400 - 2 * 3600
    those.clock.advance(120 * MINUTE)
    assert exposed(those).all("syncer_store_capacity_bytes").keys() == {here}


def test_a_disk_that_does_not_answer_is_left_out(those: Stage) -> None:
    """A file system that is gone keeps nobody from the other metrics."""
    failure = mock.patch("shutil.disk_usage", side_effect=OSError("stale handle"))
    with failure:
        shown = exposed(those)
    assert shown.all("syncer_store_free_bytes") == {"other": 450}
    assert shown.get("syncer_catalog_up") == 1


def test_shared_bytes_are_told_apart(those: Stage) -> None:
    """Kinds are what the catalog sums up: git and blobs are what is stored."""
    shown = exposed(those).all("syncer_store_bytes")
    assert shown == {"git": 5, "lfs": 30, "assets": 20, "blobs": 40, "shared": 10}


def test_private_mirrors_are_counted_and_not_named(tmp_path: Path) -> None:
    """Who has no token learns how many there are; who has it sees each."""
    those = stage(configured(tmp_path, "a/open", "a/secret"))
    those.describe("a/secret", private=True)
    those.describe("a/open", private=False)
    shown = exposed(those)
    assert "secret" not in shown.text
    assert shown.get("syncer_repos_unnamed") == 1
    assert shown.get("syncer_repos", state="NEW", tier="normal") == 2
    assert exposed(busy(tmp_path)).get("syncer_repos_unnamed") == 0


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", 'x"} 1\ny{z="', "\\n", "ü☃"])
def test_labels_come_back_as_they_were(text: str) -> None:
    """No name can end its label, its line or its metric."""
    lines = wide("m", "A gauge.", [(labels(repo=text, tier="t"), 1.5)])
    (family,) = text_string_to_metric_families(lines.decode())
    (sample,) = family.samples
    assert (sample.labels, sample.value) == ({"repo": text, "tier": "t"}, 1.5)


def test_the_format_is_one_that_every_prometheus_reads() -> None:
    """The content type names the version that is written."""
    assert exposition.CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"


def _known(seen: Exposed) -> set[str]:
    """Return every name that a query may use, but of other programs."""
    names = {*seen.types, *(name for name in rules() if ":" in name)}
    histograms = {n for n, kind in seen.types.items() if kind == "histogram"}
    return names | {f"{n}{end}" for n in histograms for end in _HISTOGRAM}


def test_rules_name_what_there_is(seen: Exposed) -> None:
    """Rules ask for our metrics, MinIO's and the node exporter's."""
    used = set().union(*(named(rule["expr"]) for rule in rules().values()))
    ours = {name for name in used if name.startswith("syncer")}
    assert ours <= _known(seen)
    assert used - ours == {
        "minio_s3_requests_5xx_errors_total",
        "node_timex_offset_seconds",
        "node_timex_sync_status",
    }


def test_the_dashboard_names_what_there_is(seen: Exposed) -> None:
    """Every panel asks for something that is there, and every metric has a panel."""
    used = set().union(*map(named, expressions()))
    assert used <= _known(seen)
    indirect = set().union(
        *(named(rules()[name]["expr"]) for name in used & rules().keys())
    )
    shown = {re.sub("_bucket$", "", name) for name in used | indirect}
    assert seen.types.keys() - shown == {"syncer_repos_unnamed"}


def test_every_alert_is_tested_both_ways() -> None:
    """Each has a moment at which it fires and one at which it does not."""
    loud: set[str] = set()
    silent: set[str] = set()
    for file in RULE_TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for each in test.get("alert_rule_test", ()):
                (loud if each["exp_alerts"] else silent).add(each["alertname"])
    alerts = {name for name, rule in rules().items() if "alert" in rule}
    assert loud == silent == alerts


def test_alerts_say_how_bad_and_what_to_do() -> None:
    """Each has a severity, a sentence, and a heading of the runbook."""
    book = (ROOT / "docs/runbook.md").read_text()
    headings = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", book, re.MULTILINE)
    }
    for name, rule in rules().items():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"page", "warning", "info"}, name
            assert rule["annotations"]["summary"], name
            path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
            assert (path, anchor in headings) == ("docs/runbook.md", True), name


def test_the_page_lists_alerts_and_rules_as_they_are() -> None:
    """The page has every alert with its severity, and every recorded rule."""
    page = (ROOT / "docs/metrics.md").read_text()
    alerts = dict(re.findall(r"^\| (Syncer\w+) \| (\w+) \|", page, re.MULTILINE))
    assert alerts == {
        name: rule["labels"]["severity"]
        for name, rule in rules().items()
        if "alert" in rule
    }
    recorded = set(re.findall(r"`(syncer:[a-z0-9_:]+)`", page))
    assert recorded == {name for name in rules() if ":" in name}


def test_panels_lie_side_by_side() -> None:
    """Ids are unique, nothing overlaps or leaves the grid, all is explained."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        assert panel["type"] == "row" or panel["description"]
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_the_dashboard_asks_whom_it_is_told_to() -> None:
    """Every panel asks the chosen data source; the address of the page is stable."""
    board = json.loads(DASHBOARD.read_text())
    assert (board["uid"], board["id"]) == ("syncer-mirrors", None)
    assert board["__inputs"][0]["pluginId"] == "prometheus"
    variables = {each["name"] for each in board["templating"]["list"]}
    assert {"datasource", "job", "tier"} <= variables
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in board["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"] == chosen, panel["title"]
            assert all(target["datasource"] == chosen for target in panel["targets"])


def test_grafana_is_told_where_things_are() -> None:
    """What Grafana reads by itself names a directory and Prometheus."""
    place = ROOT / "deploy/grafana/provisioning"
    boards = yaml.safe_load((place / "dashboards/syncer.yaml").read_text())
    (provider,) = boards["providers"]
    assert provider["options"]["path"] == "/var/lib/syncer-dashboards"
    sources = yaml.safe_load((place / "datasources/syncer.yaml").read_text())
    (source,) = sources["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == scrape["global"]["scrape_interval"]


def test_a_sample_of_another_machine_needs_no_machine_row(those: Stage) -> None:
    """A machine that only told of its disk has a disk, and is not up or down."""
    those.operations.sampled(StorageSample(NOW, "nas", 10, 100, Usage()))
    shown = exposed(those)
    assert shown.get("syncer_store_free_bytes", machine="nas") == 10
    assert "nas" not in shown.all("syncer_machine_up")


def test_the_process_is_the_one_that_answers(seen: Exposed) -> None:
    """Its age is from its start, and it has files open."""
    assert seen.get("process_start_time_seconds") == NOW.timestamp()
    assert 0 < seen.get("process_open_fds") <= seen.get("process_max_fds")
    assert seen.get("process_cpu_seconds_total") > timedelta().total_seconds()
