"""What happened is fed in here, piece by piece, and is kept as numbers.

Runs and changes of a long period need not be in memory together.  Nothing is asked
for here: whoever feeds it knows where things are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from syncer.model.incidents import Kind
from syncer.reports.breaches import SWITCHES, Witnesses, proven, recorded
from syncer.reports.period import Received
from syncer.reports.reasons import reason
from syncer.reports.spans import bucket_of, width_of
from syncer.reports.tallies import FAILED, Changes, Failures, Tally, brought
from syncer.schedule.lag import delay

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from syncer.model.incidents import Incident
    from syncer.model.runs import AuditEvent, LagSample, Outcome, SyncRun
    from syncer.reports.period import Scope
    from syncer.reports.spans import Span
    from syncer.schedule.lag import Freshness


class Gathering:
    """What was fed in so far, of the mirrors that are to be told of.

    `fresh` is how these are now.  Unless one tier was asked for, they are all that
    are configured, and what is of none of them counts in the sums, too.
    """

    def __init__(self, fresh: Sequence[Freshness], scope: Scope) -> None:
        self.fresh, self.scope = fresh, scope
        self.period = period = scope.period
        self.now = scope.now
        self.lag_width = width_of(period)
        self.bytes_width = width_of(period, days=True)
        self.all_runs = Tally()
        self.by_mirror: dict[int, Tally] = defaultdict(Tally)
        self.changes: dict[int, Changes] = defaultdict(Changes)
        self.by_tier: dict[str, Changes] = defaultdict(Changes)
        self.lag_course: dict[tuple[datetime, str], Changes] = defaultdict(Changes)
        self.bytes_course: dict[datetime, Received] = defaultdict(Received)
        self.reasons: dict[str, Failures] = {}
        self.drawn: Counter[str] = Counter()
        self.alarms: Counter[str] = Counter()
        self.troubles: list[Incident] = []
        self.integrity: Counter[int] = Counter()
        self._whole = scope.tier is None
        self._known = {each.state.id: each for each in fresh if each.state.id}
        self._ids = {each.state.name.short.lower(): each.state.id for each in fresh}
        self._late: dict[int, list[Span]] = defaultdict(list)
        self._switches: dict[int, list[tuple[datetime, str]]] = defaultdict(list)

    def runs(self, ended: Iterable[SyncRun]) -> None:
        """Feed runs that ended in the period."""
        for run in ended:
            counts = self._whole or run.mirror_id in self._known
            if counts and run.outcome is not None and run.ended is not None:
                self._run(run, run.outcome, run.ended)

    def _run(self, run: SyncRun, outcome: Outcome, ended: datetime) -> None:
        self.all_runs.add(run, outcome)
        self.by_mirror[run.mirror_id].add(run, outcome)
        received = brought(run)
        if received.total:
            self.bytes_course[bucket_of(ended, self.bytes_width)] += received
        if received.lfs:
            known = self._known.get(run.mirror_id)
            source = run.name if known is None else known.state.source
            self.drawn[f"{source.host}/{source.owner}"] += received.lfs
        if outcome in FAILED:
            text = reason(run.error, run.name)
            self.reasons.setdefault(text, Failures(run.name)).add(run.mirror_id)

    def lag(self, samples: Iterable[LagSample]) -> None:
        """Feed changes that were published in the period."""
        for sample in samples:
            known = self._known.get(sample.mirror_id)
            if known is not None:
                self._change(sample, known)

    def _change(self, sample: LagSample, known: Freshness) -> None:
        took, tier = delay(sample), known.state.tier
        in_time, seconds = took <= known.target, took.total_seconds()
        bucket = (bucket_of(sample.published, self.lag_width), tier)
        self.changes[sample.mirror_id].add(seconds, in_time=in_time)
        self.by_tier[tier].add(seconds, in_time=in_time)
        self.lag_course[bucket].add(seconds, in_time=in_time)
        if not in_time:
            self._late[sample.mirror_id].append(proven(sample, known.target))

    def incidents(self, known: Iterable[Incident]) -> None:
        """Feed incidents that lasted into the period, or began in it."""
        for incident in known:
            if incident.began < self.period.end and self._concerns(incident):
                self._incident(incident)

    def _incident(self, incident: Incident) -> None:
        if incident.kind is not Kind.LATE:
            self.troubles.append(incident)
        elif incident.mirror_id is not None:
            self._late[incident.mirror_id].append(recorded(incident, self.now))
        if incident.kind is Kind.INTEGRITY and self.period.has(incident.began):
            self.integrity[incident.mirror_id or 0] += 1

    def _concerns(self, incident: Incident) -> bool:
        """Return whether an incident is of whom we tell; a machine's always is."""
        mirror_id = incident.mirror_id
        return self._whole or mirror_id is None or mirror_id in self._known

    def events(self, told: Iterable[AuditEvent]) -> None:
        """Feed audit events from the beginning of the period until now."""
        for event in told:
            mirror_id = self._ids.get(event.subject.lower(), 0)
            if event.action in SWITCHES and mirror_id:
                self._switches[mirror_id].append((event.at, event.action))
            if event.alarming and self.period.has(event.at):
                self.alarms[event.action] += self._whole or mirror_id > 0

    def witnesses(self, mirror_id: int) -> Witnesses:
        """Return what is known of when a mirror was late, or paused."""
        return Witnesses(
            self._late.get(mirror_id, ()), self._switches.get(mirror_id, ())
        )
