"""Which hosts and addresses are asked, and that the checked one is connected to."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import EgressRefused, Unavailable
from syncer.upstream.addresses import objection
from syncer.upstream.egress import KEPT, Egress
from tests.fakes import FakeClock
from tests.fakes_forge import host

if TYPE_CHECKING:
    from collections.abc import Sequence

PUBLIC = "140.82.121.4"
OTHER = "140.82.121.3"
SIX = "2606:50c0:8000::153"
GITHUB = host("github.com")
METADATA = ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254"]
METADATA += ["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::169.254.169.254"]
METADATA += ["2001:0:1:2:3:4:5601:5601", "fe80::5efe:a9fe:a9fe", "100.100.100.200"]
PRIVATE = ["10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1"]
PRIVATE += ["169.254.1.1", "::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0"]
PRIVATE += ["fec0::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1"]
PRIVATE += ["2002:7f00:1::", "64:ff9b::8c52:7904", "::127.0.0.1"]
NOBODY = ["0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255"]  # noqa: S104 - refused
NOBODY += ["192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.7"]
NOBODY += ["203.0.113.5", "::", "ff02::1", "2001:db8::1", "3fff::1", "2001:2::1"]
NOBODY += ["4000::1", "100::1", "5f00::1", "::ffff:224.0.0.1", "localhost", ""]


class Resolver:
    """Answers with addresses that a test sets, and counts questions."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] = addresses
        self.asked: list[tuple[str, int]] = []

    def __call__(self, name: str, port: int) -> Sequence[str]:
        self.asked.append((name, port))
        if not self.addresses:
            msg = "no such name"
            raise OSError(msg)
        return self.addresses


def egress(resolver: Resolver, clock: FakeClock | None = None) -> Egress:
    """Return a policy that resolves as told."""
    return Egress(clock or FakeClock(), resolver=resolver)


@pytest.mark.parametrize("address", [PUBLIC, SIX, "8.8.8.8", "::ffff:140.82.121.4"])
def test_public_addresses_are_connected_to(address: str) -> None:
    """What anybody can reach needs no permission."""
    assert objection(address, private=False) is None
    assert objection(address, private=True) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_permission(address: str) -> None:
    """Addresses inside, in any spelling of theirs, are refused unless allowed."""
    assert objection(address, private=False) is not None
    assert objection(address, private=True) is None


@pytest.mark.parametrize("address", METADATA)
def test_metadata_services_are_never_connected_to(address: str) -> None:
    """No permission and no spelling leads to a machine's own credentials."""
    assert objection(address, private=False) is not None
    assert objection(address, private=True) is not None


@pytest.mark.parametrize("address", NOBODY)
def test_addresses_without_an_owner_are_never_connected_to(address: str) -> None:
    """Multicast, reserved and unassigned addresses, and text, are refused."""
    assert objection(address, private=False) is not None
    assert objection(address, private=True) is not None


@given(st.ip_addresses(v=4))
def test_every_spelling_of_an_address_is_refused_with_it(address: IPv4Address) -> None:
    """An IPv4 address inside IPv6 is never better than the address itself."""
    number = int(address)
    spellings = [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80)),
        IPv6Address(number) if number > 1 else IPv6Address("::ffff:0.0.0.1"),
    ]
    for private in (False, True):
        if objection(str(address), private=private) is not None:
            for spelling in spellings:
                assert objection(str(spelling), private=private) is not None


@given(st.ip_addresses())
def test_no_address_is_accepted_that_python_calls_private(
    address: IPv4Address | IPv6Address,
) -> None:
    """Our list is at least as strict as the standard library's."""
    if not ip_address(address).is_global:
        assert objection(str(address), private=False) is not None


def test_the_checked_address_is_the_target() -> None:
    """A name becomes the addresses that were checked, in the system's order."""
    resolver = Resolver(SIX, PUBLIC)

    target = egress(resolver).check("https://github.com/git/git.git", GITHUB)

    assert (target.scheme, target.host, target.port) == ("https", "github.com", 443)
    assert target.address == SIX
    assert target.authority == "github.com"
    assert target.curlopt_resolve == f"github.com:443:[{SIX}],{PUBLIC}"
    assert resolver.asked == [("github.com", 443)]


def test_an_address_as_host_needs_no_pin() -> None:
    """Where the host is an address, git cannot resolve it to another."""
    local = host("forge", git="http://127.0.0.1:8418/base", private=True)
    target = egress(Resolver("127.0.0.1")).target(local)

    assert target.curlopt_resolve is None
    assert target.authority == "127.0.0.1:8418"


def test_one_forbidden_address_refuses_the_name() -> None:
    """A name with a private address among public ones is not asked at all."""
    with pytest.raises(EgressRefused, match=r"10\.0\.0\.7.*private") as caught:
        egress(Resolver(PUBLIC, "10.0.0.7")).target(GITHUB)
    assert "private = true" in str(caught.value.hint)


def test_metadata_is_refused_without_advice() -> None:
    """Nobody is told to allow what cannot be allowed."""
    inside = host("forge.corp", private=True)
    with pytest.raises(EgressRefused, match="metadata") as caught:
        egress(Resolver("169.254.169.254")).target(inside)
    assert caught.value.hint is None


