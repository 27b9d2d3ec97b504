"""Addresses that upstream names, and what a host's entry allows of them."""

from __future__ import annotations

from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import EgressRefused, Interrupted
from syncer.upstream import origins
from syncer.upstream.egress import Egress
from syncer.upstream.origins import Origin, join, may_serve, split
from syncer.upstream.session import ASIDE, Session
from tests.fakes import FakeClock
from tests.fakes_forge import host

GITHUB = host("github.com")


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("https://a.example", Origin("https", "a.example", 443), "/"),
        ("HTTPS://A.Example/X?y=%2F", Origin("https", "a.example", 443), "/X?y=%2F"),
        ("http://a.example:8080/x", Origin("http", "a.example", 8080), "/x"),
        ("https://a.example?q=1", Origin("https", "a.example", 443), "/?q=1"),
        ("https://a.example./x#top", Origin("https", "a.example", 443), "/x"),
        ("https://[2606:50c0::1]:8/x", Origin("https", "[2606:50c0::1]", 8), "/x"),
        ("https://a.example:443/", Origin("https", "a.example", 443), "/"),
    ],
)
def test_an_address_has_an_origin_and_a_path(
    url: str, origin: Origin, path: str
) -> None:
    """Names are folded, usual ports left out, fragments not sent."""
    assert split(url) == (origin, path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example/x",
        "//a.example/x",
        "ftp://a.example/",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://user@a.example/",
        "https://user:pass@a.example/",
        "https://a.example:0/",
        "https://a.example:65536/",
        "https://a.example:x/",
        "https://a.example\\@b.example/",
        "https://a.example\n.b.example/",
        "https://a.example/\r\nHost: b",
        "https://a.example/a b",
        "https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example/",
        "https://[::1/",
        "https://a.example/" + "x" * 9000,
        " https://a.example/",
    ],
)
def test_what_is_no_plain_address_has_none(url: str) -> None:
    """Two readers could disagree about it, so nobody is asked."""
    assert split(url) is None


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_not(text: str) -> None:
    """Nothing raises, and what is one reads the same when it is written again."""
    for url in (text, f"https://{text}", f"https://a.example/{text}"):
        parts = split(url)
        if parts is not None:
            origin, path = parts
            assert split(f"{origin}{path}") == parts
        join(url, text)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://github.com/x", True),
        ("https://github.com:8443/x", False),
        ("http://github.com/x", False),
        ("https://media.githubusercontent.com/x", True),
        ("https://a.b.githubusercontent.com/x", True),
        ("https://media.githubusercontent.com:22/x", False),
        ("http://media.githubusercontent.com/x", False),
        ("https://githubusercontent.com/x", False),
        ("https://evilgithubusercontent.com/x", False),
        ("https://github-cloud.s3.amazonaws.com/x", True),
        ("https://evil.s3.amazonaws.com/x", False),
        ("https://github.com.evil.example/x", False),
    ],
)
def test_githubs_storage_is_known(url: str, *, allowed: bool) -> None:
    """Its hosts need no entry, others and other ports of theirs do."""
    parts = split(url)
    assert parts is not None
    assert may_serve(parts[0], GITHUB) is allowed


def test_an_entry_says_who_may_serve() -> None:
    """A list replaces the known one, with ports where it names them."""
    entry = host("github.com", downloads=("media.corp:8443", "*.store.corp"))
    for origin, allowed in (
        (Origin("https", "media.corp", 8443), True),
        (Origin("https", "media.corp", 443), False),
        (Origin("https", "x.store.corp", 443), True),
        (Origin("https", "media.githubusercontent.com", 443), False),
        (Origin("http", "x.store.corp", 80), False),
    ):
        assert may_serve(origin, entry) is allowed
    plain = host("lab", git="http://lab.corp", downloads=("store.corp",))
    assert may_serve(Origin("http", "store.corp", 80), plain)
    assert may_serve(Origin("https", "store.corp", 443), plain)


def test_an_ssh_host_is_at_home_on_the_web() -> None:
    """Its web address is https at its name, whatever port git uses."""
    entry = host("ghe.corp:2222", git="ssh://git@ghe.corp:2222", protocol="ssh")
    assert origins.home(entry) == Origin("https", "ghe.corp", 443)
    with pytest.raises(EgressRefused):
        origins.home(host("bad", git="https://a\\b"))


def test_a_stand_in_has_the_hosts_permissions_and_not_its_token() -> None:
    """Only the host itself, under an address of another kind, gets the token."""
    session = Session(Egress(FakeClock()), clock=FakeClock())
    entry = host("ghe.corp", private=True, token="s3cret", transfers=3)  # noqa: S106 - nobody's
    origin = Origin("https", "store.corp", 443)

    stranger = session.aside(origin, entry).host
    own = session.aside(Origin("https", "ghe.corp", 443), entry, known=True).host

    assert stranger.token is None
    assert stranger.authorization() is None
    assert (stranger.private, stranger.connections) == (True, 3)
    assert (stranger.name, stranger.base) == ("store.corp", "https://store.corp")
    assert own.authorization() == entry.authorization() is not None


def test_stand_ins_are_kept_and_bounded() -> None:
    """Names that upstream makes up do not fill the memory."""
    session = Session(Egress(FakeClock()), clock=FakeClock())
    first = Origin("https", "a.example", 443)
    kept = session.aside(first, GITHUB)
    for number in range(ASIDE - 1):
        session.aside(Origin("https", f"{number}.example", 443), GITHUB)

    assert session.aside(first, GITHUB) is kept
    assert session.aside(first, host("github.com")) is kept
    changed = session.aside(first, host("github.com", private=True))
    assert changed is not kept
    for number in range(ASIDE):
        session.aside(Origin("https", f"{number}.example", 443), GITHUB)
    assert session.aside(first, host("github.com", private=True)) is not changed
    session.close()


def test_an_api_has_a_channel_of_its_own() -> None:
    """Its own budget and connections; the host's permissions, never its entry."""
    session = Session(Egress(FakeClock()), clock=FakeClock())
    entry = host(
        "ghe.corp",
        api="https://ghe.corp/api/v3",
        private=True,
        token="s3cret",  # noqa: S106 - nobody's
    )

    api = session.api(entry)

    assert (api.host.base, api.host.name) == ("https://ghe.corp/api/v3", "ghe.corp")
    assert (api.host.private, api.host.token) == (True, None)
    assert api.host.connections == entry.transfers
    assert session.api(entry) is api
    assert session.api(entry.model_copy()) is api
    assert session.channel(entry).budget is not api.budget
    beside = session.api(entry, "https://ghe.corp/api")
    assert beside is not api
    again = session.api(entry.model_copy(update={"probes": 50.0}))
    assert again is not api
    assert again.budget is api.budget


def test_githubs_own_api_is_asked_as_often_as_it_allows() -> None:
    """However often its git servers may be."""
    clock, stop = FakeClock(), Event()
    session = Session(Egress(clock), clock=clock, stop=stop)
    entry = host("github.com", probes=1e6)
    budget = session.api(entry).budget

    stop.set()  # Whoever would have to wait is told so.
    for _ in range(10):
        budget.take()
    with pytest.raises(Interrupted):
        budget.take()


def test_a_host_without_an_api_is_named() -> None:
    """The hint says how to give one."""
    session = Session(Egress(FakeClock()), clock=FakeClock())
    with pytest.raises(EgressRefused, match="has no API") as caught:
        session.api(host("git.corp"))
    assert "api =" in str(caught.value.hint)
