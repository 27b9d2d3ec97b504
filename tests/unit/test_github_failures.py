"""What a refusal of the API means; the table is `faults` of the public description."""

from __future__ import annotations

import json
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from urllib3 import HTTPHeaderDict

from syncer.errors import (
    AccessDenied,
    Blocked,
    Moved,
    NotFound,
    ProtocolError,
    RateLimited,
    SyncerError,
    Unavailable,
)
from syncer.upstream.allowance import CORE, GRAPHQL, Allowances
from syncer.upstream.channel import Answer
from syncer.upstream.github_failures import ApiLimits
from tests.fakes import NOW, FakeClock
from tests.fakes_forge import host

if TYPE_CHECKING:
    from syncer.endpoints import Host

TOKEN = "ghp_verySecretToken42"  # noqa: S105 - made up
HOST, NOBODY = host("github.com", token=TOKEN), host("github.com")
WHAT = "the releases of acme/tool"
MINUTE = timedelta(minutes=1)
NOTICE = "https://github.com/github/dmca/blob/master/2026/01/x.md"


def refused(
    status: int, document: object = None, *, entry: Host = HOST, **headers: str
) -> SyncerError:
    """Return what one answer means to somebody who was not refused before."""
    named = {name.replace("_", "-").title(): text for name, text in headers.items()}
    said = {"message": "Words"} if document is None else document
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    limits = ApiLimits(Allowances(FakeClock()), FakeClock())
    return limits.refusal(entry, WHAT, Answer(status, HTTPHeaderDict(named), body))


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (400, {}, ProtocolError),
        (401, {}, AccessDenied),
        (403, {}, AccessDenied),
        (
            403,
            {"x_github_sso": "required; url=https://github.com/orgs/a/sso"},
            AccessDenied,
        ),
        (404, {}, NotFound),
        (410, {}, NotFound),
        (422, {}, ProtocolError),
        (451, {}, Blocked),
        (429, {}, RateLimited),
        (403, {"retry_after": "5"}, RateLimited),
        (403, {"x_ratelimit_remaining": "0"}, RateLimited),
        (403, {"x_ratelimit_remaining": "1"}, AccessDenied),
        (500, {}, Unavailable),
        (502, {}, Unavailable),
        (503, {}, Unavailable),
        (503, {"retry_after": "5"}, RateLimited),
        (504, {}, Unavailable),
        (302, {"location": "/x"}, Moved),
        (204, {}, ProtocolError),
    ],
)
def test_every_status_has_its_error(
    status: int, headers: dict[str, str], kind: type[SyncerError]
) -> None:
    """The message names what was asked for, and shows no secret."""
    error = refused(status, None, entry=HOST, **headers)
    assert type(error) is kind
    assert WHAT in str(error)
    assert TOKEN not in f"{error} {error.hint}"


def test_a_token_that_was_revoked_says_so() -> None:
    """With a hint; who has none is told to get one."""
    error = refused(401, {"message": "Bad credentials"})
    assert "does not take our token" in str(error)
    assert "`Bad credentials`" in str(error)
    assert "revoked" in str(error.hint)
    assert "without a token" in str(refused(401, entry=NOBODY))


def test_single_sign_on_is_named() -> None:
    """It is no limit and no lack of permission, whatever else is in the answer."""
    error = refused(
        403,
        {"message": "Resource protected by organization SAML enforcement."},
        x_github_sso="required; url=https://github.com/orgs/a/sso?authorization=s3cret",
        x_ratelimit_remaining="0",
    )
    assert type(error) is AccessDenied
    assert "single sign-on" in str(error)
    assert "s3cret" not in f"{error}{error.hint}"


@pytest.mark.parametrize("status", [403, 451])
def test_a_block_has_its_notice(status: int) -> None:
    """Where upstream tells why."""
    block = {"reason": "dmca", "created_at": "x", "html_url": NOTICE}
    error = refused(status, {"message": "Repository access blocked", "block": block})
    assert isinstance(error, Blocked)
    assert error.notice == NOTICE
    assert "`dmca`" in str(error)
    assert NOTICE in str(error)


@pytest.mark.parametrize(
    "block",
    [None, "x", {}, {"html_url": 5}, {"html_url": "javascript:x"}, {"html_url": "a b"}],
)
def test_a_notice_that_is_no_address_is_none(block: object) -> None:
    """The block counts all the same."""
    error = refused(451, {"message": "no", "block": block})
    assert isinstance(error, Blocked)
    assert error.notice is None


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("body", [b"<html>404</html>", b"[]", b"{}", b""])
def test_a_missing_page_of_somebody_else_is_no_evidence(
    status: int, body: bytes
) -> None:
    """Only the API's own words say that something is not there."""
    assert type(refused(status, body)) is ProtocolError


@pytest.mark.parametrize("status", [403, 429])
def test_a_spent_allowance_comes_back_with_its_window(status: int) -> None:
    """Measured against the answer's own date, and two hours at most."""
    theirs = NOW - timedelta(days=2)
    for window, waits in (
        (timedelta(minutes=40), timedelta(minutes=40)),
        (timedelta(days=9), timedelta(hours=2)),
        (timedelta(minutes=-1), timedelta(seconds=1)),
    ):
        error = refused(
            status,
            {"message": "API rate limit exceeded for user ID 1."},
            x_ratelimit_remaining="0",
            x_ratelimit_reset=str(int((theirs + window).timestamp())),
            date=format_datetime(theirs, usegmt=True),
        )
        assert isinstance(error, RateLimited)
        assert error.retry_after == waits


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    "words",
    [
        "You have exceeded a secondary rate limit. Please wait a few minutes.",
        "You have triggered an abuse detection mechanism.",
    ],
)
def test_a_secondary_limit_needs_no_header(status: int, words: str) -> None:
    """A minute is what the description asks for then."""
    error = refused(status, {"message": words})
    assert isinstance(error, RateLimited)
    assert error.retry_after == MINUTE
    told = refused(status, {"message": words}, retry_after="30")
    assert isinstance(told, RateLimited)
    assert told.retry_after == timedelta(seconds=30)


def test_a_limit_pauses_its_resource_alone() -> None:
    """And longer each time that it comes back at once."""
    clock = FakeClock()
    allowances = Allowances(clock)
    core, graphql = (ApiLimits(allowances, clock, name) for name in (CORE, GRAPHQL))
    answer = Answer(429, HTTPHeaderDict(), b"")
    waits = []
    for _ in range(3):
        error = core.refusal(HOST, WHAT, answer)
        assert isinstance(error, RateLimited)
        assert error.retry_after is not None
        waits.append(error.retry_after / MINUTE)
        with pytest.raises(RateLimited):
            core.check(HOST, free=True)
        graphql.check(HOST)
        clock.advance(error.retry_after)
        core.check(HOST)
    assert waits == [1, 2, 4]


def test_upstreams_words_cannot_steer_a_terminal() -> None:
    """They are shown quoted, and only so many of them."""
    error = refused(403, {"message": "\x1b]0;x\x07" + "y" * 5000})
    assert "\x1b" not in str(error)
    assert len(str(error)) < 400


def test_words_that_are_none_are_left_out() -> None:
    """A `message` may be anything."""
    for message in (None, 5, ["x"], {"a": 1}, ""):
        assert str(refused(403, {"message": message})).count("`") == 0
