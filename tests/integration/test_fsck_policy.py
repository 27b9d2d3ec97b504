"""What fsck says of a repository: recorded, or held until a person accepts it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.model.runs import Outcome
from tests.sandbox import Sandbox, snapshot
from tests.servers.bulk import DANGEROUS, HARMLESS, known_bad
from tests.servers.repositories import GitFailed, git

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.git_http import GitServer

#: Where the object lies that fsck complains of.
PLACES = {
    "badTimezone": "main",
    "missingSpaceBeforeDate": "main",
    "zeroPaddedFilemode": "main^{tree}",
    "missingTaggerEntry": "refs/tags/old",
    "gitmodulesUrl": "main:.gitmodules",
    "hasDotgit": "main^{tree}",
    "duplicateEntries": "main^{tree}",
}


@pytest.fixture(params=[False, True], ids=["git", "wired"])
def box(
    git_server: GitServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Sandbox:
    """Return a mirror of an empty repository, for both ways to fetch."""
    return Sandbox(git_server, tmp_path / "git", wired=request.param)


def spoiled(box: Sandbox, kind: str) -> str:
    """Put bad content on upstream's `main`, and return the bad object's id."""
    known_bad(box.upstream.path, kind)
    return box.upstream.oid(PLACES[kind])


def has(repository: Path, oid: str) -> bool:
    """Return whether a repository can give an object to whoever asks."""
    try:
        git("cat-file", "-e", oid, at=repository)
    except GitFailed:
        return False
    return True


@pytest.mark.parametrize("kind", HARMLESS)
def test_known_mistakes_are_mirrored_and_told(box: Sandbox, kind: str) -> None:
    """A first mirror of an old repository succeeds, with its findings recorded."""
    oid = spoiled(box, kind)

    run = box.sync()

    assert run.outcome is Outcome.CHANGED
    assert [(f.oid, f.check) for f in run.findings] == [(oid, kind)]
    assert box.catalog.findings(box.state.id) == list(run.findings)
    assert box.agrees()


@pytest.mark.parametrize("kind", HARMLESS)
def test_known_mistakes_that_come_later_are_told(box: Sandbox, kind: str) -> None:
    """A fetch of what is new has the same policy as the first mirror."""
    box.upstream.commit()
    assert box.sync().findings == ()
    oid = spoiled(box, kind)

    run = box.sync()

    assert run.outcome is Outcome.CHANGED
    assert [(f.oid, f.check) for f in run.findings] == [(oid, kind)]
    assert box.catalog.findings(box.state.id) == list(run.findings)
    assert box.agrees()


@pytest.mark.parametrize("kind", DANGEROUS)
def test_a_dangerous_first_mirror_is_held(box: Sandbox, kind: str) -> None:
    """There is nothing to serve until a person accepts the object by its id."""
    oid = spoiled(box, kind)

    run = box.sync()

    assert run.outcome is Outcome.HELD
    assert run.exit_code == 7
    assert oid in str(run.error)
    assert kind in str(run.error)
    assert "published refs are unchanged" in str(run.error)
    assert f"--object {oid}" in str(run.hint)
    held = box.state.held
    assert held is not None
    assert (held.oid, held.accepted) == (oid, False)
    assert not box.mirror.exists()
    assert box.remains() == []

    box.accept(oid)
    assert box.sync().outcome is Outcome.CHANGED
    assert box.state.held is None
    assert box.agrees()


@pytest.mark.parametrize("kind", DANGEROUS)
def test_dangerous_content_that_comes_later_is_held(box: Sandbox, kind: str) -> None:
    """The published refs stay, and nobody can be given the object by its id."""
    box.upstream.commit()
    box.sync()
    before = box.published()
    oid = spoiled(box, kind)
    tip = box.upstream.oid("main")

    for _ in range(2):  # The second fetch is no way round the first.
        run = box.sync()
        assert run.outcome is Outcome.HELD
        assert oid in str(run.error)
        assert box.published() == before
        assert not has(box.mirror, oid)
        assert not has(box.mirror, tip)
        assert box.remains() == []

    box.accept(oid)
    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()
    assert has(box.mirror, oid)
    assert box.sync().outcome is Outcome.UNCHANGED


def test_accepting_one_object_accepts_no_other(box: Sandbox) -> None:
    """The next dangerous object is held again, under its own id."""
    box.upstream.commit()
    box.sync()
    first = spoiled(box, "hasDotgit")
    box.sync()
    box.accept(first)
    assert box.sync().outcome is Outcome.CHANGED
    second = spoiled(box, "duplicateEntries")

    run = box.sync()

    assert run.outcome is Outcome.HELD
    assert second in str(run.error)
    box.accept(second)
    assert box.sync().outcome is Outcome.CHANGED
    assert box.agrees()


def test_a_hold_is_as_old_as_it_is(box: Sandbox) -> None:
    """Trying again does not make it younger."""
    box.upstream.commit()
    box.sync()
    spoiled(box, "hasDotgit")
    box.sync()
    held = box.state.held
    box.clock.advance(timedelta(hours=5))

    box.sync()

    assert held is not None
    assert box.state.held == held


def test_upstream_may_mend_itself(box: Sandbox) -> None:
    """When the object is gone upstream, the mirror goes on without anybody."""
    box.upstream.commit()
    box.upstream.branch("other")
    good = box.upstream.oid("main")
    box.sync()
    spoiled(box, "gitmodulesUrl")
    assert box.sync().outcome is Outcome.HELD
    box.upstream.git("update-ref", "refs/heads/main", good)
    box.upstream.commit("other")

    assert box.sync().outcome is Outcome.CHANGED

    assert box.state.held is None
    assert box.agrees()


def test_one_bad_branch_holds_them_all(box: Sandbox) -> None:
    """Refs are published together or not at all."""
    box.upstream.commit()
    box.sync()
    before = box.published()
    box.upstream.branch("good", box.upstream.commit("other"))
    spoiled(box, "hasDotgit")

    assert box.sync().outcome is Outcome.HELD

    assert box.published() == before
    assert snapshot(box.upstream.path) != before


def test_very_many_warnings_do_not_hide_the_reason(box: Sandbox) -> None:
    """Behind thousands of findings, the dangerous object is still named."""
    box.upstream.commit()
    box.sync()
    person = "A <a@b> {n} +51800"
    commit = f"commit refs/heads/odd\nauthor {person}\ncommitter {person}\ndata 0\n"
    lines = [commit.format(n=n) for n in range(9000)]
    words = ("--quiet", "--date-format=raw-permissive")
    box.upstream.git("fast-import", *words, stdin="".join(lines).encode())
    oid = spoiled(box, "duplicateEntries")

    run = box.sync()

    assert run.outcome is Outcome.HELD
    assert oid in str(run.error)
