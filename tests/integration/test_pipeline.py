"""One run, step by step: what it does in which order, and what failure leaves."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

import pytest

from syncer.errors import (
    CatalogBusy,
    IntegrityError,
    Interrupted,
    NoSpace,
    NotFound,
    RateLimited,
    SyncerError,
    Unavailable,
)
from syncer.model.content import DEFAULT_SCOPE, Ref, RefSnapshot
from syncer.model.mirrors import Selection
from syncer.model.names import RepoName
from syncer.model.runs import AuditEvent, Outcome, Stage, SyncRun, Trigger
from syncer.sync.pipeline import Pipeline
from syncer.sync.world import World
from tests.fakes import NOW, FakeClock, FakeProbeLog, Watched
from tests.fakes_catalog import FakeCatalog
from tests.fakes_forge import FakeForge
from tests.fakes_git import FakeGitStore, FakeUpstream, lives
from tests.fakes_lfs import FakeLfs
from tests.sandbox import Sandbox
from tests.unasked import unasked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from syncer.model.mirrors import RepoState
    from tests.servers.git_http import GitServer

NAME = RepoName("upstream.test", "acme", "widget")
MAIN = "refs/heads/main"


class Killed(BaseException):
    """The process ends here, and nothing after it happens."""


class Memory:
    """A mirror of which nothing is real but the pipeline."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.upstream = FakeUpstream()
        self.upstream.commit()
        self.store = FakeGitStore({NAME.identity: self.upstream}, timedelta(hours=1))
        self.catalog = FakeCatalog()
        self.catalog.reconcile([(NAME, "normal")], NOW)
        self.probes = FakeProbeLog()
        self.forge = FakeForge(self.clock)
        self.selections: dict[str, Selection] = {}
        self.lfs = FakeLfs(self.catalog, self.clock)
        self.world = World(
            self.forge,
            self.store,
            self.catalog,
            self.clock,
            self.probes,
            str,
            self.selections,
            self.lfs.blobs,
            self.lfs.index,
            self.lfs.source,
            self.lfs.transfers,
            *unasked(self.clock),
        )
        self.pipeline = Pipeline(self.world)

    @property
    def state(self) -> RepoState:
        """What the catalog knows."""
        return self.catalog.state(NAME)

    def sync(self, pipeline: Pipeline | None = None) -> SyncRun:
        """Probe upstream as it is, and run what follows; a minute passes."""
        self.forge.publish(NAME, self.upstream.snapshot())
        self.clock.advance(timedelta(minutes=1))
        pipeline = pipeline or self.pipeline
        visit = pipeline.probe(self.state, Trigger.SCHEDULE)
        return pipeline.sync(visit, Trigger.SCHEDULE)

    def accept(self, oid: str | None = None) -> None:
        """Accept what holds the mirror."""
        event = AuditEvent(self.clock.now(), "tester", "accept", str(NAME))
        self.catalog.accept(NAME, event, oid=oid)

    def published(self) -> RefSnapshot:
        """Return the refs consumers see."""
        with self.store.lease(NAME.path) as repository:
            return repository.published()

    def agrees(self) -> bool:
        """Return whether consumers see what upstream has."""
        ours, theirs = self.published(), self.upstream.snapshot()
        return dict(ours.upstream) == dict(theirs.refs) and ours.head == theirs.head


@pytest.fixture
def memory() -> Memory:
    """Return a mirror that has been synced once."""
    made = Memory()
    made.upstream.commit()
    assert made.sync().outcome is Outcome.CHANGED
    return made


class WatchedStore:
    """The store, whose leases give repositories that are watched."""

    def __init__(self, store: FakeGitStore, journal: list[str]) -> None:
        self._store = store
        self._journal = journal

    @contextmanager
    def lease(self, path: str, *, wait: timedelta | None = None) -> Iterator[Any]:
        """Hold the mirror, and write down how long."""
        with self._store.lease(path, wait=wait) as repository:
            self._journal.append("lease")
            yield Watched(repository, self._journal)
        self._journal.append("release")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._store, name)


def with_store(memory: Memory, journal: list[str]) -> Pipeline:
    """Return a pipeline whose calls to store and catalog are written down."""
    store: Any = WatchedStore(memory.store, journal)
    catalog: Any = Watched(memory.catalog, journal)
    return Pipeline(replace(memory.world, store=store, catalog=catalog))


