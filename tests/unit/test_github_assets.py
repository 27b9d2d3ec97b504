"""The bytes of assets: whom we ask, what our token is shown to, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from syncer.errors import (
    AccessDenied,
    Blocked,
    EgressRefused,
    Expired,
    IntegrityError,
    NotFound,
    ProtocolError,
    RateLimited,
    SyncerError,
    TransientError,
    Unavailable,
)
from syncer.model.lfs import Grant, LfsPointer, Refusal
from syncer.model.names import RepoName
from syncer.model.releases import Asset, asset_pointer
from syncer.upstream.allowance import Allowances
from syncer.upstream.downloads import Downloads
from syncer.upstream.egress import Egress
from syncer.upstream.github_assets import AssetSource
from syncer.upstream.github_failures import ApiLimits
from syncer.upstream.session import Session
from tests.fakes import FakeClock
from tests.fakes_forge import host
from tests.servers.scripted import Said, ScriptedServer, document, ranged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.scripted import Script

NAME = RepoName("ghe.test", "acme", "tool")
TOKEN = "ghp_verySecretToken42"  # noqa: S105 - made up
BODY = bytes(range(256)) * 4000
TAG = "v1.0"
PATH = "/repos/acme/tool/releases/assets/7"
STORED = "/store/7?signature=s3cret"
BINARY = {"Content-Type": "application/octet-stream"}


def asset(name: str = "tool.bin", *, digest: bool = True, **fields: Any) -> Asset:  # noqa: ANN401 - any field
    """Return an asset whose bytes are `BODY`."""
    known = sha256(BODY).hexdigest() if digest else None
    return replace(Asset(7, "RA_7", name, len(BODY), known), **fields)


class World:
    """A host with an API, the storage that it sends us to, and who asks them."""

    def __init__(self, api: ScriptedServer, storage: ScriptedServer) -> None:
        self.api = api
        self.storage = storage
        self.clock = clock = FakeClock()
        self.allowances = Allowances(clock)
        self.limits = ApiLimits(self.allowances, clock)
        self.session = Session(Egress(clock), clock=clock)
        self.downloads = Downloads(self.session, lambda _, entry: entry, clock, Event())
        self.token: str | None = TOKEN
        self.allowed = (storage.authority,)

    def source(self, wanted: Asset, tag: str = TAG) -> AssetSource:
        """Return where an asset is."""
        entry = host(
            NAME.host,
            token=self.token,
            git=self.api.url,
            api=self.api.url,
            private=True,
            probes=1e6,
            downloads=self.allowed,
        )
        pairs = [(tag, wanted)]
        return AssetSource(
            self.session, self.downloads, entry, NAME, pairs, self.limits
        )

    def stored(self, script: Script, *, place: str = STORED) -> None:
        """Have the API redirect to the storage, which answers so."""
        url = f"{self.storage.url}{place}"
        self.api.on(PATH, Said(302, headers={"Location": url}))
        self.storage.on(place, script)

    def read(self, wanted: Asset, offset: int = 0) -> bytes:
        """Download an asset to its end."""
        return read(self.source(wanted), wanted, offset)


def granted(source: AssetSource, wanted: Asset) -> Grant:
    """Return the leave to download an asset."""
    (answer,) = source.batch([asset_pointer(wanted)])
    assert isinstance(answer, Grant)
    return answer


def read(source: AssetSource, wanted: Asset, offset: int = 0) -> bytes:
    """Download to the end."""
    with source.open(granted(source, wanted), offset) as blocks:
        return b"".join(blocks)


@pytest.fixture
def world() -> Iterator[World]:
    """Yield a host with a token for it."""
    with ScriptedServer() as api, ScriptedServer() as storage:
        made = World(api, storage)
        yield made
        made.downloads.close()
        made.session.close()


@pytest.mark.parametrize("offset", [0, 1, 500_000, len(BODY) - 1])
@pytest.mark.parametrize("code", [302, 307])
def test_the_token_goes_to_the_api_alone(world: World, code: int, offset: int) -> None:
    """It redirects to storage, which sees no header of ours but the range."""
    world.stored(ranged(BODY))
    place = {"Location": f"{world.storage.url}{STORED}"}
    world.api.on(PATH, Said(code, headers=place))

    assert world.read(asset(), offset) == BODY[offset:]

    (first,), (second,) = world.api.asked, world.storage.asked
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert first.headers["accept"] == "application/octet-stream"
    assert first.headers["x-github-api-version"] == "2022-11-28"
    expected = f"bytes={offset}-" if offset else None
    assert first.headers.get("range") == second.headers.get("range") == expected
    assert second.headers["host"] == world.storage.authority
    assert TOKEN not in str(second)
    assert not second.headers.keys() & {"authorization", "x-github-api-version"}


def test_an_answer_without_a_redirect_is_as_good(world: World) -> None:
    """The API may send the bytes itself."""
    world.api.on(PATH, ranged(BODY))

    assert world.read(asset()) == BODY
    assert world.read(asset(), 1000) == BODY[1000:]


def test_every_question_is_within_the_allowance(world: World) -> None:
    """What an answer says of it counts for the next: the reserve is for others."""
    world.stored(ranged(BODY))
    ends = world.clock.now() + timedelta(minutes=20)
    headers = {
        "Location": f"{world.storage.url}{STORED}",
        "X-RateLimit-Limit": "5000",
        "X-RateLimit-Remaining": "500",
        "X-RateLimit-Reset": str(int(ends.timestamp())),
    }
    world.api.on(PATH, Said(302, headers=headers))

    assert world.read(asset()) == BODY
    with pytest.raises(RateLimited) as caught:
        world.read(asset())

    assert caught.value.retry_after == timedelta(minutes=20)
    assert len(world.api.asked) == 1
    world.clock.advance(timedelta(minutes=20))
    assert world.read(asset()) == BODY


def test_a_grant_is_made_without_asking(world: World) -> None:
    """Its address is the API's own, and its `repr` shows nothing."""
    source = world.source(asset())

    grant = granted(source, asset())

    assert grant.href == f"{world.api.url}{PATH}"
    assert grant.expires is None
    assert TOKEN not in f"{grant!r}{grant.headers}"
    assert world.api.asked == []


