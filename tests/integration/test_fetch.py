"""What arrives of a real upstream, and how its changes are published."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.model.content import DEFAULT_SCOPE, ChangeKind
from syncer.model.runs import Outcome
from tests.fakes import NOW
from tests.sandbox import NAME, Sandbox, snapshot
from tests.servers.bulk import build
from tests.servers.repositories import git, git_environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.git_http import GitServer

TODAY = NOW.date().isoformat()
PULLS = (*DEFAULT_SCOPE, "refs/pull/")


@pytest.fixture(params=[False, True], ids=["git", "wired"])
def box(
    git_server: GitServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Sandbox:
    """Return a mirror of a repository that has a bit of everything."""
    made = Sandbox(git_server, tmp_path / "git", wired=request.param)
    upstream = made.upstream
    for _ in range(3):
        upstream.commit()
    upstream.branch("topic")
    upstream.tag("v1")
    upstream.tag("light", annotated=False)
    upstream.note("seen")
    upstream.pull(7)
    return made


def kinds(box: Sandbox) -> dict[str, ChangeKind]:
    """Return the changes of the last generation, by ref."""
    generation = box.state.generation
    rows = box.catalog.ref_changes(NAME, 100)
    return {change.ref: change.kind for _, of, change in rows if of == generation}


def advertised(repository: Path, *config: str) -> set[str]:
    """Return the names that a client of the served repository sees."""
    place = repository.parent
    words = [part for pair in config for part in ("-c", pair)]
    said = subprocess.run(
        ["git", *words, "ls-remote", f"file://{place}/{repository.name}"],
        env=git_environment() | {"GIT_ALLOW_PROTOCOL": "file"},
        check=True,
        capture_output=True,
    ).stdout
    return {os.fsdecode(line.split(b"\t")[1]) for line in said.splitlines()}


def test_a_mirror_is_upstream_byte_for_byte(
    git_server: GitServer, tmp_path: Path
) -> None:
    """Every head and tag of a large repository is there, whole, in packed refs."""
    build(git_server.path("acme/widget"), commits=1500, branches=40, tags=60, files=100)
    box = Sandbox(git_server, tmp_path / "git")

    run = box.sync()

    assert run.outcome is Outcome.CHANGED
    assert run.objects > 5000
    listing = ("for-each-ref", "refs/heads", "refs/tags")
    assert git(*listing, at=box.mirror) == git(*listing, at=box.upstream.path)
    assert box.agrees()
    assert [p for p in (box.mirror / "refs").rglob("*") if p.is_file()] == []
    assert box.remains() == []


def test_heads_tags_and_notes_are_mirrored(box: Sandbox) -> None:
    """Pull requests are not, unless they are asked for."""
    assert box.sync().outcome is Outcome.CHANGED

    assert box.agrees()
    assert set(box.published().refs) == {
        "refs/heads/main",
        "refs/heads/topic",
        "refs/notes/commits",
        "refs/tags/light",
        "refs/tags/v1",
    }


def test_pull_requests_come_when_asked_for(box: Sandbox) -> None:
    """At first, or when the configuration changes; and go when it changes back."""
    box.sync()
    box.narrow(PULLS)
    assert box.sync().outcome is Outcome.CHANGED
    assert "refs/pull/7/head" in box.published().refs
    assert box.agrees()

    box.narrow(DEFAULT_SCOPE)
    assert box.sync().outcome is Outcome.CHANGED

    assert "refs/pull/7/head" not in box.published().refs
    assert box.agrees()


@pytest.mark.parametrize(
    "scope",
    [
        PULLS,
        ("refs/heads/",),
        ("refs/tags/",),
        ("refs/heads/release/", "refs/tags/"),
        ("refs/pull/",),
    ],
)
def test_a_first_mirror_has_its_scope(
    git_server: GitServer, tmp_path: Path, scope: tuple[str, ...]
) -> None:
    """Whatever the prefixes, exactly what they cover is published."""
    box = Sandbox(git_server, tmp_path / "git", scope=scope)
    box.upstream.commit()
    box.upstream.branch("release/1")
    box.upstream.tag("v1")
    box.upstream.pull(3)

    assert box.sync().outcome is Outcome.CHANGED

    theirs = snapshot(box.upstream.path, scope)
    assert dict(box.published().upstream) == dict(theirs.refs)
    assert theirs.refs
    assert box.sync().outcome is Outcome.UNCHANGED


def test_nothing_of_ours_is_advertised(box: Sandbox) -> None:
    """Whoever serves the directory shows upstream's refs and no kept tip."""
    box.sync()
    box.upstream.force("main")
    box.upstream.tag("v1")
    box.sync()
    assert box.published().kept

    for version in ("0", "2"):
        shown = advertised(box.mirror, f"protocol.version={version}")
        assert "refs/heads/main" in shown
        assert not [name for name in shown if name.startswith("refs/syncer/")]


