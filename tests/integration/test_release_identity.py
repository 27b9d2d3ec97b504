"""Who a mirrored repository is, while upstream changes its names, its mind and hands.

Whatever is found out: what was mirrored stays.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.errors import Blocked, NotFound, RateLimited, Unavailable
from syncer.model.names import RepoName
from syncer.model.origin import Standing
from syncer.model.runs import Outcome
from tests.release_mirrors import DAY, HOUR, WIDGET, Mirrored

if TYPE_CHECKING:
    from collections.abc import Iterator

GADGET = RepoName.parse("newcorp/gadget")


@pytest.fixture
def mirrored() -> Iterator[Mirrored]:
    """Return a mirror of one release, synced once."""
    made = Mirrored()
    made.upstream.release("v1").asset("tool.whl", b"one")
    made.syncs()
    yield made
    made.close()


def test_a_renamed_repository_is_followed(mirrored: Mirrored) -> None:
    """Git denies the old name, the id leads to the new one: in the same visit."""
    mirrored.upstream.rename("newcorp/gadget")
    commit = mirrored.push()

    mirrored.syncs()

    assert mirrored.head() == commit
    assert mirrored.state.upstream == mirrored.state.source == GADGET
    assert mirrored.events() == ["renamed"]
    mirrored.upstream.releases[0].asset("late.whl", b"late")
    mirrored.syncs(after=HOUR)
    assert mirrored.asset("v1", "late.whl").blob is not None
    assert mirrored.forge.probed[-1] == GADGET
    mirrored.upstream.rename("acme/widget")
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)
    assert mirrored.state.upstream is None
    assert mirrored.events() == ["renamed"] * 2


def test_refs_of_a_name_that_it_left_are_not_taken(mirrored: Mirrored) -> None:
    """The old name is another's by now: its refs were never ours to publish."""
    mirrored.upstream.rename("newcorp/gadget")
    before = mirrored.head()
    # Whoever has the name shows a commit that the mirrored one would give, too.
    ours, stolen = mirrored.git[mirrored.upstream.id], mirrored.push()
    ours.refs["refs/heads/main"] = str(before)
    theirs = mirrored.git[mirrored.create("acme/widget").id]
    theirs.things.update(ours.things)
    theirs.refs["refs/heads/main"] = stolen

    run = mirrored.sync()

    assert mirrored.head() == before
    assert run.outcome is Outcome.UNCHANGED
    assert mirrored.state.source == GADGET


def jack(mirrored: Mirrored) -> str:
    """Let the repository be deleted, and somebody else take its name."""
    mirrored.upstream.delete()
    other = mirrored.create("acme/widget")
    other.release("v1").asset("tool.whl", b"evil")
    mirrored.upstream = other
    return mirrored.push()


def test_another_repository_under_the_name_is_held(mirrored: Mirrored) -> None:
    """Nothing of it is taken, and the audit trail hears of it once."""
    commit, records, generation = mirrored.head(), mirrored.records(), 1
    jack(mirrored)

    for _ in range(3):
        run = mirrored.syncs(Outcome.HELD, after=HOUR)

    assert "is another repository now" in str(run.error)
    assert run.hint == "if that is right: syncer accept acme/widget --identity"
    assert (mirrored.head(), mirrored.records()) == (commit, records)
    assert mirrored.state.generation == generation
    assert mirrored.events() == ["identity"]
    assert mirrored.api.downloads == []


def test_an_accepted_repository_takes_the_mirror_over(mirrored: Mirrored) -> None:
    """Its refs and releases are published; the old bytes stay as tombstones."""
    commit = jack(mirrored)
    mirrored.syncs(Outcome.HELD, after=HOUR)
    mirrored.accept()

    mirrored.syncs(after=HOUR)

    assert mirrored.head() == commit
    assert mirrored.state.held is None
    alive = [r for r in mirrored.records() if r.gone is None]
    assert [r.release.id for r in alive] == [mirrored.upstream.releases[0].id]
    bodies = {mirrored.blobs.body(str(e.blob)) for _, e in mirrored.assets()}
    assert bodies == {b"one", b"evil"}
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)


def test_a_third_repository_is_not_the_accepted_one(mirrored: Mirrored) -> None:
    """What a person accepted is one id; another one waits again."""
    before = mirrored.head()
    jack(mirrored)
    mirrored.syncs(Outcome.HELD, after=HOUR)
    mirrored.accept()
    jack(mirrored)

    mirrored.syncs(Outcome.HELD, after=HOUR)

    assert mirrored.head() == before
    held = mirrored.state.held
    assert held is not None
    assert (held.identity, held.accepted) == (mirrored.upstream.id, False)


def test_a_deleted_repository_is_gone_after_a_day(mirrored: Mirrored) -> None:
    """Absent first, GONE with the third sighting over 24 hours, back when it is."""
    commit, records = mirrored.head(), mirrored.records()
    lost = mirrored.upstream
    lost.delete()
    for after in (HOUR, 10 * HOUR, 13 * HOUR):
        run = mirrored.syncs(Outcome.FAILED, after=after)
        assert "upstream answers 404" in str(run.error)
        assert run.exit_code == NotFound.exit_code
        assert mirrored.standing() is Standing.ABSENT
    run = mirrored.syncs(Outcome.GONE, after=2 * HOUR)
    assert "confirmed 4 times" in str(run.error)
    assert mirrored.standing() is Standing.GONE
    assert (mirrored.head(), mirrored.records()) == (commit, records)
    mirrored.syncs(Outcome.GONE, after=DAY)
    assert mirrored.events() == ["standing"] * 2

    mirrored.api.state.repositories[lost.id] = lost
    mirrored.syncs(Outcome.UNCHANGED, after=DAY)

    assert mirrored.standing() is Standing.NORMAL
    assert mirrored.state.failures == 0
    assert mirrored.events() == ["standing"] * 3


