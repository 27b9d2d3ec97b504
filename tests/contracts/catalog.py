"""What every catalog does, in memory or in a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from syncer.errors import Interrupted, PermanentError, UnknownMirror
from syncer.model.content import ChangeKind, Finding, Ref, RefChange, RefSnapshot
from syncer.model.lfs import LfsTally
from syncer.model.mirrors import Activity, Held, PushRate, RepoState
from syncer.model.names import RepoName
from syncer.model.runs import (
    AuditEvent,
    Intent,
    Outcome,
    Probe,
    ProbeResult,
    Receipt,
    Stage,
    SyncRun,
    Trigger,
)

if TYPE_CHECKING:
    from syncer.ports import Catalog

T0 = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GIT = RepoName.parse("git/git")
QWEN = RepoName.parse("QwenLM/Qwen-Image")
OID, OTHER = "a" * 40, "b" * 64
#: Latin-1 bytes, which no UTF-8 decoder takes.
LATIN = b"refs/heads/caf\xe9".decode("utf-8", "surrogateescape")
RECEIPT = Receipt(stamp="12:34:56", fingerprint="f" * 64, size=4096)
CHANGES = (
    RefChange("refs/heads/main", OID, OTHER, ChangeKind.REWOUND),
    RefChange(LATIN, None, OID, ChangeKind.CREATED),
    RefChange("refs/tags/v1 \N{SNOWMAN}", OID, None, ChangeKind.DELETED),
)
FINDINGS = (
    Finding(OID, "badTimezone", "invalid author/committer line"),
    Finding(OID, "zeroPaddedFilemode", "contains zero-padded file modes"),
)


def event(action: str, at: datetime = T0) -> AuditEvent:
    """Return an audit event of the tester."""
    return AuditEvent(at, "tester", action, "git/git", "why")


def added(catalog: Catalog, name: RepoName = GIT) -> RepoState:
    """Return the state of a mirror that is the only one configured."""
    catalog.reconcile([(name, "normal")], T0)
    return catalog.state(name)


def opened(
    catalog: Catalog, state: RepoState, started: datetime = T0, *, seen: bool = True
) -> SyncRun:
    """Return a run that has started, with the lag clock unless `seen` is false."""
    observed = started if seen else None
    run_id = catalog.open_run(state, Trigger.SCHEDULE, started, observed=observed)
    return SyncRun(run_id, state.id, state.name, Trigger.SCHEDULE, started)


def ended(run: SyncRun, outcome: Outcome, error: str | None = None) -> SyncRun:
    """Return the run as it is when it ends, two minutes later."""
    ended_ = run.started + 2 * MINUTE
    return replace(run, outcome=outcome, ended=ended_, error=error)


def intent_of(run: SyncRun, *, first: bool = False) -> Intent:
    """Return an intent of the run, with every field filled."""
    return Intent(
        run_id=run.id,
        mirror_id=run.mirror_id,
        old="0" * 64,
        beside="1" * 64,
        new="2" * 64,
        head=LATIN,
        changes=CHANGES,
        fingerprint="3" * 64,
        asked="symrefs peel refs/heads/",
        observed=run.started,
        probed=run.started,
        ref_count=7,
        first=first,
    )


def published(
    catalog: Catalog,
    state: RepoState,
    started: datetime = T0,
    *,
    first: bool = False,
    outcome: Outcome = Outcome.CHANGED,
) -> SyncRun:
    """Take a mirror through a whole run and return that."""
    run = opened(catalog, state, started)
    intent = intent_of(run, first=first)
    catalog.intend(intent)
    return catalog.finish(intent, RECEIPT, ended(run, outcome))


def hold(catalog: Catalog, state: RepoState, held: Held, at: datetime = T0) -> None:
    """Let a run end with the mirror held."""
    run = ended(opened(catalog, state, at), Outcome.HELD, held.reason)
    catalog.close_run(run, held=held)


class MirrorContract:
    """Which mirrors there are, and how unchanged probes are stored."""

    def test_what_is_configured_becomes_a_mirror(self, catalog: Catalog) -> None:
        """A new name is active, was never visited, and has its directory."""
        catalog.reconcile([(QWEN, "core"), (GIT, "normal")], T0)

        first, second = catalog.states()
        assert first == RepoState(
            first.id, GIT, "github.com/git/git.git", "normal", added=T0
        )
        assert (second.name, second.tier) == (QWEN, "core")
        assert catalog.state(QWEN) == second

    def test_states_come_sorted_by_the_bytes_of_the_name(
        self, catalog: Catalog
    ) -> None:
        """No locale decides: `-` and `.` sort before `/`."""
        texts = ["a/b", "a-b/c", "A/a", "a/b.c", "ghe.corp/x/y/z", "a_/b", "a1/b"]
        names = [RepoName.parse(text) for text in texts]

        catalog.reconcile([(name, "normal") for name in names], T0)

        assert [state.name.identity for state in catalog.states()] == sorted(
            name.identity for name in names
        )

    def test_an_unknown_name_is_an_error(self, catalog: Catalog) -> None:
        """Whatever is asked of a name without a row, the answer is the same."""
        for question in (
            lambda: catalog.state(GIT),
            lambda: catalog.runs(GIT, 1),
            lambda: catalog.ref_changes(GIT, 1),
            lambda: catalog.accept(GIT, event("accept"), oid=None),
            lambda: catalog.set_paused(GIT, event("pause"), paused=True),
            lambda: catalog.purge(GIT, event("purge")),
        ):
            with pytest.raises(UnknownMirror):
                question()
        assert catalog.audit_events(9) == []

    def test_what_is_not_configured_is_removed_but_kept(self, catalog: Catalog) -> None:
        """A removed mirror is not listed, its row stays, and it can come back."""
        state = added(catalog)
        published(catalog, state)
        catalog.reconcile([], T0)

        assert catalog.states() == []
        assert catalog.state(GIT).activity is Activity.REMOVED
        catalog.reconcile([(GIT, "core")], T0 + MINUTE)
        back = catalog.state(GIT)
        assert (back.id, back.tier, back.added) == (state.id, "core", T0)
        assert (back.activity, back.generation) == (Activity.ACTIVE, 1)

    def test_a_paused_mirror_stays_paused(self, catalog: Catalog) -> None:
        """Reading the configuration again does not resume it; `resume` does."""
        added(catalog)
        catalog.set_paused(GIT, event("pause"), paused=True)
        catalog.reconcile([(GIT, "core")], T0)

        assert catalog.state(GIT).activity is Activity.PAUSED
        catalog.set_paused(GIT, event("resume"), paused=False)
        assert catalog.state(GIT).activity is Activity.ACTIVE
        assert [e.action for e in catalog.audit_events(9)] == ["resume", "pause"]

    def test_a_removed_mirror_cannot_be_paused(self, catalog: Catalog) -> None:
        """Pausing it would bring it back as soon as it is resumed."""
        added(catalog)
        catalog.reconcile([], T0)

        with pytest.raises(PermanentError, match="no longer configured"):
            catalog.set_paused(GIT, event("pause"), paused=True)
        assert catalog.audit_events(9) == []

    def test_another_spelling_is_the_same_mirror(self, catalog: Catalog) -> None:
        """The name is shown as it is now written, the directory never moves."""
        state = added(catalog, QWEN)
        other = RepoName.parse("qwenlm/QWEN-image")
        catalog.reconcile([(other, "normal")], T0)

        assert catalog.states() == [replace(state, name=other)]

    def test_unchanged_probes_are_stored_together(self, catalog: Catalog) -> None:
        """A flush is what makes each of its mirrors fresh; others stay stale."""
        catalog.reconcile([(GIT, "normal"), (QWEN, "normal")], T0)
        git, qwen = catalog.states()
        catalog.flush_probes([])
        catalog.flush_probes(
            [ProbeResult(git.id, T0), ProbeResult(git.id, T0 + MINUTE)]
        )

        fresh = T0 + MINUTE
        assert catalog.states() == [
            replace(
                git, last_attempt=fresh, last_success=fresh, outcome=Outcome.UNCHANGED
            ),
            qwen,
        ]

    def test_a_probe_ends_a_failure(self, catalog: Catalog) -> None:
        """Failures, the error and upstream's wish to be left alone are over."""
        state = added(catalog)
        run = ended(opened(catalog, state), Outcome.FAILED, "no route")
        catalog.close_run(replace(run, retry_after=MINUTE))
        catalog.flush_probes([ProbeResult(state.id, T0 + MINUTE)])

        after = catalog.state(GIT)
        assert (after.failures, after.error, after.not_before) == (0, None, None)
        assert (after.outcome, after.behind_since) == (Outcome.UNCHANGED, None)

    def test_a_late_flush_takes_nothing_back(self, catalog: Catalog) -> None:
        """A probe that began before a later attempt only tells when we were equal."""
        state = added(catalog)
        later = T0 + 5 * MINUTE
        catalog.close_run(
            ended(opened(catalog, state, later), Outcome.FAILED, "no route")
        )
        before = catalog.state(GIT)
        catalog.flush_probes([ProbeResult(state.id, T0)])

        assert catalog.state(GIT) == replace(before, last_success=T0)
        catalog.flush_probes([ProbeResult(state.id, T0 - MINUTE)])
        assert catalog.state(GIT).last_success == T0

    def test_a_late_flush_does_not_stop_the_lag_clock(self, catalog: Catalog) -> None:
        """The change was seen after that probe began, so we are still behind."""
        state = added(catalog)
        opened(catalog, state, T0 + MINUTE)
        catalog.flush_probes([ProbeResult(state.id, T0)])

        assert catalog.state(GIT).behind_since == T0 + MINUTE

    @pytest.mark.parametrize("outcome", [Outcome.PARTIAL, Outcome.HELD])
    def test_a_probe_does_not_complete_a_mirror(
        self, catalog: Catalog, outcome: Outcome
    ) -> None:
        """What is missing or held stays so, however often upstream is unchanged."""
        state = added(catalog)
        published(catalog, state, outcome=outcome)
        catalog.flush_probes([ProbeResult(state.id, T0 + MINUTE)])

        assert catalog.state(GIT).outcome is outcome

    def test_maintenance_is_recorded(self, catalog: Catalog) -> None:
        """No packs have piled up, and the size is the new one."""
        state = added(catalog)
        published(catalog, state)
        catalog.maintained(state.id, T0 + MINUTE, 99)

        after = catalog.state(GIT)
        assert (after.packs, after.maintained, after.size) == (0, T0 + MINUTE, 99)

    def test_only_a_removed_mirror_is_purged(self, catalog: Catalog) -> None:
        """While it is configured, nothing of it is deleted."""
        published(catalog, added(catalog))

        with pytest.raises(PermanentError, match="still configured"):
            catalog.purge(GIT, event("purge"))
        assert len(catalog.ref_changes(GIT, 9)) == len(CHANGES)
        assert catalog.audit_events(9) == []

    def test_a_purged_mirror_leaves_its_audit_events_only(
        self, catalog: Catalog
    ) -> None:
        """Its rows go, those of others stay, and its id is not used again."""
        catalog.reconcile([(GIT, "normal"), (QWEN, "normal")], T0)
        git, qwen = catalog.states()
        for state in (git, qwen):
            published(catalog, state)
            run = ended(opened(catalog, state), Outcome.FAILED)
            catalog.close_run(replace(run, findings=FINDINGS))
            catalog.accept(state.name, event("accept"), oid=OID)
            catalog.intend(intent_of(opened(catalog, state)))
        catalog.reconcile([(QWEN, "normal")], T0)
        catalog.purge(GIT, event("purge"))

        with pytest.raises(UnknownMirror):
            catalog.state(GIT)
        assert {run.mirror_id for run in catalog.runs(None, 99)} == {qwen.id}
        assert [sample.mirror_id for sample in catalog.lag_samples(T0)] == [qwen.id]
        assert catalog.findings(git.id) == []
        assert catalog.accepted_objects(git.id) == []
        assert catalog.intent(git.id) is None
        assert catalog.audit_events(1) == [event("purge")]
        catalog.reconcile([(GIT, "normal"), (QWEN, "normal")], T0)
        assert catalog.state(GIT).id not in {git.id, qwen.id}