def test_a_clone_of_the_mirror_is_a_clone_of_upstream(
    box: Sandbox, git_server: GitServer, tmp_path: Path
) -> None:
    """Served by `git http-backend`, the mirror gives what upstream gives."""
    box.sync()
    served = git_server.root / "served" / "widget.git"
    served.parent.mkdir()
    served.symlink_to(box.mirror)

    clone = tmp_path / "clone.git"
    git("clone", "--quiet", "--bare", git_server.address("served/widget"), clone)

    theirs = snapshot(box.upstream.path, ("refs/heads/", "refs/tags/"))
    assert snapshot(clone) == theirs
    git("fsck", "--connectivity-only", at=clone)


def test_a_push_is_a_fast_forward(box: Sandbox) -> None:
    """A branch that moved on is MOVED, and its old tip needs no keeping."""
    box.sync()
    box.upstream.commit()
    box.upstream.branch("new")

    run = box.sync()

    assert run.outcome is Outcome.CHANGED
    assert run.counts == {"moved": 1, "created": 1}
    assert kinds(box) == {
        "refs/heads/main": ChangeKind.MOVED,
        "refs/heads/new": ChangeKind.CREATED,
    }
    assert box.agrees()
    assert dict(box.published().kept) == {}


def test_a_forced_push_keeps_the_old_tip(box: Sandbox) -> None:
    """It is REWOUND, noted, and its old history stays whole."""
    box.sync()
    old = box.upstream.oid("main")
    box.upstream.force("main", 2)

    run = box.sync()

    assert kinds(box) == {"refs/heads/main": ChangeKind.REWOUND}
    assert any("force-pushed" in note for note in run.notes)
    assert box.agrees()
    assert set(box.published().kept) == {f"refs/syncer/keep/{TODAY}/{old}"}
    git("rev-list", "--objects", old, at=box.mirror)


def test_a_branch_that_goes_back_is_rewound(box: Sandbox) -> None:
    """Its tip is older, not newer: what was cut off stays."""
    box.sync()
    old = box.upstream.oid("main")
    box.upstream.branch("main", "main~1")

    box.sync()

    assert kinds(box) == {"refs/heads/main": ChangeKind.REWOUND}
    assert set(box.published().kept) == {f"refs/syncer/keep/{TODAY}/{old}"}
    assert box.agrees()


def test_a_deleted_branch_keeps_its_tip(box: Sandbox) -> None:
    """It is gone for consumers, and not for us."""
    box.upstream.commit("topic")
    box.sync()
    old = box.upstream.oid("topic")
    box.upstream.delete("topic")

    box.sync()

    assert kinds(box) == {"refs/heads/topic": ChangeKind.DELETED}
    assert set(box.published().kept) == {f"refs/syncer/keep/{TODAY}/{old}"}
    assert box.agrees()


def test_a_moved_tag_is_kept_for_ever(box: Sandbox) -> None:
    """Also one that moved forward, and one that was deleted."""
    box.sync()
    before = snapshot(box.upstream.path).refs
    box.upstream.commit()
    box.upstream.tag("v1")
    box.upstream.delete("refs/tags/light")

    run = box.sync()

    assert kinds(box)["refs/tags/v1"] is ChangeKind.MOVED
    assert kinds(box)["refs/tags/light"] is ChangeKind.DELETED
    assert any("refs/tags/v1 now names another object" in note for note in run.notes)
    assert set(box.published().kept) == {
        f"refs/syncer/keep/tags/{before[tag].oid}"
        for tag in ("refs/tags/v1", "refs/tags/light")
    }
    assert box.agrees()


