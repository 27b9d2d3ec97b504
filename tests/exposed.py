"""Metrics as a reader of them sees them, and the files that go with them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from prometheus_client.parser import text_string_to_metric_families

from syncer.model.incidents import Incident, Kind
from syncer.model.lfs import LfsCounts
from syncer.model.machines import Machine, Role
from syncer.model.mirrors import Activity
from syncer.model.names import RepoName
from syncer.model.origin import Allowance, Standing
from syncer.model.releases import ReleaseCounts, ReleaseState
from syncer.model.runs import Outcome
from syncer.model.storage import StorageSample, Usage
from syncer.web.metrics import exposition
from tests.fakes import NOW
from tests.fakes_operations import FakeOperations
from tests.views import configured, stage

if TYPE_CHECKING:
    from tests.views import Stage

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = PROMETHEUS / "syncer.rules.yml"
RULE_TESTS = sorted(PROMETHEUS.glob("*.test.yml"))
DASHBOARD = ROOT / "deploy/grafana/dashboards/syncer.json"
MINUTE = timedelta(minutes=1)

#: What counters return in a catalog that has seen something.
COUNTED = {
    ("syncs", "changed"): 7.0,
    ("syncs", "interrupted"): 1.0,
    ("sync_seconds_bucket", "1"): 0.0,
    ("sync_seconds_bucket", "300"): 6.0,
    ("sync_seconds_bucket", "+Inf"): 7.0,
    ("sync_seconds_sum", ""): 321.5,
    ("sync_seconds_count", ""): 7.0,
    ("bytes", "git"): 5000.0,
    ("probes", "unchanged"): 90.0,
    ("force_pushes", ""): 3.0,
    ("mismatches", "blob"): 1.0,
    ("lag_seconds_bucket", "refs/60"): 2.0,
    ("lag_seconds_bucket", "refs/+Inf"): 4.0,
    ("lag_seconds_sum", "refs"): 200.0,
    ("lag_seconds_count", "refs"): 4.0,
}


class Sample(NamedTuple):
    """One number, and what it is of."""

    name: str
    labels: dict[str, str]
    value: float


class Exposed:
    """Metrics, parsed by the client's own parser."""

    def __init__(self, text: bytes) -> None:
        self.text = text.decode()
        self.samples = [
            Sample(each.name, dict(each.labels), each.value)
            for family in text_string_to_metric_families(self.text)
            for each in family.samples
        ]

    @property
    def types(self) -> dict[str, str]:
        """The type of each metric, by its name."""
        return dict(re.findall(r"^# TYPE (\S+) (\S+)$", self.text, re.MULTILINE))

    def get(self, name: str, **labels: str) -> float:
        """Return the one sample that has these labels."""
        (found,) = self.all(name, **labels).values()
        return found

    def all(self, name: str, **labels: str) -> dict[str, float]:
        """Return the samples that have these labels, by their remaining ones."""
        return {
            ",".join(v for k, v in sorted(each.labels.items()) if k not in labels): (
                each.value
            )
            for each in self.samples
            if each.name == name and labels.items() <= each.labels.items()
        }


class SummedOperations(FakeOperations):
    """What operators are told, with sums that no few mirrors have."""

    def counters(self) -> dict[tuple[str, str], float]:
        return dict(COUNTED)

    def usage(self) -> Usage:
        return Usage(git=5, lfs=30, assets=20, blobs=40)


def exposed(those: Stage) -> Exposed:
    """Return what a scrape of them shows."""
    return Exposed(exposition(those.view, those.clock.now()))


def _summed(those: Stage) -> Stage:
    operations = SummedOperations(those.catalog)
    view = replace(those.view, operations=operations)
    return replace(those, view=view, operations=operations)


def busy(place: Path) -> Stage:
    """Return what shows every metric: mirrors in many states, machines, a past."""
    names = ("a/fresh", "a/late", "a/partial", "a/paused", "a/gone", "a/moved")
    keys = f'[syncer.web]\ntoken_file = "{place}/token"\n'
    (place / "token").write_text("open sesame for readers")
    (place / "token").chmod(0o600)
    those = _summed(stage(configured(place, *names, keys=keys)))
    success = {
        "outcome": Outcome.UNCHANGED,
        "last_success": NOW - MINUTE,
        "releases": ReleaseState(checked=NOW - MINUTE),
    }
    for name in names:
        those.put(name, added=NOW - timedelta(days=9), size=1000, **success)
    those.put("a/late", behind_since=NOW - timedelta(hours=3))
    lacking = those.put("a/partial", lfs=LfsCounts(present=5, missing=2, size=50))
    counts = ReleaseCounts(present=3, damaged=1, size=30)
    releases = replace(lacking.releases, counts=counts)
    those.put("a/partial", releases=releases)
    those.put("a/paused", activity=Activity.PAUSED)
    gone = {"outcome": Outcome.GONE, "standing": Standing.GONE}
    those.put("a/gone", last_success=NOW - timedelta(days=4), **gone)
    those.put("a/moved", upstream=RepoName.parse("b/moved"))
    granted = Allowance("core", 5000, 4000, NOW + timedelta(minutes=20), True)  # noqa: FBT003 - a record's last field
    those.operations.seen(
        Machine(
            *("here", "1", (Role.SCHEDULER, Role.WORKER), NOW, NOW),
            leader=True,
            running=3,
            waiting=2,
            oldest=NOW - 5 * MINUTE,
            capacity=4,
            tick=0.125,
            allowances=(("github.com", granted),),
        )
    )
    for day in range(8):
        at = NOW - timedelta(days=7 - day)
        free = 800 - 50 * day
        those.operations.sampled(StorageSample(at, "other", free, 1000, Usage(git=1)))
    those.operations.begin([Incident(Kind.LATE, "a/late", NOW - MINUTE, "late")])
    return those


def rules() -> dict[str, dict[str, Any]]:
    """Return alerts and recording rules by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    return {rule.get("alert") or rule["record"]: rule for rule in found}


def expressions() -> list[str]:
    """Return what the dashboard asks for, its variables filled in."""
    filled = {
        "$__rate_interval": "2m",
        "$__range": "1d",
        "$job": "syncer",
        "$tier": ".*",
    }
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [t["expr"] for panel in panels for t in panel.get("targets", ())]
    for variable, value in filled.items():
        found = [each.replace(variable, value) for each in found]
    return found


def named(expression: str) -> set[str]:
    """Return the metrics and recorded rules that an expression names."""
    bare = re.sub(
        r'"[^"]*"|\{[^}]*\}|\b(?:by|without|on|ignoring) \([^)]*\)', "", expression
    )
    words = re.findall(r"[a-z][a-z0-9_:]*", bare)
    prefixes = ("syncer", "process_", "node_", "minio_")
    return {word for word in words if word.startswith(prefixes)}
