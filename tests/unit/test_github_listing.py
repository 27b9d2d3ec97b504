"""A listing of releases: which pages are asked for, and when it counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.errors import (
    AccessDenied,
    Blocked,
    EgressRefused,
    NotFound,
    PermanentError,
    ProtocolError,
    RateLimited,
    SyncerError,
    Unavailable,
)
from syncer.model.names import RepoName
from syncer.upstream import github_pages
from syncer.upstream.egress import Egress
from syncer.upstream.github import GitHubApi
from syncer.upstream.session import Session
from tests.fakes import FakeClock
from tests.fakes_forge import host
from tests.servers.scripted import Asked, Said, ScriptedServer, document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.model.releases import Listing, Page

HOST = "github.test"
NAME = RepoName(HOST, "acme", "tool")
TOKEN = "ghp_verySecretToken42"  # noqa: S105 - made up
PATH = "/repositories/7/releases?per_page=100"
DAY = timedelta(days=1)


class World:
    """A client of a server that says what a test scripts."""

    def __init__(self, server: ScriptedServer, clock: FakeClock) -> None:
        self.server = server
        self.clock = clock
        self._session = Session(Egress(clock), clock=clock)
        settings: dict[str, Any] = {"api": server.url, "private": True, "probes": 1e6}
        entry = host(HOST, token=TOKEN, **settings)
        self.api = GitHubApi(lambda _: entry, self._session, clock=clock)

    def close(self) -> None:
        self.api.close()
        self._session.close()

    def read(self, known: tuple[Page, ...] = ()) -> Listing:
        return self.api.releases(NAME, 7, known)

    @property
    def asked(self) -> list[tuple[str, bool]]:
        """What was asked for, and whether only if it changed."""
        found = self.server.asked
        return [(each.target, "if-none-match" in each.headers) for each in found]

    def page(self, *ids: int, number: int = 1, last: int = 1, tag: str = "") -> Said:
        """Return a page with releases, and script it."""
        rows = [{"id": id_, "node_id": f"RE_{id_}", "tag_name": "v1"} for id_ in ids]
        said = document(rows, ETag=f'W/"{tag or number}"')
        said = self.linked(said, number, last)
        self.server.on(self.path(number), self.conditional(said))
        return said

    def linked(self, said: Said, number: int, last: int) -> Said:
        if number == last:
            return said
        target = f"{self.server.url}{self.path(number + 1)}"
        return replace(
            said, headers={**said.headers, "Link": f'<{target}>; rel="next"'}
        )

    @staticmethod
    def conditional(said: Said) -> Any:  # noqa: ANN401 - a script of the server
        """Return a script that answers 304 to who has it, without `Link`."""

        def answer(asked: Asked) -> Said:
            etag = said.headers.get("ETag")
            if asked.headers.get("if-none-match") == etag and etag:
                return Said(304, headers={"ETag": etag})
            return said

        return answer

    @staticmethod
    def path(number: int) -> str:
        return PATH if number == 1 else f"{PATH}&page={number}"


@pytest.fixture
def world() -> Iterator[World]:
    """Yield a client with a server of its own."""
    with ScriptedServer() as server:
        made = World(server, FakeClock())
        yield made
        made.close()


def test_each_page_is_proved_by_its_own_etag(world: World) -> None:
    """Page 1 unchanged says nothing of page 3; what is unchanged has no releases."""
    for number in (1, 2, 3):
        world.page(number * 10, number=number, last=3)
    first = world.read()
    world.page(30, 31, number=3, last=3, tag="other")

    second = world.read(first.pages)

    assert [release.id for release in first.releases] == [10, 20, 30]
    assert [release.id for release in second.releases] == [30, 31]
    assert second.ids == {10, 20, 30, 31}
    assert second.pages[:2] == first.pages[:2]
    assert (first.requests, second.requests) == (3, 3)
    pages = [world.path(number) for number in (1, 2, 3)]
    assert world.asked == [(path, again) for again in (False, True) for path in pages]


def test_what_is_asked_says_who_asks_and_what_it_knows(world: World) -> None:
    """The headers that the description asks for, and nothing in the body."""
    world.page(1)
    world.read()

    (asked,) = world.server.asked
    assert asked.headers["accept"] == "application/vnd.github+json"
    assert asked.headers["x-github-api-version"] == "2022-11-28"
    assert asked.headers["user-agent"].startswith("syncer/")
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.body == b""


def test_the_link_of_a_304_wins(world: World) -> None:
    """A page may begin, or cease, to follow without changing the one before."""
    world.page(1)
    first = world.read()
    link = f'<{world.server.url}{world.path(2)}>; rel="next"'
    world.server.on(PATH, Said(304, headers={"Link": link}))
    world.page(2, number=2, last=2)

    second = world.read(first.pages)
    assert second.ids == {1, 2}
    assert second.pages[0].next == f"{world.server.url}{world.path(2)}"

    world.server.on(PATH, Said(304, headers={"Link": link.replace("next", "last")}))
    assert world.read(second.pages).ids == {1}


def test_a_full_last_page_is_read_as_a_whole_once_a_day(world: World) -> None:
    """A release behind it changes its `Link` header, not the body its etag is of."""
    world.page(*range(1, 101))
    first = world.read()
    world.clock.advance(DAY)
    assert world.read(first.pages).pages == first.pages
    # Another one joined; a 304 does not tell.
    world.page(*range(1, 101), last=2)
    world.page(101, number=2, last=2)
    assert len(world.read(first.pages).ids) == 100

    world.clock.advance(timedelta(seconds=1))
    found = world.read(first.pages)

    assert len(found.ids) == 101
    assert found.pages[0].read == world.clock.now()


def test_a_page_that_is_not_full_is_the_last(world: World) -> None:
    """Nothing can join behind it without changing it."""
    world.page(*range(1, 100))
    first = world.read()
    world.clock.advance(30 * DAY)
    assert world.read(first.pages).pages == first.pages


def test_releases_that_shift_while_they_are_read_are_read_again(world: World) -> None:
    """Once, as a whole; the listing is of the second reading."""
    world.page(2, 1, last=2)
    world.page(0, number=2, last=2)
    first = world.read()
    world.page(1, 0, number=2, last=2, tag="shifted")
    fresh = world.page(3, 2, last=2, tag="new")
    world.server.on(PATH, Said(304), fresh)

    found = world.read(first.pages)

    assert [release.id for release in found.releases] == [3, 2, 1, 0]
    assert found.requests == 4
    assert [again for _, again in world.asked[2:]] == [True, True, False, False]


def test_a_listing_that_never_stands_still_is_none(world: World) -> None:
    """It may be another time."""
    world.page(1, last=2)
    world.page(1, number=2, last=2)
    with pytest.raises(Unavailable, match="changed while it was read"):
        world.read()
    assert len(world.asked) == 4


def test_a_page_at_another_address_is_read_anew(world: World) -> None:
    """What is stored is of one address, at one place in the chain."""
    world.page(1, last=2)
    world.page(2, number=2, last=2)
    first = world.read()
    moved = replace(first.pages[1], url=f"{world.server.url}{world.path(3)}")
    assert [r.id for r in world.read((first.pages[0], moved)).releases] == [2]
    swapped = (first.pages[1], first.pages[0])
    assert [r.id for r in world.read(swapped).releases] == [1, 2]


@pytest.mark.parametrize(
    "target",
    [
        PATH,
        "/repositories/8/releases?per_page=100&page=2",
        "/repositories/7/releases/../secrets?page=2",
        "/repositories/7/releases/5",
        "/user",
        "https://evil.test/repositories/7/releases?page=2",
        "//evil.test/repositories/7/releases?page=2",
        "https://x@127.0.0.1/repositories/7/releases?page=2",
        f"{PATH}&x={'y' * 3000}",
    ],
)
def test_only_pages_of_the_listing_are_followed(world: World, target: str) -> None:
    """In no circle, to no other repository, and to nobody else with our token."""
    said = document([], Link=f'<{target}>; rel="next"')
    world.server.on(PATH, said)
    with pytest.raises(ProtocolError, match="lead where they must not"):
        world.read()
    assert len(world.asked) == 1


def test_a_page_may_be_named_by_the_repository(world: World) -> None:
    """GitHub Enterprise does so."""
    place = "/repos/Acme/tool/releases?per_page=100&page=2"
    world.server.on(PATH, document([], Link=f'<{place}>; rel="next"'))
    world.server.on(place, document([]))
    assert world.read().pages[1].url == f"{world.server.url}{place}"


def test_a_page_that_goes_on_under_a_former_name_is_read_anew(world: World) -> None:
    """A 304 would lead to the old name, which may be another's by now."""
    world.page(1)
    (page,) = world.read().pages
    former = f"{world.server.url}/repos/acme/old/releases?page=2"
    found = world.read((replace(page, next=former),))
    assert world.asked == [(PATH, False), (PATH, False)]
    assert found.pages == (page,)


