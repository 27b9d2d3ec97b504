"""One question about many repositories: what is asked, and what is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import (
    AccessDenied,
    ProtocolError,
    RateLimited,
    SyncerError,
    Unavailable,
)
from syncer.model.origin import Hint
from syncer.upstream.allowance import CORE, GRAPHQL, Allowances
from syncer.upstream.egress import Egress
from syncer.upstream.github_failures import ApiLimits
from syncer.upstream.github_sweep import Sweeper, read_hints
from syncer.upstream.session import Session
from tests.fakes import FakeClock
from tests.fakes_forge import host
from tests.servers.scripted import Said, ScriptedServer, document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.endpoints import Host

TOKEN = "ghp_verySecretToken42"  # noqa: S105 - made up
RATE = {"cost": 1, "remaining": 4999, "resetAt": "2026-03-01T13:00:00Z", "limit": 5000}


def node(**fields: object) -> dict[str, object]:
    """Return a repository as GraphQL shows it."""
    newest = {
        "tagName": "v1",
        "updatedAt": "2026-01-02T03:04:05Z",
        "isDraft": False,
    }
    return {
        "nameWithOwner": "acme/tool",
        "pushedAt": "2026-02-03T04:05:06Z",
        "isArchived": False,
        "isDisabled": False,
        "isPrivate": False,
        "releases": {"totalCount": 3, "nodes": [newest]},
    } | fields


def answer(*nodes: object, errors: list[object] | None = None) -> Said:
    """Return an answer with these repositories."""
    data = {"nodes": list(nodes), "rateLimit": RATE}
    return document({"data": data} | ({} if errors is None else {"errors": errors}))


class World:
    """A host with a GraphQL API, and who asks it."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.clock = FakeClock()
        self.allowances = Allowances(self.clock)
        self.session = Session(Egress(self.clock), clock=self.clock)
        self.sweeper = Sweeper(
            self.session, ApiLimits(self.allowances, self.clock, GRAPHQL)
        )
        self.host = self.entry(server.url)

    def entry(self, api: str, token: str | None = TOKEN) -> Host:
        """Return a host whose API is there."""
        return host("ghe.test", token=token, git=self.server.url, api=api, private=True)

    def sweep(self, *ids: str) -> list[Hint]:
        """Ask about repositories."""
        return self.sweeper.sweep(self.host, ids)


@pytest.fixture
def world() -> Iterator[World]:
    """Yield a host with a token for it."""
    with ScriptedServer() as server:
        made = World(server)
        yield made
        made.session.close()


def test_a_hundred_repositories_are_one_question(world: World) -> None:
    """Its ids are variables, its answer a hint for each, in their order."""
    ids = [f"R_{number}" for number in range(100)]
    world.server.on("/graphql", answer(*[node() for _ in ids]))

    found = world.sweep(*ids)

    (asked,) = world.server.asked
    assert asked.method == "POST"
    assert asked.document["variables"] == {"ids": ids}
    assert "nodes(ids: $ids)" in asked.document["query"]
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert [hint.node_id for hint in found] == ids
    assert {hint.pushed for hint in found} == {
        datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    }
    assert len({hint.release for hint in found}) == 1
    assert not [hint for hint in found if hint.absent]


def test_more_than_a_hundred_are_a_mistake(world: World) -> None:
    """Of the caller's: GitHub would answer none of them."""
    with pytest.raises(ValueError, match="101"):
        world.sweep(*[f"R_{number}" for number in range(101)])


def test_what_cannot_be_an_id_is_not_asked(world: World) -> None:
    """It would spoil the answer for all others."""
    world.server.on("/graphql", answer(node()))

    assert [hint.node_id for hint in world.sweep("R 1", "R_2", "")] == ["R_2"]
    assert world.sweep("?") == []
    assert len(world.server.asked) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"releases": {"totalCount": 4, "nodes": []}},
        {"releases": {"totalCount": 0, "nodes": []}},
        {"releases": {"totalCount": 3, "nodes": [{"tagName": "v2"}]}},
        {"isArchived": True},
        {"isDisabled": True},
        {"isPrivate": True},
        {"nameWithOwner": "acme/tool2"},
    ],
)
def test_what_makes_a_mirror_due_changes_its_hint(
    world: World, changed: dict[str, object]
) -> None:
    """Releases, and the name and standing; a push has a field of its own."""
    world.server.on("/graphql", answer(node(), node(), node(**changed)))

    one, two, three = world.sweep("R_1", "R_2", "R_3")

    assert one.release == two.release != three.release


