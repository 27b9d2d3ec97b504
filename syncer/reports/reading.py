"""What a report tells of is read from the catalog, a day at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.reports import growth
from syncer.reports.gathering import Gathering
from syncer.reports.spans import slices
from syncer.reports.summary import report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.ports import Operations
    from syncer.reports.period import Report, Scope
    from syncer.schedule.lag import Freshness

#: Runs and changes of so long are in memory together.
_PART = timedelta(days=1)


def read(
    operations: Operations,
    fresh: Sequence[Freshness],
    scope: Scope,
    *,
    min_free: float,
) -> Report:
    """Return the report of a period for mirrors that are so fresh now.

    `fresh` are all that are configured, or those of the one tier; `min_free` is
    the floor of free space, a share below 1, else bytes.
    """
    period = scope.period
    gathered = Gathering(fresh, scope)
    gathered.incidents(operations.incidents(period.begin))
    # Until now, not only until its end: pauses are reckoned back from how it is now.
    gathered.events(operations.events_between(period.begin))
    for part in slices(period, _PART):
        gathered.runs(operations.runs_between(part.begin, part.end))
        gathered.lag(operations.lag_between(part.begin, part.end))
    samples = operations.storage(min(period.begin, scope.now - growth.WINDOW))
    return report(gathered, samples, operations.usage(), min_free)
