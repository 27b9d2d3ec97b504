"""Packs are put in order, and readers notice nothing."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.git.layout import object_count, packs
from syncer.git.maintenance import MANY_PACKS, to_roll
from syncer.model.runs import Outcome
from tests.sandbox import GRACE, Sandbox, snapshot
from tests.servers.bulk import build
from tests.servers.http_faults import Fault
from tests.servers.repositories import git, git_environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.git_http import GitServer

FETCHES = 60


@pytest.fixture
def box(git_server: GitServer, tmp_path: Path) -> Sandbox:
    """Return a mirror of some hundred objects in one pack."""
    build(git_server.path("acme/widget"), commits=60, branches=3)
    made = Sandbox(git_server, tmp_path / "git")
    made.sync()
    return made


def grow(box: Sandbox, times: int) -> None:
    """Let upstream move on, and follow it, so many times."""
    for _ in range(times):
        box.upstream.commit()
        assert box.sync().outcome is Outcome.CHANGED


def objects(repository: Path, files: list[Path] | None = None) -> set[bytes]:
    """Return the ids of the objects in a repository's packs, or in some of them."""
    found: set[bytes] = set()
    for pack in packs(repository / "objects") if files is None else files:
        with pack.with_suffix(".idx").open("rb") as index:
            said = subprocess.run(
                ["git", "show-index"], stdin=index, capture_output=True, check=True
            ).stdout
        found |= {line.split()[1] for line in said.splitlines()}
    return found


def superseded(box: Sandbox) -> set[str]:
    """Return the names of the packs that were replaced and are still there."""
    file = box.mirror / "syncer-superseded.json"
    return set(json.loads(file.read_bytes())) if file.exists() else set()


def live(box: Sandbox) -> list[Path]:
    """Return the packs that nothing replaced."""
    gone = superseded(box)
    return [p for p in packs(box.mirror / "objects") if p.stem not in gone]


def indexed(box: Sandbox) -> set[str]:
    """Return the packs that the multi-pack index names."""
    file = box.mirror / "objects" / "pack" / "multi-pack-index"
    data = file.read_bytes()
    # gitformat-pack: the chunk PNAM is a list of names that end in NUL.
    text = data[data.index(b"pack-") :].split(b"\0\0")[0]
    names = [n for n in text.split(b"\0") if n.startswith(b"pack-")]
    return {n.decode().removesuffix(".idx") for n in names if n.endswith(b".idx")}


def test_many_fetches_stay_cheap_to_serve(box: Sandbox) -> None:
    """After sixty fetches there are few packs, an index, a bitmap and a graph."""
    rounds = 0
    for _ in range(FETCHES):
        box.upstream.commit()
        assert box.sync().outcome is Outcome.CHANGED
        rounds += box.pipeline.maintain(box.state)
        assert len(live(box)) <= MANY_PACKS

    assert rounds == FETCHES // (MANY_PACKS - 1)
    assert box.state.packs < MANY_PACKS
    assert box.state.size > 0
    directory = box.mirror / "objects"
    assert (directory / "pack" / "multi-pack-index").exists()
    assert len(list((directory / "pack").glob("multi-pack-index-*.bitmap"))) == 1
    assert list((directory / "info" / "commit-graphs").glob("graph-*.graph"))
    assert box.agrees()
    git("multi-pack-index", "verify", at=box.mirror)
    git("commit-graph", "verify", at=box.mirror)
    assert box.remains() == []


def test_replaced_packs_wait_for_their_readers(box: Sandbox) -> None:
    """They stay for the grace period, and the next maintenance removes them."""
    grow(box, 5)
    before = {p.stem for p in packs(box.mirror / "objects")}
    assert box.pipeline.maintain(box.state, idle=True)

    replaced = superseded(box)
    assert replaced
    assert replaced < before
    assert replaced <= {p.stem for p in packs(box.mirror / "objects")}
    assert not replaced & indexed(box)
    assert {p.stem for p in live(box)} == indexed(box)

    box.clock.advance(GRACE - timedelta(seconds=1))
    with box.store.lease(box.state.path) as repository:
        repository.maintain(now=box.clock.now())
        assert superseded(box) == replaced
        box.clock.advance(timedelta(seconds=1))
        repository.maintain(now=box.clock.now())

    assert superseded(box) == set()
    assert not replaced & {p.stem for p in packs(box.mirror / "objects")}
    assert box.agrees()
    git("multi-pack-index", "verify", at=box.mirror)


