"""How soon pushes are seen: the real scheduler in simulated time, and two others.

    pushes (bench/pushes.py, or a file) ──> 2,000 mirrors, one probe budget
       `schedule.due.decide`, asked every two simulated minutes ──┐
       a fixed interval ─────────────────────────────────────┼──> lag of every push
       half the age of the last push, at most a cap ─────────┘

The lag of a push is the time to the first probe after it.  All three have the same
number of probes: the budget is a fixed interval's, and the cap of "half the age" is
searched for until it needs as many.  The first fortnight only fills what the policies
remember; it is not counted.

    python -m bench.lag [--mirrors N] [--days N] [--pushes FILE] [--plot FILE] [--json]
"""

from __future__ import annotations

import argparse
import heapq
import sys
from bisect import bisect_left, bisect_right
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench.harness import Bar, report
from bench.lag_plot import Curve, curves
from bench.pushes import DAY, generated, read
from syncer.model.mirrors import PushRate, RepoState
from syncer.model.names import RepoName
from syncer.schedule.due import decide
from syncer.schedule.rate import FLOOR
from syncer.settings import Tier

SEED = 20_26
#: Seconds that a policy is shown pushes before they count.
WARM = 14 * DAY
#: Simulated seconds between two questions to the scheduler.
STEP = 120.0
#: The rule of Sourcegraph's repo-updater asks at most so often.
HALF_AGE_LEAST = 45.0
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HOST = "github.com"


class Setting(NamedTuple):
    """A budget, as the interval of somebody who asks all alike, and our cap."""

    interval: float
    cap: float


SETTINGS = (Setting(3600, 2 * 3600), Setting(900, 1800))


class Seen(NamedTuple):
    """What a policy reached: the sorted lags in seconds, and the probes it took."""

    name: str
    lags: list[float]
    probes: int

    def at(self, share: float) -> float:
        """Return the lag that `share` of the pushes do not exceed, in minutes."""
        place = min(len(self.lags) - 1, int(share * len(self.lags)))
        return self.lags[place] / 60