def test_a_permission_is_for_one_host() -> None:
    """`private = true` of one entry lets no other name in."""
    policy = egress(Resolver("10.0.0.7"))

    assert policy.target(host("forge.corp", private=True)).address == "10.0.0.7"
    with pytest.raises(EgressRefused):
        policy.target(host("forge.corp"))
    with pytest.raises(EgressRefused):
        policy.target(host("other.corp"))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/git/git.git",
        "http://github.com/git/git.git",
        "https://github.com.evil.example/git/git.git",
        "https://github.com:8443/git/git.git",
        "https://github.com@evil.example/git/git.git",
        "ssh://github.com/git/git.git",
        "file:///etc/passwd",
        "",
    ],
)
def test_requests_outside_the_base_are_refused(url: str) -> None:
    """Scheme, name and port are the configured ones, and nobody is resolved else."""
    resolver = Resolver(PUBLIC)
    with pytest.raises(EgressRefused):
        egress(resolver).check(url, GITHUB)
    assert resolver.asked == []


def test_a_refusal_shows_no_password() -> None:
    """What stands before an `@` stays out of the message."""
    with pytest.raises(EgressRefused) as caught:
        egress(Resolver(PUBLIC)).check("https://u:s3cret@evil.example/x", GITHUB)
    assert "s3cret" not in str(caught.value)


def test_a_base_address_without_a_port_number_has_no_target() -> None:
    """It is refused with a sentence."""
    with pytest.raises(EgressRefused, match="only https"):
        egress(Resolver(PUBLIC)).target(host("forge.corp", git="https://f.corp:port"))


def test_plain_http_needs_a_configured_base() -> None:
    """An `http:` address in the host's entry is what allows it."""
    plain = host("forge.corp", git="http://forge.corp", private=True)

    target = egress(Resolver("10.0.0.7")).check("http://forge.corp/a/b.git", plain)

    assert (target.scheme, target.port) == ("http", 80)


@pytest.mark.parametrize("addresses", [(), None])
def test_a_name_that_does_not_resolve_may_later(addresses: tuple[str, ...]) -> None:
    """Trouble with names is worth another attempt."""

    def nothing(name: str, port: int) -> Sequence[str]:
        del name, port
        if addresses is None:
            msg = "temporary failure"
            raise OSError(msg)
        return addresses

    with pytest.raises(Unavailable, match=r"github\.com"):
        Egress(FakeClock(), resolver=nothing).target(GITHUB)


def test_an_answer_is_believed_for_a_minute() -> None:
    """A name is resolved once a minute, and checked each time."""
    clock, resolver = FakeClock(), Resolver(PUBLIC)
    policy = egress(resolver, clock)
    first = policy.target(GITHUB)
    clock.advance(timedelta(seconds=KEPT - 1))
    assert policy.target(GITHUB) is first
    assert len(resolver.asked) == 1

    resolver.addresses = ["127.0.0.1"]
    assert policy.target(GITHUB) is first
    clock.advance(timedelta(seconds=1))
    with pytest.raises(EgressRefused):
        policy.target(GITHUB)


def test_the_address_in_use_stays_first() -> None:
    """Another order of the same addresses throws no warm connection away."""
    clock, resolver = FakeClock(), Resolver(PUBLIC, OTHER)
    policy = egress(resolver, clock)
    first = policy.target(GITHUB)

    resolver.addresses = [OTHER, PUBLIC]
    clock.advance(timedelta(seconds=KEPT))
    assert policy.target(GITHUB) is first

    resolver.addresses = [OTHER]
    clock.advance(timedelta(seconds=KEPT))
    assert policy.target(GITHUB).addresses == (OTHER,)


def test_an_address_that_fails_gives_way() -> None:
    """After a failed connection the next address is tried; a single one stays."""
    policy = egress(Resolver(SIX, PUBLIC))
    failed = policy.target(GITHUB)

    after = policy.avoid(GITHUB, failed)
    assert after is not None
    assert after.addresses == (PUBLIC, SIX)
    # Another thread failed at the same address: nothing moves twice.
    assert policy.avoid(GITHUB, failed) is after
    assert egress(Resolver(PUBLIC)).avoid(GITHUB, after) is None
    alone = egress(Resolver(PUBLIC))
    assert alone.avoid(GITHUB, alone.target(GITHUB)) is None


def test_behind_a_proxy_nothing_is_resolved() -> None:
    """The proxy resolves names; there is no address to connect to or to pin."""
    resolver = Resolver("127.0.0.1")
    policy = Egress(FakeClock(), resolver=resolver, proxied=True)

    target = policy.target(GITHUB)

    assert target.address is None
    assert target.curlopt_resolve is None
    assert resolver.asked == []


@pytest.mark.parametrize(
    "base",
    [
        "https://10.0.0.7",
        "https://localhost",
        "https://a.localhost:8443",
        "https://127.1",
        "https://2130706433",
        "https://0x7f.0x1",
        "https://metadata.google.internal",
        "https://[::1]:8443",
    ],
)
def test_a_proxy_is_no_way_around(base: str) -> None:
    """Names that mean the proxy itself or its neighbours are refused."""
    policy = Egress(FakeClock(), resolver=lambda name, _: [name], proxied=True)
    with pytest.raises(EgressRefused):
        policy.target(host("forge.corp", git=base))
