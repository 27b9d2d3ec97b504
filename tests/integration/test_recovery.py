"""What a dead process left is finished or forgotten, and swept."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from syncer.git import packed_refs
from syncer.model.content import RefSnapshot
from syncer.model.runs import Outcome
from tests.sandbox import Sandbox
from tests.servers.repositories import git

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.git_http import GitServer


class Killed(BaseException):
    """The process ends here, and nothing after it happens."""


@pytest.fixture
def box(git_server: GitServer, tmp_path: Path) -> Sandbox:
    """Return a mirror whose upstream renamed its default branch, and more."""
    made = Sandbox(git_server, tmp_path / "git")
    upstream = made.upstream
    for _ in range(3):
        upstream.commit()
    upstream.branch("topic")
    upstream.tag("v1")
    made.sync()
    upstream.commit("topic")
    upstream.tag("v1")
    upstream.rename_head("main", "trunk")
    upstream.force("trunk")
    return made


def again(box: Sandbox) -> Sandbox:
    """Return the same mirror in the hands of the next process."""
    return Sandbox(box.server, box.root, clock=box.clock, catalog=box.catalog)


def died(box: Sandbox, target: str, after: int = 0) -> None:
    """Run until a function is called for the time after `after`, and die there."""
    module, _, name = target.rpartition(".")
    real = __import__(module, fromlist=[name]).__dict__[name]
    left = [after]

    def die(*args: object, **named: object) -> object:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return real(*args, **named)

    with patch(target, side_effect=die), pytest.raises(Killed):
        box.sync()


#: (what dies, after how many calls, which refs are there then)
CUTS = [
    ("syncer.git.repository.move_all", 0, "old"),
    ("syncer.git.packed_refs.publish", 0, "old"),
    ("syncer.git.packed_refs.write_head", 0, "beside"),
    ("syncer.git.packed_refs.publish", 1, "beside"),
    ("syncer.git.recovery.remove_incoming", 0, "new"),
]


@pytest.mark.parametrize(("target", "after", "there"), CUTS)
def test_a_promotion_cut_anywhere_is_settled(
    box: Sandbox, target: str, after: int, there: str
) -> None:
    """Old is forgotten, beside and new are finished; one more run is all it takes."""
    before = box.published()
    died(box, target, after)
    upstream = set(box.upstream.refs())
    names = set(box.published().upstream)
    assert (
        names
        == {
            "old": set(before.upstream),
            "beside": upstream | {"refs/heads/main"},
            "new": upstream,
        }[there]
    )
    assert git("rev-parse", "--verify", "HEAD", at=box.mirror)

    next_ = again(box)
    assert next_.pipeline.recover(next_.state)

    assert next_.catalog.intent(next_.state.id) is None
    # What was checked, and did not get as far as the store, is used again.
    checked = [f"{box.mirror.name}.incoming"] if target.endswith("move_all") else []
    assert next_.remains() == checked
    runs = next_.catalog.runs(None, 1)
    if there == "old":
        assert box.published() == before
        assert runs[0].outcome is Outcome.FAILED
        assert "the process died" in str(runs[0].error)
        assert next_.sync().outcome is Outcome.CHANGED
    else:
        assert runs[0].outcome is Outcome.CHANGED
        assert runs[0].generation == 2
        assert any("finished afterwards" in note for note in runs[0].notes)
        assert next_.sync().outcome is Outcome.UNCHANGED
    assert next_.agrees()
    assert next_.remains() == []
    assert next_.state.generation == 2
    changes = {
        change.ref for _, _, change in next_.catalog.ref_changes(next_.state.name, 99)
    }
    assert changes == {
        "refs/heads/main",
        "refs/heads/trunk",
        "refs/heads/topic",
        "refs/tags/v1",
    }
    assert len(next_.published().kept) == 2


@pytest.mark.parametrize(("target", "after", "there"), CUTS)
def test_the_next_run_settles_by_itself(
    box: Sandbox, target: str, after: int, there: str
) -> None:
    """A start without recovery, or another program's run, does the same."""
    died(box, target, after)

    next_ = again(box)
    run = next_.sync()

    wanted = Outcome.CHANGED if there == "old" else Outcome.UNCHANGED
    assert run.outcome is wanted
    assert next_.agrees()
    assert next_.state.generation == 2
    assert next_.remains() == []


