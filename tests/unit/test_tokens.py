"""What authenticates us: static tokens, and those that a GitHub App mints."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from syncer.credentials import Secret
from syncer.errors import (
    AccessDenied,
    ConfigError,
    NotFound,
    ProtocolError,
    RateLimited,
    SyncerError,
    Unavailable,
)
from syncer.upstream.egress import Egress
from syncer.upstream.origins import Origin
from syncer.upstream.session import Session
from tests.fakes import FakeClock
from tests.fakes_forge import host
from tests.servers.scripted import Said, ScriptedServer, document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from syncer.endpoints import Host
    from tests.servers.scripted import Asked

HOST = "ghe.test"
APP, INSTALLATION = 1234, 987
PATH = f"/api/v3/app/installations/{INSTALLATION}/access_tokens"


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Return the App's private key, one for all tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: PrivateKeyTypes) -> str:
    """Return a private key as GitHub gives it to who made the App."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


class World:
    """A host with an App, its server, and what asks it."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.clock = FakeClock()
        self.learnt: list[Secret] = []
        self.session = Session(
            Egress(self.clock), clock=self.clock, learn=self.learnt.append
        )
        self.host = app_host(server)
        self.tokens = self.session.tokens

    def grant(self, token: str, *, lasts: timedelta = timedelta(hours=1)) -> Said:
        """Return the documented answer: 201, a token, and when it ends."""
        ends = (self.clock.now() + lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
        date = format_datetime(self.clock.now().astimezone(UTC), usegmt=True)
        return document({"token": token, "expires_at": ends}, 201, date=date)

    def bearer(self) -> str:
        """Return what the API is shown."""
        found = self.tokens.bearer(self.host)
        assert found is not None
        return found.reveal()


def app_host(server: ScriptedServer, key: str | None = None) -> Host:
    """Return a host whose API is below `/api/v3`, with an App."""
    made = host(
        HOST,
        git=server.url,
        api=f"{server.url}/api/v3",
        private=True,
        app_id=APP,
        app_installation=INSTALLATION,
    )
    made._app_key = Secret(key or pem(rsa_key()))  # noqa: SLF001 - what reading the configuration does
    return made


@pytest.fixture
def world() -> Iterator[World]:
    """Yield a host with an App."""
    with ScriptedServer() as server:
        made = World(server)
        yield made
        made.session.close()


def test_an_app_proves_itself_and_gets_a_token(world: World) -> None:
    """Its word is signed, short-lived, and exchanged for a token that only reads."""
    world.server.on(PATH, world.grant("ghs_one"))

    basic = world.tokens.basic(world.host)

    assert basic == world.host.basic(Secret("ghs_one"))
    assert world.bearer() == "Bearer ghs_one"
    (asked,) = world.server.asked
    assert asked.method == "POST"
    assert asked.document == {"permissions": {"contents": "read", "metadata": "read"}}
    claims = proven(asked)
    now = world.clock.now().timestamp()
    assert claims == {"iat": now - 60, "exp": now + 540, "iss": str(APP)}


def proven(asked: Asked) -> dict[str, Any]:
    """Return what a request's token says, its signature checked."""
    word = asked.headers["authorization"].removeprefix("Bearer ")
    options: Any = {"verify_exp": False, "verify_iat": False}
    key = rsa_key().public_key()
    return jwt.decode(word, key, algorithms=["RS256"], options=options)


def test_what_is_minted_is_told_to_who_redacts(world: World) -> None:
    """The App's word and the token, before anybody can show them."""
    world.server.on(PATH, world.grant("ghs_one"))

    world.bearer()

    word = world.server.asked[0].headers["authorization"].removeprefix("Bearer ")
    assert world.learnt == [Secret(word), Secret("ghs_one")]


def test_a_token_is_kept_until_ten_minutes_before_its_end(world: World) -> None:
    """Then there is another, and git and the API share it."""
    world.server.on(PATH, world.grant("ghs_one"))
    assert world.bearer() == "Bearer ghs_one"
    world.clock.advance(timedelta(minutes=49, seconds=59))
    assert world.bearer() == "Bearer ghs_one"
    assert len(world.server.asked) == 1

    world.clock.advance(timedelta(seconds=1))
    world.server.on(PATH, world.grant("ghs_two"))

    assert world.bearer() == "Bearer ghs_two"
    assert world.tokens.basic(world.host) == world.host.basic(Secret("ghs_two"))
    assert len(world.server.asked) == 2


