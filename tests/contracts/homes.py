"""What every catalog does where several machines work: one home for each mirror."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from syncer.errors import Locked
from syncer.model.content import RefSnapshot
from syncer.model.releases import ReleaseChanges
from syncer.model.runs import Outcome, Probe, ProbeResult, Trigger
from tests.contracts.catalog import (
    GIT,
    MINUTE,
    QWEN,
    RECEIPT,
    T0,
    ended,
    event,
    intent_of,
    opened,
    published,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.model.mirrors import RepoState
    from syncer.model.runs import SyncRun
    from syncer.ports import Catalog

    On = Callable[[str | None], Catalog]

PROBE = Probe("d" * 64, "asked", T0, RefSnapshot)


def kept(on: On, home: str = "a") -> RepoState:
    """Return the state of a mirror that lives on a machine."""
    catalog = on(home)
    catalog.reconcile([(GIT, "normal")], T0, {GIT.identity: home})
    return catalog.state(GIT)


class HomeContract:
    """One machine keeps a mirror, and nobody else records anything of it."""

    def test_a_new_mirror_goes_where_it_is_wanted(self, on: On) -> None:
        """The configuration says where; the others have no home yet."""
        catalog = on("a")
        wanted = [(GIT, "normal"), (QWEN, "normal")]
        catalog.reconcile(wanted, T0, {GIT.identity: "b"})
        assert catalog.state(GIT).home == "b"
        assert catalog.state(QWEN).home is None

    def test_one_without_a_home_gets_it_from_the_configuration(self, on: On) -> None:
        """It may be listed before anybody says where it goes."""
        catalog = on("a")
        catalog.reconcile([(GIT, "normal")], T0)
        catalog.reconcile([(GIT, "normal")], T0, {GIT.identity: "b"})
        assert catalog.state(GIT).home == "b"

    def test_the_configuration_moves_no_mirror(self, on: On) -> None:
        """What lies on one machine would be left there."""
        state = kept(on, "a")
        on("a").reconcile([(GIT, "core")], T0, {GIT.identity: "b"})
        assert on("a").state(GIT) == replace(state, tier="core")

    def test_the_configuration_places_none_that_lies_somewhere(self, on: On) -> None:
        """It was mirrored when one machine worked: that one has to say so."""
        alone = on(None)
        alone.reconcile([(GIT, "normal")], T0)
        published(alone, alone.state(GIT), first=True)
        on("b").reconcile([(GIT, "normal")], T0, {GIT.identity: "b"})
        assert on("b").state(GIT).home is None

    def test_placing_moves_no_mirror(self, on: On) -> None:
        """Two schedulers may place the same one: the first counts."""
        catalog = on("a")
        catalog.reconcile([(GIT, "normal"), (QWEN, "normal")], T0)
        git, qwen = catalog.state(GIT), catalog.state(QWEN)
        catalog.place({git.id: "a"})
        catalog.place({git.id: "b", qwen.id: "b"})
        catalog.place({})
        assert catalog.state(GIT).home == "a"
        assert catalog.state(QWEN).home == "b"

    def test_a_run_says_where_it_took_place(self, on: On) -> None:
        """Whether it published, or failed before it was opened."""
        state = kept(on, "a")
        done = published(on("a"), state)
        assert done.machine == "a"
        on("a").close_run(ended(replace(done, id=0), Outcome.FAILED, "why"))
        assert [run.machine for run in on("b").runs(GIT, 5)] == ["a", "a"]

    def test_where_one_machine_works_runs_name_none(self, on: On) -> None:
        """The embedded default has no machines."""
        alone = on(None)
        alone.reconcile([(GIT, "normal")], T0)
        published(alone, alone.state(GIT))
        assert [run.machine for run in alone.runs(GIT, 5)] == [None]

    @pytest.mark.parametrize("machine", ["b", None])
    def test_nobody_else_opens_a_run(self, on: On, machine: str | None) -> None:
        """Neither another machine, nor one that does not say which it is."""
        state = kept(on, "a")
        with pytest.raises(Locked, match="kept by the machine a"):
            opened(on(machine), state)
        run = replace(published(on("a"), state), id=0)
        with pytest.raises(Locked, match="kept by the machine a"):
            on(machine).close_run(ended(run, Outcome.FAILED, "why"))
        assert len(on("a").runs(GIT, 9)) == 1
        assert on("a").state(GIT).failures == 0

    def test_nobody_works_on_what_has_no_home(self, on: On) -> None:
        """Two machines might do so at once."""
        on("a").reconcile([(GIT, "normal")], T0)
        with pytest.raises(Locked, match="no machine keeps"):
            opened(on("a"), on("a").state(GIT))

    @pytest.mark.parametrize(
        "late", ["intend", "finish", "close_run", "publish_releases", "confirm"]
    )
    def test_a_worker_that_slept_through_a_move_records_nothing(
        self, on: On, late: str
    ) -> None:
        """It had opened its run, and wakes up after the mirror has moved."""
        state = kept(on, "a")
        slow = on("a")
        run = opened(slow, state)
        intent = intent_of(run)
        if late == "finish":
            slow.intend(intent)
        slow.rehome(state, "b", event("rehome"), stamp="9:8:7")
        before = on("b").state(GIT)
        with pytest.raises(Locked, match="kept by the machine b"):
            self._late(slow, late, state, run)
        assert on("b").state(GIT) == before
        assert on("b").runs(GIT, 1)[0].outcome is None

    @staticmethod
    def _late(slow: Catalog, late: str, state: RepoState, run: SyncRun) -> None:
        done = ended(run, Outcome.CHANGED)
        match late:
            case "intend":
                slow.intend(intent_of(run))
            case "finish":
                slow.finish(intent_of(run), RECEIPT, done)
            case "close_run":
                slow.close_run(done)
            case "confirm":
                slow.confirm(state, PROBE, "1:2:3", RefSnapshot())
            case _:
                slow.publish_releases(done, ReleaseChanges(()), ())

    def test_probes_of_before_a_move_are_left_out(self, on: On) -> None:
        """They were true of a repository that is elsewhere now; others count."""
        state = kept(on, "a")
        on("a").reconcile([(GIT, "normal"), (QWEN, "normal")], T0, {QWEN.identity: "a"})
        other = on("a").state(QWEN)
        on("a").rehome(state, "b", event("rehome"), stamp=None)
        on("a").flush_probes([ProbeResult(state.id, T0), ProbeResult(other.id, T0)])
        assert on("a").state(GIT).last_success is None
        assert on("a").state(QWEN).last_success == T0

    def test_each_machine_settles_its_own_runs(self, on: On) -> None:
        """What is open elsewhere may well be at work there."""
        state = kept(on, "a")
        run = opened(on("a"), state)
        on("a").intend(intent_of(run))
        assert on("b").unfinished() == []
        assert on(None).unfinished() == []
        assert [each.name for each in on("a").unfinished()] == [GIT]
        for attempt in (
            lambda: on("b").forget(intent_of(run), T0, "why"),
            lambda: on("b").abandon_runs(state.id, T0, "why"),
            lambda: on("b").maintained(state.id, T0, 5),
        ):
            with pytest.raises(Locked, match="kept by the machine a"):
                attempt()
        assert on("a").intent(state.id) is not None

    def test_a_move_is_told_and_keeps_what_is_known(self, on: On) -> None:
        """Only where it lies, and which file that is, is another."""
        state = kept(on, "a")
        published(on("a"), state)
        state = on("a").state(GIT)
        on("b").rehome(state, "b", event("rehome"), stamp="9:8:7")
        assert on("b").state(GIT) == replace(state, home="b", stamp="9:8:7")
        assert [each.action for each in on("b").audit_events(1)] == ["rehome"]
        assert published(on("b"), on("b").state(GIT), T0 + MINUTE).generation == 2

    def test_a_move_without_a_copy_begins_anew(self, on: On) -> None:
        """Nothing of the old repository counts; the generations go on."""
        state = kept(on, "a")
        published(on("a"), state)
        on("b").rehome(on("a").state(GIT), "b", event("rehome"), stamp=None)
        anew = on("b").state(GIT)
        assert anew.home == "b"
        assert anew.generation == 1
        assert (anew.fingerprint, anew.asked, anew.stamp, anew.head) == (None,) * 4
        assert (anew.last_attempt, anew.last_success, anew.outcome) == (None,) * 3
        assert (anew.ref_count, anew.size, anew.packs) == (0, 0, 0)

    def test_a_move_of_what_changed_since_is_refused(self, on: On) -> None:
        """What was copied is not what is published by now."""
        state = kept(on, "a")
        published(on("a"), state)
        with pytest.raises(Locked, match="changed meanwhile"):
            on("b").rehome(state, "b", event("rehome"), stamp="9:8:7")
        assert on("a").state(GIT).home == "a"
        assert on("a").audit_events(5) == []

    def test_two_moves_at_once_end_in_one_home(self, on: On) -> None:
        """The second one finds that it is elsewhere already."""
        state = kept(on, "a")
        on("b").rehome(state, "b", event("rehome"), stamp="9:8:7")
        with pytest.raises(Locked, match="changed meanwhile"):
            on("c").rehome(state, "c", event("rehome"), stamp="7:8:9")
        assert on("c").state(GIT).home == "b"

    def test_only_the_home_removes_a_mirror_for_good(self, on: On) -> None:
        """Elsewhere there is nothing to remove, and the rest would be forgotten."""
        kept(on, "a")
        on("a").reconcile([], T0)
        with pytest.raises(Locked, match="kept by the machine a"):
            on("b").purge(GIT, event("purge"))
        on("a").purge(GIT, event("purge"))

    def test_anybody_pauses_a_mirror(self, on: On) -> None:
        """A decision of people needs no repository."""
        kept(on, "a")
        on("b").set_paused(GIT, event("pause"), paused=True)
        assert opened(on("a"), on("a").state(GIT)).trigger is Trigger.SCHEDULE