def main() -> int:
    """Simulate, print the table and the verdicts, draw the plot."""
    options = _options()
    if options.pushes is None:
        histories = generated(options.mirrors, options.days + WARM / DAY, SEED)
    else:
        histories = read(options.pushes)
    end = WARM + options.days * DAY
    bars: list[Bar] = []
    drawn: list[Curve] = []
    facts: dict[str, object] = {
        "mirrors": len(histories),
        "days": options.days,
        "pushes": sum(len(_counted(p, end)) for p in histories),
    }
    for setting in SETTINGS:
        rows = _compared(histories, setting, end)
        _print(setting, rows, len(histories) * options.days)
        bars += _bars(setting, rows)
        named = f"{setting.interval / 60:.0f} min"
        drawn += [Curve(f"{row.name}, {named}", row.lags) for row in rows]
        facts |= {
            f"{row.name}, {named}": [round(row.at(s), 1) for s in (0.5, 0.9, 0.99)]
            for row in rows
        }
    options.plot.write_text(curves("Lag of pushes", drawn), encoding="utf-8")
    print(f"plot: {options.plot}", file=sys.stderr)
    return report("lag", bars, facts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mirrors", type=int, default=2000)
    parser.add_argument("--days", type=float, default=5.0)
    parser.add_argument("--pushes", type=Path, help="a file of real push times")
    parser.add_argument("--plot", type=Path, default=Path("bench-lag.svg"))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _compared(histories: list[list[float]], setting: Setting, end: float) -> list[Seen]:
    ours = _ours(histories, setting, end)
    span = (end - WARM) * len(histories)
    # The same number of probes as ours took, not as it was allowed.
    fixed = _fixed(histories, span / ours.probes, end)
    return [fixed, _half_age_with(histories, ours.probes, end), ours]


def _counted(pushes: list[float], end: float) -> list[float]:
    return pushes[bisect_left(pushes, WARM) : bisect_left(pushes, end)]


def _fixed(histories: list[list[float]], interval: float, end: float) -> Seen:
    random = Random(SEED)  # noqa: S311 - phases, no secret
    lags, probes = [], 0
    for pushes in histories:
        phase = random.random() * interval
        lags += [(phase - push) % interval for push in _counted(pushes, end)]
        probes += round((end - WARM) / interval)
    return Seen("fixed interval", sorted(lags), probes)


def _half_age_with(histories: list[list[float]], probes: int, end: float) -> Seen:
    """Return the rule with the cap at which it needs so many probes."""
    low, high = HALF_AGE_LEAST, 10 * DAY
    seen = _half_age(histories, high, end)
    for _ in range(12):
        cap = (low * high) ** 0.5
        seen = _half_age(histories, cap, end)
        if abs(seen.probes - probes) <= 0.005 * probes:
            break
        low, high = (cap, high) if seen.probes > probes else (low, cap)
    return seen


def _half_age(histories: list[list[float]], cap: float, end: float) -> Seen:
    lags, probes = [], 0
    for pushes in histories:
        now = WARM / 2
        known = bisect_right(pushes, now)
        while now < end:
            found = bisect_right(pushes, now, lo=known)
            lags += [now - push for push in pushes[known:found] if WARM <= push < end]
            known = found
            probes += now >= WARM
            last = pushes[known - 1] if known else 0.0
            now += min(max((now - last) / 2, HALF_AGE_LEAST), cap)
    return Seen("half the age", sorted(lags), probes)


def _ours(histories: list[list[float]], setting: Setting, end: float) -> Seen:
    """Ask the daemon's own scheduler all the time, and probe when it says."""
    tiers = {
        "bench": Tier(interval=timedelta(seconds=setting.cap), target=timedelta(1))
    }
    budgets = {HOST: len(histories) / setting.interval}
    states = [_warmed(n, pushes) for n, pushes in enumerate(histories)]
    known = [bisect_right(pushes, WARM) for pushes in histories]
    lags: list[float] = []
    probes, now = 0, WARM
    while now < end:
        decisions = decide(states, tiers, budgets, _instant(now))
        soon = [
            (max(now, (d.at - EPOCH).total_seconds()), d.state.id, d.interval)
            for d in decisions
            if d.at is not None and d.at <= _instant(now + STEP)
        ]
        heapq.heapify(soon)
        while soon:
            at, n, interval = heapq.heappop(soon)
            pushes = histories[n]
            found = bisect_right(pushes, at, lo=known[n])
            lags += [at - push for push in pushes[known[n] : found] if push < end]
            states[n] = _probed(states[n], at, changed=found > known[n])
            known[n] = found
            probes += 1
            following = at + max(interval.total_seconds(), FLOOR)
            if following < now + STEP:
                heapq.heappush(soon, (following, n, interval))
        now += STEP
    return Seen("syncer", sorted(lags), probes)


def _warmed(n: int, pushes: list[float]) -> RepoState:
    """Return a mirror whose pushes of the first fortnight were all seen."""
    name = RepoName(HOST, "bench", f"r{n}")
    rate = PushRate()
    for push in pushes[: bisect_right(pushes, WARM)]:
        rate = rate.bumped(_instant(push))
    # As if it had been asked at any moment of the hour before.
    last = _instant(WARM - Random(n).random() * 3600)  # noqa: S311 - a phase
    return RepoState(
        n, name, name.path, "bench", last_attempt=last, last_success=last, rate=rate
    )


def _probed(state: RepoState, at: float, *, changed: bool) -> RepoState:
    when = _instant(at)
    rate = state.rate.bumped(when) if changed else state.rate
    return replace(state, last_attempt=when, last_success=when, rate=rate)


def _instant(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def _print(setting: Setting, rows: list[Seen], mirror_days: float) -> None:
    print(
        f"\nas many probes as every {setting.interval / 60:.0f} min;"
        f" our longest interval {setting.cap / 60:.0f} min",
        file=sys.stderr,
    )
    print("policy          probes/day   median     p90     p99  (min)", file=sys.stderr)
    for row in rows:
        shares = "".join(f"{row.at(share):8.1f}" for share in (0.5, 0.9, 0.99))
        each = row.probes / mirror_days
        print(f"{row.name:16}{each:10.1f} {shares}", file=sys.stderr)


def _bars(setting: Setting, rows: list[Seen]) -> list[Bar]:
    fixed, half, ours = rows
    named = f"every {setting.interval / 60:.0f} min"

    def at_most(name: str, value: float, bar: float) -> Bar:
        return Bar(f"{name}, {named}", value, bar, at_least=False)

    return [
        at_most("median / fixed interval's", ours.at(0.5) / fixed.at(0.5), 0.5),
        at_most("median / half-age's", ours.at(0.5) / half.at(0.5), 0.75),
        at_most("p99 / longest interval", ours.at(0.99) * 60 / setting.cap, 1.0),
        at_most("probes / half-age's", ours.probes / half.probes, 1.01),
    ]


if __name__ == "__main__":
    sys.exit(main())