class RunContract:
    """How a run starts, and how one that publishes nothing ends."""

    def test_a_run_starts_open(self, catalog: Catalog) -> None:
        """It is listed as fetching, without an outcome."""
        state = added(catalog)
        run = opened(catalog, state)

        assert catalog.runs(GIT, 9) == [run.reached(Stage.FETCH)]
        assert catalog.run_trigger(run.id) is Trigger.SCHEDULE

    def test_a_run_that_never_was_has_no_trigger(self, catalog: Catalog) -> None:
        """Asking for it is an error, not a guess."""
        with pytest.raises(PermanentError):
            catalog.run_trigger(4711)

    def test_the_lag_clock_starts_once(self, catalog: Catalog) -> None:
        """It tells of the oldest unpublished change, not of the latest probe."""
        state = added(catalog)
        opened(catalog, state, T0)
        opened(catalog, state, T0 + MINUTE)

        assert catalog.state(GIT).behind_since == T0

    def test_a_run_that_saw_no_change_starts_no_clock(self, catalog: Catalog) -> None:
        """Without an observation we are not behind."""
        opened(catalog, added(catalog), seen=False)

        assert catalog.state(GIT).behind_since is None

    def test_a_failure_is_counted_and_kept(self, catalog: Catalog) -> None:
        """The mirror tells why, how often, and until when to wait."""
        state = added(catalog)
        for minutes in (0, 10):
            run = opened(catalog, state, T0 + minutes * MINUTE)
            run = replace(
                ended(run, Outcome.FAILED, "upstream answered 503"),
                stage=Stage.FETCH,
                hint="wait",
                exit_code=5,
                retry_after=timedelta(seconds=90, microseconds=5),
                counts={"moved": 2},
                objects=3,
                received=4,
                notes=("one", "two"),
                lfs=LfsTally(fetched=5, linked=6, missing=7, received=2**40),
            )
            catalog.close_run(run)

        after = catalog.state(GIT)
        assert catalog.runs(GIT, 1) == [run]
        assert (after.outcome, after.failures) == (Outcome.FAILED, 2)
        assert after.error == "upstream answered 503"
        assert after.last_attempt == run.started
        assert after.not_before == run.started + 2 * MINUTE + timedelta(
            seconds=90, microseconds=5
        )
        assert (after.behind_since, after.last_success) == (T0, None)

    def test_a_wish_to_be_left_alone_is_over_with_the_next_answer(
        self, catalog: Catalog
    ) -> None:
        """An upstream that fails without asking for patience gets the usual one."""
        state = added(catalog)
        run = ended(opened(catalog, state), Outcome.FAILED)
        catalog.close_run(replace(run, retry_after=MINUTE))
        catalog.close_run(ended(opened(catalog, state), Outcome.FAILED))

        assert catalog.state(GIT).not_before is None

    def test_a_run_that_was_never_opened_gets_its_row(self, catalog: Catalog) -> None:
        """A failed probe is a run as well."""
        state = added(catalog)
        run = SyncRun(0, state.id, GIT, Trigger.COMMAND, T0)
        catalog.close_run(ended(run, Outcome.FAILED, "no such host"))

        (stored,) = catalog.runs(GIT, 9)
        assert stored.id > 0
        assert replace(stored, id=0) == ended(run, Outcome.FAILED, "no such host")
        assert catalog.state(GIT).failures == 1

    def test_an_interrupted_run_changes_nothing_else(self, catalog: Catalog) -> None:
        """Upstream is not to blame, and the mirror is as due as before."""
        state = added(catalog)
        run = opened(catalog, state)
        before = catalog.state(GIT)
        run = replace(
            ended(run, Outcome.FAILED, "stopped"), exit_code=Interrupted.exit_code
        )
        catalog.close_run(run)

        assert catalog.state(GIT) == before
        assert catalog.runs(GIT, 9) == [run]

    def test_an_unchanged_run_ends_the_lag(self, catalog: Catalog) -> None:
        """We are equal as of its start, and nothing waits for a person."""
        state = added(catalog)
        hold(catalog, state, Held("12 refs are gone", T0))
        catalog.close_run(ended(opened(catalog, state, T0 + MINUTE), Outcome.UNCHANGED))

        after = catalog.state(GIT)
        assert after.outcome is Outcome.UNCHANGED
        assert after.last_success == after.last_attempt == T0 + MINUTE
        assert (after.behind_since, after.held, after.error) == (None, None, None)

    def test_a_held_mirror_keeps_the_reason(self, catalog: Catalog) -> None:
        """The names of lost refs survive, whatever bytes they have."""
        state = added(catalog)
        published(catalog, state)
        held = Held("2 refs are gone", T0, deletions=("refs/heads/a", LATIN))
        hold(catalog, state, held, T0 + MINUTE)

        after = catalog.state(GIT)
        assert after.held == held
        assert (after.outcome, after.error) == (Outcome.HELD, "2 refs are gone")
        assert (after.failures, after.behind_since) == (0, T0 + MINUTE)
        assert after.last_success == T0
        assert after.fingerprint is None

    def test_a_mirror_held_for_missing_objects_names_them(
        self, catalog: Catalog
    ) -> None:
        """They are what a person accepts to do without."""
        state = added(catalog)
        held = Held("2 LFS objects are missing", T0, missing=(OTHER, "c" * 64))
        hold(catalog, state, held)

        assert catalog.state(GIT).held == held
        accepted = replace(held, accepted=True)
        assert catalog.accept(GIT, event("accept"), oid=None) == accepted
        assert catalog.state(GIT).held == accepted

    @pytest.mark.parametrize("stage", Stage)
    def test_a_run_ends_at_any_stage(self, catalog: Catalog, stage: Stage) -> None:
        """The row tells how far it came."""
        run = opened(catalog, added(catalog)).reached(stage)
        catalog.close_run(ended(run, Outcome.FAILED, "stopped"))

        assert catalog.runs(GIT, 1)[0].stage is stage

    def test_a_hold_survives_a_failure(self, catalog: Catalog) -> None:
        """An upstream that is down for a moment does not release it."""
        state = added(catalog)
        held = Held("2 refs are gone", T0)
        hold(catalog, state, held)
        catalog.close_run(ended(opened(catalog, state), Outcome.FAILED, "down"))
        assert catalog.state(GIT).outcome is Outcome.FAILED
        catalog.flush_probes([ProbeResult(state.id, T0 + MINUTE)])

        after = catalog.state(GIT)
        assert (after.outcome, after.held) == (Outcome.HELD, held)

    def test_equal_refs_are_confirmed_without_a_run(self, catalog: Catalog) -> None:
        """From then on the digest counts, and the lag clock stands still."""
        state = added(catalog)
        published(catalog, state, first=True)
        hold(catalog, state, Held("12 refs are gone", T0), T0 + MINUTE)
        before = catalog.state(GIT)
        refs = RefSnapshot(
            {LATIN: Ref(OID), f"refs/syncer/keep/tags/{OID}": Ref(OID)}, LATIN
        )
        probe = Probe("4" * 64, "asked", T0 + 5 * MINUTE, lambda: refs)
        catalog.confirm(before, probe, "7:8:9", refs)

        assert catalog.state(GIT) == replace(
            before,
            fingerprint="4" * 64,
            asked="asked",
            stamp="7:8:9",
            head=LATIN,
            ref_count=1,
            outcome=Outcome.UNCHANGED,
            error=None,
            last_attempt=probe.started,
            last_success=probe.started,
            behind_since=None,
            held=None,
        )
        assert len(catalog.runs(GIT, 9)) == 2

    def test_a_dead_process_leaves_no_run_open(self, catalog: Catalog) -> None:
        """Its mirror's open runs are failed; those of other mirrors go on."""
        catalog.reconcile([(GIT, "normal"), (QWEN, "normal")], T0)
        state, other = (catalog.state(name) for name in (GIT, QWEN))
        dead = opened(catalog, state, T0)
        alive = opened(catalog, other, T0 + MINUTE)

        ended_at = T0 + MINUTE
        assert catalog.abandon_runs(state.id, ended_at, "the process died") == 1
        assert catalog.abandon_runs(state.id, ended_at, "the process died") == 0
        (younger,), (older,) = catalog.runs(QWEN, 9), catalog.runs(GIT, 9)
        assert younger == alive.reached(Stage.FETCH)
        assert (older.id, older.outcome) == (dead.id, Outcome.FAILED)
        assert (older.error, older.ended) == ("the process died", T0 + MINUTE)
        assert older.exit_code != 0

    def test_runs_come_newest_first(self, catalog: Catalog) -> None:
        """Of one mirror or of all, and no more than asked for."""
        catalog.reconcile([(GIT, "normal"), (QWEN, "normal")], T0)
        git, qwen = catalog.states()
        ids = [opened(catalog, state).id for state in (git, qwen, git)]

        assert [run.id for run in catalog.runs(None, 9)] == ids[::-1]
        assert [run.id for run in catalog.runs(GIT, 9)] == [ids[2], ids[0]]
        assert [run.id for run in catalog.runs(None, 1)] == [ids[2]]

    def test_any_text_can_be_recorded(self, catalog: Catalog) -> None:
        """NUL, broken UTF-8 and megabytes in an error do not lose the failure."""
        state = added(catalog)
        text = f"bad\0ref {LATIN} " + "x" * 1_000_000
        run = replace(ended(opened(catalog, state), Outcome.FAILED, text), hint=text)
        findings = (Finding(OID, "badName", text),)
        catalog.close_run(replace(run, notes=(text,), findings=findings))

        (stored,) = catalog.runs(GIT, 9)
        assert stored.error is not None
        assert stored.error.startswith("bad")
        assert stored.notes == (text,)
        assert catalog.findings(state.id)[0].text.startswith("bad")