def test_an_unknown_asset_is_refused(world: World) -> None:
    """Each question has its answer, in order."""
    source, known = world.source(asset()), asset_pointer(asset())
    stranger = LfsPointer("0" * 64, 5)

    first, second, third = source.batch([stranger, known, stranger])

    assert isinstance(first, Refusal)
    assert (first.code, first.pointer) == (404, stranger)
    assert second.pointer == known
    assert third == first
    with pytest.raises(NotFound), source.open(Grant(stranger, "", {}), 0):
        pass


@pytest.mark.parametrize("code", [400, 401, 403])
def test_a_signature_that_ran_out_is_renewed(world: World, code: int) -> None:
    """The API's own address stays, and leads to another signature."""
    world.stored(Said(code, b"<Error/>"))
    source = world.source(asset())
    with pytest.raises(Expired):
        read(source, asset())
    world.stored(ranged(BODY), place="/store/7?signature=fresh")

    assert read(source, asset(), 1234) == BODY[1234:]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (document({}, 403, retry_after="60"), RateLimited),
        (
            document({}, 403, x_ratelimit_remaining="0", x_ratelimit_reset="1"),
            RateLimited,
        ),
        (document({"message": "Bad credentials"}, 401), AccessDenied),
        (document({"message": "Not Found"}, 404), NotFound),
        (document({"message": "a secondary rate limit"}, 403), RateLimited),
        (document({"block": {"reason": "dmca"}}, 451), Blocked),
        (document({}, 502), Unavailable),
    ],
)
def test_a_refusal_of_the_api_is_none_of_the_storage(
    world: World, said: Said, error: type[SyncerError]
) -> None:
    """A limit is a limit, not a signature that ran out, and nothing is shown."""
    world.api.on(PATH, said)

    with pytest.raises(error) as caught:
        world.read(asset())

    assert "tool.bin" in str(caught.value)
    assert TOKEN not in repr(caught.value)
    assert world.storage.asked == []


def test_a_repository_that_was_renamed_is_followed_in_the_api(world: World) -> None:
    """The token goes along, since it is the same API."""
    moved = "/repositories/99/releases/assets/7"
    world.stored(ranged(BODY))
    redirected = {"Location": f"{world.storage.url}{STORED}"}
    world.api.on(moved, Said(302, headers=redirected))
    world.api.on(PATH, Said(301, headers={"Location": f"{world.api.url}{moved}"}))

    assert world.read(asset()) == BODY

    carried = [each.headers.get("authorization") for each in world.api.asked]
    assert carried == [f"Bearer {TOKEN}"] * 2