def test_a_first_mirror_that_died_is_begun_again(
    git_server: GitServer, tmp_path: Path
) -> None:
    """Half of it is never at its name, and nothing of it stays."""
    box = Sandbox(git_server, tmp_path / "git")
    box.upstream.commit()
    died(box, "syncer.git.fetching._cloned")
    assert not box.mirror.exists()
    assert box.remains() != []

    next_ = again(box)
    next_.pipeline.recover(next_.state)
    assert next_.remains() == []

    assert next_.sync().outcome is Outcome.CHANGED
    assert next_.agrees()


def test_a_first_mirror_that_arrived_is_not_cloned_twice(
    git_server: GitServer, tmp_path: Path
) -> None:
    """It died before it was published: the next run uses what is there."""
    box = Sandbox(git_server, tmp_path / "git")
    box.upstream.commit()
    died(box, "syncer.git.repository.sync_filesystem")
    assert not box.mirror.exists()
    git_server.forget()

    next_ = again(box)
    assert next_.sync().outcome is Outcome.CHANGED

    assert [r for r in git_server.requests if r.command == "fetch"] == []
    assert next_.agrees()
    assert next_.remains() == []


def test_a_first_mirror_is_cloned_again_when_upstream_moved(
    git_server: GitServer, tmp_path: Path
) -> None:
    """What arrived before is only used for the refs that it was cloned with."""
    box = Sandbox(git_server, tmp_path / "git")
    box.upstream.commit()
    died(box, "syncer.git.repository.sync_filesystem")
    box.upstream.commit()

    next_ = again(box)
    assert next_.sync().outcome is Outcome.CHANGED

    assert next_.agrees()
    assert next_.remains() == []


def test_a_first_mirror_that_was_published_is_found(
    git_server: GitServer, tmp_path: Path
) -> None:
    """It died between the rename and the row: the row is written, once."""
    box = Sandbox(git_server, tmp_path / "git")
    box.upstream.commit()
    died(box, "syncer.git.recovery.remove_incoming")
    assert box.mirror.exists()

    next_ = again(box)
    assert next_.pipeline.recover(next_.state)

    assert next_.agrees()
    assert next_.remains() == []
    assert next_.state.generation == 1
    assert next_.sync().outcome is Outcome.UNCHANGED


LEFTOVERS = [
    "config.lock",
    "HEAD.lock",
    "packed-refs.lock",
    "packed-refs.new",
    "shallow.lock",
    "gc.pid",
    "gc.pid.lock",
    "syncer-superseded.json.lock",
    "objects/maintenance.lock",
    "objects/info/alternates.lock",
    "objects/info/commit-graph.lock",
    "objects/info/commit-graphs/commit-graph-chain.lock",
    "objects/info/commit-graphs/tmp_graph_Xy",
    "objects/pack/multi-pack-index.lock",
    "objects/pack/tmp_pack_Xy",
    "objects/pack/tmp_idx_Xy",
    "objects/pack/.tmp-123-pack-abc.pack",
    "objects/pack/pack-1234.keep",
    "objects/pack/pack-5678.pack",
    "objects/pack/pack-9abc.idx",
    "objects/ab/tmp_obj_Xy",
    "objects/tmp_objdir-incoming-Xy/pack/tmp_pack",
    "refs/heads/main.lock",
    "refs/tags/deep/er.lock",
    "refs/heads/emptied",
]


