"""Questions to GitHub's API: redirects, allowances, and answers that cannot be."""

from __future__ import annotations

import json
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from syncer.errors import (
    AccessDenied,
    EgressRefused,
    Interrupted,
    Moved,
    NotFound,
    ProtocolError,
    RateLimited,
    SyncerError,
    Unavailable,
)
from syncer.model.names import RepoName
from syncer.model.releases import Page
from syncer.upstream import github as github_module
from syncer.upstream.egress import Egress
from syncer.upstream.github import GitHubApi
from syncer.upstream.session import Session
from tests.fakes import FakeClock
from tests.fakes_forge import host
from tests.servers.scripted import Said, ScriptedServer, document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.endpoints import Host

HOST = "github.test"
NAME = RepoName(HOST, "acme", "tool")
TOKEN = "ghp_verySecretToken42"  # noqa: S105 - made up
BY_NAME, BY_ID = "/repos/acme/tool", "/repositories/7"
DIGEST = "ab" * 32
ATTESTED = f"{BY_NAME}/attestations/sha256:{DIGEST}?per_page=100&predicate_type=release"


def repository(**fields: object) -> dict[str, object]:
    """Return a repository as the API writes it."""
    owner = {"id": 1, "login": "acme"}
    named = {"id": 7, "node_id": "R_7", "name": "tool", "owner": owner}
    return named | fields


def limits(remaining: int, limit: int = 5000) -> dict[str, str]:
    """Return the headers that tell what is left."""
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": "1772371800",  # an hour after the clock's beginning
        "date": "Sun, 01 Mar 2026 12:30:00 GMT",
    }


class World:
    """A client of a server that says what a test scripts."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.clock = FakeClock()
        self.stop = Event()
        self.entry = self.entered(token=TOKEN)
        self._session = Session(Egress(self.clock), clock=self.clock)
        self.api = GitHubApi(
            self._entry, self._session, clock=self.clock, stop=self.stop
        )

    def entered(self, *, token: str | None, base: str = "") -> Host:
        settings: dict[str, Any] = {"private": True, "probes": 1e6}
        settings["api"] = f"{self.server.url}{base}"
        return host(HOST, token=token, **settings)

    def close(self) -> None:
        self.api.close()
        self._session.close()

    @property
    def asked(self) -> list[str]:
        return [each.target for each in self.server.asked]

    def _entry(self, name: str) -> Host:
        return self.entry if name == HOST else host(name)


@pytest.fixture
def world() -> Iterator[World]:
    """Yield a client with a server of its own."""
    with ScriptedServer() as server:
        made = World(server)
        yield made
        made.close()


def test_a_host_without_an_api_is_not_asked(world: World) -> None:
    """It is not ours to guess where one is."""
    assert not world.api.serves("other.test")
    assert not world.api.is_authorised("other.test")
    with pytest.raises(EgressRefused, match=r"other\.test has no API") as caught:
        world.api.named(RepoName("other.test", "a", "b"))
    assert "api = " in str(caught.value.hint)


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("base", ["", "/api/v3"])
def test_redirects_within_the_api_are_followed(
    world: World,
    code: int,
    absolute: bool,  # noqa: FBT001 - how it is spelled
    base: str,
) -> None:
    """A renamed repository answers with its id and its new name."""
    world.entry = world.entered(token=TOKEN, base=base)
    target = f"{world.server.url if absolute else ''}{base}{BY_ID}"
    world.server.on(f"{base}{BY_NAME}", Said(code, headers={"Location": target}))
    world.server.on(f"{base}{BY_ID}", document(repository(name="utensil")))

    found = world.api.named(NAME)

    assert (found.id, found.name) == (7, RepoName(HOST, "acme", "utensil"))
    assert {each.headers["authorization"] for each in world.server.asked} == {
        f"Bearer {TOKEN}"
    }


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/repositories/7",
        "//evil.test/repositories/7",
        "http://127.0.0.1:1/repositories/7",
        "/api/v3/../admin",
        "/api/v4/repositories/7",
        "https://x:y@127.0.0.1/",
        "http://[",
        "file:///etc/passwd",
    ],
)
def test_redirects_out_of_the_api_are_not(world: World, target: str) -> None:
    """Our token would go with them."""
    world.entry = world.entered(token=TOKEN, base="/api/v3")
    world.server.on(f"/api/v3{BY_NAME}", Said(301, headers={"Location": target}))
    with pytest.raises(EgressRefused, match="out of its API"):
        world.api.describe(NAME)
    assert len(world.asked) == 1


def test_a_circle_of_redirects_ends(world: World) -> None:
    """After three, or where none says whither."""
    world.server.on(BY_NAME, Said(301, headers={"Location": BY_ID}))
    world.server.on(BY_ID, Said(301, headers={"Location": BY_NAME}))
    with pytest.raises(Moved, match="again and again"):
        world.api.describe(NAME)
    assert len(world.asked) == 4


def test_an_answer_about_another_repository_is_none(world: World) -> None:
    """What was asked for by id has that id."""
    world.server.on(BY_ID, document(repository(id=8)))
    with pytest.raises(ProtocolError, match="repository 7 with 8"):
        world.api.describe(NAME, id_=7)


def test_an_unchanged_answer_was_asked_for(world: World) -> None:
    """A 304 to nobody's etag is none; an etag that cannot be a header is forgotten."""
    world.server.on(BY_ID, document(repository(), ETag='W/"a"'))
    first = world.api.describe(NAME, id_=7)
    assert (first.etag, first.facts is not None) == ('W/"a"', True)

    world.server.on(BY_ID, Said(304))
    second = world.api.describe(NAME, id_=7, etag=first.etag)
    assert (second.facts, second.etag) == (None, first.etag)
    assert world.server.asked[-1].headers["if-none-match"] == first.etag

    with pytest.raises(ProtocolError, match="304"):
        world.api.describe(NAME, id_=7)
    world.server.on(BY_ID, document(repository(), ETag="no quotes"))
    assert world.api.describe(NAME, id_=7).etag is None


