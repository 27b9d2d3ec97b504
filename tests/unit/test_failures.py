"""What a refusal means: statuses, headers and the HTTP client's exceptions."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta

import pytest
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from syncer.errors import (
    AccessDenied,
    Moved,
    NotFound,
    ProtocolError,
    RateLimited,
    SyncerError,
    Unavailable,
)
from syncer.upstream import failures
from syncer.upstream.failures import refusal, translate

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
URL = "https://github.com/acme/widget.git/git-upload-pack"
RAISED = [
    kind
    for _, kind in inspect.getmembers(urllib3.exceptions, inspect.isclass)
    if issubclass(kind, Exception)
    and not issubclass(kind, Warning)
    and kind.__module__ == "urllib3.exceptions"
]


def answered(status: int, **headers: str) -> SyncerError:
    """Return what an answer is mapped to."""
    named = {name.replace("_", "-").title(): text for name, text in headers.items()}
    return refusal("acme/widget", URL, status, HTTPHeaderDict(named), NOW)


@pytest.mark.parametrize("kind", RAISED)
def test_every_exception_of_the_client_is_mapped(kind: type[Exception]) -> None:
    """A new release's new exception fails here before it meets anybody."""
    assert kind in failures._BY_TYPE  # noqa: SLF001 - the table is what is checked
    raised = kind.__new__(kind)
    # What some of them print.
    vars(raised).update(partial=1, expected=2, length=b"xyz")
    error = translate(raised, "upstream.test")
    assert type(error) is failures._BY_TYPE[kind]  # noqa: SLF001 - as above
    assert "upstream.test" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AccessDenied),
        (403, AccessDenied),
        (407, AccessDenied),
        (404, NotFound),
        (410, NotFound),
        (451, NotFound),
        (301, Moved),
        (302, Moved),
        (307, Moved),
        (308, Moved),
        (429, RateLimited),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (599, Unavailable),
        (204, ProtocolError),
        (304, ProtocolError),
        (400, ProtocolError),
        (405, ProtocolError),
        (415, ProtocolError),
        (418, ProtocolError),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[SyncerError]) -> None:
    """The error is of one kind, and names the status or what it means."""
    error = answered(status, location="https://elsewhere.example/new/place.git")
    assert type(error) is kind
    assert "acme/widget" in str(error) or status == 407


@pytest.mark.parametrize("status", [401, 403, 404, 410, 451, 301])
def test_an_endpoint_that_is_gone_proves_nothing(status: int) -> None:
    """The sentence says what may be, and that the mirror is kept."""
    error = answered(status, location="https://github.com/x/y.git")
    assert "gone, private or renamed; kept as it is" in str(error)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("2", 2),
        ("7200", 7200),
        ("99999", 7200),
        ("9" * 5000, 60),
        ("Sun, 01 Mar 2026 12:31:00 GMT", 60),
        ("Sun, 01 Mar 2026 12:31:00", 60),
        ("Sun, 01 Mar 2026 12:00:00 GMT", 0),
        ("Sun, 01 Mar 2099 12:00:00 GMT", 7200),
        ("Sun, 01 Mar 99999 12:00:00 GMT", 60),
        ("-5", 60),
        ("1.5", 60),
        ("\N{ARABIC-INDIC DIGIT TWO}", 60),
        ("soon", 60),
    ],
)
def test_a_host_says_when_to_come_back(text: str, seconds: int) -> None:
    """Seconds or a date are heard, bounded; nonsense means a minute."""
    for status in (403, 429, 503):
        error = answered(status, retry_after=text)
        assert isinstance(error, RateLimited)
        assert error.retry_after == timedelta(seconds=seconds)


@given(st.text(max_size=40), st.sampled_from([403, 429, 503]))
def test_any_header_means_some_wait(text: str, status: int) -> None:
    """No header raises, and none keeps us away for longer than two hours."""
    error = answered(status, retry_after=text)
    after = getattr(error, "retry_after", None)
    assert after is None or timedelta() <= after <= timedelta(hours=2)


def test_a_spent_allowance_is_a_limit() -> None:
    """GitHub answers 403 too when requests are used up, and says until when."""
    reset = str(int((NOW + timedelta(minutes=5)).timestamp()))
    error = answered(403, x_ratelimit_remaining="0", x_ratelimit_reset=reset)
    assert isinstance(error, RateLimited)
    assert error.retry_after == timedelta(minutes=5)
    assert isinstance(answered(403, x_ratelimit_remaining="0"), RateLimited)
    assert isinstance(answered(403, x_ratelimit_remaining="9"), AccessDenied)


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (
            "https://github.com/new/name.git/info/refs?service=x",
            "`github.com/new/name.git`",
        ),
        ("/new/name.git/git-upload-pack", "`github.com/new/name.git`"),
        ("https://u:s3cret@evil.example/x?token=s3cret#s3cret", "`evil.example/x`"),
        ("https://evil.example/\x1b[2J", "'evil.example/\\x1b[2J'"),
        ("https://[bad", "another address"),
        ("", "another address"),
    ],
)
def test_a_redirect_names_where_to(location: str, shown: str) -> None:
    """Host and path are told; what may be a secret is not."""
    error = answered(301, location=location)
    assert f"redirects acme/widget to {shown}, which is not followed" in str(error)
    assert "s3cret" not in str(error)