def test_a_listing_is_not_redirected_to_another(world: World) -> None:
    """Within the API there are many documents that are lists."""
    world.server.on(PATH, Said(302, headers={"Location": "/repositories/8/releases"}))
    world.server.on("/repositories/8/releases", document([]))
    with pytest.raises(ProtocolError, match="lead where they must not"):
        world.read()


def test_more_pages_than_there_can_be_are_not_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first 10,000 results are available, says GitHub."""
    monkeypatch.setattr(github_pages, "REACHABLE", 300)
    for number in range(1, 5):
        world.page(number, number=number, last=9)
    found = world.read()
    assert len(world.asked) == len(found.pages) == 3
    assert found.pages[-1].next is not None


def test_a_page_that_is_too_long_is_asked_for_in_parts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred releases of a thousand assets each are; the next visit knows."""
    monkeypatch.setattr(github_pages, "LARGEST", 1000)
    long = document([{"body": "x" * 2000}])
    world.server.on(PATH, long)
    small = PATH.replace("100", "30")
    rows = [{"id": 1, "node_id": "RE_1", "tag_name": "v1"}]
    world.server.on(small, world.conditional(document(rows, ETag='"s"')))

    first = world.read()
    assert world.asked == [(PATH, False), (small, False)]
    assert world.read(first.pages).pages == first.pages
    assert world.asked[2:] == [(small, True)]

    for size in ("30", "10", "3"):
        world.server.on(PATH.replace("100", size), long)
    with pytest.raises(PermanentError, match="more than 0 MiB for the releases of"):
        world.read(first.pages)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (document({"message": "no"}, 401), AccessDenied),
        (document({"message": "no"}, 403), AccessDenied),
        (document({"message": "no"}, 403, retry_after="9"), RateLimited),
        (document({"message": "no"}, 429), RateLimited),
        (document({"message": "no"}, 404), NotFound),
        (document({"message": "no"}, 451), Blocked),
        (document({"message": "no"}, 500), Unavailable),
        (Said(502, b"<html>", {"Content-Type": "text/html"}), Unavailable),
        (Said(404, b"<html>", {"Content-Type": "text/html"}), ProtocolError),
        (Said(200, b"<html>", {"Content-Type": "text/html"}), Unavailable),
        (Said(200, b"[]", {"Content-Type": "text/plain"}), ProtocolError),
        (Said(200, b"[]"), ProtocolError),
        (Said(200, b'[{"id"', {"Content-Type": "application/json"}), ProtocolError),
        (document({}), ProtocolError),
        (document([{"id": 2}]), ProtocolError),
        (Said(304), ProtocolError),
        (Said(302, headers={"Location": "https://evil.test/"}), EgressRefused),
        (Said(200, b"[]", {"Content-Type": "application/json"}, length=9), Unavailable),
    ],
)
def test_half_a_listing_is_none(
    world: World, said: Said, kind: type[SyncerError]
) -> None:
    """Whatever a page is instead, nothing is concluded from those before it."""
    world.page(1, last=2)
    world.server.on(world.path(2), said)
    with pytest.raises(SyncerError) as caught:
        world.read()
    assert type(caught.value) is kind
    assert TOKEN not in f"{caught.value}{caught.value.hint}"
