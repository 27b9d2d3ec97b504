"""An API that fails at any call: nothing is lost, nothing is deleted, all comes back.

`make test` tries each call and each failure; `make test-long` all of both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from syncer.errors import SyncerError
from syncer.model.names import OwnerName
from syncer.model.runs import Outcome
from tests.release_store import Ahead, ReleaseStore
from tests.servers.github import GitHubServer
from tests.servers.github_faults import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.release_store import Kept

#: Releases of the three pages that are asked for.
SHOWN = 210
HOURS = timedelta(hours=3)

CALLS: list[tuple[str, int | None]] = [
    ("repository", None),
    ("releases", 1),
    ("releases", 2),
    ("releases", 3),
    ("release", None),
    ("asset", None),
    ("web", None),
    ("attestations", None),
]
FAILURES: dict[str, dict[str, Any]] = {
    "403": {"how": "primary", "status": 403},
    "429": {"how": "secondary", "status": 429},
    "500": {"status": 500},
    "502": {"status": 502},
    "page": {"how": "html"},
    "json": {"how": "json"},
    "cut": {"how": "cut"},
    "reset": {"how": "reset"},
    "401": {"status": 401},
    "404": {"status": 404},
}
#: What proves that something is gone, if it is of that very thing.
_EVIDENCE = {("repository", "404"), ("release", "404")}
SAMPLE = {(call, "403") for call in CALLS} | {(CALLS[2], name) for name in FAILURES}


@dataclass
class World:
    """A store with a mirror of many releases, and what its upstream does."""

    store: ReleaseStore
    #: Ids of the releases that upstream deleted.
    deleted: set[int] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=count)

    def change(self) -> None:
        """Let something happen on the first page and on the last."""
        number, upstream = next(self.numbers), self.store.upstream
        fixed = upstream.release(f"new-{number}", immutable=True)
        fixed.asset("fixed.bin", b"fixed %d" % number)
        shown = upstream.listed()
        old = shown[-2]
        old.asset(f"named-{number}.bin", b"named %d" % number)
        old.asset(f"pinned-{number}.bin", b"pinned %d" % number, digest=False)
        self.deleted.add(shown[150].id)
        shown[150].delete()

    def spoil(self, call: tuple[str, int | None], failure: dict[str, Any]) -> Failure:
        """Let a call fail from now on."""
        what, page = call
        made = Failure(
            what,
            page,
            failure.get("status", 500),
            failure.get("how"),
            {},
            times=None,
            skip=0,
        )
        self.store.server.failures.add(made)
        return made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Provide a mirror that was synced."""
    clock = Ahead()
    with GitHubServer(clock, validate=False) as server:
        store = ReleaseStore(tmp_path_factory.mktemp("store"), server, clock)
        for number in range(SHOWN):
            store.upstream.release(f"v{number}")
        store.upstream.releases[0].asset("first.bin", b"first")
        assert store.sync().outcome is Outcome.CHANGED
        assert store.agrees()
        yield World(store)


@pytest.fixture
def world(shared: World) -> World:
    """Provide the mirror, hours later, with an upstream that is well."""
    shared.store.server.heal()
    shared.store.clock.by += HOURS
    return shared


def _cases() -> list[Any]:
    return [
        pytest.param(
            call,
            name,
            id=f"{call[0]}{call[1] or ''}-{name}",
            marks=() if (call, name) in SAMPLE else pytest.mark.long,
        )
        for call in CALLS
        for name in FAILURES
        if (call[0], name) not in _EVIDENCE
    ]


@pytest.mark.parametrize(("call", "name"), _cases())
def test_a_call_that_fails_loses_and_deletes_nothing(
    world: World, call: tuple[str, int | None], name: str
) -> None:
    """Files and rows before are there after; the next sync brings the rest."""
    store, before = world.store, world.store.kept()
    world.change()
    failure = world.spoil(call, FAILURES[name])

    run = store.sync()

    assert failure.seen > 0
    keeps(world, before, store.kept())
    assert run.outcome is not Outcome.UNCHANGED
    assert "defect" not in str(run.error)
    assert run.exit_code in {cls.exit_code for cls in _errors()} | {0}
    store.server.heal()
    store.clock.by += HOURS
    healed = store.sync()
    assert healed.exit_code == 0, healed
    assert store.agrees(), healed
    keeps(world, before, store.kept())


def keeps(world: World, before: Kept, after: Kept) -> None:
    """Check that nothing is lost, and gone only what upstream deleted."""
    assert before.blobs.items() <= after.blobs.items()
    assert before.refs.items() <= after.refs.items()
    assert before.releases.keys() <= after.releases.keys()
    assert {id_ for id_, gone in after.releases.items() if gone} <= world.deleted
    assert before.assets <= after.assets


def _errors() -> list[type[SyncerError]]:
    found = [SyncerError]
    for cls in found:
        found += cls.__subclasses__()
    return found


@pytest.mark.parametrize(
    "failure", [{"status": 500}, {"how": "primary"}, {"how": "cut"}]
)
@pytest.mark.parametrize("call", ["owned", "graphql"])
def test_questions_about_many_lose_nothing(
    world: World, call: str, failure: dict[str, Any]
) -> None:
    """A sweep or a look at an owner that fails leaves what is known."""
    store, before = world.store, world.store.kept()
    seen = world.spoil((call, None), failure)

    with store.process() as app:
        known = app.world.releases.discoveries()
        if call == "graphql":
            assert app.hints.sweep(app.catalog.states()) == set()
        else:
            assert not app.discoverer.look([OwnerName.parse("acme")])
        assert app.world.releases.discoveries() == known

    assert seen.seen > 0
    assert store.kept() == before
    store.server.heal()
    store.clock.by += HOURS