def test_the_reserve_is_kept_before_anybody_is_asked(world: World) -> None:
    """What costs nothing may still be asked: the lag stays honest, and is known."""
    world.server.on(BY_ID, document(repository(), 200, **limits(500), ETag='"a"'))
    etag = world.api.describe(NAME, id_=7).etag
    with pytest.raises(RateLimited, match="500 are left"):
        world.api.named(NAME)
    world.server.on(BY_ID, Said(304, headers=limits(500)))
    assert world.api.describe(NAME, id_=7, etag=etag).facts is None
    assert world.asked == [BY_ID, BY_ID]
    (told,) = world.api.allowances(HOST)
    assert (told.resource, told.limit, told.remaining) == ("core", 5000, 500)

    # To who is nobody, a 304 costs as much as a 200.
    world.entry = world.entered(token=None)
    world.server.on(BY_ID, Said(304, headers=limits(6, 60)))
    assert world.api.describe(NAME, id_=7, etag=etag).facts is None
    with pytest.raises(RateLimited, match="6 are left"):
        world.api.describe(NAME, id_=7, etag=etag)


def test_a_limit_pauses_the_api_until_it_ends(world: World) -> None:
    """Nobody asks again before; git is not concerned."""
    said = document({"message": "secondary rate limit"}, 403, retry_after="90")
    world.server.on(BY_NAME, said, document(repository()))
    pause = timedelta(seconds=90)
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            world.api.describe(NAME, etag='"a"')
        assert caught.value.retry_after == pause
    assert len(world.asked) == 1
    world.clock.advance(pause)
    assert world.api.named(NAME).id == 7