def test_the_order_is_the_promise(memory: Memory) -> None:
    """Objects before the intent, that before the refs, they before the row."""
    memory.upstream.commit()
    journal: list[str] = []

    assert memory.sync(with_store(memory, journal)).outcome is Outcome.CHANGED

    looks = {"state", "intent", "abandon_runs"}
    assert [step for step in journal if step not in looks] == [
        "lease",
        "recover",
        "published",
        "open_run",
        "accepted_objects",
        "fetch",
        "pointers",
        "classify",
        "peel",
        "intend",
        "promote",
        "finish",
        "release",
    ]


def test_an_unchanged_mirror_costs_a_probe(memory: Memory) -> None:
    """No lease, no catalog, no row: a result that waits for its batch."""
    journal: list[str] = []
    rows = len(memory.catalog.runs(None, 99))

    run = memory.sync(with_store(memory, journal))

    assert run.outcome is Outcome.UNCHANGED
    assert run.generation == 1
    assert journal == []
    assert len(memory.catalog.runs(None, 99)) == rows
    assert [(r.mirror_id, r.started) for r in memory.probes.results] == [
        (memory.state.id, memory.clock.now())
    ]


def test_an_unchanged_mirror_starts_no_git(
    git_server: GitServer, tmp_path: Path
) -> None:
    """With the real store it is the same: not one process."""
    box = Sandbox(git_server, tmp_path / "git")
    box.upstream.commit()
    box.sync()
    started, asked = box.git.started, len(git_server.requests)

    for _ in range(3):
        assert box.sync().outcome is Outcome.UNCHANGED

    assert box.git.started == started > 0
    assert len(git_server.requests) == asked
    assert len(box.catalog.runs(None, 99)) == 1


@pytest.mark.parametrize(
    "spoil",
    [{"fingerprint": "another"}, {"asked": "another"}, {"stamp": "another"}],
    ids=str,
)
def test_a_digest_that_does_not_count_is_confirmed(
    memory: Memory, spoil: dict[str, str]
) -> None:
    """Another question or another file: refs are compared, and no run is made."""
    states = memory.catalog._states  # noqa: SLF001 - what a restored catalog holds
    states[memory.state.id] = replace(memory.state, **cast("Any", spoil))
    rows, journal = len(memory.catalog.runs(None, 99)), cast("list[str]", [])

    run = memory.sync(with_store(memory, journal))

    assert run.outcome is Outcome.UNCHANGED
    assert "confirm" in journal
    assert not {"open_run", "fetch", "intend", "promote"} & set(journal)
    assert len(memory.catalog.runs(None, 99)) == rows
    journal.clear()
    assert memory.sync(with_store(memory, journal)).outcome is Outcome.UNCHANGED
    assert journal == []


def test_a_changed_scope_is_another_question(memory: Memory) -> None:
    """The next run compares refs again, once."""
    scope = (*DEFAULT_SCOPE, "refs/pull/")
    memory.selections[NAME.identity] = Selection(scope)
    journal: list[str] = []

    assert memory.sync(with_store(memory, journal)).outcome is Outcome.UNCHANGED
    assert "confirm" in journal

    assert memory.sync().outcome is Outcome.UNCHANGED
    assert len(memory.probes.results) == 1


def test_a_first_mirror_that_saw_newer_refs_is_confirmed(memory: Memory) -> None:
    """The probe's digest does not cover what arrived: the next one is compared."""
    fresh = Memory()
    old = fresh.upstream.snapshot()
    fresh.upstream.commit()
    fresh.forge.publish(NAME, old)
    visit = fresh.pipeline.probe(fresh.state, Trigger.SCHEDULE)

    assert fresh.pipeline.sync(visit, Trigger.SCHEDULE).outcome is Outcome.CHANGED

    assert fresh.state.fingerprint is None
    assert fresh.agrees()
    assert fresh.sync().outcome is Outcome.UNCHANGED
    assert fresh.state.fingerprint is not None
    assert fresh.state.generation == memory.state.generation == 1


STEPS = ["migrate", "publish beside", "point HEAD", "publish", "finish", "return"]