def test_nothing_is_only_in_a_replaced_pack(box: Sandbox) -> None:
    """Every object is in a pack that stays, also what no ref names any more."""
    for _ in range(4):
        box.upstream.force("main")
        box.sync()
    everything = objects(box.mirror)
    with box.store.lease(box.state.path) as repository:
        repository.drop_expired(
            box.clock.now() + timedelta(days=999), timedelta(), dry_run=False
        )
        repository.maintain(now=box.clock.now())

    assert superseded(box)
    assert objects(box.mirror, live(box)) == everything


def test_packs_grow_geometrically(box: Sandbox) -> None:
    """Many rounds leave few packs, and a large one is not written anew."""
    large = packs(box.mirror / "objects")
    for _ in range(3):
        grow(box, 4)
        with box.store.lease(box.state.path) as repository:
            repository.maintain(now=box.clock.now())
        sizes = [(p.stem, object_count(p)) for p in live(box)]
        assert to_roll(sizes) == []

    assert large[0] in live(box)
    assert len(live(box)) <= 3


def test_maintenance_again_does_nothing(box: Sandbox) -> None:
    """When all is in order, the same packs are there afterwards."""
    grow(box, 3)
    with box.store.lease(box.state.path) as repository:
        repository.maintain(now=box.clock.now())
        before = sorted(p.name for p in (box.mirror / "objects" / "pack").iterdir())
        repository.maintain(now=box.clock.now())

    after = sorted(p.name for p in (box.mirror / "objects" / "pack").iterdir())
    assert after == before


def test_an_empty_mirror_needs_none(git_server: GitServer, tmp_path: Path) -> None:
    """Without packs there is nothing to do."""
    box = Sandbox(git_server, tmp_path / "git")
    box.sync()

    assert not box.pipeline.maintain(box.state, idle=True)
    with box.store.lease(box.state.path) as repository:
        repository.maintain(now=box.clock.now())
    assert box.agrees()


def test_a_clone_in_progress_is_not_disturbed(
    box: Sandbox, git_server: GitServer, tmp_path: Path
) -> None:
    """It began before the packs were rolled, and gets all that it began with."""
    box.upstream.commit("main", {"large": bytes(range(256)) * 4000})
    box.sync()
    grow(box, 6)
    served = git_server.root / "served" / "widget.git"
    served.parent.mkdir()
    served.symlink_to(box.mirror)
    git_server.forget()
    git_server.fault("served/.*command=fetch", Fault(drip=(2000, 0.02)))
    expected = snapshot(box.mirror, ("refs/heads/", "refs/tags/"))
    clone = tmp_path / "clone.git"
    child = subprocess.Popen(
        [
            "git",
            "clone",
            "--quiet",
            "--bare",
            git_server.address("served/widget"),
            clone,
        ],
        env=git_environment(),
    )
    while not any(
        "served" in r.path and r.command == "fetch" for r in git_server.requests
    ):
        assert child.poll() is None

    with box.store.lease(box.state.path) as repository:
        repository.maintain(now=box.clock.now())
    rolled = superseded(box)
    under_way = child.poll() is None
    status = child.wait(30)

    assert rolled
    assert under_way
    assert status == 0
    assert snapshot(clone) == expected
    git("fsck", "--connectivity-only", at=clone)


def test_a_damaged_list_of_replaced_packs_loses_nothing(box: Sandbox) -> None:
    """Without it all packs count as live: they are rolled again, none is lost."""
    grow(box, 5)
    with box.store.lease(box.state.path) as repository:
        repository.maintain(now=box.clock.now())
        everything = objects(box.mirror)
        (box.mirror / "syncer-superseded.json").write_text("{ damaged")
        repository.maintain(now=box.clock.now())
        box.clock.advance(2 * GRACE)
        repository.maintain(now=box.clock.now())

    assert objects(box.mirror) == everything
    assert box.agrees()


def test_gc_says_what_it_would_remove(box: Sandbox) -> None:
    """A dry run names the packs and tips, and changes nothing."""
    grow(box, 5)
    box.upstream.force("main")
    box.sync()
    keep = timedelta(days=90)
    with box.store.lease(box.state.path) as repository:
        repository.maintain(now=box.clock.now())
        replaced, tips = superseded(box), set(box.published().kept)
        late = box.clock.now() + keep + timedelta(days=1)

        listed = repository.drop_expired(late, keep, dry_run=True)

        assert set(listed) == tips | {f"{name}.pack" for name in replaced}
        assert superseded(box) == replaced
        assert set(box.published().kept) == tips
        assert repository.drop_expired(late, keep, dry_run=False) == listed
    assert superseded(box) == set()
    assert dict(box.published().kept) == {}
    assert box.agrees()