def test_a_release_is_gone_only_when_the_api_says_so(world: World) -> None:
    """A 404 of somebody else, or any other answer, is no evidence."""
    place = f"{BY_ID}/releases/5"
    world.server.on(place, document({"id": 5}))
    assert world.api.release(NAME, 7, 5)
    world.server.on(place, document({"message": "Not Found"}, 404))
    assert not world.api.release(NAME, 7, 5)

    table: list[tuple[Said, type[SyncerError]]] = [
        (Said(404, b"<html>", {"Content-Type": "text/html"}), ProtocolError),
        (document({"message": "Gone"}, 410), NotFound),
        (document({"message": "No"}, 403), AccessDenied),
        (document({"message": "No"}, 500), Unavailable),
        (document({"id": 6}), ProtocolError),
        (document([]), ProtocolError),
    ]
    for said, kind in table:
        world.server.on(place, said)
        with pytest.raises(kind):
            world.api.release(NAME, 7, 5)


def test_attestations_of_all_pages_are_one_document(world: World) -> None:
    """None where there are none."""
    bundles = [{"bundle": {"n": number}, "repository_id": 7} for number in range(3)]
    second = f"{BY_ID}/attestations/sha256:{DIGEST}?after=x"
    link = f'<{world.server.url}{second}>; rel="next"'
    world.server.on(ATTESTED, document({"attestations": bundles[:2]}, Link=link))
    world.server.on(second, document({"attestations": bundles[2:]}))

    found = world.api.attestations(NAME, DIGEST)

    assert found is not None
    assert json.loads(found) == {"attestations": bundles}
    world.server.on(ATTESTED, document({"attestations": []}))
    assert world.api.attestations(NAME, DIGEST) is None
    world.server.on(ATTESTED, document({"message": "Not Found"}, 404))
    assert world.api.attestations(NAME, DIGEST) is None


def test_attestations_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their size, in one page or in all, and none lead back."""
    monkeypatch.setattr(github_module, "ATTESTATIONS", 1000)
    bundle = [{"bundle": {"x": "y" * 600}}]
    second = f"{BY_ID}/attestations/sha256:{DIGEST}?after=x"
    world.server.on(
        ATTESTED, document({"attestations": bundle}, Link=f'<{second}>; rel="next"')
    )
    world.server.on(second, document({"attestations": bundle}))
    with pytest.raises(ProtocolError, match="more than"):
        world.api.attestations(NAME, DIGEST)

    circle = f'<{ATTESTED}>; rel="next"'
    world.server.on(ATTESTED, document({"attestations": []}, Link=circle))
    with pytest.raises(ProtocolError, match="lead where they must not"):
        world.api.attestations(NAME, DIGEST)

    world.server.on(ATTESTED, document({"attestations": bundle * 3}))
    with pytest.raises(SyncerError, match="the attestations of"):
        world.api.attestations(NAME, DIGEST)


def test_an_owner_is_an_organisation_or_a_user(world: World) -> None:
    """All pages, each repository once; what is nobody's is not found."""
    rows = [repository(id=number, name=f"r{number}") for number in range(4)]
    first, second = (
        "/orgs/acme/repos?type=all&per_page=100",
        "/organizations/1/repos?page=2",
    )
    link = f'<{world.server.url}{second}>; rel="next"'
    world.server.on(first, document(rows[:3], Link=link))
    world.server.on(second, document(rows[2:]))
    assert [each.id for each in world.api.owned(HOST, "acme")] == [0, 1, 2, 3]

    world.server.on(first, document({"message": "Not Found"}, 404))
    user = "/users/acme/repos?type=owner&per_page=100"
    world.server.on(user, document(rows[:1]))
    assert [each.id for each in world.api.owned(HOST, "acme")] == [0]

    world.server.on(user, document({"message": "Not Found"}, 404))
    with pytest.raises(NotFound, match="the repositories of acme"):
        world.api.owned(HOST, "acme")
    world.server.on(first, document({"message": "x"}, 500))
    with pytest.raises(Unavailable):
        world.api.owned(HOST, "acme")


def test_a_stop_ends_the_questions(world: World) -> None:
    """Nothing is asked any more, and nothing was changed."""
    world.stop.set()
    with pytest.raises(Interrupted):
        world.api.releases(NAME, 7, (Page("x", None, ()),))
    assert world.asked == []