def test_kept_tips_add_up(box: Sandbox) -> None:
    """Each forced push keeps its own, and two days have two dates."""
    box.sync()
    tips = []
    for _ in range(2):
        tips.append(box.upstream.oid("main"))
        box.upstream.force("main")
        box.sync()
        box.clock.advance(timedelta(days=1))

    tomorrow = (NOW + timedelta(days=1)).date().isoformat()
    assert set(box.published().kept) == {
        f"refs/syncer/keep/{TODAY}/{tips[0]}",
        f"refs/syncer/keep/{tomorrow}/{tips[1]}",
    }
    assert box.agrees()


def test_a_branch_becomes_a_directory_and_back(box: Sandbox) -> None:
    """`a` makes way for `a/b` in one step, and the other way round."""
    box.upstream.branch("a")
    box.sync()
    box.upstream.delete("a")
    box.upstream.branch("a/b")

    assert box.sync().outcome is Outcome.CHANGED
    assert kinds(box) == {
        "refs/heads/a": ChangeKind.DELETED,
        "refs/heads/a/b": ChangeKind.CREATED,
    }
    assert box.agrees()

    box.upstream.delete("a/b")
    box.upstream.branch("a")
    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()


@pytest.mark.parametrize("new", ["trunk", "main/next"])
def test_head_follows_a_renamed_default_branch(box: Sandbox, new: str) -> None:
    """Also into a directory of the old name; HEAD resolves."""
    box.sync()
    if new == "main/next":
        oid = box.upstream.oid("main")
        box.upstream.git("symbolic-ref", "HEAD", f"refs/heads/{new}")
        box.upstream.delete("main")
        box.upstream.branch(new, oid)
    else:
        box.upstream.rename_head("main", new)

    run = box.sync()

    assert run.outcome is Outcome.CHANGED
    assert box.published().head == f"refs/heads/{new}"
    assert box.agrees()
    assert git("rev-parse", "--verify", "HEAD", at=box.mirror)


def test_head_alone_may_move(box: Sandbox) -> None:
    """A change of the default branch is a change, though no ref moved."""
    box.sync()
    box.upstream.git("symbolic-ref", "HEAD", "refs/heads/topic")

    run = box.sync()

    assert run.outcome is Outcome.CHANGED
    assert run.counts == {}
    assert any("HEAD moved from" in note for note in run.notes)
    assert box.agrees()
    assert box.sync().outcome is Outcome.UNCHANGED


def test_an_empty_upstream_is_mirrored(git_server: GitServer, tmp_path: Path) -> None:
    """There is nothing in it, and what comes later is found."""
    box = Sandbox(git_server, tmp_path / "git")

    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()
    assert box.sync().outcome is Outcome.UNCHANGED
    box.upstream.commit()

    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()


def test_a_detached_head_resolves(box: Sandbox) -> None:
    """An upstream whose HEAD names no branch is mirrored, and changes too."""
    oid = box.upstream.oid("main~1")
    (box.upstream.path / "HEAD").write_text(f"{oid}\n")

    assert box.sync().outcome is Outcome.CHANGED
    assert git("rev-parse", "--verify", "HEAD", at=box.mirror)
    assert box.sync().outcome is Outcome.UNCHANGED
    box.upstream.commit()
    box.sync()

    assert git("rev-parse", "--verify", "HEAD", at=box.mirror)
    assert dict(box.published().upstream) == dict(
        snapshot(box.upstream.path, DEFAULT_SCOPE).refs
    )
    (box.upstream.path / "HEAD").write_text("ref: refs/heads/topic\n")
    box.sync()
    assert box.agrees()


def test_a_head_that_becomes_detached_stays_where_it_was(box: Sandbox) -> None:
    """Consumers keep the branch they had, and no run is made for it."""
    box.sync()
    (box.upstream.path / "HEAD").write_text(f"{box.upstream.oid('main')}\n")

    assert box.sync().outcome is Outcome.UNCHANGED
    assert box.published().head == "refs/heads/main"