def test_a_renewal_that_fails_leaves_the_old_token(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """While it counts; the host is asked once a minute, and the log says why."""
    world.server.on(PATH, world.grant("ghs_one"), Said(500), Said(500), Said(500))
    world.bearer()
    world.clock.advance(timedelta(minutes=51))

    with caplog.at_level(logging.WARNING):
        assert [world.bearer() for _ in range(5)] == ["Bearer ghs_one"] * 5

    assert len(world.server.asked) == 2
    (record,) = caplog.records
    assert "the old one is used" in record.getMessage()
    assert "ghs_one" not in str(record.__dict__)

    world.clock.advance(timedelta(minutes=1))
    assert world.bearer() == "Bearer ghs_one"
    assert len(world.server.asked) == 3

    world.clock.advance(timedelta(minutes=8))
    with pytest.raises(Unavailable):
        world.bearer()


def test_a_refusal_is_not_asked_for_again_at_once(world: World) -> None:
    """A thousand probes with a wrong key are one question a minute."""
    refused = document({"message": "Bad credentials"}, 401)
    world.server.on(PATH, refused, world.grant("ghs_one"))
    for _ in range(5):
        with pytest.raises(AccessDenied):
            world.bearer()
    assert len(world.server.asked) == 1

    world.clock.advance(timedelta(minutes=1))

    assert world.bearer() == "Bearer ghs_one"


def test_one_thread_asks_for_all(world: World) -> None:
    """Many that need a token at the same time make one request."""
    granted = world.grant("ghs_one")
    slow = Said(granted.status, granted.body, granted.headers, after=0.1)
    world.server.on(PATH, slow)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: world.bearer(), range(16)))

    assert found == ["Bearer ghs_one"] * 16
    assert len(world.server.asked) == 1


def test_nobody_waits_for_a_renewal(world: World) -> None:
    """While one thread asks for the next token, others use the one that counts."""
    world.server.on(PATH, world.grant("ghs_one"))
    world.bearer()
    world.clock.advance(timedelta(minutes=55))
    granted = world.grant("ghs_two")
    slow = Said(granted.status, granted.body, granted.headers, after=0.3)
    world.server.on(PATH, slow)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: world.bearer(), range(8)))

    assert sorted(found) == ["Bearer ghs_one"] * 7 + ["Bearer ghs_two"]
    assert len(world.server.asked) == 2


@pytest.mark.parametrize(
    ("said", "error", "hint"),
    [
        (document({"message": "Bad \x1b[2Jcredentials"}, 401), AccessDenied, "clock"),
        (document({"message": "suspended"}, 403), AccessDenied, "suspended"),
        (document({"message": "Not Found"}, 404), AccessDenied, "app_installation"),
        (document({"message": "no permission"}, 422), AccessDenied, "Contents"),
        (document({}, 403, retry_after="30"), RateLimited, None),
        (document({}, 429), RateLimited, None),
        (document({}, 502), Unavailable, None),
        (Said(302, headers={"Location": "http://127.0.0.1:1/x"}), ProtocolError, None),
        (Said(200, b"<html>"), ProtocolError, None),
        (document([1], 201), ProtocolError, None),
        (document({"token": "two\r\nlines"}, 201), ProtocolError, None),
        (document({"token": ""}, 201), ProtocolError, None),
        (document({"token": ["ghs"]}, 201), ProtocolError, None),
        (
            document({"token": "t", "expires_at": "2001-01-01T00:00:00Z"}, 201),
            ProtocolError,
            None,
        ),
    ],
)
def test_a_refusal_says_what_to_look_at(
    world: World, said: Said, error: type[SyncerError], hint: str | None
) -> None:
    """Nothing of it is said of a repository, and nothing secret is shown."""
    world.server.on(PATH, said)

    with pytest.raises(error) as caught:
        world.bearer()

    assert not isinstance(caught.value, NotFound)
    assert hint is None or hint in str(caught.value.hint)
    text = f"{caught.value!r} {caught.value.hint}"
    assert "\x1b" not in text
    secrets = [pem(rsa_key()), *(secret.reveal() for secret in world.learnt)]
    assert [secret for secret in secrets if secret in text] == []