def test_a_circle_of_redirects_ends(world: World) -> None:
    """Within the API as well."""
    world.api.on(PATH, Said(301, headers={"Location": f"{world.api.url}{PATH}"}))

    with pytest.raises(ProtocolError, match="redirects"):
        world.read(asset())

    assert len(world.api.asked) == 3


def test_a_host_that_is_not_allowed_is_not_asked(world: World) -> None:
    """The error names it, and not its signature."""
    world.allowed = ("elsewhere.test",)
    world.stored(ranged(BODY))

    with pytest.raises(EgressRefused) as caught:
        world.read(asset())

    assert world.storage.authority in str(caught.value)
    assert "s3cret" not in f"{caught.value!r}{caught.value.hint}"
    assert world.storage.asked == []


def test_without_a_token_the_api_is_not_asked(world: World) -> None:
    """The address on the web costs nothing; names are quoted into it."""
    world.token = None
    wanted = asset("tool v1 (ü).bin")
    place = "/acme/tool/releases/download/pkg%2Fv1%230/tool%20v1%20%28%C3%BC%29.bin"
    world.api.on(place, Said(302, headers={"Location": f"{world.storage.url}{STORED}"}))
    world.storage.on(STORED, ranged(BODY))

    assert read(world.source(wanted, "pkg/v1#0"), wanted, 10) == BODY[10:]

    (first,) = world.api.asked
    assert first.target == place
    assert "authorization" not in first.headers


@pytest.mark.parametrize("name", [".", "..", ""])
def test_a_name_that_leads_elsewhere_is_refused(world: World, name: str) -> None:
    """It has no address without a token, and nobody is asked."""
    world.token = None

    (answer,) = world.source(asset(name)).batch([asset_pointer(asset(name))])

    assert isinstance(answer, Refusal)
    assert world.api.asked == []


PAGE = b"<!DOCTYPE html><title>Unicorn!</title>".ljust(len(BODY))
HTML = "text/html; charset=utf-8"


@pytest.mark.parametrize("body", [PAGE, PAGE[:100], PAGE * 2])
def test_a_page_is_not_taken_for_an_asset(world: World, body: bytes) -> None:
    """GitHub has served its error page as 200; without a digest nothing else tells."""
    world.stored(Said(200, body, {"Content-Type": HTML}))

    with pytest.raises(Unavailable, match="HTML page instead"):
        world.read(asset(digest=False))


@pytest.mark.parametrize("body", [PAGE[:100], PAGE * 2])
def test_a_page_of_another_length_is_no_alarm(world: World, body: bytes) -> None:
    """With a digest, too, it is an outage and not wrong bytes."""
    world.stored(Said(200, body, {"Content-Type": HTML}))

    with pytest.raises(Unavailable, match="HTML page instead"):
        world.read(asset())


@pytest.mark.parametrize(
    "wanted",
    [asset(), asset("page.html", digest=False, content_type="text/html")],
    ids=["its digest decides", "it is one"],
)
def test_an_asset_may_be_a_page(world: World, wanted: Asset) -> None:
    """Where upstream says so, or where the digest tells anyway."""
    world.stored(ranged(BODY, HTML))

    assert world.read(wanted) == BODY


def test_too_long_a_body_is_an_integrity_error(world: World) -> None:
    """It is not read further than to the declared size."""
    world.stored(Said(200, BODY + b"x", BINARY))

    with pytest.raises(IntegrityError, match="longer than"):
        world.read(asset())


def test_what_breaks_off_is_continued(world: World) -> None:
    """The bytes that came are right, and the rest comes from where they end."""
    world.stored(Said(200, BODY[:70_000], BINARY, length=len(BODY)))
    source, came = world.source(asset()), bytearray()
    with suppress(TransientError), source.open(granted(source, asset()), 0) as blocks:
        for block in blocks:
            came += block
    assert came == BODY[: len(came)]
    assert len(came) < len(BODY)
    world.stored(ranged(BODY))

    assert came + read(source, asset(), len(came)) == BODY