def test_many_that_are_denied_at_once_are_not_gone() -> None:
    """A token that lost its scope is the likelier reason."""
    names = [f"acme/number-{number}" for number in range(3)]
    mirrored = Mirrored(*names)
    every = [WIDGET, *(RepoName.parse(name) for name in names)]
    for name in every:
        mirrored.syncs(name=name)
    for found in list(mirrored.api.state.repositories.values()):
        found.private = True
    mirrored.api.authorised = False

    for _ in range(5):
        for name in every[1:]:
            mirrored.syncs(Outcome.FAILED, name=name, after=10 * HOUR)

    standings = {mirrored.catalog.state(name).standing for name in every[1:]}
    assert standings == {Standing.ABSENT}
    mirrored.close()


def test_a_blocked_repository_says_where_that_is_explained(
    mirrored: Mirrored,
) -> None:
    """451 is a named state with its notice; when it is lifted, all goes on."""
    mirrored.upstream.block(url="https://github.com/github/dmca/notice.md")

    for _ in range(2):
        run = mirrored.syncs(Outcome.FAILED, after=HOUR)
        assert "blocked upstream for legal reasons" in str(run.error)
        assert "https://github.com/github/dmca/notice.md" in str(run.error)
        assert "what was mirrored is kept" in str(run.error)

    assert run.exit_code == Blocked.exit_code
    assert mirrored.standing() is Standing.BLOCKED
    assert mirrored.events() == ["standing"]
    mirrored.upstream.blocked = None
    commit = mirrored.push()
    mirrored.syncs(after=DAY)
    assert mirrored.head() == commit
    assert mirrored.standing() is Standing.NORMAL


def test_a_disabled_repository_is_kept(mirrored: Mirrored) -> None:
    """Its host gives nothing of it, and says so."""
    mirrored.upstream.disabled = True
    run = mirrored.syncs(Outcome.FAILED, after=HOUR)
    assert "is disabled upstream" in str(run.error)
    assert mirrored.standing() is Standing.DISABLED
    mirrored.upstream.disabled = False
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)
    assert mirrored.standing() is Standing.NORMAL


def test_an_archived_repository_is_mirrored_on(mirrored: Mirrored) -> None:
    """It is read-only, and its last words are taken; a new licence is told."""
    commit = mirrored.push()
    mirrored.upstream.archived = True
    mirrored.upstream.licence = "BUSL-1.1"
    mirrored.syncs()
    assert mirrored.head() == commit
    assert mirrored.standing() is Standing.ARCHIVED
    assert sorted(mirrored.events()) == ["licence", "standing"]
    mirrored.syncs(Outcome.UNCHANGED, after=HOUR)


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("upstream answers 503"),
        RateLimited("the limit is reached", retry_after=timedelta(minutes=30)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_git_goes_on_for_a_day_without_the_api(
    mirrored: Mirrored, error: Exception
) -> None:
    """The identity of yesterday is believed, that of the day before is not."""
    mirrored.api.fail("*", error, times=99)
    commit = mirrored.push()
    # The releases were due as well, and could not be asked for.
    assert mirrored.sync(after=23 * HOUR).outcome is Outcome.PARTIAL
    assert mirrored.head() == commit
    mirrored.push()

    run = mirrored.syncs(Outcome.FAILED, after=2 * HOUR)

    assert str(error) in str(run.error)
    assert mirrored.head() == commit
    mirrored.api.heal()
    mirrored.syncs(after=HOUR)
    assert mirrored.head() != commit


def test_an_unchanged_mirror_is_fresh_without_the_api(mirrored: Mirrored) -> None:
    """Nothing was taken, so nobody need be confirmed; the releases are late."""
    mirrored.api.fail("*", Unavailable("upstream answers 503"), times=99)

    run = mirrored.syncs(Outcome.PARTIAL, after=3 * DAY)

    assert "releases: upstream answers 503" in str(run.error)
    assert "what is published of them is unchanged" in str(run.error)
    state = mirrored.state
    assert (state.failures, state.last_success) == (0, run.started)
    assert state.releases.failures == 1


def test_a_first_mirror_does_not_wait_for_the_api() -> None:
    """Who was never seen cannot be mistaken; releases come once the API is back."""
    mirrored = Mirrored()
    mirrored.upstream.release("v1").asset("tool.whl", b"one")
    mirrored.api.fail("*", Unavailable("upstream answers 503"), times=99)
    mirrored.syncs(Outcome.PARTIAL)
    assert mirrored.head() is not None
    assert mirrored.records() == []
    assert mirrored.state.releases.checked is None

    mirrored.api.heal()
    mirrored.syncs(after=HOUR)

    assert mirrored.asset("v1", "tool.whl").blob is not None
    assert mirrored.state.node_id == mirrored.upstream.node_id
    mirrored.close()