def test_the_hosts_clock_counts(world: World) -> None:
    """A token's hour is measured by the clock of who grants it, not by ours."""
    theirs = datetime(2020, 1, 1, tzinfo=UTC)
    ends = (theirs + timedelta(minutes=30)).isoformat()
    granted = {"token": "ghs_one", "expires_at": ends}
    date = format_datetime(theirs, usegmt=True)
    world.server.on(PATH, document(granted, 201, date=date), world.grant("ghs_two"))
    assert world.bearer() == "Bearer ghs_one"

    world.clock.advance(timedelta(minutes=19))
    assert world.bearer() == "Bearer ghs_one"
    world.clock.advance(timedelta(minutes=1))
    assert world.bearer() == "Bearer ghs_two"


@pytest.mark.parametrize("ends", [None, "9999-12-31T00:00:00Z", "soon", 7])
def test_nothing_is_believed_longer_than_an_hour(world: World, ends: object) -> None:
    """Whatever the host says of the end."""
    granted = document({"token": "ghs_one", "expires_at": ends}, 201)
    world.server.on(PATH, granted, world.grant("ghs_two"))
    assert world.bearer() == "Bearer ghs_one"

    world.clock.advance(timedelta(minutes=50))

    assert world.bearer() == "Bearer ghs_two"


def test_a_key_that_is_none_is_named(world: World) -> None:
    """Another kind of key is said to be one, without a word of it."""
    key = pem(ec.generate_private_key(ec.SECP256R1()))
    world.host = app_host(world.server, key)

    with pytest.raises(ConfigError, match="no RSA key") as caught:
        world.bearer()

    assert key[30:60] not in repr(caught.value)
    assert world.server.asked == []


@pytest.mark.parametrize("library", ["jwt", "cryptography"])
def test_without_the_extra_it_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """The error says what to install; hosts with a plain token need none of it."""
    if library == "jwt":
        monkeypatch.setitem(sys.modules, "jwt", None)
    else:

        def encode(*_: object, **__: object) -> str:
            raise NotImplementedError

        monkeypatch.setattr(jwt, "encode", encode)

    with pytest.raises(ConfigError) as caught:
        world.bearer()

    assert "syncer[github-app]" in str(caught.value.hint)
    plain = host("other.test", token="ghp_plain")  # noqa: S106 - made up
    assert world.tokens.bearer(plain) == Secret("Bearer ghp_plain")


def test_a_plain_token_is_no_request(world: World) -> None:
    """Both headers of it are made here; without a token there are none."""
    plain = host("other.test", token="ghp_plain")  # noqa: S106 - made up

    assert world.tokens.bearer(plain) == Secret("Bearer ghp_plain")
    assert world.tokens.basic(plain) == plain.authorization()
    assert world.tokens.basic(host("none.test")) is None
    assert world.tokens.bearer(host("none.test")) is None
    assert world.server.asked == []


def test_a_minted_token_goes_to_its_host_alone(world: World) -> None:
    """To git, the API and LFS of the host; a stranger on its behalf gets none."""
    world.server.on(PATH, world.grant("ghs_one"))
    world.server.on("/api/v3/rate_limit", document({}))
    world.server.on("/acme/widget.git/x", document({}))
    session = world.session
    port = int(world.server.url.rpartition(":")[2])
    own = Origin("http", "127.0.0.1", port)

    for channel, path in (
        (session.api(world.host), "/rate_limit"),
        (session.channel(world.host), "/acme/widget.git/x"),
        (session.aside(own, world.host, known=True), "/acme/widget.git/x"),
        (session.aside(own, world.host), "/acme/widget.git/x"),
    ):
        channel.exchange("GET", path, headers={}, body=b"", limit=1024)

    basic = world.host.basic(Secret("ghs_one")).reveal()
    carried = [each.headers.get("authorization") for each in world.server.asked[1:]]
    assert carried == ["Bearer ghs_one", basic, basic, None]