@pytest.mark.parametrize("step", STEPS)
def test_dying_in_a_promotion_loses_nothing(memory: Memory, step: str) -> None:
    """Refs are old, both names, or new; the next run ends it, and history is whole."""
    old = memory.published()
    memory.upstream.rename_head("main", "trunk")
    memory.upstream.force("trunk")

    def die(at: str) -> None:
        if at == step:
            raise Killed

    memory.store.died = die
    with pytest.raises(Killed):
        memory.sync()
    memory.store.died = lives
    there = set(memory.published().upstream)
    head = memory.published().head
    assert there in ({MAIN}, {MAIN, "refs/heads/trunk"}, {"refs/heads/trunk"})
    assert head in there
    if step in {"migrate", "publish beside"}:
        assert memory.published() == old

    memory.sync()

    assert memory.agrees()
    assert memory.state.generation == 2
    assert memory.catalog.intent(memory.state.id) is None
    assert memory.sync().outcome is Outcome.UNCHANGED
    changes = memory.catalog.ref_changes(NAME, 99)
    assert {change.ref for _, _, change in changes} == {MAIN, "refs/heads/trunk"}
    assert {generation for _, generation, _ in changes} == {2}
    assert [r for r in memory.catalog.runs(None, 99) if r.outcome is None] == []
    assert len(memory.catalog.lag_samples(NOW)) == 2


@pytest.mark.parametrize("call", ["open_run", "intend", "finish", "accepted_objects"])
def test_a_catalog_that_fails_loses_nothing(memory: Memory, call: str) -> None:
    """The run is FAILED with the reason; refs are old or new, and the next ends it."""
    old = memory.published()
    memory.upstream.commit()
    busy = CatalogBusy("the catalog is busy; nothing was recorded")

    with patch.object(memory.catalog, call, side_effect=busy):
        run = memory.sync()

    assert run.outcome is Outcome.FAILED
    assert "busy" in str(run.error)
    assert (memory.published() == old) is (call != "finish")
    assert memory.state.generation == 1
    memory.sync()
    assert memory.agrees()
    assert memory.state.generation == 2
    assert len(memory.catalog.ref_changes(NAME, 99)) == 1


