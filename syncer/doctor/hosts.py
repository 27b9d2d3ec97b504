"""D10: who we are at each host; D12: whether it answers, and how fast."""

from __future__ import annotations

import re
import socket
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from syncer.doctor import aside
from syncer.doctor.aside import answers
from syncer.doctor.findings import doubtful, fine, unseen, wrong
from syncer.doctor.site import nobody
from syncer.errors import SyncerError, Unavailable
from syncer.model.names import shown
from syncer.upstream.allowance import Allowances, read
from syncer.upstream.github_failures import ApiLimits
from syncer.upstream.github_rest import Question, Rest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site
    from syncer.endpoints import Host

#: A token that ends sooner is told of.
SOON = timedelta(days=14)
_WAIT = 5.0  # seconds for a connection and a greeting
_ENDS = "github-authentication-token-expiration"
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d) ?(UTC|Z|[+-]\d\d:?\d\d)?")
#: Scopes of classic tokens that read, as far as GitHub can tell them apart.
_READING = {"repo", "public_repo", "read:org", "read:user", "read:packages"}
_GITHUB = "github.com"
_FIX = "look at DNS, routes, firewalls and the proxy (D13)"


class Grant(NamedTuple):
    """What a host says of our token."""

    #: None: it has no scopes (fine-grained, or an App's).
    scopes: tuple[str, ...] | None
    ends: datetime | None


def grant(headers: Mapping[str, str]) -> Grant:
    """Return what the headers of an API's answer say of the token it came with."""
    listed = headers.get("x-oauth-scopes")
    scopes = None
    if listed is not None:
        scopes = tuple(each.strip() for each in listed.split(",") if each.strip())
    match = _INSTANT.match(headers.get(_ENDS, "").strip())
    if match is None:
        return Grant(scopes, None)
    zone = match[3] if match[3] not in {None, "UTC", "Z"} else "+00:00"
    try:
        ends = datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}")
    except ValueError:
        return Grant(scopes, None)
    return Grant(scopes, ends.astimezone(UTC))


def tokens(site: Site) -> list[Finding]:
    """Look at the token of each host."""
    return _of_each(site, _token)


def _of_each(
    site: Site, look: Callable[[Site, Host], Iterable[Finding]]
) -> list[Finding]:
    """Look at every host at the same time: one that hangs holds up no other."""
    names = sorted(site.config.hosts)
    if not names:
        return [unseen("nothing is mirrored yet")]
    told = answers([partial(_of_one, site, name, look) for name in names])
    found = []
    for name, those in zip(names, told, strict=True):
        text = f"{name}: no answer within {aside.PATIENCE:.0f} s"
        found += [wrong(text, _FIX)] if those is None else those
    return found


def _of_one(
    site: Site, name: str, look: Callable[[Site, Host], Iterable[Finding]]
) -> list[Finding]:
    try:
        # A list: what a look raises comes while it is gone through.
        return list(look(site, site.config.target_host(name)))
    except SyncerError as exc:
        return [wrong(f"{name}: {exc}", exc.hint or _FIX)]


def _token(site: Site, host: Host) -> Iterator[Finding]:
    name = "github-token" if host.name == _GITHUB else f"token-{host.name}"
    place = str(host.token_file or f"/etc/syncer/credentials/{name}")
    if host.api_base is None:
        said = "a token" if host.is_authorised else "no token"
        yield fine(f"{host.name}: {said}; it has no API that could tell more")
        return
    if not host.is_authorised:
        text = f"{host.name}: no token: its API grants 60 requests an hour"
        yield doubtful(text, f"put one in {place}; it needs no permission to read")
        return
    session = site.session()
    with closing(session):
        limits = ApiLimits(Allowances(site.clock), site.clock)
        question = Question(host, "what our token is granted", "/rate_limit")
        # It is free, and GitHub Enterprise without limits has none.
        asked = question._replace(may_be_absent=True)
        reply = Rest(session, limits, site.stop).get(asked)
    left = read(reply.headers, authorised=True)
    allowed = "" if left is None else f", {left.limit:,} requests an hour"
    yield from judged(host, grant(reply.headers), allowed, place, site.clock.now())


def judged(
    host: Host, told: Grant, allowed: str, place: str, now: datetime
) -> Iterator[Finding]:
    """Return what is said of a token that the host took."""
    who = "a token"
    if host.app is not None:
        who = f"App {host.app.id}, installation {host.app.installation}"
    more = sorted(set(told.scopes or ()) - _READING)
    if more:
        text = f"{host.name}: the token may more than read: {shown(', '.join(more))}"
        fix = "a fine-grained one with Contents: read and Metadata: read"
        yield doubtful(text, fix)
    if told.ends is not None and told.ends - now < SOON:
        days = (told.ends - now).days
        text = f"{host.name}: the token expires in {days} days"
        fix = f"put a new one in {place}, then systemctl restart syncer"
        yield doubtful(text, fix)
    if not more and (told.ends is None or told.ends - now >= SOON):
        scopes = ", ".join(told.scopes or ())
        scopes = f", scopes {shown(scopes)}" if scopes else ""
        # Of an App's token the end is an hour away; the App's own has none.
        ends = f", expires {told.ends:%Y-%m-%d}" if told.ends is not None else ""
        yield fine(f"{host.name}: {who}{allowed}{scopes}{ends}")


def reach(site: Site) -> list[Finding]:
    """Ask each host for one answer, and its API for another; without a token."""
    return _of_each(site, _reached)


def _reached(site: Site, host: Host) -> Iterator[Finding]:
    host = nobody(host)
    if host.protocol == "ssh":
        yield _greeted(site, host)
        return
    yield _answered(site, host)
    if host.api_base is not None and host.api_base != host.base:
        yield _answered(site, host, api=True)


def _answered(site: Site, host: Host, *, api: bool = False) -> Finding:
    """Return how long the first answer of a host takes, and one after it."""
    session = site.session()
    with closing(session):
        channel = session.api(host) if api else session.channel(host)
        took = []
        for _ in range(2):
            began = site.clock.monotonic()
            with channel.opened("HEAD", "/", {}):
                took.append(site.clock.monotonic() - began)
    first, warm = (round(each * 1000) for each in took)
    what = f"the API of {host.name}" if api else host.name
    return fine(f"{what} answers in {warm} ms, with a new connection in {first} ms")


def _greeted(site: Site, host: Host) -> Finding:
    """Return how long an ssh server takes to greet (RFC 4253 4.2)."""
    target = site.egress().target(host)
    began = site.clock.monotonic()
    place = (target.address or target.host, target.port)
    try:
        with socket.create_connection(place, timeout=_WAIT) as connection:
            greeting = connection.recv(255)
    except OSError as exc:
        msg = f"{host.name} did not answer: {exc}"
        raise Unavailable(msg) from exc
    took = round((site.clock.monotonic() - began) * 1000)
    if not greeting.startswith(b"SSH-"):
        return wrong(f"{host.name} is no ssh server", "look at its address and port")
    return fine(f"{host.name} greets by ssh in {took} ms")