def test_a_push_is_told_apart(world: World) -> None:
    """It is a time; an empty repository has none."""
    later = node(pushedAt="2026-02-03T04:05:07Z")
    world.server.on("/graphql", answer(node(), later, node(pushedAt=None)))

    one, two, three = world.sweep("R_1", "R_2", "R_3")

    assert one.release == two.release == three.release
    assert three.pushed is None
    assert one.pushed is not None
    assert two.pushed is not None
    assert one.pushed < two.pushed


def test_what_is_not_shown_is_absent(world: World) -> None:
    """Unless upstream says that it is only not for us."""
    errors = [
        {"type": "NOT_FOUND", "path": ["nodes", 0], "message": "no such node"},
        {"type": "FORBIDDEN", "path": ["nodes", 2], "message": "SAML enforcement"},
    ]
    world.server.on("/graphql", answer(None, node(), None, {}, errors=list(errors)))

    found = world.sweep("R_1", "R_2", "R_3", "U_4")

    assert [(hint.node_id, hint.absent) for hint in found] == [
        ("R_1", True),
        ("R_2", False),
    ]


@pytest.mark.parametrize(
    ("api", "place"),
    [
        ("", "/graphql"),
        ("/api/v3", "/api/graphql"),
        ("/elsewhere", "/elsewhere/graphql"),
    ],
)
def test_the_address_is_that_of_the_host(world: World, api: str, place: str) -> None:
    """Enterprise Server has it beside `/api/v3`."""
    world.host = world.entry(f"{world.server.url}{api}")
    world.server.on(place, answer(node()))

    assert len(world.sweep("R_1")) == 1


def test_without_a_token_nobody_is_asked(world: World) -> None:
    """GitHub answers none of these questions anonymously."""
    world.host = world.entry(world.server.url, token=None)

    with pytest.raises(AccessDenied, match="token"):
        world.sweep("R_1")

    assert world.server.asked == []


def problem(kind: str | None, message: str = "it went wrong") -> dict[str, Any]:
    """Return one entry of `errors`."""
    return {"message": message} | ({} if kind is None else {"type": kind})


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (document({"errors": [problem("RATE_LIMITED")]}), RateLimited),
        (document({"data": None, "errors": [problem("RATE_LIMIT")]}), RateLimited),
        (document({}, 429, retry_after="7"), RateLimited),
        (document({}, 401), AccessDenied),
        (document({}, 502), Unavailable),
        (document({"errors": [problem(None)]}), Unavailable),
        (document({"errors": [problem("MAX_NODE_LIMIT_EXCEEDED")]}), ProtocolError),
        (document({}), ProtocolError),
        (document([]), ProtocolError),
        (Said(200, b"<html>"), ProtocolError),
        (Said(200, b'{"data": NaN}'), ProtocolError),
        (Said(200, b"[" * 200_000), ProtocolError),
        (answer(), ProtocolError),
        (answer(node(), node()), ProtocolError),
        (answer("R_1"), ProtocolError),
        (answer(node(pushedAt="yesterday")), ProtocolError),
        (answer(node(pushedAt=5)), ProtocolError),
        (answer(node(releases=None)), ProtocolError),
        (answer(node(releases={"totalCount": True, "nodes": []})), ProtocolError),
        (answer(node(releases={"totalCount": 1, "nodes": [5]})), ProtocolError),
        (answer(node(nameWithOwner=["x"])), ProtocolError),
        (answer(node(nameWithOwner="x" * 5000)), ProtocolError),
    ],
)
def test_anything_else_is_an_error(
    world: World, said: Said, error: type[SyncerError]
) -> None:
    """No hint is made of half an answer, and a limit comes as 200, too."""
    world.server.on("/graphql", said)

    with pytest.raises(error) as caught:
        world.sweep("R_1")

    assert TOKEN not in repr(caught.value)


def test_a_limit_comes_as_200(world: World) -> None:
    """It pauses this API until the window ends, and not the other one."""
    ends = world.clock.now() + timedelta(minutes=7)
    headers = {
        "X-RateLimit-Limit": "5000",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(ends.timestamp())),
        "X-RateLimit-Resource": "graphql",
    }
    said = document({"errors": [problem("RATE_LIMITED")]})
    world.server.on("/graphql", Said(200, said.body, headers), answer(node()))

    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            world.sweep("R_1")
        assert caught.value.retry_after == timedelta(minutes=7)

    assert len(world.server.asked) == 1
    world.allowances.check(world.host, CORE)
    world.clock.advance(timedelta(minutes=7))
    assert len(world.sweep("R_1")) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "nodes", "errors", "releases", "totalCount", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["data", "errors"]), JSON))
def test_no_document_breaks_the_reader(value: dict[str, object]) -> None:
    """It is a list of hints, or an error of ours."""
    try:
        found = read_hints(["R_1"], value)
    except SyncerError:
        return
    assert all(isinstance(hint, Hint) for hint in found)