def test_an_unborn_head_is_followed(box: Sandbox) -> None:
    """HEAD may name a branch that is not there yet, as upstream's does."""
    box.upstream.git("symbolic-ref", "HEAD", "refs/heads/future")

    assert box.sync().outcome is Outcome.CHANGED
    assert box.published().head == "refs/heads/future"
    assert box.sync().outcome is Outcome.UNCHANGED
    box.upstream.commit("future")

    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()


def test_names_that_are_no_utf8_are_kept(box: Sandbox) -> None:
    """Byte for byte, at first and later; they are deleted and kept like others."""
    name = os.fsdecode(b"refs/heads/caf\xe9")
    git("update-ref", name, "main~1", at=box.upstream.path)
    box.sync()
    assert name in box.published().refs
    assert box.agrees()

    git("update-ref", name, "main", at=box.upstream.path)
    box.sync()
    assert kinds(box) == {name: ChangeKind.MOVED}
    assert box.agrees()

    git("update-ref", "-d", name, at=box.upstream.path)
    box.sync()
    assert name not in box.published().refs
    assert box.agrees()


def test_tags_of_anything_are_mirrored(box: Sandbox) -> None:
    """A tag may name a tree, a blob, or another tag; branches may not."""
    box.sync()
    box.upstream.tag("tree", "main^{tree}")
    box.upstream.tag("blob", "main:file", annotated=False)
    box.upstream.tag("nested", "refs/tags/v1")

    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()
    box.upstream.tag("tree", "topic^{tree}")
    box.upstream.tag("blob", "main~2:file", annotated=False)

    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()


def test_other_refs_may_name_anything(git_server: GitServer, tmp_path: Path) -> None:
    """Below a prefix of its own, a ref to a blob is mirrored, moved and kept."""
    scope = ("refs/heads/", "refs/keys/")
    box = Sandbox(git_server, tmp_path / "git", scope=scope)
    box.upstream.commit()
    box.upstream.git("update-ref", "refs/keys/one", "main:file")
    old = box.upstream.oid("main:file")
    box.sync()
    box.upstream.commit()
    box.upstream.git("update-ref", "refs/keys/one", "main:file")

    assert box.sync().outcome is Outcome.CHANGED

    assert box.agrees()
    assert f"refs/syncer/keep/{TODAY}/{old}" in box.published().kept


def test_very_many_changes_are_told_apart(
    git_server: GitServer, tmp_path: Path
) -> None:
    """Hundreds of branches, forced and forwarded at once, are each what they are."""
    build(git_server.path("acme/widget"), commits=400, branches=300)
    box = Sandbox(git_server, tmp_path / "git")
    box.sync()
    tips = box.upstream.refs()
    old, new = box.upstream.oid("main~350"), box.upstream.oid("main")
    other = box.upstream.commit("other", parent=old)
    moves = [f"refs/heads/topic/{n}" for n in range(1, 61)]
    lines = [f"update {ref} {new}\n" for ref in moves[:30]]
    lines += [f"update {ref} {other}\n" for ref in moves[30:]]
    box.upstream.git("update-ref", "--stdin", stdin="".join(lines).encode())

    assert box.sync().outcome is Outcome.CHANGED

    assert box.agrees()
    found = kinds(box)
    assert {found[ref] for ref in moves[:30]} == {ChangeKind.MOVED}
    # What `main` still reaches is not lost, however its branch moved.
    for ref in moves[30:]:
        assert found[ref] in {ChangeKind.MOVED, ChangeKind.REWOUND}
        git("merge-base", "--is-ancestor", tips[ref], new, at=box.mirror)


def test_a_restored_store_is_synced_again(box: Sandbox) -> None:
    """What lost its repository is mirrored from the start, by itself."""
    box.sync()
    box.store.discard(NAME.path)
    assert not box.mirror.exists()

    assert box.sync().outcome is Outcome.CHANGED

    assert box.agrees()
    assert box.sync().outcome is Outcome.UNCHANGED


def test_a_repository_without_its_catalog_is_adopted(
    box: Sandbox, git_server: GitServer
) -> None:
    """A new catalog finds the mirror as it is, and fetches nothing again."""
    box.sync()
    git_server.forget()
    again = Sandbox(git_server, box.root)

    assert again.sync().outcome is Outcome.CHANGED

    assert again.agrees()
    assert git_server.requests == []
    assert again.sync().outcome is Outcome.UNCHANGED
