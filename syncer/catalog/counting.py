"""What metrics count of runs, probes and lag: pure functions, as `transitions` are.

They know no SQL.  A counter is named (name, label):

    syncs                how runs ended: an outcome's word, "interrupted" or "locked"
    sync_seconds_bucket  runs by how long they took, "300": at most 5 minutes, ...,
                         "+Inf": all
    sync_seconds_sum     seconds that runs took
    sync_seconds_count   runs whose length is known: those that ended by themselves
    bytes                received: "git", "lfs", "assets"
    probes               "unchanged", "changed": a run followed, "failed"
    force_pushes         refs that upstream rewound
    mismatches           "blob": one was found lost or wrong, "run": a run ended since
                         what it got was not what it should be
    lag_seconds_bucket   changes by the time from seeing to publishing them: "refs/300"
    lag_seconds_sum      "refs" or "releases", likewise
    lag_seconds_count
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

from syncer.catalog import transitions
from syncer.errors import IntegrityError, Interrupted, Locked
from syncer.model.content import ChangeKind
from syncer.model.runs import Outcome, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from syncer.model.runs import LagSample, SyncRun

#: Amounts by (name, label).
Amounts: TypeAlias = "dict[tuple[str, str], float]"

#: Upper bounds of buckets, in seconds.
BOUNDS = (1, 5, 15, 60, 300, 900, 3600, 21_600)
_ALL = "+Inf"
_BUCKETS = (*map(str, BOUNDS), _ALL)
_NO_OUTCOME = {Interrupted.exit_code: "interrupted", Locked.exit_code: "locked"}
#: A blob that was found lost or wrong.
DAMAGE: Amounts = {("mismatches", "blob"): 1}


def flushed(probes: int) -> Amounts:
    """Return what unchanged probes count."""
    return {("probes", "unchanged"): probes}


def abandoned(runs: int) -> Amounts:
    """Return what runs count whose process died: how long they took nobody knows."""
    return {("syncs", Outcome.FAILED.value): runs}


def ended(run: SyncRun, samples: Iterable[LagSample] = ()) -> Amounts:
    """Return what the end of a run counts, with the changes it published."""
    took = max(0.0, (transitions.ended(run) - run.started).total_seconds())
    word = _NO_OUTCOME.get(run.exit_code) or (run.outcome or Outcome.FAILED).value
    amounts: Amounts = {
        ("syncs", word): 1,
        ("sync_seconds_sum", ""): took,
        ("sync_seconds_bucket", _bucket(took)): 1,
        ("bytes", "git"): run.received,
        ("bytes", "lfs"): run.lfs.received,
        ("bytes", "assets"): run.releases.received,
        ("force_pushes", ""): run.counts.get(ChangeKind.REWOUND, 0),
        ("mismatches", "run"): int(run.exit_code == IntegrityError.exit_code),
        ("probes", _probe(run)): 1,
    }
    for each in samples:
        took = max(0.0, (each.published - each.observed).total_seconds())
        amounts["lag_seconds_sum", each.component] = took
        amounts["lag_seconds_bucket", f"{each.component}/{_bucket(took)}"] = 1
    return {key: amount for key, amount in amounts.items() if amount}


def _probe(run: SyncRun) -> str:
    """Return what the probe before a run found."""
    if run.stage is not Stage.PROBE:
        return "changed"
    return "failed" if run.outcome is Outcome.FAILED else "unchanged"


def _bucket(seconds: float) -> str:
    """Return the first bucket that has room for a duration."""
    return next((str(bound) for bound in BOUNDS if seconds <= bound), _ALL)


def cumulated(stored: Mapping[tuple[str, str], float]) -> Amounts:
    """Return counters as they are told: each bucket has those below it, too.

    Stored is how many fell into each, which is one row to change instead of nine.
    The number of all is that of the last bucket.
    """
    told: Amounts = {}
    histograms: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for (name, label), value in stored.items():
        stem, _, kind = name.rpartition("_")
        if kind == "bucket":
            series, slash, bound = label.rpartition("/")
            histograms[stem, series + slash][bound] = value
        else:
            told[name, label] = value
    for (stem, series), buckets in histograms.items():
        total = 0.0
        for bound in _BUCKETS:
            total += buckets.get(bound, 0)
            told[f"{stem}_bucket", series + bound] = total
        told[f"{stem}_count", series.rstrip("/")] = total
    return told