def test_a_catalog_that_is_gone_is_still_a_result(
    memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    """When even the failure cannot be recorded, it is returned and logged."""
    memory.upstream.commit()
    busy = CatalogBusy("the catalog is busy")

    with (
        patch.object(memory.catalog, "open_run", side_effect=busy),
        patch.object(memory.catalog, "close_run", side_effect=busy),
    ):
        run = memory.sync()

    assert run.outcome is Outcome.FAILED
    assert "run could not be recorded" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("upstream does not answer; published refs are unchanged"),
        NotFound("upstream answered 404: kept as it is"),
        IntegrityError("bytes are wrong; published refs are unchanged"),
        NoSpace("the disk is full; published refs are unchanged"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("where", ["probe", "fetch", "promote"])
def test_an_error_is_a_failed_run(
    memory: Memory, error: SyncerError, where: str
) -> None:
    """With its own sentence, hint and exit code; failures are counted."""
    old = memory.published()
    memory.upstream.commit()

    with _failing(memory, where, error):
        run = memory.sync()

    assert run.outcome is Outcome.FAILED
    assert (run.error, run.exit_code) == (str(error), error.exit_code)
    assert memory.published() == old
    assert (memory.state.failures, memory.state.error) == (1, str(error))
    assert memory.catalog.runs(None, 1)[0].outcome is Outcome.FAILED
    assert memory.sync().outcome is Outcome.CHANGED
    assert memory.agrees()
    assert memory.state.failures == 0


def _failing(
    memory: Memory, where: str, error: Exception
) -> AbstractContextManager[object]:
    if where == "probe":
        return patch.object(memory.forge, "probe", side_effect=error)
    return patch(f"tests.fakes_git.FakeRepository.{where}", side_effect=error)


@pytest.mark.parametrize("where", ["probe", "fetch", "promote"])
def test_a_defect_is_a_failed_run(
    memory: Memory, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception nobody meant ends one run with a sentence, and is logged whole."""
    memory.upstream.commit()

    with _failing(memory, where, ZeroDivisionError("division by zero")):
        run = memory.sync()

    assert run.outcome is Outcome.FAILED
    assert "a defect in syncer: ZeroDivisionError: division by zero" in str(run.error)
    assert "published refs are unchanged" in str(run.error)
    assert "Traceback" in caplog.text
    assert memory.state.failures == 1
    assert memory.sync().outcome is Outcome.CHANGED


@pytest.mark.parametrize("where", ["probe", "fetch"])
@pytest.mark.parametrize("after", [timedelta(minutes=7), None])
def test_upstreams_wish_is_remembered(
    memory: Memory, where: str, after: timedelta | None
) -> None:
    """Who is asked to come back later does, by the run and by the state."""
    memory.upstream.commit()
    limited = RateLimited("too many requests; kept as it is", retry_after=after)

    with _failing(memory, where, limited):
        run = memory.sync()

    assert run.outcome is Outcome.FAILED
    assert run.retry_after == after
    expected = None if after is None else memory.clock.now() + after
    assert memory.state.not_before == expected


@pytest.mark.parametrize("where", ["probe", "fetch"])
def test_an_interruption_is_no_failure(memory: Memory, where: str) -> None:
    """A stop says nothing of upstream: the mirror is as due as it was."""
    memory.upstream.commit()
    before = memory.state

    with _failing(memory, where, Interrupted("stopped on request")):
        run = memory.sync()

    assert (run.outcome, run.exit_code) == (Outcome.FAILED, Interrupted.exit_code)
    assert memory.state.failures == before.failures == 0
    assert memory.state.last_attempt == before.last_attempt
    assert memory.sync().outcome is Outcome.CHANGED


def test_a_full_store_starts_nothing(memory: Memory) -> None:
    """Not even a lease is taken."""
    memory.upstream.commit()
    memory.store.full = True
    journal: list[str] = []

    run = memory.sync(with_store(memory, journal))

    assert (run.outcome, run.exit_code) == (Outcome.FAILED, NoSpace.exit_code)
    assert "lease" not in journal
    memory.store.full = False
    assert memory.sync().outcome is Outcome.CHANGED


def test_a_held_mirror_waits_for_a_person(memory: Memory) -> None:
    """Mass deletion holds; accepted, exactly those go, and more hold again."""
    for number in range(30):
        memory.upstream.branch(f"topic/{number:02}")
    memory.sync()
    before = memory.published()
    for number in range(15):
        memory.upstream.delete(f"refs/heads/topic/{number:02}")

    run = memory.sync()

    assert run.outcome is Outcome.HELD
    assert "15 of 31 refs are gone upstream at once" in str(run.error)
    assert "what is published is unchanged" in str(run.error)
    assert f"syncer accept {NAME}" in str(run.hint)
    assert memory.published() == before
    assert memory.sync().outcome is Outcome.HELD
    memory.accept()
    memory.upstream.delete("refs/heads/topic/15")
    assert memory.sync().outcome is Outcome.HELD
    assert memory.published() == before
    memory.accept()

    assert memory.sync().outcome is Outcome.CHANGED

    assert memory.agrees()
    assert memory.state.held is None
    kept = memory.published().kept
    assert {ref.oid for ref in kept.values()} == {
        before.refs["refs/heads/topic/00"].oid
    }


def test_an_empty_answer_is_held(memory: Memory) -> None:
    """An upstream that shows nothing does not empty the mirror."""
    before = memory.published()
    refs, memory.upstream.refs = memory.upstream.refs, {}

    assert memory.sync().outcome is Outcome.HELD
    assert memory.published() == before

    memory.upstream.refs = refs
    assert memory.sync().outcome is Outcome.UNCHANGED
    assert memory.state.held is None


def test_a_lost_default_branch_is_held(memory: Memory) -> None:
    """Unless HEAD names another; accepted, HEAD is as unborn as upstream's."""
    memory.upstream.branch("topic")
    memory.sync()
    before = memory.published()
    memory.upstream.delete(MAIN)

    assert memory.sync().outcome is Outcome.HELD
    assert memory.published() == before

    memory.accept()
    assert memory.sync().outcome is Outcome.CHANGED
    assert set(memory.published().upstream) == {"refs/heads/topic"}
    assert memory.published().head == MAIN


def test_a_smaller_scope_is_not_held(memory: Memory) -> None:
    """What is no longer wanted goes without asking, and its tips are kept."""
    for number in range(40):
        memory.upstream.tag(f"v{number}")
    memory.sync()
    memory.selections[NAME.identity] = Selection(("refs/heads/",))

    assert memory.sync().outcome is Outcome.CHANGED

    assert set(memory.published().upstream) == {MAIN}
    assert len(memory.published().kept) == 40


def test_a_dangerous_object_is_held_by_its_id(memory: Memory) -> None:
    """Its findings and its hint lead to the object, and to what to type."""
    before = memory.published()
    bad = memory.upstream.poison()

    run = memory.sync()

    assert run.outcome is Outcome.HELD
    assert run.exit_code == 7
    assert run.hint is not None
    assert run.hint.endswith(f"syncer accept {NAME} --object {bad}")
    assert memory.published() == before
    memory.accept(bad)
    assert memory.sync().outcome is Outcome.CHANGED


def test_the_lag_clock_runs_from_the_first_sight(memory: Memory) -> None:
    """A change that took two runs is as old as the first of them."""
    memory.upstream.commit()
    with _failing(memory, "fetch", Unavailable("no answer")):
        memory.sync()
    seen = memory.clock.now()
    assert memory.state.behind_since == seen

    memory.sync()

    sample = memory.catalog.lag_samples(NOW)[-1]
    assert sample.observed == seen
    assert sample.published == memory.clock.now()
    assert memory.state.behind_since is None


def test_what_upstream_says_of_tags_is_not_repeated(memory: Memory) -> None:
    """Neither a new tag nor one that stayed peels to what upstream claims."""
    memory.upstream.tag("v1")
    memory.sync()
    right = memory.published().refs["refs/tags/v1"]
    memory.upstream.commit()
    told = dict(memory.upstream.snapshot().refs)
    told["refs/tags/v1"] = Ref(right.oid, "f" * 40)
    told[MAIN] = Ref(told[MAIN].oid, "f" * 40)
    memory.forge.publish(NAME, RefSnapshot(told, MAIN))
    visit = memory.pipeline.probe(memory.state, Trigger.SCHEDULE)

    assert memory.pipeline.sync(visit, Trigger.SCHEDULE).outcome is Outcome.CHANGED

    assert memory.published().refs["refs/tags/v1"] == right
    assert memory.published().refs[MAIN].peeled is None


@pytest.mark.parametrize(
    ("branches", "head"),
    [
        (["main", "master"], "main"),
        (["master", "other"], "master"),
        (["one", "two"], None),
    ],
)
def test_a_server_without_symrefs_is_guessed(
    branches: list[str], head: str | None
) -> None:
    """HEAD keeps its branch, or names the usual one."""
    fresh = Memory()
    oid = fresh.upstream.refs.pop(MAIN)
    fresh.upstream.refs = {f"refs/heads/{name}": oid for name in branches}
    fresh.upstream.head = f"refs/heads/{head or 'one'}"
    fresh.sync()
    told = RefSnapshot(fresh.upstream.snapshot().refs, None)
    tip = fresh.upstream.commit(branches[-1])
    told = RefSnapshot({**told.refs, f"refs/heads/{branches[-1]}": Ref(tip)}, None)
    fresh.forge.publish(NAME, told)
    visit = fresh.pipeline.probe(fresh.state, Trigger.SCHEDULE)
    assert visit.probe is not None
    visit = replace(visit, probe=replace(visit.probe, symref_known=False))

    assert fresh.pipeline.sync(visit, Trigger.SCHEDULE).outcome is Outcome.CHANGED

    assert fresh.published().head == fresh.upstream.head


def test_recovery_at_the_start_needs_nothing(memory: Memory) -> None:
    """A mirror that was left in order is left as it is."""
    before = memory.state

    assert not memory.pipeline.recover(memory.state)

    assert memory.state == before


def test_maintenance_is_recorded(memory: Memory) -> None:
    """Only when it was needed, with the size it left."""
    assert not memory.pipeline.maintain(memory.state)
    assert memory.pipeline.maintain(memory.state, idle=True)
    assert memory.state.maintained == memory.clock.now()
    assert memory.state.packs == 0
    assert memory.state.size > 0
    assert not memory.pipeline.maintain(memory.state, idle=True)


def test_a_run_says_how_far_it_came(memory: Memory) -> None:
    """A failure names the stage it happened in."""
    memory.upstream.commit()
    found: dict[str, Stage] = {}
    for where in ("probe", "fetch", "promote"):
        with _failing(memory, where, Unavailable("no answer")):
            found[where] = memory.sync().stage

    assert found == {
        "probe": Stage.PROBE,
        "fetch": Stage.FETCH,
        "promote": Stage.PROMOTE,
    }


def test_progress_reaches_who_asked(memory: Memory) -> None:
    """The sink of a run hears what git says."""
    memory.upstream.commit()
    memory.forge.publish(NAME, memory.upstream.snapshot())
    visit = memory.pipeline.probe(memory.state, Trigger.COMMAND)
    heard: list[str] = []

    memory.pipeline.sync(
        visit, Trigger.COMMAND, progress=lambda p: heard.append(p.step)
    )

    assert heard == ["receiving objects"]