@pytest.mark.parametrize("name", LEFTOVERS)
def test_leftovers_are_swept(
    git_server: GitServer, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Every file that a killed git leaves for ever is gone, and it is logged."""
    box = Sandbox(git_server, tmp_path / "git")
    box.upstream.commit()
    box.sync()
    before = box.published()
    left = box.mirror / name
    left.parent.mkdir(parents=True, exist_ok=True)
    left.touch()

    with caplog.at_level("INFO"):
        box.pipeline.recover(box.state)

    assert not left.exists()
    assert "leftovers of a dead run removed" in caplog.text
    assert box.published() == before
    box.upstream.commit()
    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()


def test_what_belongs_there_stays(box: Sandbox) -> None:
    """Sweeping removes nothing of a repository in order."""
    next_ = again(box)
    next_.sync()
    next_.pipeline.maintain(next_.state, idle=True)
    before = sorted(path for path in box.mirror.rglob("*"))

    assert not next_.pipeline.recover(next_.state)

    assert sorted(path for path in box.mirror.rglob("*")) == before


def test_a_checked_quarantine_needs_no_network(box: Sandbox) -> None:
    """What had arrived whole is used by the next process, without a request."""
    died(box, "syncer.git.history.Call")
    box.server.forget()

    next_ = again(box)
    next_.pipeline.recover(next_.state)
    assert next_.remains() == ["widget.git.incoming"]
    assert next_.sync().outcome is Outcome.CHANGED

    assert box.server.requests == []
    assert next_.agrees()
    assert next_.remains() == []


def _forget_mark(incoming: Path) -> None:
    (incoming / "checked").unlink()


def _lose_index(incoming: Path) -> None:
    next((incoming / "objects" / "pack").glob("*.idx")).unlink()


def _lose_pack(incoming: Path) -> None:
    next((incoming / "objects" / "pack").glob("*.pack")).unlink()


@pytest.mark.parametrize("damage", [_forget_mark, _lose_index, _lose_pack])
def test_an_unchecked_quarantine_is_removed(
    box: Sandbox, damage: Callable[[Path], None]
) -> None:
    """What nobody vouches for is fetched again."""
    died(box, "syncer.git.history.Call")
    damage(box.mirror.with_name("widget.git.incoming"))
    box.server.forget()

    next_ = again(box)
    next_.pipeline.recover(next_.state)
    assert next_.remains() == []
    assert next_.sync().outcome is Outcome.CHANGED

    assert box.server.requests
    assert next_.agrees()


def test_a_quarantine_serves_what_came_after_it(box: Sandbox) -> None:
    """Upstream moved on while we were dead: both arrive, and nothing is left."""
    died(box, "syncer.git.history.Call")
    box.upstream.commit("topic")
    box.upstream.force("trunk")

    next_ = again(box)

    assert next_.sync().outcome is Outcome.CHANGED
    assert next_.agrees()
    assert next_.remains() == []


def test_foreign_refs_are_packed(box: Sandbox) -> None:
    """What another git wrote as a file shadows nothing, and upstream's state wins."""
    next_ = again(box)
    next_.sync()
    old = next_.upstream.oid("refs/tags/v1^{}")
    git("update-ref", "refs/heads/trunk", old, at=box.mirror)
    git("update-ref", "refs/heads/foreign", old, at=box.mirror)
    assert (box.mirror / "refs" / "heads" / "foreign").exists()

    next_.pipeline.recover(next_.state)

    assert not [p for p in (box.mirror / "refs").rglob("*") if p.is_file()]
    assert next_.sync().outcome is Outcome.CHANGED
    assert next_.agrees()


def test_another_packed_refs_is_noticed(box: Sandbox) -> None:
    """A restored or edited file makes the stored digest worthless."""
    next_ = again(box)
    next_.sync()
    good = next_.published()
    packed_refs.publish(
        box.mirror, RefSnapshot(dict(list(good.refs.items())[:1])).packed
    )

    assert next_.sync().outcome is Outcome.CHANGED
    assert next_.agrees()

    shutil.copy(box.mirror / "packed-refs", box.mirror / "copy")
    (box.mirror / "copy").rename(box.mirror / "packed-refs")
    started = next_.git.started
    assert next_.sync().outcome is Outcome.UNCHANGED
    assert next_.sync().outcome is Outcome.UNCHANGED
    assert next_.git.started - started <= 1


def test_a_damaged_packed_refs_is_never_an_empty_one(box: Sandbox) -> None:
    """Nothing is published over it, and a person is told."""
    file = box.mirror / "packed-refs"
    file.write_bytes(file.read_bytes()[:60])
    before = file.read_bytes()

    run = box.sync()

    assert run.outcome is Outcome.FAILED
    assert "`packed-refs` is damaged" in str(run.error)
    assert file.read_bytes() == before