class PublicationContract:
    """What stands between the intent and the finish row."""

    def test_an_intent_is_read_back_whole(self, catalog: Catalog) -> None:
        """Every field survives, the names of refs byte for byte."""
        state = added(catalog)
        run = opened(catalog, state)
        assert catalog.intent(state.id) is None
        intent = intent_of(run)
        catalog.intend(intent)

        assert catalog.intent(state.id) == intent
        assert catalog.runs(GIT, 1)[0].stage is Stage.PROMOTE

    def test_a_mirror_has_one_intent(self, catalog: Catalog) -> None:
        """The plan of the latest run is the one that counts."""
        state = added(catalog)
        catalog.intend(intent_of(opened(catalog, state)))
        second = replace(intent_of(opened(catalog, state)), beside=None, head=None)
        catalog.intend(second)

        assert catalog.intent(state.id) == second

    def test_finish_records_all_of_a_publication(self, catalog: Catalog) -> None:
        """State, run, changes, findings and lag sample tell the same story."""
        state = added(catalog)
        failed = opened(catalog, state, T0)
        catalog.close_run(ended(failed, Outcome.FAILED, "down"))
        run = opened(catalog, state, T0 + 5 * MINUTE)
        intent = intent_of(run)
        catalog.intend(intent)
        run = replace(
            ended(run, Outcome.CHANGED),
            counts={"created": 1},
            objects=5,
            received=6,
            findings=FINDINGS,
            notes=("HEAD moved",),
        )
        done = catalog.finish(intent, RECEIPT, run)

        assert done == replace(run, stage=Stage.RECORD, generation=1)
        assert catalog.runs(GIT, 1) == [replace(done, findings=())]
        assert catalog.intent(state.id) is None
        assert catalog.state(GIT) == replace(
            state,
            fingerprint=intent.fingerprint,
            asked=intent.asked,
            stamp=RECEIPT.stamp,
            head=LATIN,
            ref_count=7,
            generation=1,
            outcome=Outcome.CHANGED,
            last_attempt=run.started,
            last_success=intent.probed,
            last_change=intent.observed,
            rate=PushRate(1.0, 1.0, 1.0, intent.observed),
            packs=1,
            size=RECEIPT.size,
        )
        assert catalog.findings(state.id) == list(FINDINGS)
        (sample,) = catalog.lag_samples(T0)
        assert (sample.name, sample.component) == (GIT, "refs")
        assert (sample.observed, sample.published) == (T0, run.ended)
        assert sample.not_before is None

    def test_changes_come_newest_first(self, catalog: Catalog) -> None:
        """Each with its moment and generation, and no more than asked for."""
        state = added(catalog)
        first = published(catalog, state, T0)
        second = published(catalog, state, T0 + MINUTE)

        found = catalog.ref_changes(GIT, 99)
        assert found == [
            (run.ended, run.generation, change)
            for run in (second, first)
            for change in reversed(CHANGES)
        ]
        assert catalog.ref_changes(GIT, 2) == found[:2]

    def test_a_first_mirror_is_no_change(self, catalog: Catalog) -> None:
        """It is no push, its refs are not listed, and its pack needs no care."""
        state = added(catalog)
        published(catalog, state, first=True)

        after = catalog.state(GIT)
        assert catalog.ref_changes(GIT, 9) == []
        assert (after.rate, after.packs, after.generation) == (PushRate(), 0, 1)

    def test_pushes_are_counted_and_forgotten(self, catalog: Catalog) -> None:
        """A count falls by a factor e in its window, and each change adds one."""
        state = added(catalog)
        published(catalog, state, T0)
        published(catalog, state, T0 + timedelta(hours=1))

        rate = catalog.state(GIT).rate
        assert rate.hour == pytest.approx(1.367879, abs=1e-6)
        assert rate.day == pytest.approx(1.959189, abs=1e-6)
        assert rate.fortnight == pytest.approx(1.997028, abs=1e-6)
        assert rate.at == T0 + timedelta(hours=1)

    @pytest.mark.parametrize("outcome", [Outcome.PARTIAL, Outcome.HELD])
    def test_an_incomplete_publication_is_never_taken_for_equal(
        self, catalog: Catalog, outcome: Outcome
    ) -> None:
        """Its digest does not count, so the next probe looks again."""
        state = added(catalog)
        published(catalog, state)
        published(catalog, state, T0 + MINUTE, outcome=outcome)

        after = catalog.state(GIT)
        assert (after.fingerprint, after.outcome) == (None, outcome)
        assert after.generation == 2

    def test_finish_ends_a_hold(self, catalog: Catalog) -> None:
        """What was accepted is published, and nothing waits any more."""
        state = added(catalog)
        hold(catalog, state, Held("gone", T0))
        published(catalog, state, T0 + MINUTE)

        after = catalog.state(GIT)
        assert (after.held, after.behind_since, after.error) == (None, None, None)

    def test_the_lag_sample_brackets_the_change(self, catalog: Catalog) -> None:
        """It happened after the last probe that found us equal."""
        state = added(catalog)
        published(catalog, state, T0)
        catalog.flush_probes([ProbeResult(state.id, T0 + MINUTE)])
        run = published(catalog, state, T0 + 5 * MINUTE)

        assert run.ended is not None
        (sample,) = catalog.lag_samples(run.ended)
        assert sample.not_before == T0 + MINUTE
        assert len(catalog.lag_samples(T0)) == 2
        assert catalog.lag_samples(run.ended + MINUTE) == []
        assert catalog.published(run.ended) == [
            (state.id, sample.observed, sample.published)
        ]

    def test_finish_can_be_asked_twice(self, catalog: Catalog) -> None:
        """A caller who lost the answer asks again, and it is recorded once."""
        state = added(catalog)
        run = opened(catalog, state)
        intent = intent_of(run)
        catalog.intend(intent)
        run = ended(run, Outcome.CHANGED)

        assert catalog.finish(intent, RECEIPT, run) == catalog.finish(
            intent, RECEIPT, run
        )
        assert catalog.state(GIT).generation == 1
        assert len(catalog.ref_changes(GIT, 99)) == len(CHANGES)
        assert len(catalog.lag_samples(T0)) == 1

    def test_finish_needs_an_intent(self, catalog: Catalog) -> None:
        """A row that claims success is never written from nothing."""
        state = added(catalog)
        run = opened(catalog, state)

        with pytest.raises(PermanentError):
            catalog.finish(intent_of(run), RECEIPT, ended(run, Outcome.CHANGED))
        assert catalog.state(GIT).generation == 0

    def test_another_run_finishes_what_a_dead_one_intended(
        self, catalog: Catalog
    ) -> None:
        """The row of the dead run ends well, and keeps its start and trigger."""
        state = added(catalog)
        dead = opened(catalog, state)
        catalog.intend(intent_of(dead))
        catalog.abandon_runs(state.id, T0 + MINUTE, "the process died")
        intent = catalog.intent(state.id)
        assert intent is not None
        run = SyncRun(dead.id, state.id, GIT, Trigger.COMMAND, T0 + 9 * MINUTE)
        catalog.finish(intent, RECEIPT, ended(run, Outcome.CHANGED))

        (stored,) = catalog.runs(GIT, 9)
        assert (stored.outcome, stored.error) == (Outcome.CHANGED, None)
        assert (stored.started, stored.trigger) == (T0, Trigger.SCHEDULE)

    def test_a_forgotten_intent_leaves_a_failed_run(self, catalog: Catalog) -> None:
        """The mirror itself is as it was, and as due."""
        state = added(catalog)
        run = opened(catalog, state)
        before = catalog.state(GIT)
        catalog.intend(intent_of(run))
        catalog.forget(intent_of(run), T0 + MINUTE, "the refs stayed as before")

        (stored,) = catalog.runs(GIT, 9)
        assert catalog.intent(state.id) is None
        assert catalog.state(GIT) == before
        assert (stored.outcome, stored.ended) == (Outcome.FAILED, T0 + MINUTE)
        assert stored.error == "the refs stayed as before"

    def test_unfinished_mirrors_are_found(self, catalog: Catalog) -> None:
        """An open run or an open intent is unfinished business."""
        names = [RepoName.parse(f"a/{letter}") for letter in "abcd"]
        catalog.reconcile([(name, "normal") for name in names], T0)
        states = catalog.states()
        published(catalog, states[0])
        catalog.close_run(ended(opened(catalog, states[1]), Outcome.FAILED))
        opened(catalog, states[3], T0 + MINUTE)
        catalog.intend(intent_of(opened(catalog, states[2])))
        catalog.abandon_runs(states[2].id, T0 + MINUTE, "the process died")

        assert [state.name for state in catalog.unfinished()] == names[2:]

    def test_findings_are_kept_once(self, catalog: Catalog) -> None:
        """A finding that comes with every run is one finding of its mirror."""
        state = added(catalog)
        for findings in (FINDINGS[1:], FINDINGS + FINDINGS):
            run = ended(opened(catalog, state), Outcome.FAILED)
            catalog.close_run(replace(run, findings=findings))

        assert catalog.findings(state.id) == list(FINDINGS)
        assert catalog.findings(state.id + 1) == []


class RecordContract:
    """What a person accepts, what is audited, and what hosts can do."""

    def test_accepting_marks_what_is_held(self, catalog: Catalog) -> None:
        """The hold stays, with what was accepted of it, until it is published."""
        state = added(catalog)
        held = Held("2 refs are gone", T0, deletions=(LATIN,))
        hold(catalog, state, held)
        before = catalog.state(GIT)

        accepted = replace(held, accepted=True)
        assert catalog.accept(GIT, event("accept"), oid=None) == accepted
        assert catalog.state(GIT) == replace(before, held=accepted)
        assert catalog.accepted_objects(state.id) == []
        assert catalog.audit_events(9) == [event("accept")]

    def test_accepting_needs_something_held(self, catalog: Catalog) -> None:
        """Otherwise it would accept whatever comes next."""
        added(catalog)

        with pytest.raises(PermanentError, match="nothing"):
            catalog.accept(GIT, event("accept"), oid=None)
        assert catalog.audit_events(9) == []

    @pytest.mark.parametrize("oid", [OID, None])
    def test_a_held_object_is_accepted(self, catalog: Catalog, oid: str | None) -> None:
        """By name or as what is held; either way it may then be published."""
        state = added(catalog)
        hold(catalog, state, Held("fsck refuses it", T0, oid=OID))
        catalog.accept(GIT, event("accept"), oid=oid)
        catalog.accept(GIT, event("accept"), oid=oid)

        held = catalog.state(GIT).held
        assert held is not None
        assert held.accepted
        assert catalog.accepted_objects(state.id) == [OID]

    def test_an_object_can_be_accepted_beforehand(self, catalog: Catalog) -> None:
        """It releases nothing else."""
        state = added(catalog)
        held = Held("2 refs are gone", T0)
        hold(catalog, state, held)

        told = catalog.accept(GIT, event("accept"), oid=OTHER)
        assert (told.oid, told.accepted) == (OTHER, True)
        assert catalog.state(GIT).held == held
        assert catalog.accepted_objects(state.id) == [OTHER]

    def test_audit_events_come_newest_first(self, catalog: Catalog) -> None:
        """In the order they were told, and no more than asked for."""
        events = [event(action) for action in ("init", "add", "sync")]
        for each in events:
            catalog.audit(each)

        assert catalog.audit_events(9) == events[::-1]
        assert catalog.audit_events(1) == events[2:]

    def test_what_a_host_can_do_is_kept(self, catalog: Catalog) -> None:
        """The latest answer of each host, as it was written."""
        catalog.store_capabilities("github.com", "{}", T0)
        catalog.store_capabilities("ghe.corp", '{"fetch": "shallow"}', T0)
        catalog.store_capabilities("github.com", '{"ls-refs": ""}', T0 + MINUTE)

        assert catalog.host_capabilities() == {
            "github.com": '{"ls-refs": ""}',
            "ghe.corp": '{"fetch": "shallow"}',
        }

    def test_instants_come_back_in_utc(self, catalog: Catalog) -> None:
        """To the microsecond, whatever zone they were given in."""
        abroad = T0.astimezone(timezone(timedelta(hours=5, minutes=45)))
        catalog.audit(event("add", abroad))
        catalog.reconcile([(GIT, "normal")], abroad)

        (stored,) = catalog.audit_events(1)
        assert stored.at == T0
        assert catalog.state(GIT).added == T0


class CatalogContract(MirrorContract, RunContract, PublicationContract, RecordContract):
    """Every catalog must pass; subclass it and provide a `catalog` fixture."""
